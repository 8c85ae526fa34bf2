//! The save path of arch_init.c: `ram_save_live` and the loop that it calls.

use super::{PAGE, RamBlock, RamList, Stray, Undefined, Variant};

/// "The guest's RAM in bytes", and the list of blocks behind it (`RAM_SAVE_FLAG_MEM_SIZE`).
pub const RAM_SAVE_FLAG_MEM_SIZE: u64 = 0x04;
/// A page of one repeated byte (`RAM_SAVE_FLAG_COMPRESS`).
pub const RAM_SAVE_FLAG_COMPRESS: u64 = 0x02;
/// A page (`RAM_SAVE_FLAG_PAGE`).
pub const RAM_SAVE_FLAG_PAGE: u64 = 0x08;
/// The end of a section (`RAM_SAVE_FLAG_EOS`).
pub const RAM_SAVE_FLAG_EOS: u64 = 0x10;
/// "Of the same block as the page before" (`RAM_SAVE_FLAG_CONTINUE`).
pub const RAM_SAVE_FLAG_CONTINUE: u64 = 0x20;

/// Bytes that a name has in the list of external blocks (`idstr` of `RAMBlock`).
pub const NAME: usize = 256;

/// `-EINVAL`.
const EINVAL: i32 = -22;

/// Where a stream goes, and what `ram_save_live` asks of the world around it.
pub trait Save {
    /// Appends to the stream (`qemu_put_buffer`).
    fn put(&mut self, bytes: &[u8]);
    /// Whether no more may be sent now; an error is a negative errno (`qemu_file_rate_limit`).
    ///
    /// # Errors
    ///
    /// The errno of the file, negative.
    fn rate_limit(&mut self) -> Result<bool, i32>;
    /// Keeps an error for the file (`qemu_file_set_error`).
    fn set_error(&mut self, errno: i32);
    /// The page of the block at this offset, as [`PAGE`] bytes; the offset may be outside it.
    fn page(&self, block: usize, offset: u64) -> &[u8];
    /// Appends that page.
    fn put_page(&mut self, block: usize, offset: u64);
    /// Nanoseconds (`qemu_get_clock_ns` of `rt_clock`).
    fn clock_ns(&mut self) -> i64;
    /// What a guest may stand still, in nanoseconds (`migrate_max_downtime`).
    fn max_downtime(&self) -> u64;
    /// Whether the dirty bits could be had from the accelerator (`cpu_physical_sync_dirty_bitmap`).
    fn sync_dirty_bitmap(&mut self) -> bool;

    /// Appends a number (`qemu_put_be64`).
    fn put_be64(&mut self, number: u64) {
        self.put(&number.to_be_bytes());
    }
    /// Appends the name of a block: its length in a byte, and itself.
    fn put_idstr(&mut self, idstr: &str) {
        self.put(&[idstr.len() as u8]);
        self.put(idstr.as_bytes());
    }
}

/// The RAM of a guest on its way out: the list, and arch_init.c's static variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Ram {
    /// Whose code it is.
    pub variant: Variant,
    /// The list.
    pub list: RamList,
    /// The block that was sent last (`last_block`).
    pub last_block: Option<usize>,
    /// The offset in it that was sent last, in bytes (`last_offset`).
    pub last_offset: u64,
    /// Bytes of pages that were sent (`bytes_transferred`).
    pub bytes_transferred: u64,
    /// Whether writes of the guest are noticed (`in_migration`).
    pub dirty_tracking: bool,
    /// The first page off its block that was looked at, and the first that was used.
    pub strays: [Option<Stray>; 2],
    /// How often the loop was called.
    pub loops: u64,
}

impl Clone for Ram {
    fn clone(&self) -> Ram {
        Ram { list: self.list.clone(), ..*self }
    }

    fn clone_from(&mut self, other: &Ram) {
        let mut list = std::mem::take(&mut self.list);
        list.clone_from(&other.list);
        *self = Ram { list, ..*other };
    }
}

impl Ram {
    /// A guest without RAM, which nobody saves.
    pub fn new(variant: Variant) -> Ram {
        Ram {
            variant,
            list: RamList::default(),
            last_block: None,
            last_offset: 0,
            bytes_transferred: 0,
            dirty_tracking: false,
            strays: [None; 2],
            loops: 0,
        }
    }

    /// Sends one page, if one is dirty; gives the bytes that are counted for it, 0 for none
    /// (`ram_save_block`).
    ///
    /// # Errors
    ///
    /// Where the C does what is not defined, or aborts.
    pub fn ram_save_block(&mut self, f: &mut impl Save) -> Result<u64, Undefined> {
        self.loops += 1;
        match self.variant {
            Variant::Carried => self.ram_save_block_carried(f),
            Variant::Stock | Variant::Posted => self.ram_save_block_posted(f),
        }
    }

    /// As released, and as posted: the position moves on even where nothing is sent.
    fn ram_save_block_posted(&mut self, f: &mut impl Save) -> Result<u64, Undefined> {
        let mut offset = self.last_offset;
        let mut block = self.begin()?;
        if self.variant == Variant::Posted {
            while self.list.blocks[block].left_out {
                self.last_block = Some(block);
                match self.list.next(block) {
                    Some(next) => block = next,
                    None => return Ok(0),
                }
            }
        }
        let mut sent = 0;
        for _ in 0..self.bound() {
            if self.page_is_dirty(block, offset) {
                sent = self.send(block, offset, f)?;
                break;
            }
            offset += PAGE;
            if offset >= self.list.blocks[block].length {
                offset = 0;
                block = self.next_or_first(block);
            }
            let last = self.last_block.ok_or(Undefined::NullBlock)?;
            let begun = self.list.blocks[last].offset + self.last_offset;
            if self.list.blocks[block].offset + offset == begun {
                self.last_block = Some(block);
                self.last_offset = offset;
                return Ok(0);
            }
        }
        if sent == 0 {
            return Err(Undefined::Endless);
        }
        self.last_block = Some(block);
        self.last_offset = offset;
        Ok(sent)
    }

    /// As carried: the position is that of the last page that was sent.
    fn ram_save_block_carried(&mut self, f: &mut impl Save) -> Result<u64, Undefined> {
        let mut offset = self.last_offset;
        let first_block = self.begin()?;
        let mut block = first_block;
        for _ in 0..self.bound() {
            let left_out = self.list.blocks[block].left_out;
            if !left_out && self.page_is_dirty(block, offset) {
                let sent = self.send(block, offset, f)?;
                self.last_block = Some(block);
                self.last_offset = offset;
                return Ok(sent);
            }
            offset += PAGE;
            if offset >= self.list.blocks[block].length || left_out {
                offset = 0;
                block = self.next_or_first(block);
            }
            if block == first_block && offset == self.last_offset {
                return Ok(0);
            }
        }
        Err(Undefined::Endless)
    }

    /// The block that the loop begins with.
    #[inline]
    fn begin(&self) -> Result<usize, Undefined> {
        let block = self.last_block.or(self.list.first()).ok_or(Undefined::NullBlock)?;
        if self.list.blocks[block].freed { Err(Undefined::Freed) } else { Ok(block) }
    }

    #[inline]
    fn next_or_first(&self, block: usize) -> usize {
        self.list.next(block).unwrap_or(self.list.order[0])
    }

    /// More steps than there are places: who is not done by then never is.
    #[inline]
    fn bound(&self) -> u64 {
        2 + 2 * self.list.iter().map(|block| block.length / PAGE).sum::<u64>()
    }

    #[inline]
    fn page_is_dirty(&mut self, block: usize, offset: u64) -> bool {
        let RamBlock { offset: base, length, .. } = self.list.blocks[block];
        if offset >= length {
            self.strays[0].get_or_insert(Stray { offset, length, used: false });
        }
        self.list.is_dirty(base + offset)
    }

    /// Sends a page, and gives the bytes that are counted for it: 1 for a page of one byte.
    fn send(&mut self, block: usize, offset: u64, f: &mut impl Save) -> Result<u64, Undefined> {
        let RamBlock { offset: base, length, .. } = self.list.blocks[block];
        self.list.reset_dirty(base + offset)?;
        if offset >= length {
            self.strays[1].get_or_insert(Stray { offset, length, used: true });
        }
        let cont = self.last_block == Some(block);
        let cont_flag = if cont { RAM_SAVE_FLAG_CONTINUE } else { 0 };
        let byte = dup_byte(f.page(block, offset));
        let kind = if byte.is_some() { RAM_SAVE_FLAG_COMPRESS } else { RAM_SAVE_FLAG_PAGE };
        f.put_be64(offset | cont_flag | kind);
        if !cont {
            f.put_idstr(&self.list.blocks[block].idstr);
        }
        match byte {
            Some(byte) => {
                f.put(&[byte]);
                Ok(1)
            }
            None => {
                f.put_page(block, offset);
                Ok(PAGE)
            }
        }
    }

    /// The pages that are yet to be sent (`ram_save_remaining`).
    #[inline]
    pub fn ram_save_remaining(&self) -> u64 {
        let counted = self.list.iter().filter(|block| !block.left_out);
        counted.map(|block| self.list.dirty_pages(block)).sum()
    }

    /// What a user is told of the RAM that is to be sent, in bytes (`ram_bytes_total`).
    #[inline]
    pub fn ram_bytes_total(&self) -> u64 {
        let carried = self.variant == Variant::Carried;
        self.list.iter().filter(|it| !(carried && it.left_out)).map(|block| block.length).sum()
    }

    /// What heads the list of blocks in the stream, in bytes (`ram_bytes_total`; `ram_list_bytes` as
    /// carried).
    pub fn ram_list_bytes(&self) -> u64 {
        self.list.iter().map(|block| block.length).sum()
    }

    /// The blocks that are external, as carried.
    fn external(&self) -> impl Iterator<Item = &RamBlock> {
        self.list.iter().filter(|block| block.left_out)
    }

    /// The first of them (`ram_external_block_name`).
    pub fn ram_external_block_name(&self) -> Option<&str> {
        self.external().next().map(|block| &*block.idstr)
    }

    /// Says which blocks a stream lacks: how many, and the name of each in [`NAME`] bytes
    /// (`ram_save_external_list`).
    pub fn ram_save_external_list(&self, f: &mut impl Save) {
        f.put(&(self.external().count() as u32).to_be_bytes());
        for block in self.external() {
            let mut id = [0; NAME];
            id[..block.idstr.len()].copy_from_slice(block.idstr.as_bytes());
            f.put(&id);
        }
    }

    /// One call of the save handler; gives what it returns (`ram_save_live`). `stage` is 1 at the
    /// beginning, 2 in the course, 3 at the end, and negative for a migration that is given up.
    ///
    /// # Errors
    ///
    /// Where the C does what is not defined, or aborts.
    pub fn ram_save_live(&mut self, f: &mut impl Save, stage: i32) -> Result<i32, Undefined> {
        if stage < 0 {
            self.dirty_tracking = false;
            return Ok(0);
        }
        if !f.sync_dirty_bitmap() {
            f.set_error(EINVAL);
            return Ok(EINVAL);
        }
        if stage == 1 {
            self.begin_saving(f);
        }
        let before = self.bytes_transferred;
        let mut bwidth = f.clock_ns() as f64;
        loop {
            match f.rate_limit() {
                Err(errno) => return Ok(errno),
                Ok(true) => break,
                Ok(false) => {}
            }
            let bytes_sent = self.ram_save_block(f)?;
            self.bytes_transferred += bytes_sent;
            if bytes_sent == 0 {
                break;
            }
        }
        bwidth = f.clock_ns() as f64 - bwidth;
        bwidth = (self.bytes_transferred - before) as f64 / bwidth;
        if bwidth == 0.0 {
            bwidth = 0.000_001;
        }
        if stage == 3 {
            loop {
                let bytes_sent = self.ram_save_block(f)?;
                if bytes_sent == 0 {
                    break;
                }
                self.bytes_transferred += bytes_sent;
            }
            self.dirty_tracking = false;
        }
        f.put_be64(RAM_SAVE_FLAG_EOS);
        let expected_time = ((self.ram_save_remaining() * PAGE) as f64 / bwidth) as u64;
        Ok((stage == 2 && expected_time <= f.max_downtime()).into())
    }

    /// What the first call does before the loop: sorts, makes all dirty, and writes the list.
    fn begin_saving(&mut self, f: &mut impl Save) {
        self.bytes_transferred = 0;
        self.last_block = None;
        self.last_offset = 0;
        self.list.sort();
        let carried = self.variant == Variant::Carried;
        let to_send = |block: &&RamBlock| !(carried && block.left_out);
        let spans: Vec<_> =
            self.list.iter().filter(to_send).map(|block| block.offset..block.end()).collect();
        for addr in spans.into_iter().flat_map(|span| span.step_by(PAGE as usize)) {
            if !self.list.is_dirty(addr) {
                self.list.set_dirty(addr);
            }
        }
        self.dirty_tracking = true;
        f.put_be64(self.ram_list_bytes() | RAM_SAVE_FLAG_MEM_SIZE);
        for block in self.list.iter() {
            f.put_idstr(&block.idstr);
            f.put_be64(block.length);
        }
    }
}

/// The byte that a page repeats (`is_dup_page`).
#[inline]
pub fn dup_byte(page: &[u8]) -> Option<u8> {
    let first = *page.first()?;
    // A page is its own beginning, moved by a byte, where all bytes are alike.
    (page[1..] == page[..page.len() - 1]).then_some(first)
}
