//! Where guest-physical memory lies in the block `pc.ram`, and so in a file that backs it.

use std::fmt;

/// The bits of an address within a target page of x86 (`TARGET_PAGE_BITS`).
pub const TARGET_PAGE_BITS: u32 = 12;
/// Size of a target page of x86 in bytes (`TARGET_PAGE_SIZE`).
pub const TARGET_PAGE_SIZE: u64 = 1 << TARGET_PAGE_BITS;

const GIB: u64 = 1 << 30;
const FOUR_GIB: u64 = 4 * GIB;

/// A guest-physical address in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPhysical(pub u64);

/// An offset in bytes into a RAM block; for the block `pc.ram`, also into its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockOffset(pub u64);

impl fmt::Display for GuestPhysical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for BlockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// How a machine type splits its RAM around the hole below 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// `pc` (i440fx) of today; hw/i386/pc_piix.c, `pc_init1`.
    I440fx,
    /// `q35` of today; hw/i386/pc_q35.c, `pc_q35_init`.
    Q35,
    /// `isapc`, and `pc` up to version 1.7: as much as fits below 0xe0000000.
    Old,
}

/// The RAM of one machine: how many bytes lie below the hole, how many from 4 GiB up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamLayout {
    /// Bytes from address 0 up (`below_4g_mem_size`).
    pub below_4g: u64,
    /// Bytes from 4 GiB up (`above_4g_mem_size`).
    pub above_4g: u64,
}

impl Board {
    /// The board of a machine type, by its name; `None` for one that is not mirrored.
    pub fn of_machine(machine: &str) -> Option<Board> {
        match machine {
            "pc" => Some(Board::I440fx),
            "q35" => Some(Board::Q35),
            "isapc" => Some(Board::Old),
            _ => match machine.strip_prefix("pc-")?.split_once('-') {
                Some(("i440fx", version)) if version.starts_with("1.") => Some(Board::Old),
                Some(("i440fx", _)) => Some(Board::I440fx),
                Some(("q35", _)) => Some(Board::Q35),
                // Before there was another chipset: pc-0.10 to pc-1.3.
                None => Some(Board::Old),
                _ => None,
            },
        }
    }

    /// Splits `ram_size` bytes as the board does, with `max-ram-below-4g` left at its default.
    pub fn layout(self, ram_size: u64) -> RamLayout {
        let (hole_from, below) = match self {
            Board::I440fx => (0xe000_0000, 0xc000_0000),
            Board::Q35 => (0xb000_0000, 0x8000_0000),
            Board::Old => (0xe000_0000, 0xe000_0000),
        };
        let below_4g = if ram_size >= hole_from { below } else { ram_size };
        RamLayout { below_4g, above_4g: ram_size - below_4g }
    }
}

impl RamLayout {
    /// The offset in `pc.ram` of a guest-physical address; `None` outside RAM.
    pub fn offset_of(&self, address: GuestPhysical) -> Option<BlockOffset> {
        match address.0 {
            low if low < self.below_4g => Some(BlockOffset(low)),
            high if high >= FOUR_GIB && high - FOUR_GIB < self.above_4g => {
                Some(BlockOffset(high - FOUR_GIB + self.below_4g))
            }
            _ => None,
        }
    }

    /// The guest-physical address of an offset in `pc.ram`; `None` past its end.
    pub fn address_of(&self, offset: BlockOffset) -> Option<GuestPhysical> {
        match offset.0 {
            low if low < self.below_4g => Some(GuestPhysical(low)),
            high if high - self.below_4g < self.above_4g => {
                Some(GuestPhysical(high - self.below_4g + FOUR_GIB))
            }
            _ => None,
        }
    }

    /// The guest-physical address of every page of RAM, in the order of the block.
    pub fn pages(&self) -> impl Iterator<Item = GuestPhysical> + use<> {
        let low = (0..self.below_4g).step_by(TARGET_PAGE_SIZE as usize);
        let high = (FOUR_GIB..FOUR_GIB + self.above_4g).step_by(TARGET_PAGE_SIZE as usize);
        low.chain(high).map(GuestPhysical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i440fx_splits_from_three_and_a_half_gib_on() {
        let small = Board::I440fx.layout(0xe000_0000 - TARGET_PAGE_SIZE);
        assert_eq!(small.above_4g, 0);
        let large = Board::I440fx.layout(0xe000_0000);
        assert_eq!((large.below_4g, large.above_4g), (0xc000_0000, 0x2000_0000));
    }

    #[test]
    fn q35_and_old_boards_split_elsewhere() {
        assert_eq!(Board::Q35.layout(0xb000_0000).below_4g, 0x8000_0000);
        assert_eq!(Board::Q35.layout(0xb000_0000 - 4096).above_4g, 0);
        assert_eq!(Board::Old.layout(FOUR_GIB).below_4g, 0xe000_0000);
    }

    #[test]
    fn a_versioned_machine_type_is_split_as_in_its_time() {
        for (machine, board) in [
            ("pc", Some(Board::I440fx)),
            ("q35", Some(Board::Q35)),
            ("isapc", Some(Board::Old)),
            ("pc-i440fx-10.0", Some(Board::I440fx)),
            ("pc-i440fx-2.0", Some(Board::I440fx)),
            ("pc-i440fx-1.7", Some(Board::Old)),
            ("pc-1.0", Some(Board::Old)),
            ("pc-0.14", Some(Board::Old)),
            ("pc-q35-5.2", Some(Board::Q35)),
            ("microvm", None),
        ] {
            assert_eq!(Board::of_machine(machine), board, "{machine}");
        }
    }

    #[test]
    fn offsets_and_addresses_are_each_others_inverse_and_miss_the_hole() {
        let layout = Board::I440fx.layout(5 * GIB);
        for offset in [0, 4096, layout.below_4g - 1, layout.below_4g, 5 * GIB - 1] {
            let address = layout.address_of(BlockOffset(offset)).unwrap();
            assert_eq!(layout.offset_of(address), Some(BlockOffset(offset)));
        }
        assert_eq!(layout.offset_of(GuestPhysical(layout.below_4g)), None);
        assert_eq!(layout.offset_of(GuestPhysical(FOUR_GIB - 1)), None);
        assert_eq!(layout.offset_of(GuestPhysical(FOUR_GIB + layout.above_4g)), None);
        assert_eq!(layout.address_of(BlockOffset(5 * GIB)), None);
        let (address, offset) = (GuestPhysical(FOUR_GIB), BlockOffset(4096));
        assert_eq!(format!("{address} {offset}"), "0x100000000 0x1000");
    }

    #[test]
    fn pages_cover_the_block_once_in_its_order() {
        let layout = RamLayout { below_4g: 3 * 4096, above_4g: 2 * 4096 };
        let offsets: Vec<_> =
            layout.pages().map(|page| layout.offset_of(page).unwrap().0).collect();
        assert_eq!(offsets, [0, 4096, 8192, 12288, 16384]);
    }
}
