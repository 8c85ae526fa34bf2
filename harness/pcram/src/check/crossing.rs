//! A guest moves from one QEMU to the other, where neither has a RAM file: to and from stock.

use super::Finding;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::guest::Found;
use anyhow::Result;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0081;
/// How long the destination may take to have loaded.
const ARRIVE: Duration = Duration::from_secs(30);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Crossing {
    /// Where the guest comes from.
    source: Side,
    /// Where it goes.
    destination: Side,
    /// How it comes there.
    via: Via,
}

/// How a guest comes from one QEMU to the other.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// `migrate unix:`, live.
    Unix,
    /// `migrate exec:`, into a file and out of it.
    Exec,
    /// `savevm`, and `-loadvm`.
    Loadvm,
}

/// What was seen of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Crossed {
    /// How far it had counted when it was heard of last at the source.
    left_at: u64,
    /// How far it had when it was told to end at the destination.
    ended_at: u64,
    /// What it found of its stamps there.
    found: Found,
}

impl Crossing {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let source = Party::new(trial, self.source, "source", trial.board.ram_mib)?;
        let destination = Party::new(trial, self.destination, "destination", trial.board.ram_mib)?;
        let disk = (self.via == Via::Loadvm).then(|| source.create_disk()).transpose()?;
        let mut from = source.start_counting(SEED, disk.as_deref().map(|_| Path::new(DISK)))?;
        let left_at = from.guest.counting()?;
        let mut to = match self.via {
            Via::Unix => {
                let mut to = destination.start_waiting(&[])?;
                let _socket = from.migrate_to(&mut to)?;
                from.migrated(|_| Ok(()))?;
                to.loaded(ARRIVE)?;
                to
            }
            Via::Exec => {
                from.migrate("exec:cat > stream")?;
                from.migrated(|_| Ok(()))?;
                let mut to = destination.start_waiting(&[])?;
                to.load_from("exec:cat ../source/stream")?;
                to.loaded(ARRIVE)?;
                to
            }
            Via::Loadvm => {
                from.stop()?;
                party::savevm(&mut from)?;
                let mut launch = destination.launch(&["-loadvm", SNAPSHOT]);
                launch.disk = disk;
                from.kill()?;
                Machine::start(destination.binary()?, &launch, &destination.folder)?
            }
        };
        from.kill()?;
        // It may have been stopped in the middle of a count: what counts is that it goes on.
        to.guest.counting()?;
        let ended_at = to.guest.counted()?;
        let found = to.guest.find()?;
        to.kill()?;
        let pages = trial.layout()?.pages().count() as u64;
        Ok(judge(pages, &Crossed { left_at, ended_at, found }))
    }
}

fn judge(pages: u64, crossed: &Crossed) -> Finding {
    let Crossed { left_at, ended_at, found } = crossed;
    let mut wrong = Vec::new();
    if ended_at <= left_at {
        wrong.push(format!("the guest left at a count of {left_at}, and ended at {ended_at}"));
    }
    if !found.all() || found.pages != pages {
        wrong.push(format!("of {pages} pages, it found {}", found.matching));
    }
    let summary = format!(
        "the guest went on counting, from {left_at} to {ended_at}, and found all {pages} pages"
    );
    Finding::new(wrong, summary)
        .with("count at the source", left_at)
        .with("count at the destination", ended_at)
        .with("pages found", format!("{} of {}", found.matching, found.pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn a_page_that_is_lost_or_a_guest_that_begins_anew_fails() {
        let judged = |ended_at, matching| {
            let found = Found { pages: 4, matching, first_bad: None };
            judge(4, &Crossed { left_at: 10, ended_at, found }).verdict
        };
        assert_eq!(judged(11, 4), Verdict::Held);
        assert_eq!(judged(11, 3), Verdict::Failed);
        assert_eq!(judged(9, 4), Verdict::Failed, "it was started anew");
    }
}
