//! A Linux guest on the file: what its kernel gave to a process lies where the kernel says, and a
//! balloon gives memory back to the host without costing anybody a page.

use super::Finding;
use super::ram_file;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::guest::Found;
use crate::machine::kind::linux::{Linux, LinuxGuest};
use anyhow::{Context, Result};
use pcram_guests::stamp::{self, PAGE_SIZE};
use pcram_mirror::address::{GuestPhysical, RamLayout};
use serde::Deserialize;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

const SEED: u64 = 0x5ee0_0011;
const MIB: u64 = 1 << 20;
/// What a process of the guest's takes: most of a small machine, so that the kernel looks for it all
/// over RAM.
const MUCH: u64 = 64 * MIB / PAGE_SIZE as u64;
const LITTLE: u64 = 16 * MIB / PAGE_SIZE as u64;
/// What a balloon takes beyond the holes of the file.
const MORE: u64 = 48 * MIB;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinuxRuns {
    /// What is shown.
    shows: Shows,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Shows {
    /// The pages of a process are in the file, where the kernel's page map says.
    Pages,
    /// A balloon punches holes for what it takes, and leaves everything else alone.
    Balloon,
}

/// What the guest and the file have of a process's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    pages: u64,
    found: Found,
    in_file: u64,
}

impl Kept {
    fn wrong(&self, when: &str) -> Option<String> {
        let Kept { pages, found, in_file } = *self;
        let all = (found.pages, found.matching, in_file) == (pages, pages, pages) && pages > 0;
        let matching = found.matching;
        (!all).then(|| {
            format!("{when}: of {pages} pages the guest found {matching}, the file has {in_file}")
        })
    }
}

impl LinuxRuns {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let images = trial.images()?;
        let path = trial.ram_file()?;
        let mut launch = trial.launch();
        launch.extra.extend(trial.ram_file_args(&path));
        if self.shows == Shows::Balloon {
            launch.extra.extend(["-device", "virtio-balloon-pci"].map(str::to_owned));
        }
        let kind = Linux { images: &images };
        let mut machine = Machine::boot(trial.patched(), &launch, &kind, trial.folder)?;
        let kernel = machine.guest.ready()?;
        let layout = trial.layout()?;
        let finding = match self.shows {
            Shows::Pages => pages(&mut machine, &path, &layout)?,
            Shows::Balloon => balloon(&mut machine, &path, &layout, trial.ram())?,
        };
        machine.kill()?;
        Ok(finding.with("guest", format!("Linux {kernel}")))
    }
}

fn pages(machine: &mut Machine<LinuxGuest>, path: &Path, layout: &RamLayout) -> Result<Finding> {
    machine.guest.stamp(SEED, 1, MUCH)?;
    let first = kept(machine, path, layout, MUCH, 1)?;
    machine.guest.dirty()?;
    machine.guest.sweeps(2)?;
    let generation = machine.guest.halt()?;
    let later = kept(machine, path, layout, MUCH, generation)?;
    let page = machine.guest.addresses()?.pages[7];
    let offset = layout.offset_of(GuestPhysical(page)).context("the page is not in RAM")?;
    ram_file::flip(path, offset.0 + 5)?;
    Ok(judge_pages(first, later, page, machine.guest.find()?))
}

fn balloon(
    machine: &mut Machine<LinuxGuest>,
    path: &Path,
    layout: &RamLayout,
    ram: u64,
) -> Result<Finding> {
    // What a process gave back to its kernel is still in the file, until the balloon takes it.
    machine.guest.stamp(SEED, 1, MUCH)?;
    machine.guest.free()?;
    machine.guest.stamp(SEED, 2, LITTLE)?;
    let before = allocated(path)?;
    machine.balloon(under_balloon(ram, before))?;
    let blown_up = kept(machine, path, layout, LITTLE, 2)?;
    let after = allocated(path)?;
    machine.balloon(ram)?;
    let at_last = kept(machine, path, layout, LITTLE, 2)?;
    Ok(judge_balloon(before, after, blown_up, at_last))
}

/// What a balloon leaves of `ram`, in bytes and whole MiB, where so many bytes of the file are allocated:
/// it takes more than the file has holes, so that some of it is in the file, whichever pages the kernel
/// gives up.
fn under_balloon(ram: u64, allocated: u64) -> u64 {
    let holes = (ram - allocated) / MIB * MIB;
    ram - holes - MORE
}

fn kept(
    machine: &mut Machine<LinuxGuest>,
    path: &Path,
    layout: &RamLayout,
    pages: u64,
    generation: u64,
) -> Result<Kept> {
    let found = machine.guest.find()?;
    let file = File::open(path).context("opening the RAM file")?;
    let mut page = [0; PAGE_SIZE];
    let mut in_file = 0;
    for address in machine.guest.addresses()?.pages {
        let offset = layout.offset_of(GuestPhysical(address)).context("a page beyond RAM")?;
        file.read_exact_at(&mut page, offset.0).context("reading the RAM file")?;
        in_file += u64::from(stamp::matches(&page, address, SEED, generation));
    }
    Ok(Kept { pages, found, in_file })
}

/// Bytes of the file that the file system has allocated.
fn allocated(path: &Path) -> Result<u64> {
    Ok(path.metadata().context("looking at the RAM file")?.blocks() * 512)
}

fn judge_pages(first: Kept, later: Kept, flipped: u64, damaged: Found) -> Finding {
    let mut wrong = Vec::new();
    wrong.extend(first.wrong("as it wrote them"));
    wrong.extend(later.wrong("after it wrote them again and again"));
    if (damaged.matching, damaged.first_bad) != (first.pages - 1, Some(flipped)) {
        let Found { matching, first_bad, .. } = damaged;
        wrong.push(format!(
            "after a bit flipped in the page of {flipped:#x} it found {matching}, the first other \
             one at {first_bad:#x?}"
        ));
    }
    let summary = format!(
        "{} of {} pages of a process are in the file where the kernel's page map says; after one \
         bit flipped the process finds {}",
        later.in_file, later.pages, damaged.matching
    );
    Finding::new(wrong, summary).with("pages", first.pages).with("in the file", later.in_file)
}

fn judge_balloon(before: u64, after: u64, blown_up: Kept, at_last: Kept) -> Finding {
    let mut wrong = Vec::new();
    if after >= before {
        wrong.push(format!("the file had {before} bytes allocated, and has {after}"));
    }
    wrong.extend(blown_up.wrong("under the balloon"));
    wrong.extend(at_last.wrong("after the balloon was let down"));
    let summary = format!(
        "the balloon gave {} MiB of the file back; {} of {} pages of a process stayed",
        before.saturating_sub(after) >> 20,
        at_last.in_file,
        at_last.pages
    );
    Finding::new(wrong, summary)
        .with("bytes allocated before", before)
        .with("bytes allocated under the balloon", after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};

    fn kept(matching: u64, in_file: u64) -> Kept {
        let found = Found { pages: 9, matching, first_bad: None };
        Kept { pages: 9, found, in_file }
    }

    #[test]
    fn a_page_that_is_elsewhere_or_lost_fails() {
        let damaged = Found { pages: 9, matching: 8, first_bad: Some(0x7000) };
        let judged = |first, later, damaged| judge_pages(first, later, 0x7000, damaged).verdict;
        assert_eq!(judged(kept(9, 9), kept(9, 9), damaged), Held);
        assert_eq!(judged(kept(9, 8), kept(9, 9), damaged), Failed);
        assert_eq!(judged(kept(9, 9), kept(8, 9), damaged), Failed);
        assert_eq!(judged(kept(9, 9), kept(9, 9), kept(9, 9).found), Failed);
    }

    #[test]
    fn no_page_at_all_shows_nothing() {
        let found = Found { pages: 0, matching: 0, first_bad: None };
        let none = Kept { pages: 0, found, in_file: 0 };
        assert!(none.wrong("x").is_some() && kept(9, 9).wrong("x").is_none());
    }

    #[test]
    fn a_balloon_takes_more_than_the_holes() {
        let mib = 1_048_576;
        assert_eq!(under_balloon(128 * mib, 100 * mib), 52 * mib);
        assert_eq!(under_balloon(128 * mib, 100 * mib - 1), 52 * mib, "whole MiB");
    }

    #[test]
    fn a_balloon_that_gives_nothing_back_or_takes_too_much_fails() {
        let judged = |after, up, last| judge_balloon(8 << 20, after, up, last).verdict;
        assert_eq!(judged(4 << 20, kept(9, 9), kept(9, 9)), Held);
        assert_eq!(judged(8 << 20, kept(9, 9), kept(9, 9)), Failed);
        assert_eq!(judged(4 << 20, kept(9, 8), kept(9, 9)), Failed);
        assert_eq!(judged(4 << 20, kept(9, 9), kept(8, 9)), Failed);
    }
}
