//! mapped-ram, in migration/ram.c of 9.0 and later: each page has its place in the file.

use super::bits::Bits;
use super::file::{Input, Output};
use super::{Guest, PAGE, Undefined};

/// The bytes of a header.
pub const HEADER: usize = 28;
const MAPPED_RAM_HDR_VERSION: u32 = 1;
const MAPPED_RAM_FILE_OFFSET_ALIGNMENT: u64 = 1 << 20;
const MAPPED_RAM_LOAD_BUF_SIZE: u64 = 1 << 20;

/// Pages in a bitmap for which there is no memory anywhere.
const MOST_PAGES: u64 = 1 << 40;

/// What stands before the pages of a block (`MappedRamHeader`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappedRamHeader {
    /// 1.
    pub version: u32,
    /// The bytes of a page.
    pub page_size: u64,
    /// Where the bitmap is.
    pub bitmap_offset: u64,
    /// Where the pages are.
    pub pages_offset: u64,
}

impl MappedRamHeader {
    /// As it is in the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.page_size, self.bitmap_offset, self.pages_offset];
        let rest = numbers.iter().flat_map(|number| number.to_be_bytes());
        self.version.to_be_bytes().into_iter().chain(rest).collect()
    }
}

/// An error, as it is reported.
type Text = Vec<u8>;

impl Guest {
    /// Writes the header of a block, and leaves room for its bitmap and its pages
    /// (`mapped_ram_setup_ramblock`).
    pub fn mapped_ram_setup_ramblock(&mut self, file: &mut Output, block: usize) {
        let mut header = MappedRamHeader {
            version: MAPPED_RAM_HDR_VERSION,
            page_size: PAGE,
            ..MappedRamHeader::default()
        };
        if self.tree.ram.external && self.is_ignored(block) {
            file.put_buffer(&header.to_bytes());
            return;
        }
        self.carried.push(block);
        let it = &mut self.blocks[block];
        it.bitmap_offset = file.at + HEADER as u64;
        let end = it.bitmap_offset + Bits::bytes(it.used_length);
        it.pages_offset = end.next_multiple_of(MAPPED_RAM_FILE_OFFSET_ALIGNMENT);
        header.bitmap_offset = it.bitmap_offset;
        header.pages_offset = it.pages_offset;
        file.put_buffer(&header.to_bytes());
        file.at = it.pages_offset + it.used_length;
    }

    /// Writes which pages the file has (`ram_save_file_bmap`).
    pub fn ram_save_file_bmap(&mut self, file: &mut Output) {
        for block in 0..self.blocks.len() {
            let left_out = match self.tree.ram.external {
                true => self.is_ignored(block),
                false => !self.is_migratable(block),
            };
            if left_out {
                continue;
            }
            self.carried.push(block);
            let it = &mut self.blocks[block];
            let size = Bits::bytes(it.used_length);
            let bytes = it.file_bmap.take().map(|bits| bits.start(size));
            // Nothing is written from anywhere.
            let bytes = bytes.or_else(|| (size == 0).then(Vec::new));
            file.put_buffer_at(bytes.as_deref(), it.bitmap_offset);
            self.transferred += size;
        }
    }

    /// Reads a header (`mapped_ram_read_header`).
    fn mapped_ram_read_header(f: &mut Input) -> Result<MappedRamHeader, Text> {
        let bytes = f.get_buffer(HEADER as u64);
        let (&[a, b, c, d], rest) = match bytes.split_first_chunk::<4>() {
            Some(split) if bytes.len() == HEADER => split,
            _ => {
                let got = bytes.len();
                let text = "Could not read whole mapped-ram migration header";
                return Err(format!("{text} (expected {HEADER}, got {got} bytes)").into());
            }
        };
        let version = u32::from_be_bytes([a, b, c, d]);
        if version > MAPPED_RAM_HDR_VERSION {
            // It is told as a signed number.
            let (expected, got) = (MAPPED_RAM_HDR_VERSION, version as i32);
            let text = "Migration mapped-ram capability version not supported";
            return Err(format!("{text} (expected <= {expected}, got {got})").into());
        }
        let mut rest = Input::new(rest);
        let mut next = || rest.be64();
        let (page_size, bitmap_offset, pages_offset) = (next(), next(), next());
        Ok(MappedRamHeader { version, page_size, bitmap_offset, pages_offset })
    }

    /// Loads the pages of a block (`parse_ramblock_mapped_ram`).
    pub(super) fn parse_ramblock_mapped_ram(
        &mut self,
        f: &mut Input,
        memory: &mut [u8],
        block: usize,
        length: u64,
    ) -> Result<Result<(), Text>, Undefined> {
        let header = match Self::mapped_ram_read_header(f) {
            Ok(header) => header,
            Err(text) => return Ok(Err(text)),
        };
        let of = |before: &str, after: &str| {
            Ok(Err([before.as_bytes(), &self.blocks[block].idstr, after.as_bytes()].concat()))
        };
        if self.tree.ram.external {
            if header.bitmap_offset == 0 && header.pages_offset == 0 {
                let fine = self.is_ignored(block) || self.settings.ignore_shared;
                return if fine {
                    Ok(Ok(()))
                } else {
                    of("The pages of ramblock ", " are not in the file")
                };
            }
            if self.is_ignored(block) {
                return of("block ", " should not be migrated !");
            }
        }
        self.blocks[block].pages_offset = header.pages_offset;
        if !header.pages_offset.is_multiple_of(PAGE) {
            let name = &self.blocks[block].idstr;
            let text = [&b"Error reading ramblock "[..], name, b" pages, region has bad alignment"];
            return Ok(Err(text.concat()));
        }
        let num_pages = length.checked_div(header.page_size).ok_or(Undefined::NoPageSize)?;
        if num_pages > MOST_PAGES {
            return Err(Undefined::NoMemory);
        }
        let size = num_pages.div_ceil(64) * 8;
        let bytes = f.get_buffer_at(size, header.bitmap_offset);
        if (bytes.len() as u64) < size {
            return Ok(Err(b"Error reading dirty bitmap".to_vec()));
        }
        let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        let bitmap = Bits { words: words.collect() };
        if let Err(text) = self.read_ramblock_mapped_ram(f, memory, block, num_pages, &bitmap)? {
            return Ok(Err(text));
        }
        f.set_offset(header.pages_offset.wrapping_add(length))?;
        Ok(Ok(()))
    }

    /// Reads the pages of a block that the file has; in trees that do so, zeroes the others where there
    /// may be something in them (`read_ramblock_mapped_ram`, `handle_zero_mapped_ram`).
    fn read_ramblock_mapped_ram(
        &mut self,
        f: &mut Input,
        memory: &mut [u8],
        block: usize,
        num_pages: u64,
        bitmap: &Bits,
    ) -> Result<Result<(), Text>, Undefined> {
        let zeroes = self.tree.zeroes && self.settings.restore_vm;
        let name = self.blocks[block].idstr.clone();
        let outside = |what: &str| [what.as_bytes(), b" ramblock ", &name, b" range"].concat();
        let run = |from: u64, set: bool| {
            (from..num_pages).find(|&page| bitmap.has(page) != set).unwrap_or(num_pages.max(from))
        };
        let mut clear = 0;
        loop {
            let set = run(clear, false);
            if zeroes && clear < set {
                match self.room(block, clear * PAGE, (set - clear) * PAGE)? {
                    Some(room) => memory[room].fill(0),
                    None => return Ok(Err(outside("zero page outside of"))),
                }
            }
            if set >= num_pages {
                return Ok(Ok(()));
            }
            clear = run(set, true);
            let (mut offset, mut unread) = (set * PAGE, (clear - set) * PAGE);
            while unread > 0 {
                let size = unread.min(MAPPED_RAM_LOAD_BUF_SIZE);
                let Some(room) = self.room(block, offset, size)? else {
                    return Ok(Err(outside("page outside of")));
                };
                let from = self.blocks[block].pages_offset.wrapping_add(offset);
                if self.settings.multifd {
                    if self.settings.others_fail {
                        return Err(Undefined::NoError);
                    }
                    self.say(format!("(multifd {from:x} {size:x})"));
                }
                let bytes = f.get_buffer_at(size, from);
                if bytes.is_empty() {
                    let at = format!(") failed to read page {offset:x}from file offset {from:x}: ");
                    let error = "the file has an error: Input/output error";
                    let text = [&b"("[..], &name, at.as_bytes(), error.as_bytes()];
                    return Ok(Err(text.concat()));
                }
                memory[room].copy_from_slice(bytes);
                self.carried.push(block);
                (offset, unread) = (offset + size, unread - size);
            }
        }
    }

    /// Where a piece of a block lies in the guest's memory; `None` where it begins outside the block
    /// (`host_from_ram_block_offset`).
    fn room(
        &self,
        block: usize,
        offset: u64,
        size: u64,
    ) -> Result<Option<std::ops::Range<usize>>, Undefined> {
        let it = &self.blocks[block];
        if offset >= it.used_length {
            return Ok(None);
        }
        if size > it.max_length - offset {
            return Err(Undefined::Outside);
        }
        let begin = (it.host + offset) as usize;
        Ok(Some(begin..begin + size as usize))
    }
}
