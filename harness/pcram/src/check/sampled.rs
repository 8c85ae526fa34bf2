//! The file is the guest's RAM, both ways, in a sample that takes no time however large RAM is: the
//! first and the last page of every 2 MiB, and every page around the split.

use super::Finding;
use super::ram_file;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::guest::Found;
use anyhow::{Context, Result};
use pcram_guests::stamp::{self, PAGE_SIZE, Span, sparse};
use pcram_mirror::address::{GuestPhysical, RamLayout};
use serde::Deserialize;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SEED: u64 = 0x5ee0_0003;

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sampled {}

/// What was measured, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    /// In the sample.
    sample: u64,
    /// Stamped by the guest.
    stamped: u64,
    /// Read from the file by this process with the guest's stamp.
    read: u64,
    /// Written to the file by this process and found by the guest.
    found: Found,
    /// The address of a bit flipped in the file after that, and what the guest found then.
    flipped: u64,
    damaged: Found,
}

impl Sampled {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let path = trial.ram_file()?;
        let layout = trial.layout()?;
        // Pages that are there need not be fetched by faults, with each of which a kernel may read
        // megabytes of holes.
        stamp_into(&path, &layout, &sparse(layout.below_4g, layout.above_4g), 0)?;
        let mut machine = trial.start_patched(&path)?;
        measure(&mut machine, &path, &layout)
    }
}

/// Goes both ways between a machine that is up and the file at `path`, and ends the machine.
pub(super) fn measure(machine: &mut Machine, path: &Path, layout: &RamLayout) -> Result<Finding> {
    let spans = sparse(layout.below_4g, layout.above_4g);
    machine.guest.seed(SEED, 1)?;
    let stamped = machine.guest.stamp_spans(&spans)?;
    let read = stamps_in(path, layout, &spans, 1)?;
    stamp_into(path, layout, &spans, 2)?;
    machine.guest.seed(SEED, 2)?;
    let found = machine.guest.find_spans(&spans)?;
    // The last page is the one that a wrong split would miss first.
    let last = spans.iter().flat_map(Span::pages).last().context("there is no RAM")?;
    ram_file::flip(path, offset(layout, last)? + 7)?;
    let damaged = machine.guest.find_spans(&spans)?;
    machine.kill()?;
    let sample = spans.iter().map(|span| span.pages().count() as u64).sum();
    Ok(judge(layout, &Measured { sample, stamped, read, found, flipped: last, damaged }))
}

fn offset(layout: &RamLayout, address: u64) -> Result<u64> {
    let offset = layout.offset_of(GuestPhysical(address)).context("the page is not in RAM")?;
    Ok(offset.0)
}

/// How many pages of the sample have their stamp in the file.
fn stamps_in(path: &Path, layout: &RamLayout, spans: &[Span], generation: u64) -> Result<u64> {
    let file = File::open(path)?;
    let mut page = vec![0; PAGE_SIZE];
    let mut matching = 0;
    for address in spans.iter().flat_map(Span::pages) {
        file.read_exact_at(&mut page, offset(layout, address)?)
            .with_context(|| format!("reading the page of {address:#x} from the RAM file"))?;
        matching += u64::from(stamp::matches(&page, address, SEED, generation));
    }
    Ok(matching)
}

/// Stamps the pages of the sample in the file.
fn stamp_into(path: &Path, layout: &RamLayout, spans: &[Span], generation: u64) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    for address in spans.iter().flat_map(Span::pages) {
        file.write_all_at(&stamp::page(address, SEED, generation), offset(layout, address)?)
            .with_context(|| format!("writing the page of {address:#x} to the RAM file"))?;
    }
    Ok(())
}

fn judge(layout: &RamLayout, measured: &Measured) -> Finding {
    let Measured { sample, stamped, read, found, flipped, damaged } = *measured;
    let mut wrong = Vec::new();
    if (stamped, read) != (sample, sample) || sample == 0 {
        wrong.push(format!(
            "of {sample} pages the guest stamped {stamped}, and {read} were read from the file"
        ));
    }
    if (found.pages, found.matching) != (sample, sample) {
        let at =
            found.first_bad.map_or(String::new(), |at| format!(", the first other at {at:#x}"));
        wrong.push(format!(
            "of {sample} pages written to the file the guest found {}{at}",
            found.matching
        ));
    }
    if (damaged.matching, damaged.first_bad) != (sample.saturating_sub(1), Some(flipped)) {
        wrong.push(format!(
            "after a bit flipped in the page of {flipped:#x} the guest found {} pages, the first \
             other at {:#x?}",
            damaged.matching, damaged.first_bad
        ));
    }
    let (below, above) = (layout.below_4g >> 20, layout.above_4g >> 20);
    let summary = format!(
        "{read} of {sample} sampled pages read from the file, {} found by the guest; {below} MiB \
         below 4 GiB, {above} MiB above",
        found.matching
    );
    Finding::new(wrong, summary)
        .with("pages in the sample", sample)
        .with("pages stamped by the guest and read from the file", read)
        .with("pages written to the file and found by the guest", found.matching)
        .with("pages found after one bit was flipped", damaged.matching)
        .with("MiB below 4 GiB", below)
        .with("MiB above 4 GiB", above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};

    #[test]
    fn a_page_that_is_missed_in_either_direction_fails() {
        let layout = RamLayout { below_4g: 64 << 20, above_4g: 0 };
        let found = |matching, first_bad| Found { pages: 9, matching, first_bad };
        let good = Measured {
            sample: 9,
            stamped: 9,
            read: 9,
            found: found(9, None),
            flipped: 0x8000,
            damaged: found(8, Some(0x8000)),
        };
        assert_eq!(judge(&layout, &good).verdict, Held);
        for bad in [
            Measured { read: 8, ..good },
            Measured { stamped: 8, ..good },
            Measured { found: found(8, Some(0x1000)), ..good },
            Measured { damaged: found(9, None), ..good },
            Measured { damaged: found(8, Some(0x1000)), ..good },
            Measured { sample: 0, ..good },
        ] {
            assert_eq!(judge(&layout, &bad).verdict, Failed, "{bad:?}");
        }
    }

    #[test]
    fn stamps_are_written_where_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ram_file::NAME);
        let layout = RamLayout { below_4g: 4 << 20, above_4g: 2 << 20 };
        ram_file::create(&path, 6 << 20).unwrap();
        let spans = sparse(layout.below_4g, layout.above_4g);
        let sample = spans.iter().flat_map(Span::pages).count() as u64;
        assert_eq!(stamps_in(&path, &layout, &spans, 3).unwrap(), 0);
        stamp_into(&path, &layout, &spans, 3).unwrap();
        assert_eq!(stamps_in(&path, &layout, &spans, 3).unwrap(), sample);
        assert_eq!(stamps_in(&path, &layout, &spans, 4).unwrap(), 0);
    }
}
