//! A migration of today: the blocks of a guest, how it is set up, and what happens.

use crate::lockstep::{self, Changes};
use pcram_mirror::ram::{Kind, Mode};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The most pages that a block has.
pub const MOST_PAGES: u8 = 6;
/// The most blocks that a guest has.
pub const MOST_BLOCKS: usize = 6;

/// A migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its mode.
    pub mode: Mode,
    /// Whether the capability `x-ignore-shared` is on.
    pub ignore_shared: bool,
    /// The blocks, in the order of the list.
    pub blocks: Vec<Block>,
    /// What happens.
    pub steps: Vec<Step>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        let mode = prop_oneof![
            6 => Just(Mode::Normal),
            1 => Just(Mode::CprReboot),
            1 => Just(Mode::CprTransfer),
            1 => Just(Mode::CprExec),
        ];
        (mode, any::<bool>(), vec(block(), 1..=MOST_BLOCKS), vec(step(), 0..40)).prop_map(
            |(mode, ignore_shared, blocks, steps)| Case { mode, ignore_shared, blocks, steps },
        )
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.blocks.is_empty() || self.blocks.len() > MOST_BLOCKS {
            return Err("a guest has 1 to 6 blocks");
        }
        let fits = |block: &Block| {
            (1..=MOST_PAGES).contains(&block.pages)
                && block.host_page > 0
                && block.pages.is_multiple_of(block.host_page)
        };
        match self.blocks.iter().all(fits) {
            true => Ok(()),
            false => Err("a block has 1 to 6 pages, in whole pages of the host"),
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        for at in (0..self.steps.len()).rev() {
            all.add(|case| _ = case.steps.remove(at));
        }
        for at in (0..self.blocks.len()).rev() {
            if self.blocks.len() > 1 {
                all.add(|case| _ = case.blocks.remove(at));
            }
            let Block { pages, host_page, .. } = self.blocks[at];
            if pages > host_page {
                all.add(|case| case.blocks[at].pages -= host_page);
            }
        }
        all.all()
    }
}

/// A RAM block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What it is.
    pub kind: Kind,
    /// Its length in target pages.
    pub pages: u8,
    /// The size of its pages on the host in target pages, a divisor of its length.
    pub host_page: u8,
}

/// Something that happens. A block is taken modulo how many there are, a page modulo the block's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// `ram_find_and_save_block` is called once.
    Save,
    /// It is called until it sends nothing.
    Flush,
    /// The guest writes a page, and the bitmap is synchronized.
    Write {
        /// The block.
        block: u8,
        /// The page in it.
        page: u8,
        /// Whether the page is zero from then on.
        zero: bool,
    },
}

impl Case {
    /// The guest, and each step, in words.
    pub fn tell(&self) -> Vec<String> {
        let shared = if self.ignore_shared { ", x-ignore-shared" } else { "" };
        let mut lines = vec![format!("a migration of mode {:?}{shared}", self.mode)];
        for (at, block) in self.blocks.iter().enumerate() {
            let Block { kind, pages, host_page } = block;
            lines.push(format!("block{at}: {kind:?}, {pages} pages, the host's of {host_page}"));
        }
        lines.extend(self.steps.iter().map(|step| match *step {
            Step::Save => "the next page is sent".to_owned(),
            Step::Flush => "all that is dirty is sent".to_owned(),
            Step::Write { block, page, zero } => {
                let block = usize::from(block) % self.blocks.len();
                let what = if zero { "zeros" } else { "something" };
                let page = page % self.blocks[block].pages;
                format!("the guest writes {what} to page {page} of block{block}")
            }
        }));
        lines
    }
}

fn block() -> impl Strategy<Value = Block> {
    let kind = prop_oneof![
        5 => Just(Kind::Plain),
        1 => Just(Kind::NotMigratable),
        1 => Just(Kind::SharedFile),
        1 => Just(Kind::Shared),
        3 => Just(Kind::External),
    ];
    let sizes = prop_oneof![
        4 => (1..=MOST_PAGES).prop_map(|pages| (pages, 1)),
        1 => (1..=MOST_PAGES / 2).prop_map(|pages| (2 * pages, 2)),
        1 => Just((4, 4)),
    ];
    (kind, sizes).prop_map(|(kind, (pages, host_page))| Block { kind, pages, host_page })
}

fn step() -> impl Strategy<Value = Step> {
    let write = (any::<u8>(), any::<u8>(), any::<bool>());
    prop_oneof![
        8 => Just(Step::Save),
        1 => Just(Step::Flush),
        6 => write.prop_map(|(block, page, zero)| Step::Write { block, page, zero }),
    ]
}
