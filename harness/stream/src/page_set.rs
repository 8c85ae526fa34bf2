//! A set of pages of one RAM block.

use std::collections::BTreeMap;

/// A set of page numbers (offset in the block divided by the page size).
///
/// It grows with the pages that are put in, not with the length that a stream claims for a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSet {
    words: BTreeMap<u64, u64>,
    len: u64,
}

impl PageSet {
    /// Puts `page` in; a page that is already there changes nothing.
    pub fn insert(&mut self, page: u64) {
        let word = self.words.entry(page / 64).or_default();
        let bit = 1 << (page % 64);
        self.len += u64::from(*word & bit == 0);
        *word |= bit;
    }

    /// Whether `page` is in it.
    pub fn contains(&self, page: u64) -> bool {
        self.words.get(&(page / 64)).is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// How many distinct pages there are in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no page in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its pages, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().flat_map(|(&index, &word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }

    /// Its runs of pages that follow each other, in rising order: the first of each, and how many.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut pages = self.iter().peekable();
        std::iter::from_fn(move || {
            let first = pages.next()?;
            let mut count = 1;
            while pages.next_if_eq(&(first + count)).is_some() {
                count += 1;
            }
            Some((first, count))
        })
    }
}
