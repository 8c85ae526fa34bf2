//! The stamp: what the bare guest writes into a page of RAM, as `bare/bare.S` computes it.
//!
//! A page's first word follows from the seed, the generation and the page's guest-physical
//! address; each further word is the one before plus an odd constant. So no two words of a page
//! are equal, and two stamps that differ in one of the three have no word in common at the same
//! place.

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

const WORD_SIZE: usize = size_of::<u64>();
const WORD_STEP: u64 = 0xd134_2543_de82_ef95;

/// The content of the page at the guest-physical `address`, a multiple of [`PAGE_SIZE`], after it
/// was stamped with `seed` at `generation`.
#[must_use]
pub fn page(address: u64, seed: u64, generation: u64) -> [u8; PAGE_SIZE] {
    let mut page = [0; PAGE_SIZE];
    for (bytes, word) in page.chunks_exact_mut(WORD_SIZE).zip(words(address, seed, generation)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    page
}

/// Whether `bytes` is the whole of what [`page`] returns; anything but one page is not.
#[must_use]
pub fn matches(bytes: &[u8], address: u64, seed: u64, generation: u64) -> bool {
    bytes.len() == PAGE_SIZE
        && bytes
            .chunks_exact(WORD_SIZE)
            .zip(words(address, seed, generation))
            .all(|(bytes, word)| bytes == word.to_le_bytes())
}

/// Bytes that a large page covers, which is what [`sparse`] goes by.
pub const LARGE_PAGE: u64 = 2 << 20;

/// Pages that are a fixed step apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Guest-physical address of the first page, a multiple of [`PAGE_SIZE`].
    pub first: u64,
    /// Guest-physical address that no page of the span reaches beyond; a multiple of
    /// [`PAGE_SIZE`], and at most 12 GiB.
    pub end: u64,
    /// Bytes from one page's address to the next one's: a multiple of [`PAGE_SIZE`], not 0.
    pub stride: u64,
}

impl Span {
    /// All pages from `first` on, below `end`.
    #[must_use]
    pub fn whole(first: u64, end: u64) -> Self {
        Self { first, end, stride: PAGE_SIZE as u64 }
    }

    /// The guest-physical addresses of its pages, upwards.
    pub fn pages(&self) -> impl Iterator<Item = u64> + Clone + use<> {
        let end = self.end;
        let next = |stride| move |page: &u64| page.checked_add(stride);
        std::iter::successors(Some(self.first), next(self.stride)).take_while(move |&it| it < end)
    }
}

/// A sample of RAM that takes no time, however large RAM is: the first and the last page of every
/// 2 MiB, and every page around the split, which is where the guest-physical address of a page and
/// its place in RAM part: from the last but one boundary of 2 MiB below it to 2 MiB above 4 GiB.
/// The end of RAM above 4 GiB is covered like the split.
///
/// `below` and `above` are the sizes that [`crate::protocol::Report::Ready`] tells. No page stands
/// in two of the spans, and none lies from 640 KiB to 1 MiB, where a PC may show something else.
#[must_use]
pub fn sparse(below: u64, above: u64) -> Vec<Span> {
    const FOUR_GIB: u64 = 1 << 32;
    let mut spans = thinned(0, below);
    if above > 0 {
        let head = FOUR_GIB + above.min(LARGE_PAGE);
        spans.push(Span::whole(FOUR_GIB, head));
        spans.extend(thinned(head, FOUR_GIB + above));
    }
    spans.retain(|span| span.first < span.end);
    spans
}

/// The first and the last page of every 2 MiB from `start`, a boundary of them, and every page
/// from the last but one boundary to `end`; but nothing whole in the first 2 MiB of all.
fn thinned(start: u64, end: u64) -> Vec<Span> {
    let tail = (end - end % LARGE_PAGE).saturating_sub(LARGE_PAGE).max(start.max(LARGE_PAGE));
    let thin = tail.min(end);
    let last = start + LARGE_PAGE - PAGE_SIZE as u64;
    vec![
        Span { first: start, end: thin, stride: LARGE_PAGE },
        Span { first: last, end: thin, stride: LARGE_PAGE },
        Span::whole(tail, end),
    ]
}

/// The words of a stamp, without end.
fn words(address: u64, seed: u64, generation: u64) -> impl Iterator<Item = u64> {
    let shared = mix(mix(seed).wrapping_add(generation));
    let first = mix(shared.wrapping_add(address));
    std::iter::successors(Some(first), |word| Some(word.wrapping_add(WORD_STEP)))
}

/// One step of the splitmix64 generator: a bijection that spreads each bit over the whole word.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;

    /// Page addresses within what the guest maps.
    fn address() -> impl Strategy<Value = u64> {
        (0..(12_u64 << 30) / PAGE_SIZE as u64).prop_map(|number| number * PAGE_SIZE as u64)
    }

    fn word(page: &[u8], index: usize) -> &[u8] {
        &page[index * WORD_SIZE..][..WORD_SIZE]
    }

    #[test]
    fn splitmix64_gives_its_published_first_number() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn a_stamp_stays_what_it_was() {
        // Words that a guest was seen to write.
        let page = page(0x12_3000, 0x1122_3344_5566_7788, 43);
        assert_eq!(word(&page, 0), 0x6de3_dcc5_5728_f240_u64.to_le_bytes());
        assert_eq!(word(&page, 511), 0x04fa_3f3e_7e85_2cab_u64.to_le_bytes());
    }

    proptest! {
        #[test]
        fn a_page_matches_itself(address in address(), seed: u64, generation: u64) {
            prop_assert!(matches(&page(address, seed, generation), address, seed, generation));
        }

        #[test]
        fn a_flipped_bit_is_noticed(
            address in address(), seed: u64, generation: u64,
            at in 0..PAGE_SIZE, bit in 0..8_u32,
        ) {
            let mut page = page(address, seed, generation);
            page[at] ^= 1 << bit;
            prop_assert!(!matches(&page, address, seed, generation));
        }

        #[test]
        fn swapped_words_are_noticed(
            address in address(), seed: u64, generation: u64, a in 0..512_usize, b in 0..512_usize,
        ) {
            prop_assume!(a != b);
            let stamped = page(address, seed, generation);
            let mut swapped = stamped;
            swapped[a * WORD_SIZE..][..WORD_SIZE].copy_from_slice(word(&stamped, b));
            swapped[b * WORD_SIZE..][..WORD_SIZE].copy_from_slice(word(&stamped, a));
            prop_assert!(!matches(&swapped, address, seed, generation));
        }

        #[test]
        fn another_address_differs_in_every_word(
            a in address(), b in address(), seed: u64, generation: u64,
        ) {
            prop_assume!(a != b);
            no_word_in_common(&page(a, seed, generation), &page(b, seed, generation))?;
        }

        #[test]
        fn another_seed_differs_in_every_word(
            address in address(), a: u64, b: u64, generation: u64,
        ) {
            prop_assume!(a != b);
            no_word_in_common(&page(address, a, generation), &page(address, b, generation))?;
        }

        #[test]
        fn the_next_generations_differ_in_every_word(
            address in address(), seed: u64, generation: u64, later in 1..1000_u64,
        ) {
            let now = page(address, seed, generation);
            let then = page(address, seed, generation.wrapping_add(later));
            no_word_in_common(&now, &then)?;
        }

        #[test]
        fn only_a_whole_page_matches(
            address in address(), seed: u64, generation: u64, length in 0..2 * PAGE_SIZE,
        ) {
            let twice = page(address, seed, generation).repeat(2);
            let whole = length == PAGE_SIZE;
            prop_assert_eq!(matches(&twice[..length], address, seed, generation), whole);
        }
    }

    fn addresses(spans: &[Span]) -> Vec<u64> {
        spans.iter().flat_map(Span::pages).collect()
    }

    #[test]
    fn a_span_has_the_pages_below_its_end() {
        assert_eq!(addresses(&[Span::whole(0x2000, 0x5000)]), [0x2000, 0x3000, 0x4000]);
        assert_eq!(
            addresses(&[Span { first: 0x1000, end: 0x5000, stride: 0x3000 }]),
            [0x1000, 0x4000]
        );
        assert_eq!(addresses(&[Span::whole(0x5000, 0x5000)]), []);
        assert_eq!(addresses(&[Span { first: 0, end: u64::MAX, stride: 1 << 63 }]), [0, 1 << 63]);
    }

    #[test]
    fn a_sample_of_gibibytes_is_small_and_whole_around_the_split() {
        let (below, above) = (3 << 30, 5 << 30);
        let pages = addresses(&sparse(below, above));
        assert_eq!(pages.len(), 2 * (4096 - 3) + 3 * 512);
        for window in [below - LARGE_PAGE..below, 4 << 30..(4 << 30) + LARGE_PAGE] {
            for page in window.step_by(PAGE_SIZE) {
                assert!(pages.contains(&page), "{page:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_sample_is_of_ram_and_has_each_page_once(
            below in 0..=0xe_0000_u64, above in 0..0x1_0000_u64,
        ) {
            let (below, above) = (below << 12, above << 12);
            let is_ram = |page: u64| {
                let low = page < below && !(0xa_0000..0x10_0000).contains(&page);
                low || (1 << 32..(1 << 32) + above).contains(&page)
            };
            let pages = addresses(&sparse(below, above));
            let set: BTreeSet<u64> = pages.iter().copied().collect();
            prop_assert_eq!(set.len(), pages.len());
            prop_assert!(pages.iter().all(|&page| is_ram(page)));
            for start in [0, 1 << 32] {
                let size = if start == 0 { below } else { above };
                for block in (start..start + size).step_by(LARGE_PAGE as usize) {
                    prop_assert!(set.contains(&block), "{:#x}", block);
                    let last = block + LARGE_PAGE - PAGE_SIZE as u64;
                    prop_assert_eq!(set.contains(&last), is_ram(last), "{:#x}", last);
                }
                if size >= LARGE_PAGE {
                    prop_assert!(set.contains(&(start + size - PAGE_SIZE as u64)));
                }
            }
        }
    }

    fn no_word_in_common(a: &[u8], b: &[u8]) -> Result<(), TestCaseError> {
        for index in 0..PAGE_SIZE / WORD_SIZE {
            prop_assert_ne!(word(a, index), word(b, index));
        }
        Ok(())
    }
}
