//! A case: the blocks of a guest, and what happens to it, step by step.

use crate::lockstep::{self, Changes};
use proptest::strategy::Strategy;
use serde::{Deserialize, Serialize};

/// The most pages that a block has.
pub const MOST_PAGES: u8 = 6;
/// The most blocks that a guest has at the beginning.
pub const MOST_BLOCKS: usize = 5;

/// A guest, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its blocks, in the order in which they are allocated.
    pub blocks: Vec<Block>,
    /// What happens.
    pub steps: Vec<Step>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        super::making::cases()
    }

    fn check(&self) -> Result<(), &'static str> {
        let plugged = self.steps.iter().filter_map(|step| match step {
            Step::Plug(block) => Some(block),
            _ => None,
        });
        let mut blocks = self.blocks.iter().chain(plugged);
        if self.blocks.is_empty() || self.blocks.len() > MOST_BLOCKS {
            return Err("a guest has 1 to 5 blocks");
        }
        if !blocks.all(|block| (1..=MOST_PAGES).contains(&block.pages)) {
            return Err("a block has 1 to 6 pages");
        }
        let fleeting = |step: &Step| matches!(step, Step::SaveLive(call) if call.nanoseconds == 0);
        if self.steps.iter().any(fleeting) {
            return Err("a call takes a nanosecond at least");
        }
        Ok(())
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        for at in (0..self.steps.len()).rev() {
            all.add(|case| {
                case.steps.remove(at);
            });
        }
        for (at, block) in self.blocks.iter().enumerate() {
            if block.pages > 1 {
                all.add(|case| case.blocks[at].pages -= 1);
            } else if at + 1 == self.blocks.len() && at > 0 {
                all.add(|case| {
                    case.blocks.pop();
                });
            }
            if block.left_out {
                all.add(|case| case.blocks[at].left_out = false);
            }
        }
        for (at, step) in self.steps.iter().enumerate() {
            for simpler in step.simpler() {
                all.add(|case| case.steps[at] = simpler);
            }
        }
        all.all()
    }
}

/// A RAM block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Its length in pages.
    pub pages: u8,
    /// Whether it is to be left out, where the variant can do that.
    pub left_out: bool,
}

/// Something that happens. A block is the nth of all that were allocated, modulo how many there were; a
/// page is taken modulo the block's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// The save handler is called.
    SaveLive(Call),
    /// `ram_save_block` is called once.
    SaveBlock,
    /// The guest writes a page: filled with one byte, or not.
    Write {
        /// The block.
        block: u8,
        /// The page in it.
        page: u8,
        /// What is written.
        byte: u8,
        /// Whether the page then has this byte alone.
        filled: bool,
    },
    /// A device, or a TLB miss, asks for a page's address: its block moves to the front.
    Touch {
        /// The block.
        block: u8,
        /// The page in it.
        page: u8,
    },
    /// A block comes.
    Plug(Block),
    /// A block goes.
    Unplug {
        /// The block.
        block: u8,
    },
    /// What was written since the last stage 1 is loaded into this guest; as version 3, which has pages
    /// by their address in all RAM, what it holds itself.
    Load {
        /// The version of the section.
        version: u8,
        /// What becomes of the stream first.
        damage: Option<Damage>,
    },
    /// As carried, the list of what is external is written, and loaded again.
    ExternalList {
        /// Whether it is not loaded, as if the stream had none.
        lost: bool,
        /// What becomes of the list first.
        damage: Option<Damage>,
    },
}

impl Step {
    /// The step with one thing simpler, in every way.
    fn simpler(self) -> Vec<Step> {
        let less = |number: u8| lesser(number.into()).map(|less| less as u8);
        match self {
            Step::SaveLive(call) => call.simpler().into_iter().map(Step::SaveLive).collect(),
            Step::SaveBlock | Step::ExternalList { lost: false, damage: None } => Vec::new(),
            Step::Write { block, page, byte, filled } => {
                let blocks = less(block).map(|block| Step::Write { block, page, byte, filled });
                let pages = less(page).map(|page| Step::Write { block, page, byte, filled });
                let bytes = less(byte).map(|byte| Step::Write { block, page, byte, filled });
                blocks.chain(pages).chain(bytes).collect()
            }
            Step::Touch { block, page } => {
                let blocks = less(block).map(|block| Step::Touch { block, page });
                blocks.chain(less(page).map(|page| Step::Touch { block, page })).collect()
            }
            Step::Plug(Block { pages: 1, left_out: false }) => Vec::new(),
            Step::Plug(block) => {
                let pages = 1.max(block.pages - 1);
                let one = [Block { pages, ..block }, Block { left_out: false, ..block }];
                one.into_iter().filter(|one| *one != block).map(Step::Plug).collect()
            }
            Step::Unplug { block } => less(block).map(|block| Step::Unplug { block }).collect(),
            Step::Load { version, damage: Some(damage) } => {
                let damages = [None].into_iter().chain(damage.simpler().into_iter().map(Some));
                damages.map(|damage| Step::Load { version, damage }).collect()
            }
            Step::Load { version: 4, damage: None } => Vec::new(),
            Step::Load { damage: None, .. } => vec![Step::Load { version: 4, damage: None }],
            Step::ExternalList { lost, damage: Some(damage) } => {
                let damages = [None].into_iter().chain(damage.simpler().into_iter().map(Some));
                damages.map(|damage| Step::ExternalList { lost, damage }).collect()
            }
            Step::ExternalList { lost: true, damage: None } => {
                vec![Step::ExternalList { lost: false, damage: None }]
            }
        }
    }
}

/// Numbers below this one, the least first, each half as far from it as the one before.
fn lesser(number: u32) -> impl Iterator<Item = u32> {
    let mut step = number;
    std::iter::from_fn(move || {
        let less = (step > 0).then(|| number - step);
        step /= 2;
        less
    })
}

/// What becomes of a stream on its way. A place is taken modulo its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// Something is added to the byte at a place.
    Add(u16, u8),
    /// It ends at a place.
    Cut(u16),
}

impl Damage {
    fn simpler(self) -> Vec<Damage> {
        let before = |at: u16| lesser(at.into()).map(|at| at as u16);
        match self {
            Damage::Add(at, added) => {
                let least = (added > 1).then_some(Damage::Add(at, 1));
                before(at).map(|at| Damage::Add(at, added)).chain(least).collect()
            }
            Damage::Cut(at) => before(at).map(Damage::Cut).collect(),
        }
    }
}

/// How the save handler is called, and what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// 1 at the beginning, 2 in the course, 3 at the end, -1 where it is given up.
    pub stage: i8,
    /// After how many bytes of the section it is said to be enough.
    pub limit: u32,
    /// Nanoseconds that pass meanwhile, at least 1.
    pub nanoseconds: u32,
    /// Nanoseconds that a guest may stand still.
    pub max_downtime: u32,
    /// At which time of asking the file has an error; 0 for never.
    pub fail_in: u8,
    /// Whether dirty bits cannot be had.
    pub sync_fails: bool,
}

impl Call {
    /// A call that nothing hinders.
    pub const fn free(stage: i8) -> Call {
        Call {
            stage,
            limit: u32::MAX,
            nanoseconds: 1,
            max_downtime: 0,
            fail_in: 0,
            sync_fails: false,
        }
    }

    fn simpler(self) -> Vec<Call> {
        let free = Call::free(self.stage);
        let mut all = vec![
            Call { limit: free.limit, ..self },
            Call { nanoseconds: free.nanoseconds, ..self },
            Call { fail_in: free.fail_in, ..self },
            Call { sync_fails: free.sync_fails, ..self },
        ];
        all.extend(lesser(self.max_downtime).map(|max_downtime| Call { max_downtime, ..self }));
        if self.limit != free.limit {
            all.extend(lesser(self.limit).map(|limit| Call { limit, ..self }));
        }
        let nanoseconds = lesser(self.nanoseconds).filter(|less| *less > 0);
        all.extend(nanoseconds.map(|nanoseconds| Call { nanoseconds, ..self }));
        all.retain(|call| *call != self);
        all
    }
}
