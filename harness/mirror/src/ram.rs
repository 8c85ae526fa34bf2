//! The save loop of migration/ram.c, 5.2 and later: which page is sent next, and as what.
//!
//! A migration of one channel, without multifd, compression, xbzrle, RDMA or postcopy.

use crate::address::TARGET_PAGE_SIZE as PAGE;
use crate::foretell::Short;
use crate::v1_0::save::{RAM_SAVE_FLAG_COMPRESS, RAM_SAVE_FLAG_CONTINUE, RAM_SAVE_FLAG_PAGE};
use serde::{Deserialize, Serialize};

/// What a RAM block is, as far as migration asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Plain RAM.
    Plain,
    /// RAM that is no part of the machine's state (no `RAM_MIGRATABLE`).
    NotMigratable,
    /// A file's pages, shared (`RAM_SHARED`, and `RAM_NAMED_FILE` where there is that flag).
    SharedFile,
    /// Anonymous pages, shared (`RAM_SHARED`).
    Shared,
    /// Somebody else's file (`RAM_EXTERNAL`); where the tree does not have the series, plain RAM.
    External,
}

/// The migration's mode (`MigMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `MIG_MODE_NORMAL`.
    #[default]
    Normal,
    /// `MIG_MODE_CPR_REBOOT`.
    CprReboot,
    /// `MIG_MODE_CPR_TRANSFER`.
    CprTransfer,
    /// `MIG_MODE_CPR_EXEC`.
    CprExec,
}

/// What a tree has of what was added to QEMU over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// `RAM_EXTERNAL`: the series.
    pub external: bool,
    /// `RAM_NAMED_FILE`: `x-ignore-shared` is about named files alone.
    pub named_files: bool,
    /// `MIG_MODE_CPR_TRANSFER` leaves all RAM out.
    pub cpr_transfer: bool,
    /// `MIG_MODE_CPR_EXEC` does.
    pub cpr_exec: bool,
    /// The search goes on at the last page that was looked at, and not behind it: before 6.0.
    pub steps_back: bool,
}

impl Tree {
    /// Whether a migration of this mode leaves a block out (`migrate_ram_is_ignored`, before 8.1
    /// `ramblock_is_ignored`).
    pub fn is_ignored(&self, mode: Mode, ignore_shared: bool, kind: Kind) -> bool {
        let by_mode = match mode {
            Mode::CprTransfer => self.cpr_transfer,
            Mode::CprExec => self.cpr_exec,
            Mode::Normal | Mode::CprReboot => false,
        };
        by_mode
            || match kind {
                Kind::Plain => false,
                Kind::NotMigratable => true,
                Kind::SharedFile => ignore_shared,
                Kind::Shared => ignore_shared && !self.named_files,
                Kind::External => self.external,
            }
    }
}

/// A RAM block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name in the stream.
    pub idstr: String,
    /// What it is.
    pub kind: Kind,
    /// Its length in target pages (`used_length`).
    pub pages: u64,
    /// The size of its pages on the host, in target pages (`qemu_ram_pagesize`).
    pub host_page: u64,
    /// Its dirty bitmap (`bmap`): page 0 is bit 0. It has up to 64 pages.
    pub bmap: u64,
}

/// A migration under way (`RAMState`, and the `PageSearchStatus` of its channel).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamState {
    tree: Tree,
    mode: Mode,
    ignore_shared: bool,
    /// The list.
    pub blocks: Vec<Block>,
    /// Where the search ended (`last_seen_block`).
    pub last_seen_block: Option<usize>,
    /// Where in that block, in target pages (`last_page`).
    pub last_page: u64,
    /// The block of the page that was sent last (`last_sent_block`).
    pub last_sent_block: Option<usize>,
    /// `migration_dirty_pages`.
    pub dirty_pages: u64,
    /// Bytes that were sent for pages.
    pub transferred: u64,
    /// Pages that were sent as zero.
    pub zero: u64,
    /// Pages that were sent whole.
    pub normal: u64,
    /// Every page that was sent, in order.
    pub sent: Vec<(usize, u64)>,
}

/// The loop comes back to where it was, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the loop of ram_find_and_save_block() never ends")]
pub struct Endless;

impl RamState {
    /// A migration that has just been set up (`ram_init_bitmaps`): every page that is to be sent is
    /// dirty, and counted.
    pub fn new(tree: Tree, mode: Mode, ignore_shared: bool, blocks: Vec<Block>) -> RamState {
        let mut state = RamState {
            tree,
            mode,
            ignore_shared,
            blocks,
            last_seen_block: None,
            last_page: 0,
            last_sent_block: None,
            dirty_pages: 0,
            transferred: 0,
            zero: 0,
            normal: 0,
            sent: Vec::new(),
        };
        state.dirty_pages = state.ram_bytes_total() / PAGE;
        state
    }

    /// Whether a block is left out.
    pub fn is_ignored(&self, block: usize) -> bool {
        self.tree.is_ignored(self.mode, self.ignore_shared, self.blocks[block].kind)
    }

    /// What a user is told, in bytes (`ram_bytes_total`).
    pub fn ram_bytes_total(&self) -> u64 {
        let counted = (0..self.blocks.len()).filter(|&block| !self.is_ignored(block));
        counted.map(|block| self.blocks[block].pages * PAGE).sum()
    }

    /// What heads the list in the stream, in bytes (`ram_bytes_total_with_ignored`).
    pub fn ram_bytes_total_with_ignored(&self) -> u64 {
        let migratable = self.blocks.iter().filter(|block| block.kind != Kind::NotMigratable);
        migratable.map(|block| block.pages * PAGE).sum()
    }

    /// The guest has written a page, and the bitmaps of what is not left out are synchronized
    /// (`migration_bitmap_sync`).
    pub fn set_dirty(&mut self, block: usize, page: u64) {
        if self.is_ignored(block) {
            return;
        }
        let bmap = &mut self.blocks[block].bmap;
        self.dirty_pages += u64::from(*bmap >> page & 1 == 0);
        *bmap |= 1 << page;
    }

    /// Sends the next dirty page, and what else of its host page is dirty; gives the pages that were
    /// sent, 0 for none (`ram_find_and_save_block`). `page` gives what a page holds, `put` takes what is
    /// written.
    ///
    /// # Errors
    ///
    /// Where the loop would never end.
    pub fn ram_find_and_save_block<'a>(
        &mut self,
        page: impl Fn(usize, u64) -> &'a [u8],
        mut put: impl FnMut(&[u8]),
    ) -> Result<u64, Endless> {
        if self.ram_bytes_total() == 0 {
            return Ok(0);
        }
        if self.last_seen_block.is_none() {
            (self.last_seen_block, self.last_page) = (Some(0), 0);
        }
        let begun = (self.last_seen_block.unwrap_or(0), self.last_page);
        let (mut block, mut at) = begun;
        let mut complete_round = false;
        let mut pages = 0;
        // Every block is come by once, and the one that the search began in once more.
        for _ in 0..self.blocks.len() + 1 {
            at = self.find_next_dirty(block, at);
            if complete_round && block == begun.0 && at >= begun.1 {
                self.last_seen_block = Some(block);
                self.last_page = at;
                return Ok(0);
            }
            if at >= self.blocks[block].pages {
                at = 0;
                block = (block + 1) % self.blocks.len();
                complete_round |= block == 0;
                continue;
            }
            (pages, at) = self.save_host_page(block, at, &page, &mut put);
            break;
        }
        if pages == 0 {
            return Err(Endless);
        }
        self.last_seen_block = Some(block);
        self.last_page = at;
        Ok(pages)
    }

    /// The next dirty page of a block from `at` on, or its length (`pss_find_next_dirty`, before 8.0
    /// `migration_bitmap_find_dirty`).
    fn find_next_dirty(&self, block: usize, at: u64) -> u64 {
        let Block { pages, bmap, .. } = self.blocks[block];
        match self.is_ignored(block) {
            true => pages,
            false => (at..pages).find(|page| bmap >> page & 1 == 1).unwrap_or(pages),
        }
    }

    /// Sends what is dirty of a host page, from target page `at` on; gives how many target pages, and
    /// where the search goes on (`ram_save_host_page`).
    fn save_host_page<'a>(
        &mut self,
        block: usize,
        at: u64,
        page: impl Fn(usize, u64) -> &'a [u8],
        put: &mut impl FnMut(&[u8]),
    ) -> (u64, u64) {
        let end = (at / self.blocks[block].host_page + 1) * self.blocks[block].host_page;
        let (mut at, mut pages) = (at, 0);
        loop {
            // Each is dirty: the search has found it.
            self.blocks[block].bmap &= !(1 << at);
            self.dirty_pages = self.dirty_pages.wrapping_sub(1);
            self.save_target_page(block, at, page(block, at * PAGE), put);
            pages += 1;
            at = self.find_next_dirty(block, at).min(end);
            if at >= end || at >= self.blocks[block].pages {
                let last = end.min(self.blocks[block].pages) - 1;
                return (pages, if self.tree.steps_back { last } else { at });
            }
        }
    }

    /// `ram_save_target_page`, `save_zero_page`, `ram_save_page` and `save_page_header`.
    fn save_target_page(
        &mut self,
        block: usize,
        at: u64,
        content: &[u8],
        put: &mut impl FnMut(&[u8]),
    ) {
        let same = self.last_sent_block == Some(block);
        let cont = if same { RAM_SAVE_FLAG_CONTINUE } else { 0 };
        let zero = Short::Zero.byte(content).is_some();
        let kind = if zero { RAM_SAVE_FLAG_COMPRESS } else { RAM_SAVE_FLAG_PAGE };
        put(&((at * PAGE) | cont | kind).to_be_bytes());
        self.transferred += 8;
        if !same {
            let idstr = self.blocks[block].idstr.as_bytes();
            put(&[idstr.len() as u8]);
            put(idstr);
            self.transferred += 1 + idstr.len() as u64;
            self.last_sent_block = Some(block);
        }
        if zero {
            put(&[0]);
            (self.transferred, self.zero) = (self.transferred + 1, self.zero + 1);
        } else {
            put(content);
            (self.transferred, self.normal) = (self.transferred + PAGE, self.normal + 1);
        }
        self.sent.push((block, at));
    }
}
