//! How the pages that a guest has written come to a migration, in 5.2 and later: migration/ram.c or
//! ram_addr.h `cpu_physical_memory_sync_dirty_bitmap` (10.2: `physical_memory_sync_dirty_bitmap`), and
//! physmem.c `cpu_physical_memory_test_and_clear_dirty` and `tlb_reset_dirty_range_all`.
//!
//! A page has its bit in one bitmap of all RAM, by its address there, until a block takes it over into
//! its own. A processor of TCG's that has a page in its TLB as a dirty one writes on without setting the
//! bit again, until that entry is reset.

use crate::address::TARGET_PAGE_SIZE as PAGE;
use serde::{Deserialize, Serialize};

/// Pages that a word of a bitmap has (`BITS_PER_LONG`).
pub const WORD: u64 = 64;

/// What a tree does about TLBs once bits are cleared a word at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tlb {
    /// Nothing: stock 5.2 and 7.2.
    Stays,
    /// It resets those of as many pages at the beginning of all RAM, where a page was new to the block:
    /// stock from 9.0 on, which leaves out where the block begins.
    Elsewhere,
    /// It resets those of the pages: the series.
    Reset,
}

/// What a tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// What becomes of TLBs.
    pub tlb: Tlb,
}

/// A block (`RAMBlock`); offsets and lengths are whole pages, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in all RAM.
    pub offset: u64,
    /// How long it is.
    pub used_length: u64,
    /// How long it may become.
    pub max_length: u64,
    /// The pages that are to be sent, a bit each.
    pub bmap: Vec<u64>,
    /// The pieces whose dirty log is to be cleared later, a bit each; `None` where it is done at once.
    pub clear_bmap: Option<Vec<u64>>,
    /// How many pages a piece has, as a power of two.
    pub clear_bmap_shift: u8,
}

/// Something that is done about a part of a block, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// Writes to it are noticed again: the index of the block, offset in it, length.
    Reset(usize, u64, u64),
    /// Whoever logs writes to it begins anew (`memory_region_clear_dirty_bitmap`).
    ClearLog(usize, u64, u64),
}

/// Why QEMU aborts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Aborts {
    /// No block has an address.
    #[error("QEMU aborts: bad ram offset {0:#x}")]
    BadRamOffset(u64),
    /// TLBs are to be reset for what is no part of one block.
    #[error("QEMU aborts: it asserts that TLBs are reset within one block")]
    NotOneBlock,
}

/// All RAM (`ram_list`), and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ram {
    /// The blocks, in the order of the list.
    pub blocks: Vec<Block>,
    /// The pages that were written, a bit each (`dirty_memory[DIRTY_MEMORY_MIGRATION]`).
    pub dirty: Vec<u64>,
    /// Whether processors are TCG's (`tcg_enabled`).
    pub tcg: bool,
    /// What was done, in order.
    pub did: Vec<Did>,
}

impl Ram {
    /// Takes over the pages that were written of a part of a block, and gives how many of them were not
    /// to be sent before (`cpu_physical_memory_sync_dirty_bitmap`).
    ///
    /// # Errors
    ///
    /// Where QEMU aborts.
    pub fn sync_dirty_bitmap(
        &mut self,
        tree: Tree,
        of: usize,
        start: u64,
        length: u64,
    ) -> Result<u64, Aborts> {
        let words = WORD * PAGE;
        let Block { offset, .. } = self.blocks[of];
        if !(start + offset).is_multiple_of(words) || !length.is_multiple_of(words) {
            return self.page_by_page(of, start, length);
        }
        let (mut num_dirty, mut cleared) = (0, false);
        let block = &mut self.blocks[of];
        for at in 0..length / words {
            let bits = std::mem::take(&mut self.dirty[((start + offset) / words + at) as usize]);
            let to = &mut block.bmap[(start / words + at) as usize];
            cleared |= bits != 0;
            num_dirty += u64::from((bits & !*to).count_ones());
            *to |= bits;
        }
        match tree.tlb {
            Tlb::Elsewhere if num_dirty > 0 => self.dirty_bits_cleared(start, length)?,
            Tlb::Reset if cleared => self.dirty_bits_cleared(start + offset, length)?,
            _ => {}
        }
        let Block { clear_bmap, clear_bmap_shift: shift, .. } = &mut self.blocks[of];
        match clear_bmap {
            Some(pieces) => {
                let (first, count) =
                    ((start / PAGE) >> *shift, (length / PAGE).div_ceil(1 << *shift));
                (first..first + count).for_each(|piece| _ = set(pieces, piece));
            }
            None => self.did.push(Did::ClearLog(of, start, length)),
        }
        Ok(num_dirty)
    }

    /// The same where words of the bitmaps do not fit each other.
    fn page_by_page(&mut self, of: usize, start: u64, length: u64) -> Result<u64, Aborts> {
        let Block { offset, .. } = self.blocks[of];
        let mut num_dirty = 0;
        for page in (start..start + length).step_by(PAGE as usize) {
            // `cpu_physical_memory_test_and_clear_dirty`
            let was_dirty = clear(&mut self.dirty, (offset + page) / PAGE);
            self.did.push(Did::ClearLog(of, page, PAGE));
            if was_dirty {
                self.dirty_bits_cleared(offset + page, PAGE)?;
                num_dirty += u64::from(set(&mut self.blocks[of].bmap, page / PAGE));
            }
        }
        Ok(num_dirty)
    }

    /// `cpu_physical_memory_dirty_bits_cleared`, and `tlb_reset_dirty_range_all`, at an address in all
    /// RAM.
    fn dirty_bits_cleared(&mut self, start: u64, length: u64) -> Result<(), Aborts> {
        if !self.tcg {
            return Ok(());
        }
        let at = self.block_at(start)?;
        let in_block = start - self.blocks[at].offset;
        if self.block_at(start + length - 1)? != at || in_block >= self.blocks[at].used_length {
            return Err(Aborts::NotOneBlock);
        }
        self.did.push(Did::Reset(at, in_block, length));
        Ok(())
    }

    /// `qemu_get_ram_block`
    fn block_at(&self, address: u64) -> Result<usize, Aborts> {
        let has =
            |block: &Block| (block.offset..block.offset + block.max_length).contains(&address);
        self.blocks.iter().position(has).ok_or(Aborts::BadRamOffset(address))
    }
}

/// Whether a bit is set.
pub fn is_set(bits: &[u64], at: u64) -> bool {
    bits[(at / WORD) as usize] >> (at % WORD) & 1 == 1
}

/// Sets a bit, and says whether it was not.
pub fn set(bits: &mut [u64], at: u64) -> bool {
    let was = is_set(bits, at);
    bits[(at / WORD) as usize] |= 1 << (at % WORD);
    !was
}

/// Clears a bit, and says whether it was set.
pub fn clear(bits: &mut [u64], at: u64) -> bool {
    let was = is_set(bits, at);
    bits[(at / WORD) as usize] &= !(1 << (at % WORD));
    was
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A first block of 64 pages and a second one of 128, of which page 65 was written.
    fn ram(tcg: bool) -> Ram {
        let block = |offset: u64, pages: u64| Block {
            offset: offset * PAGE,
            used_length: pages * PAGE,
            max_length: pages * PAGE,
            bmap: vec![0; 2],
            ..Block::default()
        };
        let mut dirty = vec![0; 3];
        set(&mut dirty, 64 + 65);
        Ram { blocks: vec![block(0, 64), block(64, 128)], dirty, tcg, did: Vec::new() }
    }

    fn synced(tcg: bool, tlb: Tlb, pages: u64) -> (Result<u64, Aborts>, Ram) {
        let mut ram = ram(tcg);
        (ram.sync_dirty_bitmap(Tree { tlb }, 1, 0, pages * PAGE), ram)
    }

    #[test]
    fn only_with_the_series_are_writes_to_another_block_noticed_again() {
        let log = Did::ClearLog(1, 0, 128 * PAGE);
        let (new, after) = synced(true, Tlb::Reset, 128);
        assert_eq!((new, after.did), (Ok(1), vec![Did::Reset(1, 0, 128 * PAGE), log]));
        assert!(is_set(&after.blocks[1].bmap, 65) && after.dirty == [0; 3]);
        let (new, after) = synced(true, Tlb::Stays, 128);
        assert_eq!((new, after.did), (Ok(1), vec![log]));
        // As many pages at the beginning of all RAM are two blocks here.
        assert_eq!(synced(true, Tlb::Elsewhere, 128).0, Err(Aborts::NotOneBlock));
        assert_eq!(synced(false, Tlb::Elsewhere, 128).0, Ok(1));
    }

    #[test]
    fn what_is_no_whole_word_is_looked_at_page_by_page() {
        let (new, after) = synced(true, Tlb::Stays, 66);
        assert_eq!((new, after.did.len()), (Ok(1), 67));
        assert_eq!(
            after.did[65..],
            [Did::ClearLog(1, 65 * PAGE, PAGE), Did::Reset(1, 65 * PAGE, PAGE)]
        );
    }
}
