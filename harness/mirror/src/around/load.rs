//! The load path of migration/ram.c: `ram_load_precopy`, the list of blocks, and where a page goes.

use super::file::Input;
use super::{EINVAL, Guest, PAGE, Undefined};
use crate::v1_0::save::{
    RAM_SAVE_FLAG_COMPRESS as RAM_SAVE_FLAG_ZERO, RAM_SAVE_FLAG_CONTINUE, RAM_SAVE_FLAG_EOS,
    RAM_SAVE_FLAG_MEM_SIZE, RAM_SAVE_FLAG_PAGE,
};

/// A page as a difference.
pub const RAM_SAVE_FLAG_XBZRLE: u64 = 0x40;
/// What RDMA is asked.
pub const RAM_SAVE_FLAG_HOOK: u64 = 0x80;
/// A page that is compressed.
pub const RAM_SAVE_FLAG_COMPRESS_PAGE: u64 = 0x100;
/// The channels of multifd are waited for.
pub const RAM_SAVE_FLAG_MULTIFD_FLUSH: u64 = 0x200;

/// What comes of a stream: 0 or a negative errno.
type Came = Result<i32, Undefined>;

impl Guest {
    /// Loads one section (`ram_load_precopy`); `memory` is the guest's.
    ///
    /// # Errors
    ///
    /// Where the C does what is not defined.
    pub fn ram_load_precopy(&mut self, f: &mut Input, memory: &mut [u8]) -> Came {
        loop {
            let header = f.be64();
            if self.tree.by_block && f.error != 0 {
                self.say("Getting RAM address failed");
                return Ok(f.error);
            }
            let (addr, flags) = (header & !(PAGE - 1), header & (PAGE - 1));
            if let Some(text) = self.invalid(flags) {
                self.say(text);
                return Ok(EINVAL);
            }
            let mut host = 0;
            if flags & (RAM_SAVE_FLAG_ZERO | RAM_SAVE_FLAG_PAGE | RAM_SAVE_FLAG_XBZRLE) != 0 {
                let block = self.ram_block_from_stream(f, flags)?;
                let inside = |&block: &usize| addr < self.blocks[block].used_length;
                let Some(block) = block.filter(inside) else {
                    self.say(format!("Illegal RAM offset {addr:x}"));
                    return Ok(EINVAL);
                };
                let it = &mut self.blocks[block];
                it.receivedmap.as_mut().ok_or(Undefined::NoBitmap)?.set(addr / PAGE);
                host = (it.host + addr) as usize;
                self.carried.push(block);
            }
            let page = host..host + PAGE as usize;
            let mut ret = match flags & !RAM_SAVE_FLAG_CONTINUE {
                RAM_SAVE_FLAG_MEM_SIZE => self.parse_ramblocks(f, memory, addr)?,
                RAM_SAVE_FLAG_ZERO => self.zero_page(f.byte(), &mut memory[page]),
                RAM_SAVE_FLAG_PAGE => {
                    let got = f.get_buffer(PAGE);
                    memory[host..host + got.len()].copy_from_slice(got);
                    0
                }
                RAM_SAVE_FLAG_XBZRLE => self.load_xbzrle(addr),
                RAM_SAVE_FLAG_EOS => {
                    if !self.tree.by_block || self.flushes_at_the_end() {
                        self.say("(multifd sync)");
                    }
                    0
                }
                RAM_SAVE_FLAG_MULTIFD_FLUSH if self.tree.by_block => {
                    self.say("(multifd sync)");
                    0
                }
                RAM_SAVE_FLAG_HOOK => self.rdma("", f),
                _ if !self.tree.by_block && flags & RAM_SAVE_FLAG_HOOK != 0 => self.rdma("", f),
                _ => {
                    self.say(format!("Unknown combination of migration flags: 0x{flags:x}"));
                    EINVAL
                }
            };
            if ret == 0 {
                ret = f.error;
            }
            if ret != 0 || flags & RAM_SAVE_FLAG_EOS != 0 {
                return Ok(ret);
            }
        }
    }

    /// Why these flags are none.
    fn invalid(&self, flags: u64) -> Option<String> {
        let pages = RAM_SAVE_FLAG_PAGE | RAM_SAVE_FLAG_XBZRLE | RAM_SAVE_FLAG_ZERO;
        let invalid = match (self.tree.by_block, self.settings.mapped_ram) {
            (false, _) => flags & RAM_SAVE_FLAG_COMPRESS_PAGE,
            (true, true) => flags & (RAM_SAVE_FLAG_HOOK | RAM_SAVE_FLAG_MULTIFD_FLUSH | pages),
            (true, false) => 0,
        };
        match (invalid, self.tree.by_block) {
            (0, _) => None,
            (_, true) => Some(format!("Unexpected RAM flags: {invalid}")),
            (_, false) => Some("Received an unexpected compressed page".to_owned()),
        }
    }

    fn flushes_at_the_end(&self) -> bool {
        self.settings.multifd && self.settings.flush_each_section && !self.settings.mapped_ram
    }

    /// `ram_handle_zero`; before 9.0 `ram_handle_compressed`, of any byte.
    fn zero_page(&mut self, byte: u8, page: &mut [u8]) -> i32 {
        if self.tree.by_block && byte != 0 {
            self.say(format!("Found a zero page with value {byte}"));
            return EINVAL;
        }
        page.fill(byte);
        0
    }

    /// `load_xbzrle` is not mirrored: it does nothing, or fails.
    fn load_xbzrle(&mut self, addr: u64) -> i32 {
        self.say("(xbzrle)");
        if !self.settings.others_fail {
            return 0;
        }
        self.say(format!("Failed to decompress XBZRLE page at {addr:x}"));
        EINVAL
    }

    /// `rdma_block_notification_handle` and `rdma_registration_handle`, before 9.0
    /// `ram_control_load_hook`: what it is asked, and that it fails where it shall.
    fn rdma(&mut self, block: impl AsRef<[u8]>, f: &mut Input) -> i32 {
        self.say_of("(rdma ", block.as_ref(), ")");
        match self.settings.others_fail {
            true => {
                f.set_error(EINVAL);
                EINVAL
            }
            false => 0,
        }
    }

    /// The block of a page; `None` where it is refused (`ram_block_from_stream`).
    fn ram_block_from_stream(
        &mut self,
        f: &mut Input,
        flags: u64,
    ) -> Result<Option<usize>, Undefined> {
        if flags & RAM_SAVE_FLAG_CONTINUE != 0 {
            if self.last_recv_block.is_none() {
                self.say("Ack, bad migration stream!");
            }
            return Ok(self.last_recv_block);
        }
        let id = f.idstr()?;
        let found = self.by_name(id);
        if self.tree.keeps_refused {
            self.last_recv_block = found;
        }
        let Some(block) = found else {
            self.say_of("Can't find block ", id, "");
            return Ok(None);
        };
        if self.is_ignored(block) {
            self.say_of_block("block ", block, " should not be migrated !");
            return Ok(None);
        }
        self.last_recv_block = found;
        Ok(found)
    }

    /// Reads the list of blocks; `total` heads it, in bytes (`parse_ramblocks`).
    fn parse_ramblocks(&mut self, f: &mut Input, memory: &mut [u8], mut total: u64) -> Came {
        let mut ret = 0;
        while ret == 0 && total != 0 {
            let id = f.idstr()?;
            let length = f.be64();
            ret = match self.by_name(id) {
                Some(block) => self.parse_ramblock(f, memory, block, length)?,
                None => {
                    self.say_of("Unknown ramblock \"", id, "\", cannot accept migration");
                    EINVAL
                }
            };
            total = total.wrapping_sub(length);
        }
        if self.tree.by_block && self.settings.mapped_ram {
            self.say("(multifd sync)");
        }
        Ok(ret)
    }

    /// Holds a block of the list against that of this guest (`parse_ramblock`).
    fn parse_ramblock(
        &mut self,
        f: &mut Input,
        memory: &mut [u8],
        block: usize,
        length: u64,
    ) -> Came {
        let mapped = self.tree.mapped_ram && self.settings.mapped_ram;
        if mapped && !self.tree.ram.external {
            return self.load_mapped(f, memory, block, length);
        }
        if !self.is_migratable(block) {
            self.say_of_block("block ", block, " should not be migrated !");
            return Ok(EINVAL);
        }
        let mut ret = self.qemu_ram_resize(block, length);
        let by_block = self.tree.by_block;
        let stops = |ret| by_block && ret != 0;
        if stops(ret) {
            return Ok(ret);
        }
        let pages = self.mismatched_pages(f, block);
        ret = if pages != 0 { pages } else { ret };
        if stops(ret) {
            return Ok(ret);
        }
        let address = self.mismatched_address(f, block);
        ret = if address != 0 { address } else { ret };
        if stops(ret) {
            return Ok(ret);
        }
        if mapped {
            return self.load_mapped(f, memory, block, length);
        }
        if self.tree.ram.external && self.is_ignored(block) {
            return Ok(ret);
        }
        let name = self.blocks[block].idstr.clone();
        let rdma = self.rdma(name, f);
        Ok(if self.tree.by_block { rdma } else { ret })
    }

    fn load_mapped(&mut self, f: &mut Input, memory: &mut [u8], block: usize, length: u64) -> Came {
        Ok(match self.parse_ramblock_mapped_ram(f, memory, block, length)? {
            Ok(()) => 0,
            Err(text) => {
                self.say(text);
                EINVAL
            }
        })
    }

    /// Makes a block as long as it is in the stream, where that can be done (`qemu_ram_resize`).
    fn qemu_ram_resize(&mut self, block: usize, length: u64) -> i32 {
        let aligned = length.wrapping_add(PAGE - 1) & !(PAGE - 1);
        let it = &mut self.blocks[block];
        let (used, most) = (it.used_length, it.max_length);
        let (what, is, limit) = match it.resizeable {
            _ if aligned == used => return 0,
            false => ("Size mismatch: ", "!=", used),
            true if most < aligned => ("Size too large: ", ">", most),
            true => {
                it.used_length = aligned;
                return 0;
            }
        };
        let sizes = format!(": 0x{aligned:x} {is} 0x{limit:x}: Invalid argument");
        self.say_of_block(what, block, sizes);
        EINVAL
    }

    /// Whether its huge pages are of another size where it comes from.
    fn mismatched_pages(&mut self, f: &mut Input, block: usize) -> i32 {
        let asked = self.settings.postcopy_advised
            && (self.settings.postcopy_ram || !self.tree.asks_postcopy);
        let local = self.blocks[block].page_size;
        if !asked || local == PAGE {
            return 0;
        }
        let remote = f.be64();
        if remote == local {
            return 0;
        }
        let sizes = format!(" (local) {local} != {}", remote as i64);
        self.say_of_block("Mismatched RAM page size ", block, sizes);
        EINVAL
    }

    /// Whether a block that is shared lies elsewhere where it comes from.
    fn mismatched_address(&mut self, f: &mut Input, block: usize) -> i32 {
        if !self.settings.ignore_shared {
            return 0;
        }
        let (remote, local) = (f.be64(), self.blocks[block].addr);
        if !self.is_ignored(block) || remote == local {
            return 0;
        }
        let addresses = format!(" {}!= {}", remote as i64, local as i64);
        self.say_of_block("Mismatched GPAs for block ", block, addresses);
        EINVAL
    }
}
