//! A migration that came before the one that counts, and got nowhere.

use super::pace::{AT_ONCE, SLOWLY};
use crate::machine::Machine;
use crate::machine::migration::End;
use anyhow::{Context, Result, ensure};
use pcram_stream::{Reader, RecordKind, StreamError};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Where its stream goes, in the run folder.
const STREAM: &str = "before.stream";
/// How much of it is taken before its reader goes away, in bytes: much less than there is.
const TAKEN: u64 = 100_000;

/// How much of it is there when it is cancelled, in bytes: more than comes before some pages.
const SOME: u64 = 16 << 10;

/// How it got nowhere.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Before {
    /// It was cancelled.
    Cancelled,
    /// Its reader went away.
    Failed,
}

/// What there is of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Torn {
    /// Page records of the block that is to be left out.
    pub of_block: u64,
    /// Page records of the others.
    pub of_others: u64,
}

impl Before {
    /// Has it begin and get nowhere, and says what there is of it. `block` is the one that is to be
    /// left out.
    pub fn try_it(self, machine: &mut Machine, folder: &Path, block: &str) -> Result<Torn> {
        let mut told = false;
        let (expected, command, limit) = match self {
            Before::Cancelled => (End::Cancelled, "cat".to_owned(), SLOWLY),
            Before::Failed => (End::Failed, format!("head -c {TAKEN}"), AT_ONCE),
        };
        let path = folder.join(STREAM);
        machine.limit_migration(limit)?;
        machine.migrate(&format!("exec:{command} > {STREAM}"))?;
        let (end, _) = machine.migration_over(|machine, _| {
            // What QEMU tells of may still be in its buffers, and is lost with them.
            let under_way = || fs::metadata(&path).is_ok_and(|file| file.len() >= SOME);
            if self == Before::Cancelled && !told && under_way() {
                machine.cancel_migration()?;
                told = true;
            }
            Ok(())
        })?;
        ensure!(end == expected, "the migration that was to be {self:?} ended as {end:?}");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        torn(&bytes, block).with_context(|| format!("cannot read the stream {}", path.display()))
    }
}

/// Counts the page records of a stream that ends anywhere.
fn torn(bytes: &[u8], block: &str) -> Result<Torn, StreamError> {
    let (mut torn, mut left_out) = (Torn::default(), None);
    let mut reader = Reader::new(bytes);
    loop {
        match reader.next_record() {
            Ok(Some(record)) => match record.kind {
                RecordKind::RamBlocks(list) => {
                    left_out = list.blocks.iter().position(|each| each.idstr == block);
                }
                RecordKind::Page { block, .. } if Some(block.0) == left_out => torn.of_block += 1,
                RecordKind::Page { .. } => torn.of_others += 1,
                _ => {}
            },
            Ok(None) | Err(StreamError::Truncated { .. }) => return Ok(torn),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::streams::built::{head, plain};

    #[test]
    fn a_stream_that_ends_anywhere_has_the_pages_before_its_end() {
        let whole = plain(&[]);
        let of = |length: usize| torn(&whole[..length], "pc.ram").unwrap();
        assert_eq!(of(whole.len()), Torn { of_block: 4, of_others: 3 });
        assert_eq!(of(0), Torn::default());
        let mut last = Torn::default();
        let devices = plain(&["pc.ram", "vga", "rom"]).len() - head(false).len();
        for length in (0..whole.len() - devices).step_by(97) {
            let now = of(length);
            assert!(now.of_block >= last.of_block && now.of_others >= last.of_others);
            last = now;
        }
        assert!(torn(b"QEVM\0\0\0\x02", "pc.ram").is_err(), "it is no torn stream");
    }
}
