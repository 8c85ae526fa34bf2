//! What a file held before is what the guest finds as its RAM, to the bit.

use super::trial::Trial;
use super::{Finding, ram_file};
use crate::machine::guest::Found;
use anyhow::Result;
use pcram_mirror::address::TARGET_PAGE_SIZE;
use serde::Deserialize;

const SEED: u64 = 0x5ee0_0002;
const GENERATION: u64 = 7;

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prefilled {}

impl Prefilled {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let path = trial.ram_file()?;
        let layout = trial.layout()?;
        ram_file::fill(&path, &layout, SEED, GENERATION)?;

        let mut machine = trial.start_patched(&path)?;
        machine.guest.seed(SEED, GENERATION)?;
        let whole = machine.guest.find()?;
        // One bit, flipped under the running guest: it must be noticed, and nowhere else.
        let flipped = trial.ram() / 2 + 0x123;
        ram_file::flip(&path, flipped)?;
        let damaged = machine.guest.find()?;
        machine.kill()?;
        Ok(judge(trial.ram() / TARGET_PAGE_SIZE, &whole, flipped, &damaged))
    }
}

fn judge(pages: u64, whole: &Found, flipped: u64, damaged: &Found) -> Finding {
    let mut wrong = Vec::new();
    if (whole.pages, whole.matching) != (pages, pages) {
        let Found { pages: looked, matching, .. } = whole;
        wrong.push(format!("of {pages} pages the guest looked at {looked} and found {matching}"));
    }
    let page = flipped - flipped % TARGET_PAGE_SIZE;
    if (damaged.matching, damaged.first_bad) != (pages - 1, Some(page)) {
        let Found { matching, first_bad, .. } = damaged;
        wrong.push(format!(
            "after a bit flipped at {flipped:#x} the guest found {matching} pages, the first bad \
             one at {first_bad:#x?}"
        ));
    }
    let found = whole.matching;
    let summary = format!(
        "the guest found {found} of {pages} pages; after one bit flipped in the file, {} of them",
        damaged.matching
    );
    Finding::new(wrong, summary)
        .with("pages of RAM", pages)
        .with("pages found", found)
        .with("pages found after one bit was flipped", damaged.matching)
        .with("offset of the flipped bit's byte", format!("{flipped:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(whole: u64, damaged: (u64, Option<u64>)) -> Finding {
        let found = |matching, first_bad| Found { pages: 4, matching, first_bad };
        judge(4, &found(whole, None), 0x2123, &found(damaged.0, damaged.1))
    }

    #[test]
    fn one_page_is_bad_after_the_flip_and_it_is_that_page() {
        let held = judged(4, (3, Some(0x2000)));
        assert_eq!(held.verdict, Verdict::Held);
        let text = "the guest found 4 of 4 pages; after one bit flipped in the file, 3 of them";
        assert_eq!(held.summary, text);
        let short = judged(3, (3, Some(0x2000))).summary;
        assert_eq!(short, "of 4 pages the guest looked at 4 and found 3");
        let elsewhere = judged(4, (3, Some(0x1000))).summary;
        assert!(elsewhere.starts_with("after a bit flipped at 0x2123 the guest found 3 pages"));
        assert_eq!(judged(4, (4, None)).verdict, Verdict::Failed);
        assert_eq!(judged(4, (2, Some(0x2000))).verdict, Verdict::Failed);
    }
}
