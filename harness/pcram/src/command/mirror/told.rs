//! What came of a tree's functions, as rows.

use super::Run;
use super::kept::Kept;
use crate::command::program;
use crate::event::{Event, Figure, Row, Verdict};
use crate::machine::shell_word;
use anyhow::Result;
use pcram_functions::lockstep::{Broken, Difference};
use pcram_functions::search::Found;
use pcram_mirror::v1_0::Property;
use pcram_mirror::v1_0::bounded::Tally;
use std::path::PathBuf;
use std::time::Instant;

/// Where rows go, and what they have in common.
pub(super) struct Told<'a> {
    run: &'a Run,
    revision: &'a str,
    /// What of QEMU it is, in a word.
    name: &'static str,
    /// The same, as it is told.
    pub title: &'static str,
    /// Whose code it is, in a word.
    pub variant: String,
    repeat: String,
    begun: Instant,
}

/// A case that was kept, with what is said of it.
struct Shown<'a> {
    folder: PathBuf,
    replay: String,
    story: &'a [String],
}

impl<'a> Told<'a> {
    pub(super) fn new(
        run: &'a Run,
        revision: &'a str,
        (name, title): (&'static str, &'static str),
        variant: String,
        repeat: String,
    ) -> Self {
        Told { run, revision, name, title, variant, repeat, begun: Instant::now() }
    }

    /// Whether such code is to keep a property: stock leaves nothing out, and is known to lose writes
    /// where it takes over written pages (docs/findings.md).
    pub(super) fn can_break(&self, property: Property) -> bool {
        self.variant != "stock" || (property != Property::LeftOut && self.name != "dirty")
    }

    /// No case showed a difference.
    pub(super) fn same(&self, found: &Found) -> Verdict {
        let Found { cases, calls, ended, .. } = found;
        let mut summary =
            format!("{cases} cases, {calls} calls: returned, wrote and left the same");
        if *ended > 0 {
            let why = "where the C does what it does not define, or aborts";
            summary += &format!("; {ended} cases ended {why}");
        }
        self.row(self.name, Verdict::Held, summary, Vec::new(), None)
    }

    /// A case showed one.
    pub(super) fn differs(
        &self,
        kept: &Kept,
        story: &[String],
        difference: &Difference,
    ) -> Result<Verdict> {
        let shown = self.keep(self.name, kept, story)?;
        let summary = difference.to_string();
        Ok(self.row(self.name, Verdict::Failed, summary, Vec::new(), Some(shown)))
    }

    /// No case broke a property; a state may have.
    pub(super) fn kept(&self, property: Property, found: &Found, tally: Option<&Tally>) -> Verdict {
        let states = tally.map_or(String::new(), |it| format!(" and {} states", it.states));
        let broken = tally.and_then(|tally| tally.broken.get(&property));
        let (verdict, summary) = match broken {
            None => (Verdict::Held, format!("{property}: {} cases{states}", found.cases)),
            Some((count, example)) => {
                (Verdict::Failed, format!("broken in {count} states: {property}; {example}"))
            }
        };
        self.row(&self.of(property), verdict, summary, Vec::new(), None)
    }

    /// Cases broke a property; this is a small one.
    pub(super) fn broken(
        &self,
        kept: &Kept,
        story: &[String],
        broken: &Broken,
        found: &Found,
        tally: Option<&Tally>,
    ) -> Result<Verdict> {
        let Broken { property, step, seen } = broken;
        let row = self.of(*property);
        let shown = self.keep(&row, kept, story)?;
        let count = found.broken[property];
        let mut evidence = vec![Figure::new("cases that break it", count)];
        if let Some(tally) = tally {
            evidence.push(Figure::new("states", tally.states));
        }
        if let Some((count, example)) = tally.and_then(|tally| tally.broken.get(property)) {
            evidence.push(Figure::new("states that break it", count));
            evidence.push(Figure::new("smallest state", example));
        }
        let cases = found.cases;
        let summary =
            format!("broken in {count} of {cases} cases: {property}; step {}: {seen}", step + 1);
        Ok(self.row(&row, Verdict::Failed, summary, evidence, Some(shown)))
    }

    /// What the row of a property is called: with nothing before it where it is about saving pages.
    fn of(&self, property: Property) -> String {
        match self.name {
            "functions" => property.name().to_owned(),
            name => format!("{name}.{}", property.name()),
        }
    }

    fn keep<'s>(&self, name: &str, kept: &Kept, story: &'s [String]) -> Result<Shown<'s>> {
        let folder = self.run.folder.dir.join(format!("mirror.{}.{name}", self.variant));
        let file = kept.keep(&folder)?;
        let replay = format!("{} mirror replay {}", program(), shell_word(&file.to_string_lossy()));
        Ok(Shown { folder, replay, story })
    }

    fn row(
        &self,
        name: &str,
        verdict: Verdict,
        summary: String,
        evidence: Vec<Figure>,
        shown: Option<Shown>,
    ) -> Verdict {
        // No promise is judged in the end that would tell what was seen of a row that holds.
        let told = [summary.clone()];
        let (folder, repeat, story) = match shown {
            Some(Shown { folder, replay, story }) => (Some(folder), replay, story),
            None if verdict == Verdict::Held => (None, self.repeat.clone(), &told[..]),
            None => (None, self.repeat.clone(), &[][..]),
        };
        self.run.events.send(Event::Row(Row {
            id: format!("mirror.{}.{name}", self.variant),
            promise: "mirror".into(),
            title: format!("{} as {}", self.title, self.variant),
            revision: self.revision.into(),
            machine: String::new(),
            verdict,
            summary,
            evidence,
            seconds: self.begun.elapsed().as_secs_f64(),
            folder,
            repeat,
        }));
        self.run.tell_story(story);
        verdict
    }
}
