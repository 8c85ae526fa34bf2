//! Damages a stream on purpose: a tool for tests that a check of streams can fail.

use crate::ram::PAGE;
use crate::{
    BlockOffset, MappedRam, Place, RamBlockList, Reader, RecordKind, StreamError, StreamOffset,
    multifd,
};

/// What the smuggled page is filled with.
pub const SMUGGLED: u8 = 0xa5;

/// Puts one page of the RAM block `idstr`, full of [`SMUGGLED`], into a stream.
///
/// The record names its block and becomes the last one of the RAM section's end, so that no other
/// record's CONTINUE refers to it: the result reads as a stream that QEMU could have written.
/// A block that is not in the stream's list is an error, as is a stream that cannot be read.
pub fn smuggle_page(
    stream: &[u8],
    idstr: &str,
    offset: BlockOffset,
) -> Result<Vec<u8>, StreamError> {
    let mut page = None;
    // RAM is the last section to end: block migration, where 1.0 has it, is registered before.
    let mut end = StreamOffset(0);
    let mut reader = Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        match record.kind {
            RecordKind::RamBlocks(list) => {
                let known = list.blocks.iter().any(|block| block.idstr == idstr);
                page = known.then(|| vec![SMUGGLED; list.page_size as usize]);
            }
            RecordKind::EndOfSection => end = record.offset,
            _ => {}
        }
    }
    let Some(page) = page else {
        let (expected, found) = (format!("{idstr} in the block list"), "other blocks");
        return Err(StreamError::malformed(Place::Stream(0), expected, found));
    };
    let (before, after) = stream.split_at(end.0 as usize);
    let header = (offset.0 + PAGE).to_be_bytes();
    Ok([before, &header, &[idstr.len() as u8], idstr.as_bytes(), &page, after].concat())
}

/// Takes a page of a RAM block out of a stream: each record of it becomes one of the page at
/// `instead`, which is then there once more. An error where there is no such record.
pub fn misplace_page(
    stream: &[u8],
    idstr: &str,
    offset: BlockOffset,
    instead: BlockOffset,
) -> Result<Vec<u8>, StreamError> {
    let mut damaged = stream.to_vec();
    let mut wanted = None;
    let mut found = false;
    let mut reader = Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        match record.kind {
            RecordKind::RamBlocks(list) => {
                wanted = list.blocks.iter().position(|block| block.idstr == idstr);
            }
            RecordKind::Page { block, offset: here, .. }
                if (Some(block.0), here) == (wanted, offset) =>
            {
                let word = &mut damaged[record.offset.0 as usize..][..8];
                let old = u64::from_be_bytes(word.try_into().expect("eight bytes"));
                word.copy_from_slice(&(old - offset.0 + instead.0).to_be_bytes());
                found = true;
            }
            _ => {}
        }
    }
    if found { Ok(damaged) } else { Err(missing(format!("a page of {idstr} at {offset}"))) }
}

/// Puts a packet with one page of the RAM block `idstr`, full of [`SMUGGLED`], at the start of a
/// multifd channel. `page_size` is the target's.
pub fn smuggle_packet(
    channel: &[u8],
    idstr: &str,
    offset: BlockOffset,
    page_size: u64,
) -> Result<Vec<u8>, StreamError> {
    let mut reader = multifd::Reader::new(channel, page_size);
    reader.next_record()?;
    let (before, after) = channel.split_at(reader.offset().0 as usize);
    let packet = multifd::packet_with_one_page(idstr, offset, page_size);
    Ok([before, &packet, &vec![SMUGGLED; page_size as usize], after].concat())
}

/// Puts one page of the RAM block `idstr`, full of [`SMUGGLED`], into a mapped-ram file, where the
/// block's pages would lie; `bitmap` tells whether its bitmap says so. An error where the file has
/// no room for the block's pages.
pub fn smuggle_mapped(
    file: &[u8],
    idstr: &str,
    offset: BlockOffset,
    bitmap: bool,
) -> Result<Vec<u8>, StreamError> {
    let MappedRam { page_size, bitmap_offset, pages_offset, .. } = mapped(file, idstr)?;
    let mut damaged = file.to_vec();
    let place = (pages_offset + offset.0) as usize;
    damaged[place..][..page_size as usize].fill(SMUGGLED);
    let page = offset.0 / page_size;
    if bitmap {
        damaged[(bitmap_offset + page / 8) as usize] |= 1 << (page % 8);
    }
    Ok(damaged)
}

fn mapped(file: &[u8], idstr: &str) -> Result<MappedRam, StreamError> {
    let find = |list: &RamBlockList| {
        let block = list.blocks.iter().find(|block| block.idstr == idstr)?;
        block.mapped.clone().filter(|mapped| mapped.pages_offset > 0)
    };
    let mut reader = Reader::new(file);
    while let Some(record) = reader.next_record()? {
        if let RecordKind::RamBlocks(list) = record.kind {
            return find(list).ok_or_else(|| missing(format!("room for the pages of {idstr}")));
        }
    }
    Err(missing("a block list".to_owned()))
}

fn missing(expected: String) -> StreamError {
    StreamError::malformed(Place::Stream(0), expected, "none")
}
