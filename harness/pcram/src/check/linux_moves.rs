//! A Linux guest that moves with the file: live, onto a destination that fetches its pages on
//! demand, and back to a snapshot.

use super::Finding;
use super::halves::load_but_devices;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::ram_file;
use super::trial::Trial;
use super::watched::Watched;
use crate::machine::Machine;
use crate::machine::guest::Found;
use crate::machine::kind::linux::{Linux, LinuxGuest};
use anyhow::{Context, Result};
use pcram_guests::stamp::PAGE_SIZE;
use serde::Deserialize;
use std::time::Duration;

const SEED: u64 = 0x5ee0_0065;
const OTHER_SEED: u64 = 0x5ee0_0066;
/// Pages that a process of the guest's stamps: 32 MiB.
const PAGES: u64 = (32 << 20) / PAGE_SIZE as u64;
/// How long the destination may take to have loaded.
const ARRIVE: Duration = Duration::from_secs(60);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinuxMoves {
    /// Where it goes.
    to: Goal,
    /// Words for every QEMU.
    #[serde(default)]
    args: Vec<String>,
}

/// Where a guest goes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Goal {
    /// To a destination on the same file, while a process of it writes.
    SameFile,
    /// To a destination whose file is watched, and has the source's RAM on demand.
    OnDemand,
    /// Back to a snapshot, in the same QEMU.
    Snapshot,
}

/// What was seen of a guest that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Come {
    /// The generation that it had reported last where it left, and the one that it ended with.
    generations: (u64, u64),
    /// What it found of its stamps.
    found: Found,
    /// Pages of the file that were touched, where they were counted.
    touched: Option<Touched>,
    /// Pages of RAM.
    ram: u64,
}

/// Pages of a destination's file that were touched up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touched {
    /// It was up, and waited.
    waiting: u64,
    /// It had loaded all but the state of its devices: up to here, the source's guest runs.
    but_devices: u64,
    /// It had loaded that as well. Some devices look into RAM then, as in any QEMU.
    loaded: u64,
    /// The guest had looked at its process's pages.
    looked: u64,
}

impl LinuxMoves {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let images = trial.images()?;
        let kind = Linux { images: &images };
        let source = Party::new(trial, Side::With, "source", trial.board.ram_mib)?;
        let source = source.with(&self.args);
        let mut launch = source.launch(&[]);
        if self.to == Goal::Snapshot {
            source.create_disk()?;
            launch.disk = Some(DISK.into());
        }
        let mut from = Machine::boot(source.binary()?, &launch, &kind, &source.folder)?;
        let kernel = from.guest.ready()?;
        from.guest.stamp(SEED, 1, PAGES)?;
        let come = match self.to {
            Goal::SameFile => self.live(trial, &kind, &source, from)?,
            Goal::OnDemand => self.on_demand(trial, &kind, &source, from)?,
            Goal::Snapshot => back(trial, &source, from)?,
        };
        Ok(judge(&come).with("guest", format!("Linux {kernel}")))
    }

    fn live(
        &self,
        trial: &Trial,
        kind: &Linux,
        source: &Party,
        mut from: Machine<LinuxGuest>,
    ) -> Result<Come> {
        from.guest.dirty()?;
        let left = from.guest.sweeps(2)?;
        let file = source.ram_file.clone().context("there is no RAM file")?;
        let party = Party::on(trial, file, "destination")?.with(&self.args);
        let launch = party.launch(&["-incoming", "defer"]);
        let mut to = Machine::boot(party.binary()?, &launch, kind, &party.folder)?;
        let _socket = from.migrate_to(&mut to)?;
        from.migrated(|_| Ok(()))?;
        to.loaded(ARRIVE)?;
        from.kill()?;
        let ended = to.guest.halt()?;
        let found = to.guest.find()?;
        to.kill()?;
        let ram = trial.layout()?.pages().count() as u64;
        Ok(Come { generations: (left, ended), found, touched: None, ram })
    }

    fn on_demand(
        &self,
        trial: &Trial,
        kind: &Linux,
        source: &Party,
        mut from: Machine<LinuxGuest>,
    ) -> Result<Come> {
        from.migrate("exec:cat > stream")?;
        from.migrated(|_| Ok(()))?;
        from.quit()?;
        let file = source.ram_file.as_deref().context("there is no RAM file")?;
        let watched = Watched::new(file)?;
        let touched = || Ok::<_, anyhow::Error>(watched.requests()?.pages.len() as u64);
        let party = Party::on(trial, watched.path().to_owned(), "destination")?.with(&self.args);
        let launch = party.launch(&["-incoming", "defer", "-S"]);
        let mut to = Machine::boot(party.binary()?, &launch, kind, &party.folder)?;
        to.status()?;
        let waiting = touched()?;
        let rest = load_but_devices(&mut to, &source.folder.join("stream"))?;
        let but_devices = touched()?;
        rest.load()?;
        to.loaded(ARRIVE)?;
        let loaded = touched()?;
        to.cont()?;
        let found = to.guest.find()?;
        let looked = touched()?;
        to.kill()?;
        let touched = Touched { waiting, but_devices, loaded, looked };
        let ram = trial.layout()?.pages().count() as u64;
        Ok(Come { generations: (1, 1), found, touched: Some(touched), ram })
    }
}

fn back(trial: &Trial, source: &Party, mut machine: Machine<LinuxGuest>) -> Result<Come> {
    let file = source.ram_file.as_deref().context("there is no RAM file")?;
    let copy = source.folder.join("copy");
    machine.stop()?;
    party::savevm(&mut machine)?;
    ram_file::create(&copy, trial.ram())?;
    ram_file::copy(file, &copy)?;
    machine.cont()?;
    // Other pages with other stamps, and a kernel that has done other things.
    machine.guest.free()?;
    machine.guest.stamp(OTHER_SEED, 1, PAGES)?;
    machine.stop()?;
    ram_file::copy(&copy, file)?;
    let said = machine.qmp.human(&format!("loadvm {SNAPSHOT}"))?;
    anyhow::ensure!(said.is_empty(), "loadvm said: {said}");
    machine.cont()?;
    let found = machine.guest.find()?;
    machine.kill()?;
    let ram = trial.layout()?.pages().count() as u64;
    Ok(Come { generations: (1, 1), found, touched: None, ram })
}

fn judge(come: &Come) -> Finding {
    let Come { generations: (left, ended), found, touched, ram } = come;
    let mut wrong = Vec::new();
    if ended < left {
        wrong.push(format!("the guest left at generation {left}, and ended at {ended}"));
    }
    if found.pages != PAGES || found.matching != PAGES {
        let Found { pages, matching, .. } = found;
        wrong.push(format!("of {PAGES} pages, the guest found {matching} of {pages}"));
    }
    let mut on_demand = String::new();
    if let Some(Touched { waiting, but_devices, loaded, looked }) = touched {
        let early = [("while it waited", waiting), ("before its devices' state came", but_devices)];
        for (when, touched) in early {
            if *touched > 0 {
                wrong.push(format!("{touched} pages of its file were read or written {when}"));
            }
        }
        if *looked < PAGES || looked >= ram || loaded > looked {
            wrong.push(format!("{looked} of {ram} pages came on demand"));
        }
        on_demand = format!(
            "; pages of its file touched: 0 before its devices' state came, {loaded} when that was \
             loaded, {looked} of {ram} when it had found those"
        );
    }
    let summary =
        format!("Linux went on, and found {} of {PAGES} pages{on_demand}", found.matching);
    let finding = Finding::new(wrong, summary)
        .with("generation when it left", left)
        .with("generation when it ended", ended)
        .with("pages found", format!("{} of {}", found.matching, found.pages));
    match touched {
        Some(Touched { waiting, but_devices, loaded, looked }) => finding
            .with("pages touched while it waited", waiting)
            .with("before the state of its devices came", but_devices)
            .with("when it had loaded", loaded)
            .with("when the guest had looked", looked),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn a_lost_page_an_older_sweep_or_an_early_touch_fails() {
        let judged = |damage: &dyn Fn(&mut Come, &mut Touched)| {
            let found = Found { pages: PAGES, matching: PAGES, first_bad: None };
            let mut touched = Touched { waiting: 0, but_devices: 0, loaded: 2, looked: PAGES + 9 };
            let mut come = Come { generations: (3, 5), found, touched: None, ram: 4 * PAGES };
            damage(&mut come, &mut touched);
            judge(&Come { touched: Some(touched), ..come }).verdict
        };
        assert_eq!(judged(&|_, _| ()), Verdict::Held);
        assert_eq!(judged(&|come, _| come.found.matching -= 1), Verdict::Failed);
        assert_eq!(judged(&|come, _| come.generations = (3, 2)), Verdict::Failed);
        assert_eq!(judged(&|come, _| come.generations = (3, 3)), Verdict::Held);
        assert_eq!(judged(&|_, it| it.waiting = 1), Verdict::Failed);
        assert_eq!(judged(&|_, it| it.but_devices = 1), Verdict::Failed);
        assert_eq!(judged(&|_, it| it.looked = PAGES), Verdict::Held);
        assert_eq!(judged(&|_, it| it.looked = PAGES - 1), Verdict::Failed, "nobody saw it");
        assert_eq!(judged(&|_, it| it.loaded = it.looked), Verdict::Held);
        assert_eq!(
            judged(&|_, it| it.loaded = it.looked + 1),
            Verdict::Failed,
            "it was lost again"
        );
        assert_eq!(judged(&|_, it| it.looked = 4 * PAGES), Verdict::Failed, "all at once");
    }
}
