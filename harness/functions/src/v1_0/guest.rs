//! A guest's memory as the mirror sees it, and the stream between the two.

use super::case::{Call, MOST_PAGES};
use pcram_mirror::v1_0::load::Load;
use pcram_mirror::v1_0::{PAGE, Save};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// What the clock says when a call begins, in nanoseconds.
pub const BEGAN: i64 = 1 << 30;

/// `-EIO`.
const EIO: i32 = -5;

/// Pages that each block has memory for: a page off its block is still one of nobody's.
pub const ROOM: usize = MOST_PAGES as usize;
/// The most blocks that there are in the course of a case.
pub const MOST_ALLOCATED: usize = 12;

thread_local! {
    /// Buffers that nobody has any more. They are too large to be had from the system for each case.
    static UNUSED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that go from case to case; at first there are none.
#[derive(Debug, PartialEq, Eq)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Buffer {
        let mut bytes = UNUSED.with(|unused| unused.borrow_mut().pop()).unwrap_or_default();
        bytes.clear();
        Buffer(bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // At the end of the thread there may be no place for it.
        let _ = UNUSED.try_with(|unused| unused.borrow_mut().push(bytes));
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

thread_local! {
    /// Memory that nobody has any more, as it is when it is new.
    static NEW: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// The memory of all blocks that there may be, each with the same room. In new memory, every page has
/// other content, and every third one byte alone.
#[derive(Debug)]
pub struct Memory {
    bytes: Box<[u8]>,
    /// A bit for each page that may be another than in new memory.
    changed: u128,
}

impl Default for Memory {
    fn default() -> Memory {
        let new = NEW.with(|new| new.borrow_mut().pop());
        let bytes = new.unwrap_or_else(|| {
            let mut bytes = vec![0; MOST_ALLOCATED * ROOM * PAGE as usize].into_boxed_slice();
            (0..MOST_ALLOCATED * ROOM).for_each(|page| make_new(&mut bytes, page));
            bytes
        });
        Memory { bytes, changed: 0 }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let pages = (0..MOST_ALLOCATED * ROOM).filter(|page| self.changed >> page & 1 == 1);
        pages.for_each(|page| make_new(&mut bytes, page));
        // At the end of the thread there may be no place for it.
        let _ = NEW.try_with(|new| new.borrow_mut().push(bytes));
    }
}

fn make_new(bytes: &mut [u8], page: usize) {
    let from = page * PAGE as usize;
    write(&mut bytes[from..from + PAGE as usize], page as u8, page.is_multiple_of(3));
}

impl Memory {
    /// Whether both hold the same in the pages that were changed here.
    pub fn is_like_where_changed(&self, other: &Memory) -> bool {
        let mut rest = self.changed;
        while rest != 0 {
            let from = rest.trailing_zeros() as usize * PAGE as usize;
            if self.bytes[from..from + PAGE as usize] != other.bytes[from..from + PAGE as usize] {
                return false;
            }
            rest &= rest - 1;
        }
        true
    }

    /// Whether both hold the same in the rooms of the first blocks, and in the one behind these.
    pub fn is_like(&self, other: &Memory, blocks: usize) -> bool {
        let rooms = ..(blocks + 1).min(MOST_ALLOCATED) * ROOM * PAGE as usize;
        self.bytes[rooms] == other.bytes[rooms]
    }

    /// Tells what somebody else has changed: the same pages as in `other`, or any.
    pub fn changed_as(&mut self, other: Option<&Memory>) {
        self.changed |= other.map_or(u128::MAX, |other| other.changed);
    }

    /// The room of a block, from its first byte.
    pub fn room(&mut self, block: usize) -> &mut [u8] {
        let size = ROOM * PAGE as usize;
        &mut self.bytes[block * size..(block + 1) * size]
    }

    /// A page of a block, by its offset in bytes.
    pub fn page(&self, block: usize, offset: u64) -> &[u8] {
        let from = block * ROOM * PAGE as usize + offset as usize;
        &self.bytes[from..from + PAGE as usize]
    }

    /// The number in its block of the page at this offset, where there is memory.
    pub fn number(offset: u64) -> Option<usize> {
        usize::try_from(offset / PAGE).ok().filter(|number| *number < ROOM)
    }

    /// The same, where there is one, to be written.
    pub fn page_mut(&mut self, block: usize, offset: u64) -> Option<&mut [u8]> {
        let number = Memory::number(offset)?;
        self.changed |= 1 << (block * ROOM + number);
        let from = number * PAGE as usize;
        Some(&mut self.room(block)[from..from + PAGE as usize])
    }
}

/// Where a page has its other byte: a loop that looks at words may miss it at either end.
const ODD: [usize; 4] = [1, 4, PAGE as usize / 2, PAGE as usize - 1];

/// Writes a page: of one byte alone, or with another one in it.
pub fn write(page: &mut [u8], byte: u8, filled: bool) {
    page.fill(byte);
    if !filled {
        page[ODD[usize::from(byte) % ODD.len()]] = !byte;
    }
}

/// What the mirror writes in one call: bytes of its own, and between them pages, which stay where they
/// are, in the memory.
#[derive(Debug, Default)]
pub struct Written {
    own: Buffer,
    pages: Vec<Sent>,
}

/// A page that was sent after so many bytes of the mirror's own.
#[derive(Debug)]
struct Sent {
    after: usize,
    block: usize,
    offset: u64,
}

impl Written {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.own.clear();
        self.pages.clear();
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.own.len() + self.pages.len() * PAGE as usize
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these are the bytes.
    pub fn is(&self, mut bytes: &[u8], memory: &Memory) -> bool {
        self.len() == bytes.len()
            && self.parts(memory).all(|part| bytes.split_off(..part.len()) == Some(part))
    }

    /// Appends the bytes.
    pub fn append_to(&self, bytes: &mut Vec<u8>, memory: &Memory) {
        self.parts(memory).for_each(|part| bytes.extend_from_slice(part));
    }

    fn parts<'a>(&'a self, memory: &'a Memory) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = &self.own[..];
        let mut behind = 0;
        let last = &self.own[self.pages.last().map_or(0, |page| page.after)..];
        let parts = self.pages.iter().flat_map(move |page| {
            let own = rest.split_off(..page.after - behind).expect("pages stand in their order");
            behind = page.after;
            [own, memory.page(page.block, page.offset)]
        });
        parts.chain([last])
    }
}

/// A stream that the mirror writes, of this memory.
pub struct Out<'a> {
    /// The memory.
    pub memory: &'a Memory,
    /// All that was written in this call.
    pub written: &'a mut Written,
    /// How it is called, with `fail_in` counted down.
    pub call: Call,
    /// The file's error, a negative errno, or 0.
    pub error: &'a mut i32,
    /// How often the clock was asked.
    pub clock_at: u32,
}

impl Save for Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.written.own.extend_from_slice(bytes);
    }

    fn rate_limit(&mut self) -> Result<bool, i32> {
        if self.call.fail_in > 0 {
            self.call.fail_in -= 1;
            if self.call.fail_in == 0 {
                *self.error = EIO;
            }
        }
        match *self.error {
            0 => Ok(self.written.len() as u64 > self.call.limit.into()),
            error => Err(error),
        }
    }

    fn set_error(&mut self, errno: i32) {
        *self.error = errno;
    }

    fn page(&self, block: usize, offset: u64) -> &[u8] {
        self.memory.page(block, offset)
    }

    fn put_page(&mut self, block: usize, offset: u64) {
        self.written.pages.push(Sent { after: self.written.own.len(), block, offset });
    }

    fn clock_ns(&mut self) -> i64 {
        let asked = self.clock_at;
        self.clock_at += 1;
        let passed = if asked.is_multiple_of(2) { 0 } else { self.call.nanoseconds.into() };
        BEGAN + passed
    }

    fn max_downtime(&self) -> u64 {
        self.call.max_downtime.into()
    }

    fn sync_dirty_bitmap(&mut self) -> bool {
        !self.call.sync_fails
    }
}

/// A stream that is read.
pub struct In<'a> {
    /// The stream.
    pub stream: &'a [u8],
    /// How far it was read.
    pub at: usize,
    /// The file's error, a negative errno, or 0.
    pub error: i32,
}

impl In<'_> {
    /// So many bytes, or as many as there are; at its end it has an error.
    pub fn take(&mut self, bytes: usize) -> &[u8] {
        let left = &self.stream[self.at..];
        if left.len() < bytes {
            self.error = EIO;
        }
        let taken = &left[..bytes.min(left.len())];
        self.at += taken.len();
        taken
    }

    /// Reads as much as there is.
    pub fn get(&mut self, to: &mut [u8]) -> usize {
        let taken = self.take(to.len());
        to[..taken.len()].copy_from_slice(taken);
        taken.len()
    }
}

/// A stream that the mirror loads into this memory.
pub struct Into<'a> {
    /// The memory.
    pub memory: &'a mut Memory,
    /// The stream.
    pub input: In<'a>,
}

impl Load for Into<'_> {
    fn get(&mut self, to: &mut [u8]) -> usize {
        self.input.get(to)
    }

    fn error(&self) -> i32 {
        self.input.error
    }

    fn page(&mut self, block: usize, offset: u64) -> bool {
        let Some(page) = self.memory.page_mut(block, offset) else { return false };
        self.input.get(page);
        true
    }

    fn fill(&mut self, block: usize, offset: u64, byte: u8) -> bool {
        let Some(page) = self.memory.page_mut(block, offset) else { return false };
        page.fill(byte);
        true
    }
}
