//! A migration channel beside the main one: the pages that multifd sends.
//!
//! Mirrors `MultiFDInit_t` and `MultiFDPacket_t` of QEMU's `migration/multifd.h`, whose layout has
//! been the same since 4.0 (the count of zero pages, since 9.0, stands where there were zeros).
//! Packets that are compressed, and those with the state of a device, are not read.

use std::io::BufRead;

use crate::configuration::padded_name;
use crate::record::{BlockOffset, PageContent, StreamOffset};
use crate::source::Source;
use crate::{Place, StreamError};

/// The first four bytes of every such channel, and of each of its packets.
pub const MAGIC: [u8; 4] = 0x1122_3344_u32.to_be_bytes();

const VERSION: u32 = 1;
const FLAG_SYNC: u32 = 1;
const COMPRESSION_MASK: u32 = 0x1f << 1;
const FLAG_DEVICE_STATE: u32 = 32 << 1;
/// `MULTIFD_PACKET_SIZE`: the bytes of the pages that fill a packet.
const PACKET_SIZE: u64 = 512 * 1024;
/// The length of `RAMBlock.idstr`.
const IDSTR: usize = 256;
const UNUSED_IN_INIT: u64 = 7 + 4 * 8;
const UNUSED_IN_PACKET: u64 = 4 + 3 * 8;

/// One record of a channel, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The offset of its first byte in the channel; of a page, that of its content.
    pub offset: StreamOffset,
    /// What it is.
    pub kind: RecordKind<'a>,
}

/// The kinds of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordKind<'a> {
    /// `MultiFDInit_t`, which every channel begins with.
    Init {
        /// The number of the channel.
        id: u8,
        /// The UUID of the guest.
        uuid: [u8; 16],
    },
    /// `MultiFDPacket_t`; its pages follow.
    Packet(Packet),
    /// A page of the packet before.
    Page {
        /// Its block's idstr.
        block: &'a str,
        /// Its offset in the block.
        offset: BlockOffset,
        /// What the channel has of it.
        content: PageContent<'a>,
    },
}

/// The header of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Its number among those of all channels.
    pub number: u64,
    /// Whether it waits for all channels to come this far.
    pub sync: bool,
    /// The idstr of the block that its pages are of; empty where it has none.
    pub block: String,
    /// The pages that it has in full, in the order of their contents.
    pub full: Vec<BlockOffset>,
    /// The pages that are zero.
    pub zero: Vec<BlockOffset>,
}

/// Reads a channel record by record. After an error there are no more records.
pub struct Reader<R> {
    source: Source<R>,
    page_size: u64,
    packet: Packet,
    /// The next page of the packet: first those in full, then those that are zero.
    next: usize,
    begun: bool,
    failed: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input`, which begins with [`MAGIC`]. `page_size` is the target's, as the main
    /// channel says: a power of two, at most 64 KiB.
    pub fn new(input: R, page_size: u64) -> Self {
        let (source, packet) = (Source::new(input, 0), Packet::default());
        Reader { source, page_size, packet, next: 0, begun: false, failed: false }
    }

    /// The offset of the record that comes next; at the end, the length of the channel.
    pub fn offset(&self) -> StreamOffset {
        StreamOffset(self.source.offset())
    }

    /// The next record, or `None` where the channel ends behind a whole packet.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, StreamError> {
        let offset = self.offset();
        if self.failed {
            return Ok(None);
        }
        // Only an error leaves this as it is.
        self.failed = true;
        let kind = if !self.begun {
            self.init()?
        } else if self.next < self.packet.full.len() + self.packet.zero.len() {
            return self.page().map(|kind| Some(Record { offset, kind }));
        } else if self.source.peek(1)?.is_empty() {
            return Ok(None);
        } else {
            self.packet = self.packet()?;
            self.next = 0;
            RecordKind::Packet(self.packet.clone())
        };
        (self.begun, self.failed) = (true, false);
        Ok(Some(Record { offset, kind }))
    }

    fn init<'a>(&mut self) -> Result<RecordKind<'a>, StreamError> {
        self.magic_and_version("a multifd channel")?;
        let uuid = self.source.array("a UUID")?;
        let id = self.source.u8("the number of a multifd channel")?;
        self.source.skip(UNUSED_IN_INIT, "the rest of a multifd channel's first packet")?;
        Ok(RecordKind::Init { id, uuid })
    }

    fn magic_and_version(&mut self, what: &str) -> Result<(), StreamError> {
        let place = self.source.place();
        let magic: [u8; 4] = self.source.array(&format!("the magic of {what}"))?;
        if magic != MAGIC {
            let expected = format!("the magic 0x{:x} of {what}", u32::from_be_bytes(MAGIC));
            let found = format!("{:#x}", u32::from_be_bytes(magic));
            return Err(StreamError::malformed(place, expected, found));
        }
        match self.source.u32(&format!("the version of {what}"))? {
            VERSION => Ok(()),
            other => Err(StreamError::unsupported(place, format!("{what} of version {other}"))),
        }
    }

    fn packet(&mut self) -> Result<Packet, StreamError> {
        let place = self.source.place();
        self.magic_and_version("a multifd packet")?;
        let flags = self.source.u32("the flags of a multifd packet")?;
        if flags & FLAG_DEVICE_STATE != 0 {
            return Err(StreamError::unsupported(place, "device state on a multifd channel"));
        }
        if flags & COMPRESSION_MASK != 0 {
            return Err(StreamError::unsupported(place, "compressed pages on a multifd channel"));
        }
        let room = PACKET_SIZE / self.page_size;
        let pages = |source: &mut Source<R>, expected: &str| source.u32(expected).map(u64::from);
        let allocated = pages(&mut self.source, "the room for pages in a multifd packet")?;
        let full = pages(&mut self.source, "the number of full pages in a multifd packet")?;
        let bytes = self.source.u32("the length of a multifd packet's pages")?;
        let number = self.source.u64("the number of a multifd packet")?;
        let zero = pages(&mut self.source, "the number of zero pages in a multifd packet")?;
        self.source.skip(UNUSED_IN_PACKET, "the rest of a multifd packet's header")?;
        let block = padded_name(&mut self.source, "the block of a multifd packet")?;
        let fits = allocated <= room && full + zero <= room;
        // Before 8.0 a packet without full pages has the length of one before it.
        if !fits || (full > 0 && u64::from(bytes) != full * self.page_size) {
            let expected = format!("at most {room} pages of {} bytes", self.page_size);
            let found = format!("{full} full and {zero} zero pages in {bytes} bytes");
            return Err(StreamError::malformed(place, expected, found));
        }
        let mut offsets = Vec::new();
        for _ in 0..room {
            offsets.push(self.page_offset()?);
        }
        offsets.truncate((full + zero) as usize);
        let zero = offsets.split_off(full as usize);
        Ok(Packet { number, sync: flags & FLAG_SYNC != 0, block, full: offsets, zero })
    }

    fn page_offset(&mut self) -> Result<BlockOffset, StreamError> {
        let place: Place = self.source.place();
        let offset = self.source.u64("the offset of a page")?;
        if offset % self.page_size == 0 {
            return Ok(BlockOffset(offset));
        }
        let expected = format!("an offset of whole pages of {} bytes", self.page_size);
        Err(StreamError::malformed(place, expected, format!("{offset:#x}")))
    }

    fn page(&mut self) -> Result<RecordKind<'_>, StreamError> {
        let Packet { block, full, zero, .. } = &self.packet;
        let next = self.next;
        self.next += 1;
        let (offset, content) = match full.get(next) {
            None => (zero[next - full.len()], PageContent::Fill(0)),
            Some(&offset) => {
                let bytes = self.source.take(self.page_size as usize, "the bytes of a page")?;
                (offset, PageContent::Full(bytes))
            }
        };
        self.failed = false;
        Ok(RecordKind::Page { block, offset, content })
    }
}

/// A packet as the reader takes it, for damage on purpose. Its page is to follow.
pub(crate) fn packet_with_one_page(idstr: &str, offset: BlockOffset, page_size: u64) -> Vec<u8> {
    let room = PACKET_SIZE / page_size;
    let mut block = idstr.as_bytes().to_vec();
    block.resize(IDSTR, 0);
    let mut offsets = offset.0.to_be_bytes().to_vec();
    offsets.resize(room as usize * size_of::<u64>(), 0);
    // Flags, room, full pages, their bytes; then the packet's number in two halves, zero pages.
    let numbers = [VERSION, 0, room as u32, 1, page_size as u32, 0, 0, 0];
    let numbers = numbers.map(u32::to_be_bytes).concat();
    [&MAGIC[..], &numbers, &[0; UNUSED_IN_PACKET as usize], &block, &offsets].concat()
}
