//! The list of RAM blocks, and which of their pages are dirty: exec.c and cpu-all.h.

use super::{MIGRATION_DIRTY_FLAG, PAGE, Undefined, Variant};
use std::rc::Rc;

/// Where the memory of a block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Somebody has it already (`qemu_ram_alloc_from_ptr`).
    Given,
    /// QEMU allocates it (`qemu_ram_alloc`).
    Allocated,
    /// It is a file, mapped shared: as posted where the registry has one for the block
    /// (`mem_file_ram_alloc`), as carried `qemu_ram_alloc_from_fd`. The stream leaves it out.
    File,
}

/// What becomes of the memory of a block that goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// Bytes that are unmapped.
    pub unmapped: u64,
    /// Files that are closed.
    pub closed: u64,
    /// Blocks whose memory the allocator takes back.
    pub freed: u64,
}

/// A RAM block (`RAMBlock`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamBlock {
    /// Its name in the stream (`idstr`).
    pub idstr: Rc<str>,
    /// Where it begins in ram_addr space, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Whether the stream leaves its pages out: `do_not_save` as posted, `RAM_EXTERNAL_MASK` as
    /// carried.
    pub left_out: bool,
    /// Where its memory comes from.
    pub host: Host,
    /// Whether it was freed; a freed block is in no list.
    pub freed: bool,
}

impl RamBlock {
    /// Whether the address in ram_addr space is in the block.
    pub fn has(&self, addr: u64) -> bool {
        addr.wrapping_sub(self.offset) < self.length
    }

    /// What becomes of its memory when it goes (`qemu_ram_free`). As posted, the allocator is given a
    /// mapping of a file, which is none of its own.
    pub fn gives_back(&self, variant: Variant) -> GivenBack {
        match self.host {
            Host::Given => GivenBack::default(),
            Host::File if variant == Variant::Carried => {
                GivenBack { unmapped: self.length, closed: 1, freed: 0 }
            }
            Host::Allocated | Host::File => GivenBack { freed: 1, ..GivenBack::default() },
        }
    }

    /// The address behind its last byte.
    pub fn end(&self) -> u64 {
        self.offset + self.length
    }
}

/// The RAM list (`ram_list`). A block is known by its place among all that there were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RamList {
    /// Every block that there was, in the order in which they came.
    pub blocks: Vec<RamBlock>,
    /// Those that are in the list, first to last (`ram_list.blocks`).
    pub order: Vec<usize>,
    /// A byte of dirty flags for each page of ram_addr space (`ram_list.phys_dirty`).
    pub phys_dirty: Vec<u8>,
}

impl Clone for RamList {
    fn clone(&self) -> RamList {
        let mut list = RamList::default();
        list.clone_from(self);
        list
    }

    /// Into the memory that this list has: whoever looks ahead at each step would ask for some each time.
    fn clone_from(&mut self, other: &RamList) {
        let RamList { blocks, order, phys_dirty } = other;
        self.blocks.clone_from(blocks);
        self.order.clone_from(order);
        self.phys_dirty.clone_from(phys_dirty);
    }
}

impl RamList {
    /// The first block of the list (`QLIST_FIRST`).
    #[inline]
    pub fn first(&self) -> Option<usize> {
        self.order.first().copied()
    }

    /// The block behind `block` in the list (`QLIST_NEXT`).
    #[inline]
    pub fn next(&self, block: usize) -> Option<usize> {
        let at = self.order.iter().position(|&each| each == block)?;
        self.order.get(at + 1).copied()
    }

    /// The blocks, in the order of the list (`QLIST_FOREACH`).
    pub fn iter(&self) -> impl Iterator<Item = &RamBlock> {
        self.order.iter().map(|&block| &self.blocks[block])
    }

    /// Adds a block at the head, all of its pages dirty; gives its place among all blocks
    /// (`qemu_ram_alloc_from_ptr`, `ram_block_alloc` as carried).
    ///
    /// # Errors
    ///
    /// Where the C aborts.
    pub fn alloc(&mut self, idstr: &str, size: u64, host: Host) -> Result<usize, Undefined> {
        let length = size.next_multiple_of(PAGE);
        if self.iter().any(|block| *block.idstr == *idstr) {
            return Err(Undefined::Registered);
        }
        let offset = self.find_ram_offset(length)?;
        let block = self.blocks.len();
        let idstr = idstr.into();
        let left_out = host == Host::File;
        self.blocks.push(RamBlock { idstr, offset, length, left_out, host, freed: false });
        self.order.insert(0, block);
        // Shrinks, too, as the C's realloc does.
        self.phys_dirty.resize(page_index(self.last_ram_offset()), 0);
        self.phys_dirty[page_index(offset)..page_index(offset + length)].fill(0xff);
        Ok(block)
    }

    /// The smallest gap that is large enough (`find_ram_offset`).
    fn find_ram_offset(&self, size: u64) -> Result<u64, Undefined> {
        if self.order.is_empty() {
            return Ok(0);
        }
        let (mut offset, mut mingap) = (u64::MAX, u64::MAX);
        for end in self.iter().map(RamBlock::end) {
            let behind = self.iter().map(|other| other.offset).filter(|&other| other >= end);
            let gap = behind.min().unwrap_or(u64::MAX) - end;
            if gap >= size && gap < mingap {
                (offset, mingap) = (end, gap);
            }
        }
        if offset == u64::MAX { Err(Undefined::NoGap(size)) } else { Ok(offset) }
    }

    /// The end of ram_addr space in bytes (`last_ram_offset`).
    pub fn last_ram_offset(&self) -> u64 {
        self.iter().map(RamBlock::end).max().unwrap_or(0)
    }

    /// Takes the block that begins at this address out (`qemu_ram_free`); its dirty flags stay.
    pub fn free(&mut self, offset: u64) {
        let is_it = |&block: &usize| self.blocks[block].offset == offset;
        if let Some(at) = self.order.iter().position(is_it) {
            let block = self.order.remove(at);
            self.blocks[block].freed = true;
        }
    }

    /// The block of an address, which moves to the front (`qemu_get_ram_ptr`).
    ///
    /// # Errors
    ///
    /// Where the C aborts: the address is in no block.
    pub fn get_ram_ptr(&mut self, addr: u64) -> Result<usize, Undefined> {
        let block = self.safe_ram_ptr(addr)?;
        self.order.retain(|&each| each != block);
        self.order.insert(0, block);
        Ok(block)
    }

    /// The block of an address; the list stays (`qemu_safe_ram_ptr`).
    ///
    /// # Errors
    ///
    /// Where the C aborts: the address is in no block.
    #[inline]
    pub fn safe_ram_ptr(&self, addr: u64) -> Result<usize, Undefined> {
        let found = self.order.iter().find(|&&block| self.blocks[block].has(addr));
        found.copied().ok_or(Undefined::BadRamOffset(addr))
    }

    /// Sorts the list by address (`sort_ram_list`).
    pub fn sort(&mut self) {
        let blocks = &self.blocks;
        self.order.sort_by_key(|&block| blocks[block].offset);
    }

    /// Whether the page at `addr` is dirty for migration (`cpu_physical_memory_get_dirty`); behind
    /// the last page nothing is.
    #[inline]
    pub fn is_dirty(&self, addr: u64) -> bool {
        self.phys_dirty.get(page_index(addr)).is_some_and(|flags| flags & MIGRATION_DIRTY_FLAG != 0)
    }

    /// How many pages of a block are dirty for migration.
    #[inline]
    pub fn dirty_pages(&self, block: &RamBlock) -> u64 {
        let flags = self.phys_dirty.iter().skip(page_index(block.offset));
        let flags = flags.take(page_index(block.length));
        flags.filter(|&flags| flags & MIGRATION_DIRTY_FLAG != 0).count() as u64
    }

    /// Makes a page dirty for all (`cpu_physical_memory_set_dirty`).
    #[inline]
    pub fn set_dirty(&mut self, addr: u64) {
        if let Some(flags) = self.phys_dirty.get_mut(page_index(addr)) {
            *flags = 0xff;
        }
    }

    /// Makes one page clean for migration (`cpu_physical_memory_reset_dirty`).
    ///
    /// # Errors
    ///
    /// Where the C aborts: the page is in no block. Its dirty flag is cleared by then.
    #[inline]
    pub fn reset_dirty(&mut self, addr: u64) -> Result<(), Undefined> {
        if let Some(flags) = self.phys_dirty.get_mut(page_index(addr)) {
            *flags &= !MIGRATION_DIRTY_FLAG;
        }
        // Blocks are whole pages: a page that begins in one ends in it.
        self.safe_ram_ptr(addr).map(|_| ())
    }
}

/// The index in `phys_dirty` of a page.
fn page_index(addr: u64) -> usize {
    usize::try_from(addr / PAGE).expect("a page of a mirrored guest has an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_block_gives_back_is_what_it_came_from() {
        let gives = |host, variant| {
            let mut list = RamList::default();
            let block = list.alloc("block0", PAGE + 1, host).unwrap();
            let GivenBack { unmapped, closed, freed } = list.blocks[block].gives_back(variant);
            (unmapped, closed, freed)
        };
        assert_eq!(gives(Host::Given, Variant::Carried), (0, 0, 0));
        assert_eq!(gives(Host::Allocated, Variant::Carried), (0, 0, 1));
        assert_eq!(gives(Host::File, Variant::Carried), (2 * PAGE, 1, 0));
        assert_eq!(gives(Host::File, Variant::Posted), (0, 0, 1));
    }
}
