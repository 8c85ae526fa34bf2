//! What the pages of RAM blocks hold once a stream is loaded.

use std::collections::BTreeMap;

use crate::{
    BlockOffset, PageContent, Place, Reader, RecordKind, StreamError, StreamOffset, multifd, xbzrle,
};

/// The last content of each page that a stream has, of the blocks that were asked for.
///
/// It grows with the pages that there are, not with the length that a stream claims for a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    page_size: u64,
    blocks: BTreeMap<String, BTreeMap<BlockOffset, Page>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Page {
    sent: Sent,
    bytes: Vec<u8>,
}

/// When a page was sent: after so many synchronisations of all channels, in the packet with this
/// number. The main channel, whose pages are in no packet, never has a page between the same two
/// synchronisations as another channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    round: u64,
    packet: u64,
}

impl Memory {
    /// Reads a whole stream: the main channel, and those of multifd beside it. Blocks that are not
    /// `wanted` by their idstr are passed over.
    pub fn read(
        main: &[u8],
        channels: &[&[u8]],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Memory, StreamError> {
        let mut memory = Memory::default();
        let mut names = Vec::new();
        // Since 8.1 the main channel says where it waits for the others; before, it did so at the
        // end of each part.
        let (mut flushes, mut parts) = (0, 0);
        let mut reader = Reader::new(main);
        while let Some(record) = reader.next_record()? {
            match record.kind {
                RecordKind::RamBlocks(list) => {
                    memory.page_size = list.page_size;
                    for block in list.blocks.iter().filter(|block| wanted(&block.idstr)) {
                        let of_file = block.mapped.iter().flat_map(|mapped| mapped.pages(main));
                        let pages = of_file.map(|(offset, bytes)| (offset, Page::first(bytes)));
                        memory.blocks.insert(block.idstr.clone(), pages.collect());
                    }
                    names = list.blocks.iter().map(|block| block.idstr.clone()).collect();
                }
                RecordKind::Page { block, offset, content } => {
                    let round = if flushes > 0 { flushes } else { parts };
                    let sent = Sent { round, packet: 0 };
                    memory.take(&names[block.0], offset, content, sent, record.offset)?;
                }
                RecordKind::MultifdFlush => flushes += 1,
                RecordKind::EndOfSection => parts += 1,
                _ => {}
            }
        }
        for channel in channels {
            memory.add(channel)?;
        }
        Ok(memory)
    }

    /// The idstrs of the blocks, in rising order.
    pub fn blocks(&self) -> impl Iterator<Item = &str> {
        self.blocks.keys().map(String::as_str)
    }

    /// The pages that the stream has of a block, by rising offset; none of a block that was not
    /// asked for or is not listed.
    pub fn pages(&self, idstr: &str) -> impl Iterator<Item = (BlockOffset, &[u8])> {
        let pages = self.blocks.get(idstr).into_iter().flatten();
        pages.map(|(&offset, page)| (offset, page.bytes.as_slice()))
    }

    /// The last content of a page; `None` where the stream does not have it.
    pub fn page(&self, idstr: &str, offset: BlockOffset) -> Option<&[u8]> {
        Some(&self.blocks.get(idstr)?.get(&offset)?.bytes)
    }

    fn add(&mut self, channel: &[u8]) -> Result<(), StreamError> {
        let mut reader = multifd::Reader::new(channel, self.page_size);
        let mut sent = Sent::default();
        // A packet that has pages and synchronises has those of before: until 8.2, a channel that
        // was told both in one go.
        let mut synchronised = false;
        while let Some(record) = reader.next_record()? {
            match record.kind {
                multifd::RecordKind::Init { .. } => {}
                multifd::RecordKind::Packet(packet) => {
                    sent.round += u64::from(synchronised);
                    sent.packet = packet.number;
                    synchronised = packet.sync;
                }
                multifd::RecordKind::Page { block, offset, content } => {
                    self.take(block, offset, content, sent, record.offset)?;
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        idstr: &str,
        offset: BlockOffset,
        content: PageContent<'_>,
        sent: Sent,
        record: StreamOffset,
    ) -> Result<(), StreamError> {
        let Some(pages) = self.blocks.get_mut(idstr) else { return Ok(()) };
        let before = pages.get_mut(&offset);
        if before.as_ref().is_some_and(|before| before.sent > sent) {
            return Ok(());
        }
        let place = Place::Stream(record.0);
        let bytes = match content {
            PageContent::Fill(byte) => vec![byte; self.page_size as usize],
            PageContent::Full(bytes) => bytes.to_vec(),
            PageContent::Xbzrle(encoded) => {
                let Some(before) = before else {
                    let found = "only a difference";
                    return Err(StreamError::malformed(place, "a page that came before", found));
                };
                return xbzrle::apply(&mut before.bytes, encoded, record);
            }
            PageContent::Zlib(_) => {
                return Err(StreamError::unsupported(place, "what a compressed page holds"));
            }
        };
        pages.insert(offset, Page { sent, bytes });
        Ok(())
    }
}

impl Page {
    fn first(bytes: &[u8]) -> Page {
        Page { sent: Sent::default(), bytes: bytes.to_vec() }
    }
}
