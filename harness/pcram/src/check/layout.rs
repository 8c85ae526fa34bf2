//! Without the option, a stream has the layout of stock's: the same sections of the same versions
//! with the same fields, and the same RAM blocks.

use super::Finding;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::streams::Stream;
use super::trial::Trial;
use anyhow::{Context, Result};
use pcram_stream::{DeviceState, Reader, RecordKind, StreamError, qcow2};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::Read;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0082;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Layout {
    /// How the streams are made.
    via: Via,
}

/// How a stream is made.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// `migrate exec:`, into a file.
    MigrateExec,
    /// `savevm`, into a qcow2.
    Savevm,
}

impl Layout {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let stock = self.stream(&Party::new(trial, Side::Stock, "stock", trial.board.ram_mib)?)?;
        let patched = Party::new(trial, Side::Without, "patched", trial.board.ram_mib)?;
        let patched = self.stream(&patched)?;
        Ok(judge(&layout(&stock)?, &layout(&patched)?))
    }

    fn stream(&self, party: &Party) -> Result<Vec<u8>> {
        let mut launch = party.launch(&[]);
        if self.via == Via::Savevm {
            party.create_disk()?;
            launch.disk = Some(DISK.into());
        }
        let mut machine = party.start(&launch)?;
        machine.guest.seed(SEED, 0)?;
        machine.guest.stamp()?;
        machine.stop()?;
        if self.via == Via::MigrateExec {
            machine.migrate("exec:cat > stream")?;
            machine.migrated(|_| Ok(()))?;
            machine.quit()?;
            let path = party.folder.join("stream");
            return fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
        }
        party::savevm(&mut machine)?;
        machine.quit()?;
        let path = party.folder.join(DISK);
        let cannot = || format!("cannot read the VM state in {}", path.display());
        let mut image = qcow2::Image::open(File::open(&path)?).with_context(cannot)?;
        let mut bytes = Vec::new();
        let mut state = image.vm_state(SNAPSHOT).with_context(cannot)?;
        state.read_to_end(&mut bytes).with_context(cannot)?;
        Ok(bytes)
    }
}

/// A stream's layout, line by line: all of it but the times at which its parts were cut.
fn layout(stream: &[u8]) -> Result<Vec<String>, StreamError> {
    let mut lines = Vec::new();
    let mut reader = Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        match record.kind {
            RecordKind::FileHeader { version } => lines.push(format!("file version {version}")),
            RecordKind::Configuration(it) => lines.push(format!("{it:?}")),
            RecordKind::Command { command, data } => {
                lines.push(format!("command {command}, data {data:02x?}"));
            }
            RecordKind::SectionStart(header) => lines.push(format!("live {header:?}")),
            RecordKind::RamBlocks(list) => {
                lines.push(format!("RAM of {} bytes in pages of {}", list.total, list.page_size));
                lines.extend(list.blocks.iter().map(|block| format!("{block:?}")));
            }
            RecordKind::DeviceState(DeviceState::Examined { sections, description }) => {
                lines.extend(
                    sections.iter().map(|it| format!("{:?}, {} bytes", it.header, it.length)),
                );
                lines.push(description);
            }
            RecordKind::DeviceState(DeviceState::Listed { sections }) => {
                lines.extend(
                    sections.iter().map(|it| format!("{:?}, {} bytes", it.header, it.length)),
                );
            }
            RecordKind::DeviceState(DeviceState::Unexamined { length }) => {
                lines.push(format!("{length} bytes of device state"));
            }
            _ => {}
        }
    }
    // No block has this name, so none is left out.
    let digests = Stream::read("", stream)?.content;
    lines.extend(digests.into_iter().map(|(idstr, digest)| format!("pages of {idstr}: {digest}")));
    Ok(lines)
}

fn judge(stock: &[String], patched: &[String]) -> Finding {
    let mut wrong = Vec::new();
    let pairs = stock.iter().zip(patched);
    if let Some((there, here)) = pairs.into_iter().find(|(there, here)| there != here) {
        let (there, here) = from_first_difference(there, here);
        wrong.push(format!("where stock has `{there}`, patched has `{here}`"));
    } else if stock.len() != patched.len() {
        wrong.push(format!("stock has {} lines, patched {}", stock.len(), patched.len()));
    }
    let blocks = stock.iter().filter(|line| line.starts_with("RamBlock")).count();
    let sections = stock.iter().filter(|line| line.starts_with("SectionHeader")).count();
    if blocks == 0 || sections == 0 {
        wrong
            .push(format!("stock's stream has {blocks} RAM blocks and {sections} device sections"));
    }
    let summary = format!(
        "{blocks} RAM blocks with the same pages, {sections} device sections with the same fields"
    );
    Finding::new(wrong, summary)
        .with("lines of the layout, stock", stock.len())
        .with("lines of the layout, patched", patched.len())
}

/// Long lines are told from a little before where they differ.
fn from_first_difference<'a>(there: &'a str, here: &'a str) -> (String, String) {
    let same = there.chars().zip(here.chars()).take_while(|(a, b)| a == b).count();
    let part = |line: &'a str| line.chars().skip(same.saturating_sub(40)).take(120).collect();
    (part(there), part(here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn lines(list: &[&str]) -> Vec<String> {
        list.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn one_section_of_another_version_more_or_less_is_named() {
        let stock = lines(&["RamBlock pc.ram", "SectionHeader timer, version: 2", "{}"]);
        assert_eq!(judge(&stock, &stock).verdict, Verdict::Held);
        let mut newer = stock.clone();
        newer[1] = newer[1].replace('2', "3");
        assert_eq!(
            judge(&stock, &newer).summary,
            "where stock has `SectionHeader timer, version: 2`, \
             patched has `SectionHeader timer, version: 3`"
        );
        let (more, less) = ([&stock[..], &lines(&["x"])].concat(), &stock[..2]);
        assert_eq!(judge(&stock, &more).verdict, Verdict::Failed);
        assert_eq!(judge(&stock, less).verdict, Verdict::Failed);
        assert_eq!(judge(&[], &[]).verdict, Verdict::Failed, "a reader that sees nothing");
    }

    #[test]
    fn a_reader_that_misses_blocks_or_sections_shows_nothing() {
        let blocks = lines(&["RamBlock pc.ram", "{}"]);
        let text = "stock's stream has 1 RAM blocks and 0 device sections";
        assert_eq!(judge(&blocks, &blocks).summary, text);
        let sections = lines(&["SectionHeader timer", "{}"]);
        let text = "stock's stream has 0 RAM blocks and 1 device sections";
        assert_eq!(judge(&sections, &sections).summary, text);
    }

    #[test]
    fn a_long_line_is_told_from_where_it_differs() {
        let there = format!("{}one{}", "x".repeat(100), "y".repeat(200));
        let here = there.replace("one", "two");
        let (there, here) = from_first_difference(&there, &here);
        assert_eq!(there, format!("{}one{}", "x".repeat(40), "y".repeat(77)));
        assert_eq!(here, there.replace("one", "two"));
    }
}
