//! `import`: a mailing-list posting as a series, with what mail did to it undone, and its base.

use super::{Global, Run};
use crate::event::{Events, Outcome, Step};
use crate::failure::{Exit, Failure};
use crate::machine::shell_word;
use crate::posting::base::{Range, guess};
use crate::posting::{Input, Mended, mend, posted, read, write};
use crate::series::expect_vacant;
use crate::source::local_git;
use anyhow::{Context, Result};
use git2::Repository;
use pcram_posting::repair::Proof;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// The options of `import`.
#[derive(clap::Args)]
pub struct Args {
    /// An mbox, a mail, a patchwork page saved as text or HTML, a diff, a folder of patches; or `-`
    /// for standard input
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Write the series to DIR, a folder that is new or empty
    #[arg(long, value_name = "DIR", required_unless_present = "check_only")]
    to: Option<PathBuf>,
    /// Say what would be put right, and what the base is; write nothing
    #[arg(long, conflicts_with = "to")]
    check_only: bool,
    /// A clone of QEMU here, whose blobs decide what was sent, and whose commits may be the base
    #[arg(long, value_name = "GIT")]
    git_url: Option<String>,
}

/// Runs `import`.
pub fn run(global: Global, args: Args) -> ExitCode {
    super::run(global, "", |run| {
        if let Some(dir) = &args.to {
            expect_vacant(dir)?;
        }
        let git = args.git_url.as_deref().map(clone).transpose()?;
        let repeat = repeat(&args);
        let (input, mended) = mended(run, &args.from, git.as_ref(), &repeat)?;
        base(&run.events, git.as_ref(), &input, &mended, &repeat)?;
        if let Some(dir) = &args.to {
            run.events.step(
                "write",
                format!("the series to {}", dir.display()),
                &repeat,
                |_| {
                    let names = put(&mended, dir)?;
                    Ok(((), Outcome::new(names.join(", "))))
                },
            )?;
        }
        Ok(Exit::AllHeld)
    })
}

/// The command line that does this import alone.
fn repeat(args: &Args) -> String {
    let word = |path: &Path| shell_word(&path.to_string_lossy());
    let mut line = format!("{} import {}", super::program(), word(&args.from));
    match &args.to {
        Some(dir) => line += &format!(" --to {}", word(dir)),
        None => line += " --check-only",
    }
    if let Some(url) = &args.git_url {
        line += &format!(" --git-url {}", shell_word(url));
    }
    line
}

/// The clone that the user named.
pub(super) fn clone(url: &str) -> Result<Repository> {
    let path = local_git(url).ok_or_else(|| {
        Failure::usage(format!("{url} is no git here, and its blobs are wanted: clone it first"))
    })?;
    let opened = Repository::open(&path);
    opened.map_err(|error| {
        Failure::missing(format!("cannot open the git {url}: {}", error.message())).into()
    })
}

/// The posting, as its author sent it; blobs come from `git`, and from what the cache has.
pub(super) fn mended(
    run: &Run,
    from: &Path,
    git: Option<&Repository>,
    repeat: &str,
) -> Result<(Input, Mended)> {
    let what = format!("the posting {}", from.display());
    run.events.step("import", what, repeat, |step| {
        let input = read(from)?;
        let posting = &input.posting;
        let (patches, comments) = (posting.patches.len(), posting.comments.len());
        step.note(format!("{}: {patches} patches, {comments} comments", input.kind));
        let store = run.cache.store()?;
        let gits: Vec<&Repository> = git.into_iter().chain([&store]).collect();
        let mended = mend(posting, &gits)?;
        let outcome = tell(step, &mended);
        Ok(((input, mended), outcome))
    })
}

/// Tells what was put right, and how far it is known to be right.
fn tell(step: &Step, mended: &Mended) -> Outcome {
    let mut repairs = 0;
    for patch in &mended.patches {
        step.note(format!("{:?}: {}", patch.message.title, patch.stat()));
        patch.letter.undone.iter().for_each(|undone| step.note(format!("  {undone}")));
        for repair in patch.repairs() {
            repairs += 1;
            step.note(format!("  line {}: {}", repair.line, repair.what));
        }
    }
    let files = || mended.patches.iter().flat_map(|patch| &patch.files);
    let of = |proof| files().filter(|file| file.proof == proof).count();
    let counts = [
        (of(Proof::Proved), "make the blobs that they promise"),
        (of(Proof::Fits), "fit their base, and promise no blob"),
        (of(Proof::CountsOnly), "were held against no base"),
    ];
    let counted: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} of {} files {what}", files().count()))
        .collect();
    for file in files().filter(|file| file.proof == Proof::CountsOnly) {
        let path = file.diff.path();
        step.note(format!("{path}: no git at hand has what it was made on; name one by --git-url"));
    }
    Outcome::new(format!("{repairs} repairs; {}", counted.join("; "))).with("repairs", repairs)
}

/// The commits that the posting fits; `None` where there is no git, or none fits.
pub(super) fn base(
    events: &Events,
    git: Option<&Repository>,
    input: &Input,
    mended: &Mended,
    repeat: &str,
) -> Result<Option<Range>> {
    let Some(git) = git else { return Ok(None) };
    events.step("base", "the commits that it was made on", repeat, |step| {
        let begun = Instant::now();
        let Some(range) = guess(git, mended, posted(input))? else {
            let none = "no commit has all the blobs that it was made on";
            return Ok((None, Outcome::new(none)));
        };
        let seconds = begun.elapsed().as_secs_f64();
        step.note(format!("{} commits looked at in {seconds:.1} s", range.looked_at));
        let (oldest, newest) = (range.oldest.shown(), range.newest.shown());
        step.note(format!("{} commits, from {oldest} to {newest}", range.count));
        for tag in &range.tags {
            step.note(format!("among them {}", tag.shown()));
        }
        let outcome = Outcome::new(format!("the base is {}", range.base.shown()))
            .with("commit", &range.base.id)
            .with("oldest", &range.oldest.id)
            .with("newest", &range.newest.id)
            .with("commits", range.count);
        Ok((Some(range), outcome))
    })
}

/// Writes the series to `dir` as a whole or not at all.
pub(super) fn put(mended: &Mended, dir: &Path) -> Result<Vec<String>> {
    let dir = std::path::absolute(dir)?;
    let parent = dir.parent().context("a folder has one above it")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let scratch = tempfile::Builder::new().prefix(".pcram-").tempdir_in(parent)?;
    let new = scratch.path().join("new");
    fs::create_dir(&new).context("making the series' folder")?;
    let names = write(mended, &new)?;
    fs::rename(&new, &dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(names)
}
