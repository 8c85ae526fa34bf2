//! RAM blocks as files: what a stream's pages come to, however many there are.

use anyhow::{Context, Result, ensure};
use pcram_stream::load::Ram;
use pcram_stream::{BlockOffset, PageSet, RamBlock};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A file for each block that is wanted, as long as the block; where no page was put it has a hole.
pub struct Files<F> {
    blocks: BTreeMap<String, Block>,
    /// Gives the file of a block, empty; `None` for a block that is not wanted.
    make: F,
}

struct Block {
    file: File,
    page_size: u64,
    put: PageSet,
}

impl<F: FnMut(&str) -> Result<Option<File>>> Files<F> {
    /// With no block yet.
    pub fn new(make: F) -> Files<F> {
        Files { blocks: BTreeMap::new(), make }
    }

    /// Reads a page, by its number; zeros where it was not put.
    pub fn page(&self, idstr: &str, page: u64) -> Result<Vec<u8>> {
        let Block { file, page_size, .. } = self.block_named(idstr)?;
        let mut bytes = vec![0; *page_size as usize];
        file.read_exact_at(&mut bytes, page * page_size)
            .with_context(|| format!("cannot read page {page} of {idstr}"))?;
        Ok(bytes)
    }

    fn block_named(&self, idstr: &str) -> Result<&Block> {
        self.blocks.get(idstr).with_context(|| format!("no file is kept of {idstr}"))
    }
}

impl<F: FnMut(&str) -> Result<Option<File>>> Ram for Files<F> {
    type Error = anyhow::Error;

    fn block(&mut self, block: &RamBlock, page_size: u64) -> Result<bool> {
        let Some(file) = (self.make)(&block.idstr)? else { return Ok(false) };
        let (idstr, length) = (block.idstr.clone(), block.used_length);
        file.set_len(length)
            .with_context(|| format!("no file can have the {length} bytes of {idstr}"))?;
        self.blocks.insert(idstr, Block { file, page_size, put: PageSet::default() });
        Ok(true)
    }

    fn put(&mut self, idstr: &str, offset: BlockOffset, page: &[u8]) -> Result<()> {
        let block = self.blocks.get_mut(idstr).context("a page of a block that is not wanted")?;
        ensure!(!page.is_empty(), "a page of no bytes");
        // A page of zeros stays a hole, but for one that was something else before.
        let before = block.put.contains(offset.0 / block.page_size);
        if before || page.iter().any(|&byte| byte != 0) {
            let cannot = || format!("cannot write the page at {offset} of {idstr}");
            block.file.write_all_at(page, offset.0).with_context(cannot)?;
        }
        block.put.insert(offset.0 / block.page_size);
        Ok(())
    }

    fn get(&mut self, idstr: &str, offset: BlockOffset, page: &mut [u8]) -> Result<bool> {
        let block = self.block_named(idstr)?;
        let there = block.put.contains(offset.0 / block.page_size);
        if there {
            let cannot = || format!("cannot read the page at {offset} of {idstr}");
            block.file.read_exact_at(page, offset.0).with_context(cannot)?;
        }
        Ok(there)
    }
}
