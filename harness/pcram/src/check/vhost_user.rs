//! A device's back end in another process is given the RAM file, and sees the guest's RAM in it.

use super::Finding;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::back_end::BackEnd;
use crate::machine::guest::Found;
use anyhow::{Context, Result};
use pcram_guests::stamp::{self, PAGE_SIZE};
use pcram_mirror::address::RamLayout;
use serde::Deserialize;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

const SEED: u64 = 0x5ee0_0010;

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VhostUser {}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Measured {
    /// Pages of RAM.
    pages: u64,
    /// Whether the file behind each region that the back end was given is the RAM file.
    regions: Vec<bool>,
    /// Pages that the guest stamped and the back end read.
    read: u64,
    /// What the guest found of the pages that the back end stamped.
    found: Found,
    /// How many regions stock gives to a back end, having its RAM in no file.
    stock: usize,
}

impl VhostUser {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let back_end = BackEnd::listen()?;
        let path = trial.ram_file()?;
        let mut launch = trial.launch();
        launch.extra = [back_end.args(), trial.ram_file_args(&path)].concat();
        let mut machine = trial.start(trial.patched(), &launch)?;
        machine.guest.start_virtio()?;
        let Some(shared) = back_end.memory() else {
            let wrong =
                format!("QEMU shares nothing with the back end; it said: {}", machine.said());
            return Ok(Finding::new(vec![wrong], ""));
        };
        let layout = trial.layout()?;
        machine.guest.seed(SEED, 0)?;
        let generation = machine.guest.stamp()?;
        let read = stamps_in(&shared, &layout, generation)?;
        stamp_into(&shared, &layout, generation + 1);
        machine.guest.seed(SEED, generation + 1)?;
        let found = machine.guest.find()?;
        machine.kill()?;
        let measured = Measured {
            pages: layout.pages().count() as u64,
            regions: files(&shared, &path)?,
            read,
            found,
            stock: shared_by_stock(trial)?,
        };
        Ok(judge(&measured))
    }
}

fn shared_by_stock(trial: &Trial) -> Result<usize> {
    let back_end = BackEnd::listen()?;
    let mut launch = trial.launch();
    launch.extra = back_end.args();
    let folder = trial.folder.join("stock");
    let mut machine = Machine::start(trial.stock()?, &launch, &folder)?;
    machine.guest.ready()?;
    machine.guest.start_virtio()?;
    machine.kill()?;
    Ok(back_end.shared_at_all()?.map_or(0, |memory| memory.iter().count()))
}

/// Whether the file behind each region is the one at `path`.
fn files(memory: &GuestMemoryMmap, path: &Path) -> Result<Vec<bool>> {
    let ram = fs::metadata(path)?;
    let is_ram = |file: &File| -> Result<bool> {
        let file = file.metadata()?;
        Ok((file.dev(), file.ino()) == (ram.dev(), ram.ino()))
    };
    let regions = memory.iter().map(|region| {
        let file = region.file_offset().context("a region without a file")?;
        is_ram(file.file())
    });
    regions.collect()
}

/// How many pages of RAM have their stamp where the back end sees them. What it does not see has
/// none.
fn stamps_in(memory: &GuestMemoryMmap, layout: &RamLayout, generation: u64) -> Result<u64> {
    let mut page = vec![0; PAGE_SIZE];
    let seen = layout.pages().filter(|address| {
        let read = memory.read_slice(&mut page, GuestAddress(address.0));
        read.is_ok() && stamp::matches(&page, address.0, SEED, generation)
    });
    Ok(seen.count() as u64)
}

/// Stamps RAM where the back end sees it. What it does not see the guest will not find.
fn stamp_into(memory: &GuestMemoryMmap, layout: &RamLayout, generation: u64) {
    for address in layout.pages() {
        let page = stamp::page(address.0, SEED, generation);
        let _ = memory.write_slice(&page, GuestAddress(address.0));
    }
}

fn judge(measured: &Measured) -> Finding {
    let Measured { pages, regions, read, found, stock } = measured;
    let mut wrong = Vec::new();
    if regions.is_empty() || regions.contains(&false) {
        let others = regions.iter().filter(|is_ram| !**is_ram).count();
        wrong.push(format!("of {} regions {others} are not the RAM file", regions.len()));
    }
    if read != pages || *pages == 0 {
        wrong.push(format!("of {pages} pages the back end read {read} as the guest wrote them"));
    }
    if (found.pages, found.matching) != (*pages, *pages) {
        let matching = found.matching;
        wrong.push(format!("of {pages} pages that the back end wrote the guest found {matching}"));
    }
    if *stock != 0 {
        wrong.push(format!("stock shares {stock} regions, though its RAM is in no file"));
    }
    let regions = regions.len();
    let summary = format!(
        "{regions} regions of the file given to the back end (stock: {stock} regions); {read} of \
         {pages} pages read there, {} written there and found by the guest",
        found.matching
    );
    Finding::new(wrong, summary)
        .with("regions", regions)
        .with("regions of stock", stock)
        .with("pages stamped by the guest and read by the back end", read)
        .with("pages stamped by the back end and found by the guest", found.matching)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};
    use pcram_mirror::address::Board;
    use vm_memory::FileOffset;

    #[test]
    fn another_file_or_a_page_that_one_side_does_not_see_fails() {
        let found = |matching| Found { pages: 9, matching, first_bad: None };
        let good =
            Measured { pages: 9, regions: vec![true; 2], read: 9, found: found(9), stock: 0 };
        assert_eq!(judge(&good).verdict, Held);
        for bad in [
            Measured { pages: 0, read: 0, found: Found { pages: 0, ..found(0) }, ..good.clone() },
            Measured { regions: vec![], ..good.clone() },
            Measured { regions: vec![true, false], ..good.clone() },
            Measured { read: 8, ..good.clone() },
            Measured { found: found(8), ..good.clone() },
            Measured { found: Found { pages: 8, ..found(9) }, ..good.clone() },
            Measured { stock: 1, ..good.clone() },
        ] {
            assert_eq!(judge(&bad).verdict, Failed, "{bad:?}");
        }
    }

    #[test]
    fn a_region_is_of_the_ram_file_or_not_and_its_pages_are_stamped_or_not() {
        let [ram, other] = [(), ()].map(|()| tempfile::NamedTempFile::new().unwrap());
        ram.as_file().set_len(4 * PAGE_SIZE as u64).unwrap();
        let region = FileOffset::new(ram.reopen().unwrap(), 0);
        let range = [(GuestAddress(0), 4 * PAGE_SIZE, Some(region))];
        let memory = GuestMemoryMmap::from_ranges_with_files(range).unwrap();
        assert_eq!(files(&memory, ram.path()).unwrap(), [true]);
        assert_eq!(files(&memory, other.path()).unwrap(), [false]);
        // The guest's RAM is longer than what is shared.
        let layout = Board::I440fx.layout(2 << 20);
        assert_eq!(stamps_in(&memory, &layout, 3).unwrap(), 0);
        stamp_into(&memory, &layout, 3);
        let seen = layout.pages().filter(|it| it.0 < 4 * PAGE_SIZE as u64).count() as u64;
        assert_eq!(stamps_in(&memory, &layout, 3).unwrap(), seen);
        assert!(seen > 0);
    }

    #[test]
    fn regions_that_are_not_the_file_are_counted() {
        let found = Found { pages: 4, matching: 4, first_bad: None };
        let regions = vec![true, false, false];
        let judged = judge(&Measured { pages: 4, regions, read: 4, found, stock: 0 });
        assert_eq!(judged.summary, "of 3 regions 2 are not the RAM file");
    }
}
