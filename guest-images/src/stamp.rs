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

    fn no_word_in_common(a: &[u8], b: &[u8]) -> Result<(), TestCaseError> {
        for index in 0..PAGE_SIZE / WORD_SIZE {
            prop_assert_ne!(word(a, index), word(b, index));
        }
        Ok(())
    }
}
