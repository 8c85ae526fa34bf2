//! The load path of arch_init.c: `ram_load` and where it puts a page.

use super::save::{
    NAME, RAM_SAVE_FLAG_COMPRESS, RAM_SAVE_FLAG_CONTINUE, RAM_SAVE_FLAG_EOS,
    RAM_SAVE_FLAG_MEM_SIZE, RAM_SAVE_FLAG_PAGE,
};
use super::{PAGE, RamList, Stray, Undefined, Variant};

/// `-EINVAL`.
const EINVAL: i32 = -22;

/// Where a stream comes from, and the memory that it goes to.
pub trait Load {
    /// Reads as much as there is; at the end of the stream the file has an error from then on
    /// (`qemu_get_buffer`).
    fn get(&mut self, to: &mut [u8]) -> usize;
    /// The file's error, a negative errno, or 0 (`qemu_file_get_error`).
    fn error(&self) -> i32;
    /// Reads a page of the block at this offset, which may be outside it, as far as the stream goes;
    /// whether there is memory.
    fn page(&mut self, block: usize, offset: u64) -> bool;
    /// Writes such a page, of one byte alone; whether there is memory.
    fn fill(&mut self, block: usize, offset: u64, byte: u8) -> bool;

    /// A byte, 0 at the end (`qemu_get_byte`).
    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.get(&mut byte);
        byte[0]
    }
    /// A number, with 0 for what is not there (`qemu_get_be64`).
    fn be64(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }
    /// The name of a block, as C reads it: up to its first NUL.
    ///
    /// # Errors
    ///
    /// Where the stream ends within it.
    fn idstr<'a>(&mut self, id: &'a mut [u8; NAME]) -> Result<&'a [u8], Undefined> {
        let id = &mut id[..usize::from(self.byte())];
        if self.get(id) < id.len() {
            return Err(Undefined::Unread);
        }
        Ok(&id[..id.iter().position(|&byte| byte == 0).unwrap_or(id.len())])
    }
}

/// The RAM of a guest on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Whose code it is.
    pub variant: Variant,
    /// The list.
    pub list: RamList,
    /// The block of the last page (`block` in `host_from_stream_offset`), which stays from load to
    /// load.
    pub block: Option<usize>,
    /// The first page that was written off its block.
    pub stray: Option<Stray>,
}

impl Incoming {
    /// A guest with these blocks, which has loaded nothing.
    pub fn new(variant: Variant, list: RamList) -> Incoming {
        Incoming { variant, list, block: None, stray: None }
    }

    /// Loads one section; gives what it returns, 0 or a negative errno (`ram_load`).
    ///
    /// # Errors
    ///
    /// Where the C does what is not defined, or aborts.
    pub fn ram_load(&mut self, f: &mut impl Load, version_id: i32) -> Result<i32, Undefined> {
        if !(3..=4).contains(&version_id) {
            return Ok(EINVAL);
        }
        loop {
            let header = f.be64();
            let (addr, flags) = (header & !(PAGE - 1), header & (PAGE - 1));
            if flags & RAM_SAVE_FLAG_MEM_SIZE != 0 && !self.list_agrees(f, addr, version_id)? {
                return Ok(EINVAL);
            }
            if flags & (RAM_SAVE_FLAG_COMPRESS | RAM_SAVE_FLAG_PAGE) != 0 {
                let found = match version_id {
                    3 => {
                        let block = self.list.get_ram_ptr(addr)?;
                        Some((block, addr - self.list.blocks[block].offset))
                    }
                    _ => self.host_from_stream_offset(f, addr, flags)?,
                };
                let compress = flags & RAM_SAVE_FLAG_COMPRESS != 0;
                let Some((block, offset)) = found else {
                    // As released, only a page of one byte is looked at.
                    return match compress || self.variant == Variant::Carried {
                        true => Ok(EINVAL),
                        false => Err(Undefined::NullPage),
                    };
                };
                self.load_page(f, block, offset, compress)?;
            }
            if f.error() != 0 {
                return Ok(f.error());
            }
            if flags & RAM_SAVE_FLAG_EOS != 0 {
                return Ok(0);
            }
        }
    }

    /// Holds what a stream lacks against what is external here; gives 0 or a negative errno. Without a
    /// list, the stream lacks nothing (`ram_load_external_list`).
    pub fn ram_load_external_list(&self, list: Option<&mut impl Load>) -> i32 {
        let external = || self.list.iter().filter(|block| block.left_out);
        let mut count = 0;
        if let Some(f) = list {
            count = (0..4).fold(0, |count, _| count << 8 | u32::from(f.byte()));
            for _ in 0..count {
                let mut id = [0; NAME];
                if f.get(&mut id) < NAME {
                    return EINVAL;
                }
                id[NAME - 1] = 0;
                let end = id.iter().position(|&byte| byte == 0).unwrap_or(NAME);
                if !external().any(|block| block.idstr.as_bytes() == &id[..end]) {
                    return EINVAL;
                }
            }
        }
        if (count as usize) < external().count() { EINVAL } else { 0 }
    }

    /// Whether the list of blocks in the stream is that of this guest; `total` heads it, in bytes.
    fn list_agrees(
        &self,
        f: &mut impl Load,
        mut total: u64,
        version_id: i32,
    ) -> Result<bool, Undefined> {
        if version_id == 3 {
            return Ok(total == self.list.iter().map(|block| block.length).sum::<u64>());
        }
        let mut id = [0; NAME];
        while total != 0 {
            let id = f.idstr(&mut id)?;
            let length = f.be64();
            match self.list.iter().find(|block| block.idstr.as_bytes() == id) {
                Some(block) if block.length == length => {}
                _ => return Ok(false),
            }
            total = total.wrapping_sub(length);
        }
        Ok(true)
    }

    /// The block and the offset of a page; `None` where the C returns NULL.
    fn host_from_stream_offset(
        &mut self,
        f: &mut impl Load,
        offset: u64,
        flags: u64,
    ) -> Result<Option<(usize, u64)>, Undefined> {
        if flags & RAM_SAVE_FLAG_CONTINUE == 0 {
            let mut id = [0; NAME];
            let id = f.idstr(&mut id)?;
            let named = |&&block: &&usize| self.list.blocks[block].idstr.as_bytes() == id;
            self.block = self.list.order.iter().find(named).copied();
        }
        let Some(block) = self.block else { return Ok(None) };
        let it = &self.list.blocks[block];
        if it.freed {
            return Err(Undefined::Freed);
        }
        let refused = self.variant == Variant::Carried && (it.left_out || offset >= it.length);
        Ok((!refused).then_some((block, offset)))
    }

    fn load_page(
        &mut self,
        f: &mut impl Load,
        block: usize,
        offset: u64,
        compress: bool,
    ) -> Result<(), Undefined> {
        let length = self.list.blocks[block].length;
        if offset >= length {
            self.stray.get_or_insert(Stray { offset, length, used: true });
        }
        let has_memory = if compress {
            let byte = f.byte();
            f.fill(block, offset, byte)
        } else {
            f.page(block, offset)
        };
        if has_memory { Ok(()) } else { Err(Undefined::Wild(offset)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Host;
    use super::*;

    struct Bytes(Vec<u8>, usize);

    impl Load for Bytes {
        fn get(&mut self, to: &mut [u8]) -> usize {
            let read = to.len().min(self.0.len() - self.1);
            to[..read].copy_from_slice(&self.0[self.1..self.1 + read]);
            self.1 += read;
            read
        }
        fn error(&self) -> i32 {
            0
        }
        fn page(&mut self, _: usize, _: u64) -> bool {
            true
        }
        fn fill(&mut self, _: usize, _: u64, _: u8) -> bool {
            true
        }
    }

    #[test]
    fn the_last_byte_of_a_name_in_the_list_is_no_part_of_it() {
        let name = "n".repeat(NAME - 1);
        let mut list = RamList::default();
        list.alloc(&name, PAGE, Host::File).unwrap();
        let incoming = Incoming::new(Variant::Carried, list);
        let bytes = [&1_u32.to_be_bytes()[..], &[b'n'; NAME]].concat();
        assert_eq!(incoming.ram_load_external_list(Some(&mut Bytes(bytes.clone(), 0))), 0);
        let short = Bytes(bytes[..bytes.len() - 1].to_vec(), 0);
        assert_eq!(incoming.ram_load_external_list(Some(&mut { short })), EINVAL);
        assert_eq!(incoming.ram_load_external_list(None::<&mut Bytes>), EINVAL);
    }
}
