//! What the pages of each RAM block hold, as a stream gave them last.

use pcram_stream::{PageContent, Reader, RecordKind, StreamError};
use std::collections::BTreeMap;

/// A hash of the pages of each block but `left_out`, by the block's idstr.
pub fn contents(
    stream: &[u8],
    left_out: &str,
) -> Result<BTreeMap<String, blake3::Hash>, StreamError> {
    let mut reader = Reader::new(stream);
    let mut blocks = Vec::new();
    let mut page_size = 0;
    while let Some(record) = reader.next_record()? {
        match record.kind {
            RecordKind::RamBlocks(list) => {
                page_size = list.page_size as usize;
                let named = list.blocks.iter().map(|each| (each.idstr.clone(), BTreeMap::new()));
                blocks = named.collect();
            }
            RecordKind::Page { block, offset, content } => {
                let (idstr, pages) = &mut blocks[block.0];
                if idstr != left_out {
                    pages.insert(offset.0, hash(content, page_size));
                }
            }
            _ => {}
        }
    }
    let digests = blocks.into_iter().map(|(idstr, pages)| {
        let mut all = blake3::Hasher::new();
        for (offset, page) in pages {
            all.update(&offset.to_be_bytes()).update(page.as_bytes());
        }
        (idstr, all.finalize())
    });
    Ok(digests.collect())
}

fn hash(content: PageContent, page_size: usize) -> blake3::Hash {
    match content {
        PageContent::Fill(byte) => blake3::hash(&vec![byte; page_size]),
        PageContent::Full(bytes) => blake3::hash(bytes),
        // Compared as they were sent: no check turns these capabilities on yet.
        PageContent::Xbzrle(bytes) | PageContent::Zlib(bytes) => blake3::hash(bytes),
    }
}
