//! What migration does with RAM blocks around the save loop, 5.2 and later: what it lists, asks,
//! refuses and loads.
//!
//! Mirrors migration/ram.c, migration/savevm.c, migration/options.c (before 8.0, migration/migration.c),
//! migration/multifd*.c, migration/dirtyrate.c and, of physmem.c, `info ramblock`. What QEMU reports is kept as text ([`Guest::said`]);
//! in brackets beside it stands what is asked of the rest of QEMU: of RDMA, of multifd, of a memory
//! region.

pub mod bits;
pub mod capabilities;
pub mod configuration;
pub mod dirtyrate;
pub mod external;
pub mod file;
pub mod hint;
pub mod info;
pub mod load;
pub mod mapped_ram;
pub mod multifd;
pub mod queue;
pub mod snapshot;
#[cfg(test)]
mod tests;

use crate::address::TARGET_PAGE_SIZE as PAGE;
use crate::ram::{self, Kind, Mode};
use bits::Bits;
use capabilities::Checks;
use configuration::{MACHINE, SaveState};
use serde::{Deserialize, Serialize};

/// `-ENOENT`.
pub const ENOENT: i32 = -2;
/// `-EIO`.
pub const EIO: i32 = -5;
/// `-EFAULT`.
pub const EFAULT: i32 = -14;
/// `-EINVAL`.
pub const EINVAL: i32 = -22;
/// `-ENOTSUP`.
pub const ENOTSUP: i32 = -95;

/// Blocks of fewer bytes are not sampled (`MIN_RAMBLOCK_SIZE`).
const MIN_RAMBLOCK_SIZE: u64 = 128 << 10;

/// What the packets of multifd have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packets {
    /// Pages that are sent: those of 5.2, which may be longer than expected.
    #[default]
    Used,
    /// Pages that are sent: `normal_pages`.
    Normal,
    /// Zero pages, too: `zero_pages`.
    Zero,
}

/// What a tree has of what was added to QEMU over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// What it ignores, and whether it has the series.
    pub ram: ram::Tree,
    /// `mapped-ram`.
    pub mapped_ram: bool,
    /// Pages that a mapped-ram file does not have are zeroed (`handle_zero_mapped_ram`).
    pub zeroes: bool,
    /// `parse_ramblock` is a function of its own, which returns at the first error, and the load path
    /// is what it is with it.
    pub by_block: bool,
    /// The size of huge pages is read only where postcopy is enabled here, too.
    pub asks_postcopy: bool,
    /// A block that was refused stays the one that `RAM_SAVE_FLAG_CONTINUE` is about.
    pub keeps_refused: bool,
    /// `qemu_loadvm_state_header` hands its error on, instead of reporting it.
    pub header_error: bool,
    /// `qemu_loadvm_state_header` cleans up itself.
    pub cleans_up: bool,
    /// `qemu_savevm_state_header` describes the section in JSON, too.
    pub describes: bool,
    /// `qemu_savevm_state_header` reports an error of the section.
    pub save_error: bool,
    /// `configuration_post_save` frees what was listed.
    pub post_save: bool,
    /// `configuration_post_load` frees what was loaded.
    pub frees_loaded: bool,
    /// `info ramblock` tells where a block is on the host, and whether the guest only reads it.
    pub tells_host: bool,
    /// `save_snapshot` returns an errno, and takes a name for granted: 5.2.
    pub old_snapshot: bool,
    /// `save_snapshot` asks whether the capabilities go with it.
    pub asks_capabilities: bool,
    /// `save_snapshot` may fail at `global_state_store`, and starts the guest again itself.
    pub stores_global_state: bool,
    /// A hint is told to the memory region, too.
    pub clears_region: bool,
    /// There is the capability `background-snapshot`.
    pub background_snapshot: bool,
    /// What `migrate_caps_check` looks at.
    pub checks: Checks,
    /// `multifd_queue_page` hands pages on to `multifd_send_pages` of its own file: before 9.0.
    pub queues: bool,
    /// What a packet has.
    pub packets: Packets,
}

/// How a migration was set up, on the side that is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its mode.
    pub mode: Mode,
    /// The capability `x-ignore-shared`.
    pub ignore_shared: bool,
    /// The capability `mapped-ram`.
    pub mapped_ram: bool,
    /// The capability `multifd`.
    pub multifd: bool,
    /// Channels are flushed after each section (`migrate_multifd_flush_after_each_section`).
    pub flush_each_section: bool,
    /// The capability `postcopy-ram`.
    pub postcopy_ram: bool,
    /// The other side has it (`postcopy_is_advised`).
    pub postcopy_advised: bool,
    /// Whether the stream has a configuration section (`send_configuration`).
    pub send_configuration: bool,
    /// The stream ends with a description of itself (`vmdesc`).
    pub vmdesc: bool,
    /// A snapshot is loaded into a guest that has run (`RUN_STATE_RESTORE_VM`).
    pub restore_vm: bool,
    /// A migration is under way.
    pub running: bool,
    /// What is asked of RDMA, of xbzrle and of the channels of multifd fails.
    pub others_fail: bool,
    /// The thread that sends a batch of pages is done with it before anybody looks again.
    pub fast_thread: bool,
}

/// A RAM block (`RAMBlock`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name in the stream.
    pub idstr: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// `RAM_RESIZEABLE`.
    pub resizeable: bool,
    /// Its length in bytes.
    pub used_length: u64,
    /// The bytes of its memory.
    pub max_length: u64,
    /// The size of its pages on the host, in bytes.
    pub page_size: u64,
    /// Where it lies for the guest (`mr->addr`).
    pub addr: u64,
    /// Where its memory begins in that of the guest.
    pub host: u64,
    /// The bitmap of dirty pages, where it has one.
    pub bmap: Option<Bits>,
    /// The bitmap of pages that are in the file, where it has one.
    pub file_bmap: Option<Bits>,
    /// The bitmap of pages that were received, where it has one.
    pub receivedmap: Option<Bits>,
    /// Where in the file the bitmap is.
    pub bitmap_offset: u64,
    /// Where in the file the pages are.
    pub pages_offset: u64,
}

/// What C does not define, or what ends QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// `ram_block_from_stream` and `parse_ramblocks` use it all the same.
    #[error("the stream ends within a block's name")]
    Unread,
    /// Both dirty and received pages are set in a bitmap that may not be there.
    #[error("the block has no such bitmap")]
    NoBitmap,
    /// `parse_ramblock_mapped_ram` divides by it.
    #[error("the page size is 0")]
    NoPageSize,
    /// The pages of a mapped-ram file end where `parse_ramblocks` has been.
    #[error("the stream goes back for ever")]
    Endless,
    /// `parse_ramblock_mapped_ram` allocates it all the same.
    #[error("there is no memory for the bitmap")]
    NoMemory,
    /// `read_ramblock_mapped_ram` and `handle_zero_mapped_ram` look at the beginning alone.
    #[error("pages lie outside of the block's memory")]
    Outside,
    /// `read_ramblock_mapped_ram` adds to it where a channel of multifd has quit.
    #[error("there is no error to add to")]
    NoError,
    /// `multifd_recv_unfill_packet` of 5.2 reads on.
    #[error("the packet ends before its pages do")]
    Packet,
    /// `multifd_queue_page` does not look.
    #[error("the queue is full")]
    Full,
}

/// A guest's RAM, and what migration knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What the tree has.
    pub tree: Tree,
    /// How the migration was set up.
    pub settings: Settings,
    /// The machine type.
    pub machine: String,
    /// The list.
    pub blocks: Vec<Block>,
    /// What was reported, and what was asked of others.
    pub said: Vec<Vec<u8>>,
    /// Blocks of which a page or a bitmap went by: out, or in.
    pub carried: Vec<usize>,
    /// `migration_dirty_pages`.
    pub dirty_pages: u64,
    /// Bytes that were counted as sent.
    pub transferred: u64,
    /// The block that `RAM_SAVE_FLAG_CONTINUE` is about (`last_recv_block`).
    pub last_recv_block: Option<usize>,
    /// The configuration section, as it was last written or read.
    pub savevm_state: SaveState,
    /// The channel of multifd that receives.
    pub receiver: multifd::Receiver,
    /// The pages that multifd is about to send.
    pub queue: queue::Queue,
}

impl Guest {
    /// A guest with these blocks, and a migration that has been set up on both sides
    /// (`ram_list_init_bitmaps`, `ramblock_recv_map_init`): what is not ignored has its bitmaps.
    pub fn new(tree: Tree, settings: Settings, blocks: Vec<Block>) -> Guest {
        let mut guest = Guest {
            tree,
            settings,
            machine: MACHINE.to_owned(),
            blocks,
            said: Vec::new(),
            carried: Vec::new(),
            dirty_pages: 0,
            transferred: 0,
            last_recv_block: None,
            savevm_state: SaveState::default(),
            receiver: multifd::Receiver::new(tree.packets),
            queue: queue::Queue::default(),
        };
        for at in 0..guest.blocks.len() {
            if guest.is_ignored(at) {
                continue;
            }
            let pages = guest.blocks[at].max_length / PAGE;
            let block = &mut guest.blocks[at];
            block.bmap = Some(Bits::new(pages, true));
            block.file_bmap = Some(Bits::new(pages, false));
            block.receivedmap = Some(Bits::new(pages, false));
            guest.dirty_pages += block.used_length / PAGE;
        }
        guest
    }

    /// Whether a block is left out (`migrate_ram_is_ignored`).
    pub fn is_ignored(&self, block: usize) -> bool {
        let Settings { mode, ignore_shared, .. } = self.settings;
        self.tree.ram.is_ignored(mode, ignore_shared, self.blocks[block].kind)
    }

    /// Whether a block is part of the machine's state (`qemu_ram_is_migratable`).
    pub fn is_migratable(&self, block: usize) -> bool {
        self.blocks[block].kind != Kind::NotMigratable
    }

    /// Whether a block is somebody else's file (`qemu_ram_is_external`).
    pub fn is_external(&self, block: usize) -> bool {
        self.tree.ram.external && self.blocks[block].kind == Kind::External
    }

    /// The first of the blocks of that name (`qemu_ram_block_by_name`).
    pub fn by_name(&self, idstr: &[u8]) -> Option<usize> {
        self.blocks.iter().position(|block| block.idstr == idstr)
    }

    /// The first external block (`ram_external_block_name`).
    pub fn ram_external_block(&self) -> Option<usize> {
        (0..self.blocks.len()).find(|&block| self.is_external(block))
    }

    /// Hands over each block that is not ignored, until it is told to stop with what is not 0; gives
    /// that (`foreach_not_ignored_block`).
    pub fn foreach_not_ignored_block(&self, mut func: impl FnMut(usize) -> i32) -> i32 {
        let blocks = (0..self.blocks.len()).filter(|&block| !self.is_ignored(block));
        blocks.map(&mut func).find(|&ret| ret != 0).unwrap_or(0)
    }

    /// Keeps a line.
    fn say(&mut self, line: impl AsRef<[u8]>) {
        self.said.push(line.as_ref().to_vec());
    }

    /// Keeps a line that names a block.
    fn say_of(&mut self, before: &str, name: &[u8], after: impl AsRef<[u8]>) {
        self.say([before.as_bytes(), name, after.as_ref()].concat());
    }

    /// Keeps a line that names a block of the list.
    fn say_of_block(&mut self, before: &str, block: usize, after: impl AsRef<[u8]>) {
        self.say([before.as_bytes(), &self.blocks[block].idstr, after.as_ref()].concat());
    }
}
