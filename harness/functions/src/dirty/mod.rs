//! What takes over the pages that a guest has written, and its mirror, driven through the same steps.

pub mod case;
pub mod ffi;
pub mod unit;

pub use case::{Case, Step};
pub use ffi::Functions;

use crate::extract::ExtractError;
use crate::lockstep::{Broken, Difference, Kind, Outcome, Unit, same};
use pcram_mirror::address::TARGET_PAGE_SIZE as PAGE;
use pcram_mirror::dirty::{Block, Did, Ram, Tlb, Tree, WORD, clear, is_set, set};
use pcram_mirror::v1_0::{Property, Variant};

/// Words that the bitmap of all RAM has, and that of a block.
const ALL_WORDS: usize = 32;
const BLOCK_WORDS: usize = 8;

/// What takes over the pages that a guest has written.
pub enum Sync {}

impl Kind for Sync {
    const NAME: &'static str = "dirty";
    const TITLE: &'static str = "what takes over written pages";
    const WATCHED: &'static [Property] = &[Property::Complete, Property::Ends];

    type Tree = Tree;
    type Functions = Functions;
    type Case = Case;
    type Room = ();

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Tree>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(tree: Tree) -> Variant {
        if tree.tlb == Tlb::Reset { Variant::Carried } else { Variant::Stock }
    }

    fn tell(_: Tree, case: &Case) -> Vec<String> {
        case.tell()
    }

    fn run(
        tree: Tree,
        functions: Option<&mut Functions>,
        _: &mut (),
        case: &Case,
    ) -> Result<Outcome, Difference> {
        let mut ram = ram(case);
        // The C has bitmaps of its own.
        let mut c_ram = ram.clone();
        let mut c = functions;
        if let Some(functions) = &mut c {
            // SAFETY: all bitmaps are long enough and outlive the case; there are up to four blocks.
            unsafe {
                functions.begin(c_ram.tcg, &mut c_ram.dirty);
                for (at, block) in c_ram.blocks.iter_mut().enumerate() {
                    functions.add(given(at, block));
                }
            }
        }
        let mut outcome = Outcome::default();
        for (step, action) in case.steps.iter().enumerate() {
            let Step::Sync { block, word, pages } = *action else {
                write_or_send(&mut ram, action);
                write_or_send(&mut c_ram, action);
                continue;
            };
            outcome.calls += 1;
            let at = usize::from(block) % ram.blocks.len();
            let used = ram.blocks[at].used_length;
            let start = (u64::from(word) * WORD * PAGE).min(used / (WORD * PAGE) * WORD * PAGE);
            let length = (u64::from(pages) * PAGE).min(used - start);
            let before = ram.clone();
            ram.did.clear();
            let came = ram.sync_dirty_bitmap(tree, at, start, length);
            if outcome.broken.is_empty() {
                let seen = match came {
                    Ok(_) => {
                        lost(&before, &ram, at, start, length).map(|it| (Property::Complete, it))
                    }
                    Err(aborts) => Some((Property::Ends, aborts.to_string())),
                };
                outcome.broken.extend(seen.map(|(property, seen)| Broken { property, step, seen }));
            }
            if let Some(functions) = &mut c {
                // SAFETY: all is there, and the part was cut to the block.
                let c_came = unsafe { functions.sync(at, start, length) };
                let came = came.ok().map(|new| (new, ram.did.clone()));
                same(step, "the pages that are new, and what is done", &c_came, &came)?;
            }
            if let Err(aborts) = came {
                outcome.ended = Some((step, aborts.to_string()));
                break;
            }
            if c.is_none() {
                continue;
            }
            same(step, "the bitmap of all RAM", &c_ram.dirty, &ram.dirty)?;
            same(step, "the blocks' bitmaps", &c_ram.blocks, &ram.blocks)?;
        }
        Ok(outcome)
    }
}

/// RAM as a case has it, of which nothing was written.
fn ram(case: &Case) -> Ram {
    let mut next = 0;
    let blocks = case.blocks.iter().map(|block| {
        let begins: u64 = next + u64::from(block.gap);
        let begins = if block.aligned { begins.next_multiple_of(WORD) } else { begins };
        let (pages, most) = (block.pages.into(), block.pages + u16::from(block.spare));
        next = begins + u64::from(most);
        Block {
            offset: begins * PAGE,
            used_length: pages,
            max_length: u64::from(most) * PAGE,
            bmap: vec![0; BLOCK_WORDS],
            clear_bmap: block.clear_later.map(|_| vec![0; BLOCK_WORDS]),
            clear_bmap_shift: block.clear_later.unwrap_or(0),
        }
    });
    let blocks = blocks.map(|block| Block { used_length: block.used_length * PAGE, ..block });
    Ram { blocks: blocks.collect(), dirty: vec![0; ALL_WORDS], tcg: case.tcg, did: Vec::new() }
}

fn given(at: usize, block: &mut Block) -> ffi::Block<'_> {
    ffi::Block {
        at,
        offset: block.offset,
        used_length: block.used_length,
        max_length: block.max_length,
        bmap: &mut block.bmap,
        clear_bmap: block.clear_bmap.as_mut(),
        shift: block.clear_bmap_shift,
    }
}

/// What the guest or the save loop does with bitmaps, as far as there are pages.
fn write_or_send(ram: &mut Ram, step: &Step) {
    let (Step::Write { block, page, pages } | Step::Send { block, page, pages }) = *step else {
        return;
    };
    let at = usize::from(block) % ram.blocks.len();
    let Block { offset, used_length, ref mut bmap, .. } = ram.blocks[at];
    let first = u64::from(page);
    for page in first..(first + u64::from(pages)).min(used_length / PAGE) {
        match step {
            Step::Write { .. } => _ = set(&mut ram.dirty, offset / PAGE + page),
            _ => _ = clear(bmap, page),
        }
    }
}

/// A page that was written, and will be sent as it is now or not at all: what is lost.
fn lost(before: &Ram, ram: &Ram, at: usize, start: u64, length: u64) -> Option<String> {
    let block = &ram.blocks[at];
    let noticed = |byte: u64| {
        ram.did.iter().any(|did| match *did {
            Did::Reset(of, from, length) => of == at && (from..from + length).contains(&byte),
            Did::ClearLog(..) => false,
        })
    };
    let written = (start..start + length)
        .step_by(PAGE as usize)
        .filter(|byte| is_set(&before.dirty, (block.offset + byte) / PAGE));
    written.map(|byte| (byte, byte / PAGE)).find_map(|(byte, page)| {
        if !is_set(&block.bmap, page) {
            return Some(format!("page {page} of block{at} was written, and is not to be sent"));
        }
        let unnoticed = ram.tcg && !noticed(byte);
        unnoticed.then(|| {
            format!(
                "page {page} of block{at} is clean, and a processor goes on writing it unnoticed"
            )
        })
    })
}
