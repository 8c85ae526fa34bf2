//! One migration, through the mirror and, where they are at hand, through the functions.

use super::case::{Case, Step};
use super::ffi::{Functions, View};
use crate::lockstep::{Broken, Difference, Outcome, same};
use crate::v1_0::guest::{Buffer, Memory, write};
use pcram_mirror::address::TARGET_PAGE_SIZE as PAGE;
use pcram_mirror::ram::{Block, Endless, RamState, Tree};
use pcram_mirror::v1_0::Property;

/// Runs a case. Without functions, only the mirror runs and the properties are watched.
///
/// # Errors
///
/// Where the two sides differ.
pub fn run(
    tree: Tree,
    functions: Option<&mut Functions>,
    case: &Case,
) -> Result<Outcome, Difference> {
    let mut memory = Memory::default();
    let block = |(at, block): (usize, &super::case::Block)| Block {
        idstr: format!("block{at}"),
        kind: block.kind,
        pages: block.pages.into(),
        host_page: block.host_page.into(),
        bmap: (1 << block.pages) - 1,
    };
    let blocks: Vec<_> = case.blocks.iter().enumerate().map(block).collect();
    let mut rig = Rig {
        state: RamState::new(tree, case.mode, case.ignore_shared, blocks),
        functions,
        written: Buffer::default(),
        views: Default::default(),
        outcome: Outcome::default(),
        step: 0,
    };
    if let Some(functions) = &mut rig.functions {
        functions.begin(case.mode, case.ignore_shared);
        for (at, block) in rig.state.blocks.iter().enumerate() {
            let host = memory.room(at).as_mut_ptr();
            // SAFETY: the room is larger than any block, and outlives the case.
            unsafe { functions.add(&block.idstr, host, block.pages, block.host_page, block.kind) }
        }
        functions.start();
    }
    rig.compare()?;
    for (at, step) in case.steps.iter().enumerate() {
        if rig.outcome.ended.is_some() {
            break;
        }
        rig.step = at;
        match *step {
            Step::Save => _ = rig.save(&memory)?,
            Step::Flush => while rig.save(&memory)? > 0 {},
            Step::Write { block, page, zero } => {
                let block = usize::from(block) % case.blocks.len();
                let page = u64::from(page % case.blocks[block].pages);
                if let Some(to) = memory.page_mut(block, page * PAGE) {
                    write(to, if zero { 0 } else { at as u8 | 1 }, zero);
                }
                rig.state.set_dirty(block, page);
                if let Some(functions) = &mut rig.functions {
                    functions.set_dirty(block, page);
                }
                rig.compare()?;
            }
        }
    }
    Ok(rig.outcome)
}

struct Rig<'a> {
    state: RamState,
    functions: Option<&'a mut Functions>,
    written: Buffer,
    /// Room for what the C's and the mirror's variables hold.
    views: [View; 2],
    outcome: Outcome,
    step: usize,
}

impl Rig<'_> {
    /// One call; gives the pages that were sent.
    fn save(&mut self, memory: &Memory) -> Result<u64, Difference> {
        let (before, sent_before) = (self.written.len(), self.state.sent.len());
        let written = &mut self.written;
        let came = self.state.ram_find_and_save_block(
            |block, offset| memory.page(block, offset),
            |bytes| written.extend_from_slice(bytes),
        );
        self.outcome.calls += 1;
        self.outcome.loops += 1;
        let pages = match came {
            Ok(pages) => pages,
            // The C is not called, so there is nothing to compare from here on.
            Err(Endless) => {
                self.broke(Property::Ends, Endless.to_string());
                self.outcome.ended = Some((self.step, Endless.to_string()));
                return Ok(0);
            }
        };
        if let Some(functions) = &mut self.functions {
            // SAFETY: the mirror comes to an end.
            let c = unsafe { functions.save() };
            self.same("ram_find_and_save_block()", c, pages as i64)?;
            self.same_bytes(before)?;
        }
        self.compare()?;
        self.watch(pages, sent_before);
        Ok(pages)
    }

    /// What one call did, against what is promised of all.
    fn watch(&mut self, pages: u64, sent_before: usize) {
        let state = &self.state;
        let ignored = |&&(block, _): &&(usize, u64)| state.is_ignored(block);
        if let Some((block, page)) = state.sent[sent_before..].iter().find(ignored).copied() {
            self.broke(Property::LeftOut, format!("page {page} of block{block}"));
        }
        let state = &self.state;
        let dirty = |block: usize| u64::from(state.blocks[block].bmap.count_ones());
        let saved = (0..state.blocks.len()).filter(|&block| !state.is_ignored(block));
        let remaining: u64 = saved.map(dirty).sum();
        let counted = state.dirty_pages;
        if counted != remaining {
            let seen = format!("{counted} pages are counted, {remaining} are dirty");
            self.broke(Property::Accounting, seen);
        }
        if pages == 0 && remaining > 0 {
            let seen = format!("nothing is sent, though {remaining} pages are dirty");
            self.broke(Property::Complete, seen);
        }
    }

    fn broke(&mut self, property: Property, seen: String) {
        if self.outcome.broken.iter().all(|broken| broken.property != property) {
            self.outcome.broken.push(Broken { property, step: self.step, seen });
        }
    }

    fn same_bytes(&self, before: usize) -> Result<(), Difference> {
        let Some(functions) = &self.functions else { return Ok(()) };
        let (c, mirror) = (functions.written(), &self.written[..]);
        match c.len() == mirror.len() && c[before..] == mirror[before..] {
            true => Ok(()),
            false => self.same("bytes", c.get(before..), mirror.get(before..)),
        }
    }

    /// The variables of both sides.
    fn compare(&mut self) -> Result<(), Difference> {
        let [mut c, mut mirror] = std::mem::take(&mut self.views);
        let Some(functions) = &self.functions else { return Ok(()) };
        functions.view(&mut c);
        view(&self.state, &mut mirror);
        let came = same(self.step, "variables", &c, &mirror);
        self.views = [c, mirror];
        came
    }

    fn same<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &'static str,
        c: T,
        mirror: T,
    ) -> Result<(), Difference> {
        same(self.step, what, &c, &mirror)
    }
}

/// What the mirror's variables hold.
fn view(state: &RamState, view: &mut View) {
    let index = |block: Option<usize>| block.map_or(-1, |block| block as i64);
    *view = View {
        last_seen_block: index(state.last_seen_block),
        last_sent_block: index(state.last_sent_block),
        last_page: state.last_page,
        dirty_pages: state.dirty_pages,
        transferred: state.transferred,
        zero: state.zero,
        normal: state.normal,
        refused: 0,
        total: state.ram_bytes_total(),
        total_with_ignored: state.ram_bytes_total_with_ignored(),
        bits: [0; 8],
        ignored: [0; 8],
    };
    for (at, block) in state.blocks.iter().enumerate() {
        view.bits[at] = block.bmap;
        view.ignored[at] = state.is_ignored(at).into();
    }
}
