//! The RAM block list at the head of the RAM section.

use std::collections::HashSet;
use std::io::BufRead;

use crate::record::{MappedRam, RamBlock, RamBlockList};
use crate::source::Source;
use crate::{PageSet, StreamError};

const MAPPED_RAM_HDR_VERSION: u32 = 1;
/// The first byte of an 8-byte size is 0, that of a name is its length.
const FIRST_NAME: u64 = 1 << 56;

/// What the records before the RAM section say about its layout.
pub(crate) struct Layout {
    pub(crate) page_size: u64,
    pub(crate) ignore_shared: bool,
    pub(crate) mapped_ram: bool,
    pub(crate) postcopy_advised: bool,
}

/// Reads blocks until `total` bytes are used up, as `parse_ramblocks` does.
pub(crate) fn read<R: BufRead>(
    source: &mut Source<R>,
    total: u64,
    layout: &Layout,
) -> Result<RamBlockList, StreamError> {
    let mut blocks = Vec::new();
    let mut names = HashSet::new();
    let mut left = total;
    while left > 0 {
        let place = source.place();
        let block = read_block(source, left, layout)?;
        if !names.insert(block.idstr.clone()) {
            let found = format!("{} again", block.idstr);
            return Err(StreamError::malformed(place, "another RAM block", found));
        }
        left -= block.used_length;
        blocks.push(block);
    }
    Ok(RamBlockList { page_size: layout.page_size, total, blocks })
}

/// Reads a block; what is between its length and the next one depends on `layout`.
fn read_block<R: BufRead>(
    source: &mut Source<R>,
    left: u64,
    layout: &Layout,
) -> Result<RamBlock, StreamError> {
    let place = source.place();
    let idstr = source.name("the name of a RAM block")?;
    let used_length = source.u64("the length of a RAM block")?;
    if idstr.is_empty() {
        return Err(StreamError::malformed(place, "the name of a RAM block", "an empty one"));
    }
    if used_length > left || used_length % layout.page_size != 0 {
        let expected = format!("whole pages, at most the {left:#x} bytes left of the total");
        let found = format!("{idstr} of {used_length:#x} bytes");
        return Err(StreamError::malformed(place, expected, found));
    }
    let page_size = match layout.postcopy_advised && !layout.ignore_shared {
        true => read_page_size(source, layout)?,
        false => None,
    };
    let guest_address = match layout.ignore_shared {
        true => Some(source.u64("the guest-physical address of a RAM block")?),
        false => None,
    };
    let mapped = match layout.mapped_ram {
        true => Some(read_mapped(source, used_length, layout)?),
        false => None,
    };
    Ok(RamBlock { idstr, used_length, page_size, guest_address, mapped })
}

/// Reads the page size of a block if it is there, which only the source's host knows: instead of
/// it there is the next block's name, or behind the last block a record without an offset.
fn read_page_size<R: BufRead>(
    source: &mut Source<R>,
    layout: &Layout,
) -> Result<Option<u64>, StreamError> {
    let Ok(next) = source.peek(8)?.try_into() else {
        return Ok(None);
    };
    match (layout.page_size..FIRST_NAME).contains(&u64::from_be_bytes(next)) {
        true => source.u64("the page size of a RAM block").map(Some),
        false => Ok(None),
    }
}

/// Reads a block's mapped-ram header, its bitmap and its pages.
fn read_mapped<R: BufRead>(
    source: &mut Source<R>,
    used_length: u64,
    layout: &Layout,
) -> Result<MappedRam, StreamError> {
    let place = source.place();
    let version = source.u32("a mapped-ram header")?;
    if version != MAPPED_RAM_HDR_VERSION {
        let what = format!("a mapped-ram header of version {version}");
        return Err(StreamError::unsupported(place, what));
    }
    let page_size = source.u64("the page size of a mapped-ram header")?;
    let bitmap_offset = source.u64("the bitmap offset of a mapped-ram header")?;
    let pages_offset = source.u64("the pages offset of a mapped-ram header")?;
    let pages = used_length / layout.page_size;
    if (page_size, bitmap_offset, pages_offset) == (layout.page_size, 0, 0) {
        // `mapped_ram_setup_ramblock` since 11.0, of a block that is ignored.
        let (present, stray) = (PageSet::default(), PageSet::default());
        return Ok(MappedRam { page_size, bitmap_offset, pages_offset, present, stray });
    }
    let bitmap_end = bitmap_offset.saturating_add(pages.div_ceil(64) * 8);
    let fits = page_size == layout.page_size
        && bitmap_offset >= source.offset()
        && pages_offset >= bitmap_end;
    if !fits || pages_offset.checked_add(used_length).is_none() {
        let expected = format!("pages of {:#x}, and bitmap and pages behind", layout.page_size);
        let found = format!("pages of {page_size:#x}, {bitmap_offset:#x} and {pages_offset:#x}");
        return Err(StreamError::malformed(place, expected, found));
    }
    source.skip(bitmap_offset - source.offset(), "a mapped-ram bitmap")?;
    let present = read_bitmap(source, pages)?;
    source.skip(pages_offset - source.offset(), "the pages of a mapped-ram block")?;
    let mut stray = PageSet::default();
    for page in 0..pages {
        let bytes = source.take(page_size as usize, "a page of a mapped-ram block")?;
        if !present.contains(page) && bytes.iter().any(|&byte| byte != 0) {
            stray.insert(page);
        }
    }
    Ok(MappedRam { page_size, bitmap_offset, pages_offset, present, stray })
}

/// Reads a C array of unsigned long as the source's host has it; x86 is little-endian.
fn read_bitmap<R: BufRead>(source: &mut Source<R>, pages: u64) -> Result<PageSet, StreamError> {
    let mut present = PageSet::default();
    for first in (0..pages).step_by(64) {
        let place = source.place();
        let word = u64::from_le_bytes(source.array("a mapped-ram bitmap")?);
        for page in (0..64).filter(|bit| word >> bit & 1 == 1).map(|bit| first + bit) {
            if page >= pages {
                let expected = format!("a bitmap of {pages} pages");
                return Err(StreamError::malformed(place, expected, format!("page {page}")));
            }
            present.insert(page);
        }
    }
    Ok(present)
}
