//! Damages a stream on purpose: a tool for tests that a check of streams can fail.

use crate::ram::PAGE;
use crate::{BlockOffset, Place, Reader, RecordKind, StreamError, StreamOffset};

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
    let header = (offset.0 | PAGE).to_be_bytes();
    Ok([before, &header, &[idstr.len() as u8], idstr.as_bytes(), &page, after].concat())
}
