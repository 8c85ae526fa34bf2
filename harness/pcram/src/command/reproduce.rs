//! `reproduce`: what a mailing-list thread claims of its patch, tried on a QEMU built from it.

use super::import::{base, clone, mended, put};
use super::steps::{self, Subject};
use super::{Global, Revision, Run, aim, build, check, patches};
use crate::cache::write_atomically;
use crate::check::catalogue::{Catalogue, reach};
use crate::event::{Event, Figure, Outcome, Row};
use crate::failure::{Exit, Failure};
use crate::machine::shell_word;
use crate::posting::base::Range;
use crate::posting::claims::{Came, Claim, Claims, Tried};
use crate::posting::trials::{self, OWN};
use crate::posting::{Input, Mended};
use crate::report::thread::{Thread, markdown, page};
use crate::source::{Choice, Releases};
use anyhow::{Context, Result};
use git2::Repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options of `reproduce`.
#[derive(clap::Args)]
pub struct Args {
    /// The thread: an mbox, a mail, or a patchwork page saved as text or HTML
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// A clone of QEMU here, which has the posting's base
    #[arg(long, value_name = "GIT")]
    git_url: String,
    /// Try only the claim ID; may be given more than once
    #[arg(long = "claim", value_name = "ID")]
    claims: Vec<String>,
    /// Try only the row ID, and judge by it the claims that it tries; may be given more than once
    #[arg(long = "row", value_name = "ID", conflicts_with = "claims")]
    rows: Vec<String>,
    /// Write the table to FILE as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the table to FILE as an HTML page that needs no other file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    build: build::Options,
    /// Keep the folder of every check, not only of those that do not hold
    #[arg(long)]
    keep: bool,
}

/// Runs `reproduce`.
pub fn run(global: Global, args: Args) -> ExitCode {
    super::run(global, "", |run| {
        let git = clone(&args.git_url)?;
        let repeat = args.repeat();
        let (input, mended) = mended(run, &args.from, Some(&git), &repeat)?;
        let id = input.posting.patches.first().and_then(|letter| letter.id.clone());
        let claims = Claims::of(&patches()?.join("postings"), id.as_deref())?;
        let chosen = claims.chosen(&args.claims, &args.rows)?;
        // Words that the thread does not have are found before anything is built for them.
        let quoted: Vec<_> =
            chosen.iter().map(|claim| claim.quoted(&input.posting)).collect::<Result<_>>()?;
        let range = base(&run.events, Some(&git), &input, &mended, &repeat)?;
        let range = range.ok_or_else(|| {
            Failure::missing(format!("{} has no commit that the posting fits", args.git_url))
        })?;
        let posting = Posting { args: &args, git: &git, input: &input, mended: &mended, range };
        let rows = posting.rows(run, &claims, &chosen)?;
        let thread = posting.thread(&chosen, quoted, &rows);
        run.events.step("claims", &thread.title, repeat, |_| {
            for claim in &thread.claims {
                run.events.send(Event::Claimed(claim.clone()));
            }
            Ok(((), Outcome::new(tally(&thread.claims))))
        })?;
        args.write(run, &thread)?;
        Ok(exit(&thread))
    })
}

/// The table is what was wanted, whatever came of the claims; what could not be tried is not.
fn exit(thread: &Thread) -> Exit {
    match thread.claims.iter().any(|claim| claim.came == Came::NotTried) {
        true => Exit::PrerequisiteMissing,
        false => Exit::AllHeld,
    }
}

impl Args {
    /// The command line that does all of it again.
    fn repeat(&self) -> String {
        let from = shell_word(&self.from.to_string_lossy());
        let git = shell_word(&self.git_url);
        format!("{} reproduce {from} --git-url {git}", super::program())
    }

    fn write(&self, run: &Run, thread: &Thread) -> Result<()> {
        let files = [(&self.markdown, markdown as fn(&Thread) -> String), (&self.html, page)];
        for (path, print) in files {
            let Some(path) = path else { continue };
            run.events.step("write", path.display().to_string(), "", |_| {
                let text = print(thread);
                write_atomically(path, &text)
                    .with_context(|| format!("writing {}", path.display()))?;
                Ok(((), Outcome::new(format!("{} claims", thread.claims.len()))))
            })?;
        }
        Ok(())
    }
}

/// A posting whose claims are tried.
struct Posting<'a> {
    args: &'a Args,
    git: &'a Repository,
    input: &'a Input,
    mended: &'a Mended,
    range: Range,
}

impl Posting<'_> {
    /// The rows of the chosen claims, by name; QEMU is built only where one of them runs it.
    fn rows(&self, run: &Run, claims: &Claims, chosen: &[&Claim]) -> Result<BTreeMap<String, Row>> {
        let asked = |name: &&String| self.args.rows.is_empty() || self.args.rows.contains(name);
        let names: BTreeSet<&String> =
            chosen.iter().flat_map(|claim| &claim.rows).filter(asked).collect();
        let (own, on_qemu): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| OWN.contains(&name.as_str()));
        let mut rows = BTreeMap::new();
        for name in own {
            let row = self.own_row(name)?;
            run.events.send(Event::Row(row.clone()));
            rows.insert(name.clone(), row);
        }
        if !on_qemu.is_empty() {
            let names = on_qemu.into_iter().cloned().collect();
            let found = self.on_qemu(run, claims, names)?;
            rows.extend(found.into_iter().map(|row| (row.id.clone(), row)));
        }
        Ok(rows)
    }

    fn own_row(&self, name: &str) -> Result<Row> {
        let begun = std::time::Instant::now();
        let (title, finding) = trials::try_own(name, self.git, self.mended, &self.range)?;
        Ok(Row {
            id: name.to_owned(),
            promise: "posting".to_owned(),
            title: title.to_owned(),
            revision: self.range.base.shown(),
            machine: String::new(),
            verdict: finding.verdict,
            summary: finding.summary,
            evidence: finding.evidence,
            seconds: begun.elapsed().as_secs_f64(),
            folder: None,
            repeat: self.args.repeat(),
        })
    }

    /// The rows that need the QEMU that the posting makes, and stock beside it.
    fn on_qemu(&self, run: &Run, claims: &Claims, names: Vec<String>) -> Result<Vec<Row>> {
        let catalogue = Catalogue::of_series(&claims.dir)?;
        let series = run.folder.dir.join("series");
        put(self.mended, &series)?;
        let releases = Releases::read(&patches()?.join("releases.toml"))?;
        let base = &self.range.base.id;
        let is_base = |release: &&crate::source::Release| {
            release.git.as_ref().is_some_and(|git| git.commit.as_ref() == Some(base))
        };
        let known = releases.all().iter().find(is_base);
        let name = known.map(|release| release.name.clone());
        let revision = Revision {
            series: Some(series.clone()),
            source: Choice::Git,
            git_url: Some(self.args.git_url.clone()),
            git_rev: Some(base.clone()),
            ..Revision::named(name.as_deref().unwrap_or(base))
        };
        let aim = aim::aim(run, &revision, run.global.offline)?;
        let reach = reach(catalogue.select(&names, true)?);
        let built = steps::build(run, &revision, &aim, &self.args.build, Some(&reach))?;
        let subject = Subject {
            repeat: self.args.repeat(),
            ..Subject::built(run, &revision, &aim, &built, run.global.offline)?
        };
        let options =
            check::Options { rows: names, thorough: true, at_once: None, keep: self.args.keep };
        let rows = steps::rows(run, &catalogue, &subject, &options);
        std::fs::remove_dir_all(&series).context("removing the series of this run")?;
        rows
    }

    /// The table.
    fn thread(
        &self,
        chosen: &[&Claim],
        quoted: Vec<(String, String)>,
        rows: &BTreeMap<String, Row>,
    ) -> Thread {
        let claims = chosen.iter().zip(quoted).map(|(claim, (words, said))| {
            let (came, mut rows) = claim.judged(rows);
            let repeat = format!("{} --claim {}", self.args.repeat(), claim.id);
            rows.iter_mut().for_each(|row| row.repeat.clone_from(&repeat));
            Tried {
                id: claim.id.clone(),
                words,
                said,
                how: claim.how.clone(),
                came,
                rows,
                why: claim.why.clone(),
                repeat,
            }
        });
        let letter = self.input.posting.patches.first();
        let text =
            |of: fn(&pcram_posting::letter::Letter) -> String| letter.map(of).unwrap_or_default();
        let repairs: usize = self.mended.patches.iter().map(|it| it.repairs().count()).sum();
        Thread {
            title: text(|letter| letter.subject.clone()),
            posted: text(|letter| format!("{}, {}", letter.name, letter.date)),
            message_id: text(|letter| letter.id.clone().unwrap_or_default()),
            facts: vec![
                Figure::new(
                    "read from",
                    format!("{}, {}", file_name(&self.args.from), self.input.kind),
                ),
                Figure::new("repairs", repairs),
                Figure::new("base", self.range.base.shown()),
                Figure::new("commit", &self.range.base.id),
                Figure::new("commits that it fits", self.range.count),
            ],
            claims: claims.collect(),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// How many claims came to what.
fn tally(claims: &[Tried]) -> String {
    let all = [Came::Holds, Came::HoldsOnlyIf, Came::DoesNotHold, Came::NotTried];
    let count = |came| claims.iter().filter(|claim| claim.came == came).count();
    let counted = all.map(|came| (count(came), came));
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    counted.map(|(count, came)| format!("{count} {came}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use crate::report::example::row;

    #[test]
    fn what_could_not_be_tried_shows_in_the_exit_code() {
        let Event::Row(row) = row("a", Verdict::Held, "") else { panic!("no row") };
        let claim = |came| Tried {
            id: "x".into(),
            words: String::new(),
            said: String::new(),
            how: String::new(),
            came,
            rows: vec![row.clone()],
            why: None,
            repeat: String::new(),
        };
        let thread = |claims: &[Came]| Thread {
            title: String::new(),
            posted: String::new(),
            message_id: String::new(),
            facts: Vec::new(),
            claims: claims.iter().map(|&came| claim(came)).collect(),
        };
        assert_eq!(exit(&thread(&[Came::Holds, Came::DoesNotHold])), Exit::AllHeld);
        assert_eq!(exit(&thread(&[Came::Holds, Came::NotTried])), Exit::PrerequisiteMissing);
        let both = thread(&[Came::Holds, Came::HoldsOnlyIf, Came::Holds]).claims;
        assert_eq!(tally(&both), "2 holds, 1 holds only if");
    }
}
