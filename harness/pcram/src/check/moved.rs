//! Blocks that QEMU looks up while it saves a stopped guest are in the stream all the same.
//!
//! Up to 1.4, a block that is looked up moves to the front of the list that the save loop walks
//! (`qemu_get_ram_ptr`): for a device, for a processor that misses its TLB, or, as here, for who reads
//! physical memory in the monitor.

use super::Finding;
use super::party::{Party, Side};
use super::streams::{AT_ONCE, SLOWLY};
use super::trial::Trial;
use crate::machine::migration::End;
use anyhow::{Context, Result, ensure};
use pcram_stream::{BlockSummary, Summary};
use serde::Deserialize;
use std::fs::File;
use std::io::BufReader;
use std::time::{Duration, Instant};

/// How long nothing more may be sent of what is yet to be sent, where nothing limits it.
const STUCK: Duration = Duration::from_secs(5);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Moved {
    /// The guest-physical addresses that are read, one after the other.
    read: Vec<u64>,
    /// Words beside the machine's.
    #[serde(default)]
    extra: Vec<String>,
    /// How long the guest may stand still at the end in milliseconds, where that is not QEMU's to say.
    downtime: Option<u64>,
}

impl Moved {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let stock = self.saved(trial, Side::Stock, "stock")?;
        let patched = self.saved(trial, Side::With, "patched")?;
        Ok(judge(trial.block(), &stock, &patched))
    }

    /// What the stream has of each block, where they were looked up while it was made.
    fn saved(&self, trial: &Trial, side: Side, name: &str) -> Result<Saved> {
        let party = Party::new(trial, side, name, trial.board.ram_mib)?;
        let extra: Vec<_> = self.extra.iter().map(String::as_str).collect();
        let mut machine = party.start(&party.launch(&extra))?;
        machine.stop()?;
        machine.limit_migration(SLOWLY)?;
        self.downtime.map(|limit| machine.limit_downtime(limit)).transpose()?;
        machine.migrate("exec:cat > stream")?;
        let (mut read, mut stuck) = (0, None);
        let mut last = (0, Instant::now());
        let (end, state) = machine.migration_over(|machine, state| {
            let figure = |name: &str| state["ram"][name].as_u64().unwrap_or_default();
            let begun = figure("transferred") > 0;
            if begun && read == 0 {
                for address in &self.read {
                    machine.qmp.human(&format!("xp /1xb {address:#x}"))?;
                    read += 1;
                }
                machine.limit_migration(AT_ONCE)?;
            }
            if figure("transferred") != last.0 {
                last = (figure("transferred"), Instant::now());
            }
            if read > 0 && stuck.is_none() && last.1.elapsed() > STUCK {
                stuck = Some(figure("remaining"));
                machine.cancel_migration()?;
            }
            Ok(())
        })?;
        if let Some(remaining) = stuck {
            machine.quit()?;
            return Ok(Saved { read, stuck: Some(remaining), blocks: Vec::new() });
        }
        ensure!(
            end == End::Completed,
            "the migration ended as {state}; QEMU said: {}",
            machine.said()
        );
        machine.quit()?;
        let path = party.folder.join("stream");
        let summary = Summary::read(BufReader::new(File::open(&path)?))
            .with_context(|| format!("reading {}", path.display()))?;
        let page_size = summary.page_size;
        let pages = |it: &BlockSummary| {
            (it.idstr.clone(), it.pages.len(), it.used_length.div_ceil(page_size))
        };
        Ok(Saved { read, stuck, blocks: summary.blocks.iter().map(pages).collect() })
    }
}

/// What a stream has.
struct Saved {
    /// How many addresses were read while it was made.
    read: usize,
    /// Where nothing more was sent: the bytes that were said to remain.
    stuck: Option<u64>,
    /// Each block: how many of its pages are there, of how many.
    blocks: Vec<(String, u64, u64)>,
}

fn judge(block: &str, stock: &Saved, patched: &Saved) -> Finding {
    let mut wrong = Vec::new();
    for (side, Saved { read, stuck, blocks }) in [("stock", stock), ("patched", patched)] {
        if *read == 0 {
            wrong.push(format!("{side}: the migration was over before anything was looked up"));
        }
        if let Some(remaining) = stuck {
            wrong.push(format!(
                "{side}: the migration goes on, and has sent nothing for {} s, with {remaining} bytes \
                 said to remain",
                STUCK.as_secs()
            ));
        }
        for (idstr, sent, pages) in blocks {
            let left_out = side == "patched" && idstr == block;
            if !left_out && sent != pages {
                wrong.push(format!("{side}: {sent} of {pages} pages of {idstr} are in the stream"));
            }
        }
    }
    let others = patched.blocks.iter().filter(|(idstr, ..)| idstr != block).count();
    let summary = format!(
        "{} addresses looked up while the stream was made; {others} other blocks whole",
        patched.read
    );
    let figures = |mut finding: Finding, side: &str, saved: &Saved| {
        for (idstr, sent, pages) in &saved.blocks {
            finding =
                finding.with(format!("pages of {idstr}, {side}"), format!("{sent} of {pages}"));
        }
        finding
    };
    figures(figures(Finding::new(wrong, summary), "stock", stock), "patched", patched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn saved(read: usize, ram: u64, rom: u64) -> Saved {
        Saved {
            read,
            stuck: None,
            blocks: vec![("pc.ram".into(), ram, 4), ("pc.rom".into(), rom, 2)],
        }
    }

    #[test]
    fn a_block_that_is_not_whole_fails_and_so_does_what_came_too_late() {
        let judged = |stock, patched| judge("pc.ram", &stock, &patched);
        let held = judged(saved(2, 4, 2), saved(2, 0, 2));
        assert_eq!(held.verdict, Verdict::Held);
        let said = "2 addresses looked up while the stream was made; 1 other blocks whole";
        assert_eq!(held.summary, said);
        let lost = judged(saved(2, 4, 2), saved(2, 1, 0));
        assert_eq!(lost.summary, "patched: 0 of 2 pages of pc.rom are in the stream");
        let stocks = judged(saved(2, 3, 2), saved(2, 0, 2));
        assert_eq!(stocks.summary, "stock: 3 of 4 pages of pc.ram are in the stream");
        let endless = Saved { stuck: Some(4096), blocks: Vec::new(), ..saved(2, 0, 0) };
        let said = "patched: the migration goes on, and has sent nothing for 5 s, with 4096 bytes said \
                    to remain";
        assert_eq!(judged(saved(2, 4, 2), endless).summary, said);
        let late = judged(saved(2, 4, 2), saved(0, 0, 2));
        let said = "patched: the migration was over before anything was looked up";
        assert_eq!((late.verdict, late.summary.as_str()), (Verdict::Failed, said));
    }
}
