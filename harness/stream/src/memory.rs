//! What the pages of RAM blocks hold once a stream is loaded, in memory.

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::load::{Ram, load};
use crate::{BlockOffset, RamBlock, StreamError};

/// The last content of each page that a stream has, of the blocks that were asked for.
///
/// It grows with the pages that there are, not with the length that a stream claims for a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    blocks: BTreeMap<String, BTreeMap<BlockOffset, Vec<u8>>>,
}

impl Memory {
    /// Reads a whole stream: the main channel, and those of multifd beside it. Blocks that are not
    /// `wanted` by their idstr are passed over.
    pub fn read(
        main: &[u8],
        channels: &[&[u8]],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Memory, StreamError> {
        let mut filling = Filling { memory: Memory::default(), wanted };
        load(&mut Cursor::new(main), channels.iter().copied(), &mut filling)?;
        Ok(filling.memory)
    }

    /// The idstrs of the blocks, in rising order.
    pub fn blocks(&self) -> impl Iterator<Item = &str> {
        self.blocks.keys().map(String::as_str)
    }

    /// The pages that the stream has of a block, by rising offset; none of a block that was not
    /// asked for or is not listed.
    pub fn pages(&self, idstr: &str) -> impl Iterator<Item = (BlockOffset, &[u8])> {
        let pages = self.blocks.get(idstr).into_iter().flatten();
        pages.map(|(&offset, page)| (offset, page.as_slice()))
    }

    /// The last content of a page; `None` where the stream does not have it.
    pub fn page(&self, idstr: &str, offset: BlockOffset) -> Option<&[u8]> {
        Some(self.blocks.get(idstr)?.get(&offset)?)
    }
}

/// A memory that is being filled.
struct Filling<F> {
    memory: Memory,
    wanted: F,
}

impl<F: Fn(&str) -> bool> Ram for Filling<F> {
    type Error = StreamError;

    fn block(&mut self, block: &RamBlock, _: u64) -> Result<bool, StreamError> {
        let wanted = (self.wanted)(&block.idstr);
        if wanted {
            self.memory.blocks.insert(block.idstr.clone(), BTreeMap::new());
        }
        Ok(wanted)
    }

    fn put(&mut self, idstr: &str, offset: BlockOffset, page: &[u8]) -> Result<(), StreamError> {
        if let Some(pages) = self.memory.blocks.get_mut(idstr) {
            pages.insert(offset, page.to_vec());
        }
        Ok(())
    }

    fn get(
        &mut self,
        idstr: &str,
        offset: BlockOffset,
        page: &mut [u8],
    ) -> Result<bool, StreamError> {
        let before = self.memory.page(idstr, offset);
        before.inspect(|before| page.copy_from_slice(before));
        Ok(before.is_some())
    }
}
