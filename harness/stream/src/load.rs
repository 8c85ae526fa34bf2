//! Loads the pages of a stream as a destination does: in the end each holds what was sent last.

use std::collections::BTreeMap;
use std::io::{BufRead, Seek, SeekFrom};

use crate::{
    BlockOffset, MappedRam, PageContent, Place, RamBlock, Reader, RecordKind, StreamError,
    StreamOffset, multifd, xbzrle, zlib,
};

/// Where the pages of a stream go.
pub trait Ram {
    /// Why it does not take a page, or why the stream has none.
    type Error: From<StreamError>;

    /// Whether it takes the pages of this block, whose pages have `page_size` bytes. It is told of
    /// every block of the list before the first page.
    fn block(&mut self, block: &RamBlock, page_size: u64) -> Result<bool, Self::Error>;

    /// Puts a page where a block has `offset`, which lies in it.
    fn put(&mut self, idstr: &str, offset: BlockOffset, page: &[u8]) -> Result<(), Self::Error>;

    /// Gives the content that a page was put with last; `false` where it was not put yet.
    fn get(
        &mut self,
        idstr: &str,
        offset: BlockOffset,
        page: &mut [u8],
    ) -> Result<bool, Self::Error>;
}

/// When a page was sent: after so many synchronisations of all channels, in the packet with this
/// number. The main channel, whose pages are in no packet, never has a page between the same two
/// synchronisations as another channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    round: u64,
    packet: u64,
}

/// Loads a whole stream: the main channel, and those of multifd beside it.
///
/// It needs no more memory than the list of blocks has, but for a note of each page where there are
/// channels: which of them was sent last is told by its packet.
pub fn load<T: Ram>(
    main: &mut (impl BufRead + Seek),
    channels: impl IntoIterator<Item = impl BufRead>,
    into: &mut T,
) -> Result<(), T::Error> {
    let mut channels = channels.into_iter().peekable();
    let sent = channels.peek().is_some().then(BTreeMap::new);
    let mut loading = Loading { into, page: Vec::new(), blocks: Vec::new(), sent };
    let mapped = loading.main(&mut *main)?;
    for (at, mapped) in &mapped {
        loading.mapped(*at, mapped, main)?;
    }
    channels.try_for_each(|channel| loading.channel(channel))
}

struct Loading<'a, T> {
    into: &'a mut T,
    /// Room for one page.
    page: Vec<u8>,
    blocks: Vec<Wanted>,
    /// When each page was sent last, by the index of its block; only where there are channels.
    sent: Option<BTreeMap<(usize, BlockOffset), Sent>>,
}

struct Wanted {
    idstr: String,
    length: u64,
    taken: bool,
}

impl<T: Ram> Loading<'_, T> {
    /// Reads the main channel, and gives what of it lies elsewhere in the file, by blocks' indices.
    fn main(&mut self, input: impl BufRead) -> Result<Vec<(usize, MappedRam)>, T::Error> {
        // Since 8.1 the main channel says where it waits for the others; before, it did so at the
        // end of each part.
        let (mut flushes, mut parts) = (0, 0);
        let mut mapped = Vec::new();
        let mut reader = Reader::new(input);
        while let Some(record) = reader.next_record()? {
            match record.kind {
                RecordKind::RamBlocks(list) => {
                    self.page = vec![0; list.page_size as usize];
                    for (at, block) in list.blocks.iter().enumerate() {
                        let taken = self.into.block(block, list.page_size)?;
                        if let Some(aside) = block.mapped.as_ref().filter(|_| taken) {
                            mapped.push((at, aside.clone()));
                        }
                        let (idstr, length) = (block.idstr.clone(), block.used_length);
                        self.blocks.push(Wanted { idstr, length, taken });
                    }
                }
                RecordKind::Page { block, offset, content } => {
                    let round = if flushes > 0 { flushes } else { parts };
                    self.take(block.0, offset, content, Sent { round, packet: 0 }, record.offset)?;
                }
                RecordKind::MultifdFlush => flushes += 1,
                RecordKind::EndOfSection => parts += 1,
                _ => {}
            }
        }
        Ok(mapped)
    }

    fn mapped(
        &mut self,
        at: usize,
        mapped: &MappedRam,
        file: &mut (impl BufRead + Seek),
    ) -> Result<(), T::Error> {
        // Its pages are the host's.
        let mut page = vec![0; mapped.page_size as usize];
        for number in mapped.present.iter() {
            let offset = BlockOffset(number * mapped.page_size);
            let place = Place::Stream(mapped.pages_offset + offset.0);
            let read = file.seek(SeekFrom::Start(place.offset()));
            read.and_then(|_| file.read_exact(&mut page))
                .map_err(|source| StreamError::Io { place, source })?;
            self.into.put(&self.blocks[at].idstr, offset, &page)?;
        }
        Ok(())
    }

    fn channel(&mut self, input: impl BufRead) -> Result<(), T::Error> {
        let mut reader = multifd::Reader::new(input, self.page.len() as u64);
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
                    let named = self.blocks.iter().position(|it| it.idstr == block);
                    let Some(at) = named.filter(|&at| offset.0 < self.blocks[at].length) else {
                        let place = Place::Stream(record.offset.0);
                        let found = format!("{offset} of {block:?}");
                        return Err(
                            StreamError::malformed(place, "a page of a block", found).into()
                        );
                    };
                    self.take(at, offset, content, sent, record.offset)?;
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        at: usize,
        offset: BlockOffset,
        content: PageContent<'_>,
        sent: Sent,
        record: StreamOffset,
    ) -> Result<(), T::Error> {
        let Wanted { idstr, taken, .. } = &self.blocks[at];
        if !taken {
            return Ok(());
        }
        if let Some(before) = &mut self.sent {
            let before = before.entry((at, offset)).or_default();
            if *before > sent {
                return Ok(());
            }
            *before = sent;
        }
        let place = Place::Stream(record.0);
        match content {
            PageContent::Full(bytes) => return self.into.put(idstr, offset, bytes),
            PageContent::Fill(byte) => self.page.fill(byte),
            PageContent::Xbzrle(encoded) => {
                if !self.into.get(idstr, offset, &mut self.page)? {
                    let found = "only a difference";
                    return Err(
                        StreamError::malformed(place, "a page that came before", found).into()
                    );
                }
                xbzrle::apply(&mut self.page, encoded, record)?;
            }
            PageContent::Zlib(packed) => zlib::unpack(&mut self.page, packed, record)?,
        }
        self.into.put(idstr, offset, &self.page)
    }
}
