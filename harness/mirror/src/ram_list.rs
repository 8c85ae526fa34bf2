//! Which RAM blocks a migration stream lists, and which pages its sweeps must carry.
//!
//! Mirrors migration/ram.c: `ram_save_setup` (the list), `migrate_ram_is_ignored` (what the
//! sweeps leave out), `ram_bytes_total` and `ram_bytes_total_with_ignored` (the totals).

use crate::address::TARGET_PAGE_SIZE;

/// Who carries a RAM block's content from source to destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The migration stream, page by page.
    Stream,
    /// A file that both sides map; the stream only lists the block.
    File,
}

/// A migratable RAM block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamBlock {
    /// Its name in the stream.
    pub idstr: String,
    /// Its length in bytes.
    pub used_length: u64,
    /// Who carries its content.
    pub carrier: Carrier,
}

impl RamBlock {
    /// Whether the sweeps leave the block out (`migrate_ram_is_ignored`).
    pub fn is_ignored(&self) -> bool {
        self.carrier == Carrier::File
    }

    /// Target pages in the block.
    pub fn pages(&self) -> u64 {
        self.used_length.div_ceil(TARGET_PAGE_SIZE)
    }

    /// How many distinct pages of the block a complete stream holds: the first sweep starts with
    /// every bit of the dirty bitmap set (`ram_list_init_bitmaps`).
    pub fn pages_in_stream(&self) -> u64 {
        if self.is_ignored() { 0 } else { self.pages() }
    }
}

/// The total that heads the block list in bytes (`ram_bytes_total_with_ignored`).
pub fn bytes_total_with_ignored(blocks: &[RamBlock]) -> u64 {
    blocks.iter().map(|block| block.used_length).sum()
}

/// The total that a user sees in `query-migrate` in bytes (`ram_bytes_total`).
pub fn bytes_total(blocks: &[RamBlock]) -> u64 {
    blocks.iter().filter(|block| !block.is_ignored()).map(|block| block.used_length).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_in_a_file_counts_in_the_list_but_not_for_the_user() {
        let blocks = [
            RamBlock { idstr: "pc.ram".into(), used_length: 1 << 20, carrier: Carrier::File },
            RamBlock { idstr: "pc.bios".into(), used_length: 0x1234, carrier: Carrier::Stream },
        ];
        assert_eq!(bytes_total_with_ignored(&blocks), (1 << 20) + 0x1234);
        assert_eq!(bytes_total(&blocks), 0x1234);
        assert_eq!(blocks[0].pages_in_stream(), 0);
        assert_eq!(blocks[0].pages(), 256);
        assert_eq!(blocks[1].pages_in_stream(), 2);
    }
}
