//! The block logic of QEMU 1.0: exec.c's list of blocks, arch_init.c's save loop and load path.
//!
//! What C leaves undefined is an error here ([`Undefined`]), or, where an address is off its block but
//! still has memory under it, is done as the C does it and kept as a [`Stray`].

pub mod bounded;
pub mod load;
pub mod property;
pub mod ram_list;
pub mod save;

pub use property::Property;
pub use ram_list::{GivenBack, Host, RamBlock, RamList};
pub use save::{Ram, Save};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Size of a target page in bytes (`TARGET_PAGE_SIZE`).
pub const PAGE: u64 = crate::address::TARGET_PAGE_SIZE;
/// The dirty bit of migration in a byte of `phys_dirty` (`MIGRATION_DIRTY_FLAG`).
pub const MIGRATION_DIRTY_FLAG: u8 = 0x08;

/// Which arch_init.c and exec.c are mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// QEMU as released: every block is saved.
    Stock,
    /// With the patch as it was posted in 2011: blocks may have `do_not_save`.
    Posted,
    /// With the series of `patches/1.0`: blocks may have `RAM_EXTERNAL_MASK`.
    Carried,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Variant; 3] = [Variant::Stock, Variant::Posted, Variant::Carried];

    /// Whether a block can be left out of the stream.
    pub fn leaves_out(self) -> bool {
        self != Variant::Stock
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Variant::Stock => "stock",
            Variant::Posted => "posted",
            Variant::Carried => "carried",
        })
    }
}

/// Where the C does what C does not define, or what ends QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// `last_block` is followed while it is NULL.
    #[error("`last_block` is followed while it is NULL")]
    NullBlock,
    /// `last_block` is a block that was freed.
    #[error("`last_block` is followed after its block was freed")]
    Freed,
    /// The loop comes back to where it was, and nothing has changed.
    #[error("the loop of ram_save_block() never ends")]
    Endless,
    /// `abort()`, since an address is in no block.
    #[error("QEMU aborts: bad ram offset {0:#x}")]
    BadRamOffset(u64),
    /// A page is read to NULL, since no block of its name is there.
    #[error("a page of no block is read to NULL")]
    NullPage,
    /// A page is read to where no memory of the guest is.
    #[error("a page is read to {0:#x} in its block, far behind its end")]
    Wild(u64),
    /// What was not read is used: the stream ended in the middle of a name.
    #[error("a name is used that was not read to its end")]
    Unread,
    /// `abort()`, since no gap is large enough.
    #[error("QEMU aborts: no gap of {0} bytes")]
    NoGap(u64),
    /// `abort()`, since a block has that name already.
    #[error("QEMU aborts: a block of that name is registered already")]
    Registered,
}

/// A page that is read or written where its block has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The offset in bytes from the beginning of the block.
    pub offset: u64,
    /// The block's length in bytes.
    pub length: u64,
    /// Whether the page was sent or loaded, and not only its dirty bit looked at.
    pub used: bool,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.used { "used" } else { "asked for" };
        write!(f, "the page at {:#x} of a block of {:#x} bytes is {what}", self.offset, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_and_strays_are_told() {
        assert_eq!(Variant::ALL.map(|it| it.to_string()), ["stock", "posted", "carried"]);
        assert_eq!(Variant::ALL.map(Variant::leaves_out), [false, true, true]);
        let stray = |used| Stray { offset: 0x2000, length: 0x1000, used }.to_string();
        assert_eq!(stray(true), "the page at 0x2000 of a block of 0x1000 bytes is used");
        assert_eq!(stray(false), "the page at 0x2000 of a block of 0x1000 bytes is asked for");
    }

    #[test]
    fn each_call_of_the_loop_is_counted() {
        let mut ram = Ram::new(Variant::Carried);
        ram.list.alloc("a", 2 * PAGE, Host::Allocated).unwrap();
        while ram.ram_save_block(&mut bounded::Nowhere) != Ok(0) {}
        assert_eq!(ram.loops, 3);
    }

    #[test]
    fn only_a_stage_below_zero_gives_up() {
        for (stage, loops) in [(-1, 0), (0, 3)] {
            let mut ram = Ram::new(Variant::Carried);
            ram.list.alloc("a", 2 * PAGE, Host::Allocated).unwrap();
            assert_eq!(ram.ram_save_live(&mut bounded::Nowhere, stage), Ok(0));
            assert_eq!(ram.loops, loops, "stage {stage}");
        }
    }
}
