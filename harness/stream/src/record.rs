//! What a stream is made of: the records that the reader yields.

use std::fmt;

use crate::{Configuration, DeviceState, PageSet};

/// Bytes from the start of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamOffset(pub u64);

/// Bytes from the start of a RAM block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockOffset(pub u64);

/// The place of a RAM block in the stream's block list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockIndex(pub usize);

impl fmt::Display for BlockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// One record and where it begins. It borrows the reader's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The offset of its first byte.
    pub offset: StreamOffset,
    /// What it is.
    pub kind: RecordKind<'a>,
}

/// The kinds of record, in the order in which a stream may have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordKind<'a> {
    /// Magic and version of the file (`qemu_savevm_state_header`).
    FileHeader {
        /// Always 3.
        version: u32,
    },
    /// Machine and capabilities of the source (`vmstate_configuration`, since 2.4).
    Configuration(&'a Configuration),
    /// A command to the destination (`qemu_savevm_command_send`, since 2.5).
    Command {
        /// `enum qemu_vm_cmd`.
        command: u16,
        /// Its data.
        data: &'a [u8],
    },
    /// `QEMU_VM_SECTION_START`: a section that is saved in several parts begins.
    SectionStart(SectionHeader),
    /// `QEMU_VM_SECTION_PART` of the section with this id.
    SectionPart(u32),
    /// `QEMU_VM_SECTION_END` of the section with this id.
    SectionEnd(u32),
    /// The RAM block list (`RAM_SAVE_FLAG_MEM_SIZE`).
    RamBlocks(&'a RamBlockList),
    /// One page of guest RAM.
    Page {
        /// Its block.
        block: BlockIndex,
        /// Its offset in the block.
        offset: BlockOffset,
        /// What the stream has of it.
        content: PageContent<'a>,
    },
    /// `RAM_SAVE_FLAG_MULTIFD_FLUSH` (since 8.1): there are pages on other channels.
    MultifdFlush,
    /// The end of a section's start, part or end.
    EndOfSection,
    /// `QEMU_VM_SECTION_FOOTER` of the section with this id (since 2.4).
    Footer(u32),
    /// The rest of the stream: the sections of the devices, and the VM description.
    DeviceState(DeviceState),
}

/// The header of a section that is saved in several parts (`save_section_header`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionHeader {
    /// The number that its parts are told by.
    pub id: u32,
    /// Its name.
    pub idstr: String,
    /// Its instance.
    pub instance: u32,
    /// The version of its format.
    pub version: u32,
}

/// The RAM block list, as `ram_save_setup` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamBlockList {
    /// The target's page size, in bytes: of the page records, not of the list.
    pub page_size: u64,
    /// The sum of all used lengths, in bytes.
    pub total: u64,
    /// The blocks, in the order of the stream.
    pub blocks: Vec<RamBlock>,
}

/// A RAM block of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamBlock {
    /// Its name.
    pub idstr: String,
    /// Its length, in bytes.
    pub used_length: u64,
    /// Its page size on the source's host, where postcopy may follow and it is not the common one.
    pub page_size: Option<u64>,
    /// Its guest-physical address, with the capability x-ignore-shared.
    pub guest_address: Option<u64>,
    /// Where its pages are in the file, with the capability mapped-ram.
    pub mapped: Option<MappedRam>,
}

/// A block's pages in a mapped-ram file (`MappedRamHeader`). Offsets are those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedRam {
    /// Bytes per bit of the bitmap.
    pub page_size: u64,
    /// Where its bitmap lies; 0 where the block is left out, with neither bitmap nor pages.
    pub bitmap_offset: u64,
    /// Where the block's page 0 lies; 0 where the block is left out.
    pub pages_offset: u64,
    /// The bitmap itself: the pages that are in the file, and so not all zeros.
    pub present: PageSet,
    /// The pages that are not all zeros in the file though the bitmap does not have them. A page
    /// may have become zero after it was written; in a block that is left out there is none.
    pub stray: PageSet,
}

/// What a page record has of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageContent<'a> {
    /// `RAM_SAVE_FLAG_ZERO`, once `COMPRESS`: every byte is this one.
    Fill(u8),
    /// `RAM_SAVE_FLAG_PAGE`: all its bytes.
    Full(&'a [u8]),
    /// `RAM_SAVE_FLAG_XBZRLE`: what changed since the page was last sent, encoded.
    Xbzrle(&'a [u8]),
    /// `RAM_SAVE_FLAG_COMPRESS_PAGE` (2.4 to 9.0): zlib's output.
    Zlib(&'a [u8]),
}
