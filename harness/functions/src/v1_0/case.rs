//! A case: the blocks of a guest, and what happens to it, step by step; and how cases are made.

use proptest::collection::vec;
use proptest::prelude::*;
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

impl Case {
    /// Whether it is one that can be run, from wherever it comes.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn check(&self) -> Result<(), &'static str> {
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
}

impl Case {
    /// The case with one thing less, in every way.
    pub fn smaller(&self) -> Vec<Case> {
        let case = self;
        let mut all = Vec::new();
        for at in (0..case.steps.len()).rev() {
            let mut smaller = case.clone();
            smaller.steps.remove(at);
            all.push(smaller);
        }
        for at in 0..case.blocks.len() {
            let mut smaller = case.clone();
            if case.blocks[at].pages > 1 {
                smaller.blocks[at].pages -= 1;
            } else if at + 1 == case.blocks.len() && at > 0 {
                smaller.blocks.pop();
            } else {
                continue;
            }
            all.push(smaller);
        }
        for at in 0..case.blocks.len() {
            if case.blocks[at].left_out {
                let mut smaller = case.clone();
                smaller.blocks[at].left_out = false;
                all.push(smaller);
            }
        }
        all
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

/// What becomes of a stream on its way. A place is taken modulo its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// Something is added to the byte at a place.
    Add(u16, u8),
    /// It ends at a place.
    Cut(u16),
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
}

/// Cases: mostly whole migrations, now and then anything.
pub fn cases() -> impl Strategy<Value = Case> {
    let blocks = vec(block(), 1..=MOST_BLOCKS);
    let steps = prop_oneof![4 => migrations(), 1 => vec(step(), 0..40)];
    (blocks, steps).prop_map(|(blocks, steps)| Case { blocks, steps })
}

fn block() -> impl Strategy<Value = Block> {
    (1..=MOST_PAGES, prop::bool::weighted(0.3))
        .prop_map(|(pages, left_out)| Block { pages, left_out })
}

/// One to three migrations one after the other, each with what happens meanwhile.
fn migrations() -> impl Strategy<Value = Vec<Step>> {
    let migration = (vec(meanwhile(), 0..4), call(1), vec(step_of_migration(), 0..24), end());
    let steps = migration.prop_map(|(mut steps, first, course, end)| {
        steps.push(Step::SaveLive(first));
        steps.extend(course);
        steps.extend(end);
        steps
    });
    vec(steps, 1..=3).prop_map(|all| all.concat())
}

fn end() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        6 => call(3).prop_map(|call| vec![Step::SaveLive(call)]),
        3 => (call(3), load()).prop_map(|(call, load)| vec![Step::SaveLive(call), load]),
        1 => call(-1).prop_map(|call| vec![Step::SaveLive(call)]),
    ]
}

fn step_of_migration() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => call(2).prop_map(Step::SaveLive),
        3 => Just(Step::SaveBlock),
        4 => meanwhile(),
    ]
}

fn meanwhile() -> impl Strategy<Value = Step> {
    let place = || (any::<u8>(), any::<u8>());
    prop_oneof![
        4 => (place(), any::<u8>(), any::<bool>()).prop_map(|((block, page), byte, filled)| {
            Step::Write { block, page, byte, filled }
        }),
        3 => place().prop_map(|(block, page)| Step::Touch { block, page }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => step_of_migration(),
        2 => prop_oneof![call(-1), call(1), call(3)].prop_map(Step::SaveLive),
        1 => block().prop_map(Step::Plug),
        1 => any::<u8>().prop_map(|block| Step::Unplug { block }),
        1 => load(),
        1 => external_list(),
    ]
}

fn external_list() -> impl Strategy<Value = Step> {
    (prop::bool::weighted(0.2), prop::option::weighted(0.7, damage(600)))
        .prop_map(|(lost, damage)| Step::ExternalList { lost, damage })
}

fn load() -> impl Strategy<Value = Step> {
    // Mostly where headers are dense.
    let damage = prop_oneof![2 => damage(400), 1 => damage(u16::MAX)];
    (prop_oneof![6 => Just(4_u8), 2 => Just(3), 1 => 2_u8..6], prop::option::weighted(0.5, damage))
        .prop_map(|(version, damage)| Step::Load { version, damage })
}

/// Damage before `end`, often of a page.
fn damage(end: u16) -> impl Strategy<Value = Damage> {
    let added = prop_oneof![1 => Just(0x10), 2 => 1_u8..];
    prop_oneof![
        4 => (0..end, added).prop_map(|(at, added)| Damage::Add(at, added)),
        1 => (0..end).prop_map(Damage::Cut),
    ]
}

fn call(stage: i8) -> impl Strategy<Value = Call> {
    let limit = prop_oneof![3 => Just(u32::MAX), 3 => 0_u32..20_000, 1 => Just(0)];
    // About as long as what is left of such guests takes.
    let downtime = prop_oneof![1 => Just(0), 2 => 0_u32..3_000_000, 1 => any::<u32>()];
    let fail_in = prop_oneof![12 => Just(0), 1 => 1_u8..8];
    (limit, 1_u32..1_000_000, downtime, fail_in, prop::bool::weighted(0.03)).prop_map(
        move |(limit, nanoseconds, max_downtime, fail_in, sync_fails)| Call {
            stage,
            limit,
            nanoseconds,
            max_downtime,
            fail_in,
            sync_fails,
        },
    )
}
