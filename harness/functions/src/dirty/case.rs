//! A guest's RAM, what it writes, and how a migration takes that over.

use crate::lockstep::{self, Changes};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The most blocks.
pub const MOST_BLOCKS: usize = 4;
/// The most pages that a block has, with those that it may grow by.
pub const MOST_PAGES: u16 = 256;
/// The most pages of no block before one.
pub const MOST_GAP: u8 = 70;
/// The largest piece of a block whose log is cleared later, as a power of two.
pub const LARGEST: u8 = 7;

/// RAM, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Whether processors are TCG's.
    pub tcg: bool,
    /// The blocks, in the order of the list and of their addresses.
    pub blocks: Vec<Block>,
    /// What happens.
    pub steps: Vec<Step>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        let pages = prop_oneof![3 => (1..=3_u16).prop_map(|words| words * 64), 2 => 1..=192_u16];
        let gap = prop_oneof![3 => Just(0), 1 => 0..=MOST_GAP];
        let block =
            (gap, prop::bool::weighted(0.7), pages, 0..=64_u8, prop::option::of(0..=LARGEST))
                .prop_map(|(gap, aligned, pages, spare, clear_later)| Block {
                    gap,
                    aligned,
                    pages,
                    spare,
                    clear_later,
                });
        let of = 0..MOST_BLOCKS as u8;
        let part = (of.clone(), 0..MOST_PAGES, 1..=100_u8);
        let sync = prop_oneof![2 => Just((0, u16::MAX)), 1 => (0..4_u8, 0..=MOST_PAGES)];
        let step = prop_oneof![
            3 => part.clone().prop_map(|(block, page, pages)| Step::Write { block, page, pages }),
            1 => part.prop_map(|(block, page, pages)| Step::Send { block, page, pages }),
            3 => (of, sync).prop_map(|(block, (word, pages))| Step::Sync { block, word, pages }),
        ];
        (prop::bool::weighted(0.7), vec(block, 1..=MOST_BLOCKS), vec(step, 1..12))
            .prop_map(|(tcg, blocks, steps)| Case { tcg, blocks, steps })
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = |block: &Block| {
            let longest = block.pages.saturating_add(block.spare.into()) <= MOST_PAGES;
            let later = block.clear_later.unwrap_or(0) <= LARGEST;
            block.pages > 0 && longest && later && block.gap <= MOST_GAP
        };
        match (1..=MOST_BLOCKS).contains(&self.blocks.len()) && self.blocks.iter().all(fits) {
            true => Ok(()),
            false => Err("there are 1 to 4 blocks of 1 to 256 pages, gaps of up to 70 pages, and \
                          pieces of up to 128"),
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        (0..self.steps.len()).for_each(|at| all.add(|case| _ = case.steps.remove(at)));
        all.add(|case| _ = case.blocks.pop());
        for at in 0..self.blocks.len() {
            all.add(|case| case.blocks[at].gap = 0);
            all.add(|case| case.blocks[at].aligned = true);
            all.add(|case| case.blocks[at].spare = 0);
            all.add(|case| case.blocks[at].clear_later = None);
            all.add(|case| case.blocks[at].pages = case.blocks[at].pages.min(64));
            all.add(|case| case.blocks[at].pages /= 2);
        }
        for at in 0..self.steps.len() {
            all.add(|case| match &mut case.steps[at] {
                Step::Write { pages, .. } | Step::Send { pages, .. } => *pages /= 2,
                Step::Sync { pages, .. } => *pages /= 2,
            });
        }
        all.all().into_iter().filter(|case| case.check().is_ok()).collect()
    }
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Pages of no block before it.
    pub gap: u8,
    /// Whether it begins where a word of the bitmap does, after these.
    pub aligned: bool,
    /// Its pages.
    pub pages: u16,
    /// Those that it may grow by.
    pub spare: u8,
    /// As a power of two the pages of a piece whose log is cleared later; `None`: at once.
    pub clear_later: Option<u8>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// The guest writes pages of a block, as far as there are any.
    Write {
        /// The index of the block.
        block: u8,
        /// The first.
        page: u16,
        /// How many.
        pages: u8,
    },
    /// Pages are sent: nothing of them is to be sent any more.
    Send {
        /// The index of the block.
        block: u8,
        /// The first.
        page: u16,
        /// How many.
        pages: u8,
    },
    /// What was written of a block is taken over: 64 pages' worth from `word` on, and as many pages as
    /// there are, up to `pages`.
    Sync {
        /// The index of the block.
        block: u8,
        /// The first page, by 64.
        word: u8,
        /// How many.
        pages: u16,
    },
}

impl Case {
    /// RAM and what happens in words.
    pub fn tell(&self) -> Vec<String> {
        let blocks = self.blocks.iter().enumerate().map(|(at, block)| {
            let Block { gap, aligned, pages, spare, clear_later } = block;
            let at_a_word = if *aligned { ", at a multiple of 64" } else { "" };
            let later = clear_later.map_or(String::new(), |shift| {
                format!("; its log is cleared later, {} pages at once", 1 << shift)
            });
            format!(
                "block{at} of {pages} pages and {spare} spare, {gap} pages on{at_a_word}{later}"
            )
        });
        let mut lines =
            vec![if self.tcg { "a guest under TCG" } else { "a guest under KVM" }.to_owned()];
        lines.extend(blocks);
        let named = |block: u8| format!("block{}", usize::from(block) % self.blocks.len());
        lines.extend(self.steps.iter().map(|step| match *step {
            Step::Write { block, page, pages } => {
                format!("the guest writes {pages} pages of {} from page {page} on", named(block))
            }
            Step::Send { block, page, pages } => {
                format!("{pages} pages of {} are sent from page {page} on", named(block))
            }
            Step::Sync { block, word, pages } => {
                let first = u64::from(word) * 64;
                format!(
                    "what was written of {} is taken over: {pages} pages from page {first} on",
                    named(block)
                )
            }
        }));
        lines
    }
}
