//! What came of a tree's functions, as rows.

use super::kept::Kept;
use super::{Run, story};
use crate::event::{Event, Figure, Row, Verdict};
use anyhow::Result;
use pcram_functions::v1_0::lockstep::Difference;
use pcram_functions::v1_0::properties::Broken;
use pcram_functions::v1_0::search::Found;
use pcram_mirror::v1_0::bounded::Tally;
use pcram_mirror::v1_0::{Property, Variant};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where rows go, and what they have in common.
pub(super) struct Told<'a> {
    run: &'a Run,
    revision: &'a str,
    repeat: String,
    begun: Instant,
}

impl<'a> Told<'a> {
    pub(super) fn new(run: &'a Run, revision: &'a str, repeat: String) -> Told<'a> {
        Told { run, revision, repeat, begun: Instant::now() }
    }

    /// No case showed a difference.
    pub(super) fn same(&self, variant: Variant, found: &Found) -> Verdict {
        let Found { cases, calls, ended, .. } = found;
        let summary = format!(
            "{cases} cases, {calls} calls: returned, wrote and left the same; {ended} cases ended \
             where the C does what it does not define"
        );
        self.row(variant, "functions", Verdict::Held, summary, Vec::new(), None)
    }

    /// A case showed one.
    pub(super) fn differs(
        &self,
        folder: &Path,
        kept: &Kept,
        difference: &Difference,
    ) -> Result<Verdict> {
        let file = kept.keep(folder)?;
        let (evidence, folder) = (self.evidence(&file), Some(folder.to_owned()));
        let summary = difference.to_string();
        let row = self.row(kept.variant, "functions", Verdict::Failed, summary, evidence, folder);
        story(self.run, kept);
        Ok(row)
    }

    /// No case, and no state, broke a property.
    pub(super) fn kept(
        &self,
        variant: Variant,
        property: Property,
        found: &Found,
        tally: Option<&Tally>,
    ) -> Verdict {
        let (states, broken) = match tally {
            Some(tally) => {
                let broken = tally.broken.get(&property);
                (format!(" and {} states", tally.states), broken)
            }
            None => (String::new(), None),
        };
        let (verdict, summary) = match broken {
            None => (Verdict::Held, format!("{property}: {} cases{states}", found.cases)),
            Some((count, example)) => {
                (Verdict::Failed, format!("broken in {count} states: {property}; {example}"))
            }
        };
        self.row(variant, property.name(), verdict, summary, Vec::new(), None)
    }

    /// Cases broke a property; this is a small one.
    pub(super) fn broken(
        &self,
        kept: &Kept,
        broken: &Broken,
        found: &Found,
        tally: Option<&Tally>,
    ) -> Result<Verdict> {
        let property = broken.property;
        let name = format!("mirror.{}.{}", kept.variant, property.name());
        let folder = self.run.folder.dir.join(name);
        let file = kept.keep(&folder)?;
        let mut evidence = self.evidence(&file);
        evidence.push(Figure::new("cases that break it", found.broken[&property]));
        if let Some((count, example)) = tally.and_then(|tally| tally.broken.get(&property)) {
            evidence.push(Figure::new("states that break it", count));
            evidence.push(Figure::new("smallest state", example));
        }
        let summary = format!(
            "broken in {} of {} cases: {property}; step {}: {}",
            found.broken[&property],
            found.cases,
            broken.step + 1,
            broken.seen
        );
        let (variant, failed) = (kept.variant, Verdict::Failed);
        let verdict = self.row(variant, property.name(), failed, summary, evidence, Some(folder));
        story(self.run, kept);
        Ok(verdict)
    }

    fn evidence(&self, file: &Path) -> Vec<Figure> {
        let replay = format!("{} mirror replay {}", crate::command::program(), file.display());
        vec![Figure::new("replay", replay)]
    }

    fn row(
        &self,
        variant: Variant,
        name: &str,
        verdict: Verdict,
        summary: String,
        evidence: Vec<Figure>,
        folder: Option<PathBuf>,
    ) -> Verdict {
        self.run.events.send(Event::Row(Row {
            id: format!("mirror.{variant}.{name}"),
            promise: "mirror".into(),
            title: format!("the functions as {variant}"),
            revision: self.revision.into(),
            machine: String::new(),
            verdict,
            summary,
            evidence,
            seconds: self.begun.elapsed().as_secs_f64(),
            folder,
            repeat: self.repeat.clone(),
        }));
        verdict
    }
}
