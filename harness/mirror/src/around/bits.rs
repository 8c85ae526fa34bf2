//! A bitmap of pages (`bitmap_new`).

use super::PAGE;

/// Bits of a word (`BITS_PER_LONG`).
const WORD: u64 = 64;

/// A bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Its words.
    pub words: Vec<u64>,
}

impl Bits {
    /// A bitmap of so many pages; all of them are in it, or none.
    pub fn new(pages: u64, set: bool) -> Bits {
        let mut bits = Bits { words: vec![0; pages.div_ceil(WORD) as usize] };
        if set {
            (0..pages).for_each(|page| bits.set(page));
        }
        bits
    }

    /// The bytes that a bitmap of so many bytes of memory has in a file.
    pub fn bytes(length: u64) -> u64 {
        (length / PAGE).div_ceil(WORD) * (WORD / 8)
    }

    /// Whether a page is in it.
    pub fn has(&self, page: u64) -> bool {
        self.words[(page / WORD) as usize] >> (page % WORD) & 1 == 1
    }

    /// Puts a page into it.
    pub fn set(&mut self, page: u64) {
        self.words[(page / WORD) as usize] |= 1 << (page % WORD);
    }

    /// Takes a page out of it; whether it was in it.
    pub fn clear(&mut self, page: u64) -> bool {
        let had = self.has(page);
        self.words[(page / WORD) as usize] &= !(1 << (page % WORD));
        had
    }

    /// Its first bytes, as the host has them in memory.
    pub fn start(&self, bytes: u64) -> Vec<u8> {
        let all = self.words.iter().flat_map(|word| word.to_le_bytes());
        all.take(bytes as usize).collect()
    }
}
