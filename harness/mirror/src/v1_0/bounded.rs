//! `ram_save_block`, on every state of every small guest.
//!
//! Each call is looked at alone, in every state that it may be called in: every list of blocks, in every
//! order, with every page dirty or clean, after every page that may have been sent last. What holds of
//! every call holds of every sequence of calls, with whatever the guest writes and whatever moves in
//! the list between them; a call that sends makes one page clean, so calls that send come to an end.
//!
//! Where a page was sent last is kept to what can be: as released and as carried, a page of a block that
//! is saved (that a call leaves no other behind is looked at, too), or none yet, while every page that
//! is to be sent is dirty. As posted it may be any.

use super::property::Property;
use super::{Host, MIGRATION_DIRTY_FLAG, PAGE, Ram, RamBlock, RamList, Save, Variant};
use std::collections::BTreeMap;
use std::fmt;

/// A state in which a call does not keep a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The blocks, in the order of their addresses.
    pub blocks: Vec<BlockState>,
    /// Their order in the list.
    pub order: Vec<usize>,
    /// The block and the page that were sent last.
    pub last: Option<(usize, u64)>,
    /// What the call did.
    pub seen: String,
}

/// A block in such a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockState {
    /// Whether it is left out.
    pub left_out: bool,
    /// Whether each page is dirty.
    pub dirty: Vec<bool>,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = |place: &usize| {
            let state = &self.blocks[*place];
            let pages: String = state.dirty.iter().map(|&it| if it { 'D' } else { '-' }).collect();
            let left_out = if state.left_out { ", left out" } else { "" };
            format!("block {place} [{pages}]{left_out}")
        };
        let list: Vec<_> = self.order.iter().map(block).collect();
        let last = match self.last {
            Some((block, page)) => format!("page {page} of block {block}"),
            None => "nothing".to_owned(),
        };
        write!(f, "list: {}; sent last: {last}; {}", list.join("; "), self.seen)
    }
}

/// What came of all states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// States that were looked at.
    pub states: u64,
    /// For each property that is not kept, in how many states, and the smallest of them.
    pub broken: BTreeMap<Property, (u64, Example)>,
}

impl Tally {
    /// Adds what came of other states.
    pub fn add(&mut self, other: Tally) {
        self.states += other.states;
        for (property, (count, example)) in other.broken {
            match self.broken.get_mut(&property) {
                Some((all, smallest)) => {
                    *all += count;
                    if example.size() < smallest.size() {
                        *smallest = example;
                    }
                }
                None => {
                    self.broken.insert(property, (count, example));
                }
            }
        }
    }
}

impl Example {
    fn size(&self) -> (usize, usize, usize) {
        let pages = || self.blocks.iter().flat_map(|block| &block.dirty);
        (self.blocks.len(), pages().count(), pages().filter(|dirty| **dirty).count())
    }
}

/// The guests with up to that many blocks of up to that many pages: their blocks' lengths in pages, and
/// which of them are left out. Each is a piece of work for [`check`].
pub fn guests(variant: Variant, blocks: usize, pages: u64) -> Vec<Vec<(u64, bool)>> {
    let kinds: Vec<(u64, bool)> = (1..=pages)
        .flat_map(|length| [false, true].map(|left_out| (length, left_out)))
        .filter(|(_, left_out)| variant.leaves_out() || !left_out)
        .collect();
    let mut all: Vec<Vec<(u64, bool)>> = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..blocks {
        let to = all.len();
        for at in from..to {
            for &kind in &kinds {
                all.push([&all[at][..], &[kind]].concat());
            }
        }
        from = to;
    }
    all.split_off(1)
}

/// Looks at every state of a guest.
pub fn check(variant: Variant, guest: &[(u64, bool)]) -> Tally {
    let mut list = RamList::default();
    for (place, &(pages, left_out)) in guest.iter().enumerate() {
        let offset = list.phys_dirty.len() as u64 * PAGE;
        let (idstr, length) = (place.to_string().into(), pages * PAGE);
        let host = if left_out { Host::File } else { Host::Given };
        list.blocks.push(RamBlock { idstr, offset, length, left_out, host, freed: false });
        list.phys_dirty.resize(list.phys_dirty.len() + pages as usize, 0);
    }
    let mut walk = Walk { ram: Ram { list, ..Ram::new(variant) }, tally: Tally::default() };
    for order in permutations(guest.len()) {
        walk.ram.list.order = order;
        walk.every_position();
    }
    walk.tally
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |shorter, next| {
        let insert = |order: Vec<usize>| {
            (0..=order.len()).map(move |at| {
                let mut longer = order.clone();
                longer.insert(at, next);
                longer
            })
        };
        shorter.into_iter().flat_map(insert).collect()
    })
}

struct Walk {
    ram: Ram,
    tally: Tally,
}

impl Walk {
    fn every_position(&mut self) {
        let list = &self.ram.list;
        let any = self.ram.variant == Variant::Posted;
        let may_be_last = |place: &usize| any || !list.blocks[*place].left_out;
        let pages = |place: usize| (0..list.blocks[place].length / PAGE).map(move |at| (place, at));
        let places: Vec<_> = (0..list.blocks.len()).filter(may_be_last).flat_map(pages).collect();
        let to_send: u64 = list
            .blocks
            .iter()
            .filter(|block| !block.left_out)
            .flat_map(|block| block.offset / PAGE..block.end() / PAGE)
            .map(|page| 1 << page)
            .sum();
        for dirty in 0..1_u64 << list.phys_dirty.len() {
            for &last in &places {
                self.call(dirty, Some(last));
            }
            if dirty & to_send == to_send {
                self.call(dirty, None);
            }
        }
    }

    fn call(&mut self, dirty: u64, last: Option<(usize, u64)>) {
        let ram = &mut self.ram;
        for (page, flags) in ram.list.phys_dirty.iter_mut().enumerate() {
            *flags = if dirty >> page & 1 == 1 { MIGRATION_DIRTY_FLAG } else { 0 };
        }
        ram.last_block = last.map(|(block, _)| block);
        ram.last_offset = last.map_or(0, |(_, page)| page * PAGE);
        ram.strays = [None; 2];
        let came = ram.ram_save_block(&mut Nowhere);
        self.tally.states += 1;
        match came {
            Err(undefined) => {
                let property = Property::broken_by(undefined);
                self.broke(property, dirty, last, || undefined.to_string());
            }
            Ok(0) => {
                let remaining = self.ram.ram_save_remaining();
                if remaining > 0 {
                    let seen = || format!("nothing is sent, though {remaining} pages are dirty");
                    self.broke(Property::Complete, dirty, last, seen);
                }
            }
            Ok(_) => self.sent(dirty, last),
        }
        if let Some(stray) = self.ram.strays[1].or(self.ram.strays[0]) {
            self.broke(Property::Inside, dirty, last, || stray.to_string());
        }
    }

    /// A page was sent: the one that is the last now.
    fn sent(&mut self, dirty: u64, last: Option<(usize, u64)>) {
        let Ram { last_block, last_offset, ref list, .. } = self.ram;
        let place = last_block.expect("what was sent is remembered");
        let (left_out, page) = (list.blocks[place].left_out, last_offset / PAGE);
        if left_out {
            let seen = || format!("page {page} of block {place} is sent");
            self.broke(Property::LeftOut, dirty, last, seen);
        }
        if left_out || self.ram.ram_save_remaining() + 1 != self.to_send(dirty) {
            let seen = || format!("page {page} of block {place} is sent, which was not counted");
            self.broke(Property::Accounting, dirty, last, seen);
        }
    }

    /// The pages of `dirty` that are to be sent.
    fn to_send(&self, dirty: u64) -> u64 {
        let saved = self.ram.list.blocks.iter().filter(|block| !block.left_out);
        let pages = saved.flat_map(|block| block.offset / PAGE..block.end() / PAGE);
        pages.map(|page| dirty >> page & 1).sum()
    }

    fn broke(
        &mut self,
        property: Property,
        dirty: u64,
        last: Option<(usize, u64)>,
        seen: impl FnOnce() -> String,
    ) {
        let known = self.tally.broken.get(&property).map(|(count, _)| *count);
        // The states of a guest differ in what is dirty alone: the first is as good as any.
        if let Some(count) = known {
            let fewer = {
                let (_, smallest) = &self.tally.broken[&property];
                smallest.size().2 as u32 > dirty.count_ones()
            };
            if !fewer {
                let entry = self.tally.broken.get_mut(&property).expect("it is known");
                entry.0 = count + 1;
                return;
            }
        }
        let list = &self.ram.list;
        let state = |block: &RamBlock| BlockState {
            left_out: block.left_out,
            dirty: (block.offset / PAGE..block.end() / PAGE)
                .map(|page| dirty >> page & 1 == 1)
                .collect(),
        };
        let blocks = list.blocks.iter().map(state).collect();
        let example = Example { blocks, order: list.order.clone(), last, seen: seen() };
        self.tally.broken.insert(property, (known.unwrap_or(0) + 1, example));
    }
}

/// Where nothing is kept, of memory that is all zero.
pub struct Nowhere;

impl Save for Nowhere {
    fn put(&mut self, _: &[u8]) {}

    fn rate_limit(&mut self) -> Result<bool, i32> {
        Ok(false)
    }

    fn set_error(&mut self, _: i32) {}

    fn page(&self, _: usize, _: u64) -> &[u8] {
        // What a page holds has no say in which is sent.
        &[0]
    }

    fn put_page(&mut self, _: usize, _: u64) {}

    fn clock_ns(&mut self) -> i64 {
        0
    }

    fn max_downtime(&self) -> u64 {
        0
    }

    fn sync_dirty_bitmap(&mut self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(variant: Variant, blocks: usize, pages: u64) -> Tally {
        let mut tally = Tally::default();
        for guest in guests(variant, blocks, pages) {
            tally.add(check(variant, &guest));
        }
        tally
    }

    #[test]
    fn the_smallest_state_is_kept_whichever_comes_first() {
        let example = |blocks: &[&[bool]]| {
            let state = |dirty: &&[bool]| BlockState { left_out: false, dirty: dirty.to_vec() };
            let blocks = blocks.iter().map(state).collect();
            Example { blocks, order: vec![0], last: None, seen: String::new() }
        };
        let of = |example: &Example| Tally {
            states: 1,
            broken: BTreeMap::from([(Property::Ends, (1, example.clone()))]),
        };
        // By blocks, by pages, by how many of them are dirty.
        let down = [
            example(&[&[true], &[true]]),
            example(&[&[true, true, true]]),
            example(&[&[true, true]]),
            example(&[&[true, false]]),
        ];
        for [more, less] in down.array_windows() {
            for (first, second) in [(more, less), (less, more)] {
                let mut tally = of(first);
                tally.add(of(second));
                assert_eq!(tally.broken[&Property::Ends], (2, less.clone()));
            }
        }
    }

    #[test]
    fn the_page_that_is_sent_is_told_by_its_number() {
        let mut ram = Ram::new(Variant::Posted);
        ram.list.alloc("0", 3 * PAGE, Host::File).unwrap();
        (ram.last_block, ram.last_offset) = (Some(0), 2 * PAGE);
        let mut walk = Walk { ram, tally: Tally::default() };
        walk.sent(0, None);
        assert_eq!(walk.tally.broken[&Property::LeftOut].1.seen, "page 2 of block 0 is sent");
    }

    #[test]
    fn every_guest_is_made_once() {
        assert_eq!(guests(Variant::Stock, 2, 2).len(), 2 + 4);
        assert_eq!(guests(Variant::Carried, 2, 2).len(), 4 + 16);
        assert_eq!(permutations(4).len(), 24);
    }

    #[test]
    fn as_released_and_as_carried_every_property_is_kept() {
        // For each order of each guest: 2 to the number of its pages, times the pages that may have been
        // last; and once for each pattern of what is left out, where none was.
        for (variant, states) in [(Variant::Stock, 6_788), (Variant::Carried, 29_618)] {
            let tally = tally(variant, 3, 2);
            assert_eq!(tally.broken, BTreeMap::new(), "{variant}");
            assert_eq!(tally.states, states, "{variant}");
        }
    }

    #[test]
    fn as_posted_every_property_is_broken_and_its_smallest_state_is_told() {
        let tally = tally(Variant::Posted, 3, 2);
        assert_eq!(tally.states, 56_028);
        let told = |(property, (count, example)): (&Property, &(u64, Example))| {
            format!("{}: {count}: {example}", property.name())
        };
        let told: Vec<_> = tally.broken.iter().map(told).collect();
        assert_eq!(
            told,
            [
                "left-out: 6836: list: block 1 [D], left out; block 0 [-]; sent last: page 0 of block 0; \
                 page 0 of block 1 is sent",
                "complete: 6576: list: block 0 [D]; block 1 [-], left out; sent last: page 0 of block 1; \
                 nothing is sent, though 1 pages are dirty",
                "ends: 4: list: block 1 [--], left out; block 2 [-], left out; block 0 [-]; sent last: \
                 page 1 of block 1; the loop of ram_save_block() never ends",
                "inside: 1456: list: block 1 [--], left out; block 0 [-]; sent last: page 1 of block 1; \
                 the page at 0x1000 of a block of 0x1000 bytes is asked for",
                "accounting: 7224: list: block 1 [D], left out; block 0 [-]; sent last: page 0 of block \
                 0; page 0 of block 1 is sent, which was not counted",
            ]
        );
    }
}
