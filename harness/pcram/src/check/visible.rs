//! What the guest writes, another process reads from the file: this one.

use super::Finding;
use super::ram_file::{self, Census, census};
use super::trial::Trial;
use anyhow::{Context, Result};
use pcram_mirror::address::TARGET_PAGE_SIZE;
use serde::Deserialize;

const SEED: u64 = 0x5ee0_0001;
/// How many sweeps a dirtying guest finishes before it is stopped or killed.
const WARM_UP: u64 = 2;
/// How many generations from the reported one on are looked for: the guest may have gone on while
/// its report was under way.
const AHEAD: u64 = 64;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Visible {
    /// When the file is read.
    when: Moment,
}

/// When the file is read.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// While the guest runs.
    Running,
    /// After `stop`, in the middle of the guest's writing.
    Stopped,
    /// After SIGKILL, in the middle of the guest's writing.
    Killed,
}

impl Visible {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let when = self.when;
        let path = trial.ram_file()?;
        let layout = trial.layout()?;
        let pages = trial.ram() / TARGET_PAGE_SIZE;
        let mut machine = trial.start_patched(&path)?;
        machine.guest.seed(SEED, 0)?;

        if when == Moment::Running {
            let generation = machine.guest.stamp()?;
            let seen = census(&path, &layout, SEED, &[generation])?;
            machine.kill()?;
            return Ok(judge_running(pages, generation, &seen));
        }

        machine.guest.dirty()?;
        machine.guest.sweeps(WARM_UP)?;
        let begun = machine.guest.generation() + 1;
        let middle = layout.pages().nth(pages as usize / 3).context("the board has no RAM")?;
        ram_file::await_stamp(&path, &layout, middle, SEED, begun)?;
        if when == Moment::Stopped {
            machine.stop()?
        } else {
            machine.kill()?
        }
        let reported = machine.guest.generation();
        let generations: Vec<u64> = (reported..reported + AHEAD).collect();
        let seen = census(&path, &layout, SEED, &generations)?;
        let still = census(&path, &layout, SEED, &generations)? == seen;
        let state = machine.status().unwrap_or_else(|_| "gone".to_owned());
        Ok(judge_interrupted(pages, reported, &seen, still).with("QEMU meanwhile", state))
    }
}

/// Judges what was read from the file of a guest that had stamped all its RAM once.
pub fn judge_running(pages: u64, generation: u64, seen: &Census) -> Finding {
    let found = seen.of_generation[0];
    let mut wrong = Vec::new();
    if (seen.pages, found) != (pages, pages) {
        wrong.push(format!(
            "of {pages} pages that the guest stamped, {found} were read from the file{}",
            first(&seen.strangers)
        ));
    }
    Finding::new(wrong, format!("{found} of {pages} stamped pages were read from the file"))
        .with("pages of RAM", pages)
        .with(format!("pages of generation {generation}"), found)
}

/// A guest that was interrupted in a sweep leaves its pages in two generations that follow each
/// other, none older than it reported, but for the one page that it was writing.
fn judge_interrupted(pages: u64, reported: u64, seen: &Census, still: bool) -> Finding {
    let counts = seen.of_generation.iter().enumerate();
    let present: Vec<(u64, u64)> =
        counts.filter(|(_, count)| **count > 0).map(|(at, &n)| (reported + at as u64, n)).collect();
    let follow = matches!(present[..], [_] | [_, _]) && {
        present.last().map(|last| last.0) <= present.first().map(|first| first.0 + 1)
    };
    let torn = seen.strangers.len() as u64;
    let mut wrong = Vec::new();
    if seen.pages != pages || torn > 1 {
        wrong.push(format!(
            "of {pages} pages, {} are in the file, {torn} of them without the guest's stamp{}",
            seen.pages,
            first(&seen.strangers)
        ));
    }
    let told = present.iter().map(|(generation, n)| format!("{n} of generation {generation}"));
    let told = told.collect::<Vec<_>>().join(", ");
    if !follow {
        wrong.push(format!("the file's pages are not of one moment: {told}"));
    }
    if !still {
        wrong.push("pages went on changing after the guest was stopped".into());
    }
    let summary = format!(
        "{} of {pages} pages read from the file in the middle of a sweep: {told}, {torn} half-written",
        seen.pages
    );
    let mut finding = Finding::new(wrong, summary)
        .with("pages of RAM", pages)
        .with("generation that the guest had reported", reported)
        .with("pages half-written", torn);
    for (generation, n) in present {
        finding = finding.with(format!("pages of generation {generation}"), n);
    }
    finding
}

fn first(strangers: &[u64]) -> String {
    strangers
        .first()
        .map_or(String::new(), |offset| format!("; the first other one at {offset:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn seen(pages: u64, of_generation: &[u64], strangers: &[u64]) -> Census {
        let (of_generation, strangers) = (of_generation.to_vec(), strangers.to_vec());
        Census { pages, of_generation, strangers }
    }

    #[test]
    fn one_page_that_was_not_read_fails() {
        assert_eq!(judge_running(4, 1, &seen(4, &[4], &[])).verdict, Verdict::Held);
        let finding = judge_running(4, 1, &seen(4, &[3], &[0x2000]));
        assert_eq!(finding.verdict, Verdict::Failed);
        assert!(
            finding.summary.ends_with("3 were read from the file; the first other one at 0x2000")
        );
        assert_eq!(judge_running(4, 1, &seen(3, &[3], &[])).verdict, Verdict::Failed);
    }

    #[test]
    fn one_torn_page_is_the_guests_own_two_are_not() {
        let judged = |of: &[u64], strangers: &[u64], still| {
            judge_interrupted(4, 1, &seen(4, of, strangers), still).verdict
        };
        assert_eq!(judged(&[1, 2, 0], &[0], true), Verdict::Held);
        assert_eq!(judged(&[0, 4, 0], &[], true), Verdict::Held);
        assert_eq!(judged(&[1, 1, 0], &[0, 4096], true), Verdict::Failed, "two torn pages");
        assert_eq!(judged(&[2, 2, 0], &[], false), Verdict::Failed, "pages that still move");
        assert_eq!(judged(&[2, 0, 2], &[], true), Verdict::Failed, "a generation left out");
        assert_eq!(judged(&[1, 2, 1], &[], true), Verdict::Failed, "three generations");
        assert_eq!(judged(&[0, 0, 0], &[], true), Verdict::Failed, "no stamp at all");
    }
}
