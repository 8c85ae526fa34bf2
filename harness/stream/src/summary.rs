//! What a whole stream carries, block by block.

use std::io::BufRead;

use crate::{
    BlockOffset, DeviceState, PageContent, PageSet, Place, RamBlock, Reader, RecordKind,
    StreamError, multifd,
};

/// What was read from a whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The machine type, where the stream has a configuration section.
    pub machine: Option<String>,
    /// The capabilities that the configuration section lists.
    pub capabilities: Vec<String>,
    /// The RAM blocks that the configuration section says reach the other side by other means.
    pub external_ram: Vec<String>,
    /// The target's page size, in bytes.
    pub page_size: u64,
    /// The sum that heads the block list, in bytes.
    pub total: u64,
    /// The RAM blocks, in the order of the list.
    pub blocks: Vec<BlockSummary>,
    /// How often the page records began anew: one more than the times that a record's page lay
    /// not behind that of the record before, in the order of list and offset; 0 without records.
    /// It means nothing where threads write in any order (the capability compress).
    pub sweeps: u64,
    /// How often the stream says that there are pages on other channels.
    pub multifd_flushes: u64,
    /// The other channels that were read, too ([`Summary::add_channel`]).
    pub channels: Vec<ChannelSummary>,
    /// What follows the RAM section.
    pub device_state: DeviceState,
    /// The length of the main stream, in bytes.
    pub length: u64,
}

/// What a multifd channel carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelSummary {
    /// Its number.
    pub id: u8,
    /// Its packets, those that synchronise among them.
    pub packets: u64,
    /// Its packets that synchronise all channels.
    pub syncs: u64,
    /// The pages in its packets.
    pub pages: RecordCounts,
    /// Its length, in bytes.
    pub length: u64,
}

/// One RAM block of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Its name.
    pub idstr: String,
    /// Its length, in bytes.
    pub used_length: u64,
    /// Its page records.
    pub records: RecordCounts,
    /// The pages that the stream has, by records or by a mapped-ram bitmap.
    pub pages: PageSet,
    /// The pages of a mapped-ram file that are not zero, and not in its bitmap either.
    pub stray: PageSet,
}

/// Page records by their kind; a page may have several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Pages given by one byte that fills them.
    pub fill: u64,
    /// Pages given in full.
    pub full: u64,
    /// Pages given by their difference.
    pub xbzrle: u64,
    /// Pages given as zlib's output.
    pub zlib: u64,
}

impl RecordCounts {
    /// All records of the block.
    pub fn total(&self) -> u64 {
        self.fill + self.full + self.xbzrle + self.zlib
    }

    fn count(&mut self, content: PageContent<'_>) {
        *match content {
            PageContent::Fill(_) => &mut self.fill,
            PageContent::Full(_) => &mut self.full,
            PageContent::Xbzrle(_) => &mut self.xbzrle,
            PageContent::Zlib(_) => &mut self.zlib,
        } += 1;
    }
}

impl Summary {
    /// Reads a stream to its end.
    pub fn read(input: impl BufRead) -> Result<Self, StreamError> {
        let (summary, read) = Summary::read_as_far(input);
        read.map(|()| summary)
    }

    /// Reads a stream as far as it can be read: what was read so far, and why it went no further
    /// where it did not come to the end.
    pub fn read_as_far(input: impl BufRead) -> (Self, Result<(), StreamError>) {
        let mut summary = Summary {
            machine: None,
            capabilities: Vec::new(),
            external_ram: Vec::new(),
            page_size: 0,
            total: 0,
            blocks: Vec::new(),
            sweeps: 0,
            multifd_flushes: 0,
            channels: Vec::new(),
            device_state: DeviceState::Unexamined { length: 0 },
            length: 0,
        };
        let mut reader = Reader::new(input);
        let read = summary.take(&mut reader);
        summary.length = reader.offset().0;
        (summary, read)
    }

    fn take(&mut self, reader: &mut Reader<impl BufRead>) -> Result<(), StreamError> {
        let summary = self;
        let mut last = None;
        while let Some(record) = reader.next_record()? {
            match record.kind {
                RecordKind::Configuration(configuration) => {
                    summary.machine = Some(configuration.machine.clone());
                    summary.capabilities.clone_from(&configuration.capabilities);
                    summary.external_ram.clone_from(&configuration.external_ram);
                }
                RecordKind::RamBlocks(list) => {
                    summary.page_size = list.page_size;
                    summary.total = list.total;
                    summary.blocks = list.blocks.iter().map(BlockSummary::new).collect();
                }
                RecordKind::Page { block, offset, content } => {
                    let seen = &mut summary.blocks[block.0];
                    seen.note(offset, content, summary.page_size);
                    let here = Some((block, offset));
                    summary.sweeps += u64::from(last.is_none() || here <= last);
                    last = here;
                }
                RecordKind::MultifdFlush => summary.multifd_flushes += 1,
                RecordKind::DeviceState(state) => summary.device_state = state,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a multifd channel beside the main stream to its end, and counts its pages with their
    /// blocks.
    pub fn add_channel(&mut self, input: impl BufRead) -> Result<(), StreamError> {
        let mut reader = multifd::Reader::new(input, self.page_size);
        let mut channel = ChannelSummary::default();
        while let Some(record) = reader.next_record()? {
            match record.kind {
                multifd::RecordKind::Init { id, .. } => channel.id = id,
                multifd::RecordKind::Packet(packet) => {
                    channel.packets += 1;
                    channel.syncs += u64::from(packet.sync);
                }
                multifd::RecordKind::Page { block, offset, content } => {
                    let named = self.blocks.iter_mut().find(|each| each.idstr == block);
                    let Some(seen) = named.filter(|each| offset.0 < each.used_length) else {
                        let (place, found) =
                            (Place::Stream(record.offset.0), format!("{offset} of {block:?}"));
                        return Err(StreamError::malformed(place, "a page of a block", found));
                    };
                    seen.note(offset, content, self.page_size);
                    channel.pages.count(content);
                }
            }
        }
        channel.length = reader.offset().0;
        self.channels.push(channel);
        Ok(())
    }

    /// The block of this name, if the list has it.
    pub fn block(&self, idstr: &str) -> Option<&BlockSummary> {
        self.blocks.iter().find(|block| block.idstr == idstr)
    }

    /// How many distinct pages of a block the stream has; `None` for a block that is not listed.
    pub fn pages_of(&self, idstr: &str) -> Option<u64> {
        self.block(idstr).map(|block| block.pages.len())
    }

    /// Whether the stream has every page of a block; `None` for a block that is not listed.
    ///
    /// A mapped-ram file leaves out pages of zeros: a block that was saved may not be whole there.
    pub fn is_whole(&self, idstr: &str) -> Option<bool> {
        self.block(idstr).map(|block| block.pages.len() == block.used_length / self.page_size)
    }
}

impl BlockSummary {
    fn new(block: &RamBlock) -> Self {
        BlockSummary {
            idstr: block.idstr.clone(),
            used_length: block.used_length,
            records: RecordCounts::default(),
            pages: block.mapped.as_ref().map_or_else(PageSet::default, |it| it.present.clone()),
            stray: block.mapped.as_ref().map_or_else(PageSet::default, |it| it.stray.clone()),
        }
    }

    fn note(&mut self, offset: BlockOffset, content: PageContent<'_>, page_size: u64) {
        self.records.count(content);
        self.pages.insert(offset.0 / page_size);
    }
}
