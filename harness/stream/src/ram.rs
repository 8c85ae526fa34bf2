//! The body of the "ram" section: its records, page by page.

use std::collections::HashMap;
use std::io::BufRead;

use crate::block_list::{self, Layout};
use crate::record::{BlockIndex, BlockOffset, PageContent, RamBlockList, RecordKind};
use crate::source::Source;
use crate::{Place, StreamError};

// The RAM_SAVE_FLAG_* of QEMU's migration/ram.c.
const ZERO: u64 = 0x02;
const MEM_SIZE: u64 = 0x04;
pub(crate) const PAGE: u64 = 0x08;
const EOS: u64 = 0x10;
const CONTINUE: u64 = 0x20;
const XBZRLE: u64 = 0x40;
const HOOK: u64 = 0x80;
const COMPRESS_PAGE: u64 = 0x100;
const MULTIFD_FLUSH: u64 = 0x200;

const ENCODING_FLAG_XBZRLE: u8 = 1;

/// What of the RAM section must be remembered from one record to the next.
#[derive(Default)]
pub(crate) struct Ram {
    list: Option<RamBlockList>,
    index: HashMap<String, BlockIndex>,
    last: Option<BlockIndex>,
}

impl Ram {
    /// Reads one record of the body.
    pub(crate) fn record<'a, R: BufRead>(
        &'a mut self,
        source: &'a mut Source<R>,
        layout: &Layout,
    ) -> Result<RecordKind<'a>, StreamError> {
        let place = source.place();
        let word = source.u64("a record of the RAM section")?;
        let flags = word & (layout.page_size - 1);
        let malformed =
            |expected| Err(StreamError::malformed(place, expected, format!("{word:#018x}")));
        if self.list.is_none() {
            return match flags {
                MEM_SIZE => {
                    Ok(RecordKind::RamBlocks(self.block_list(source, word - flags, layout)?))
                }
                _ => malformed("the RAM block list"),
            };
        }
        match flags & !CONTINUE {
            EOS if word == EOS => Ok(RecordKind::EndOfSection),
            MULTIFD_FLUSH if word == MULTIFD_FLUSH => Ok(RecordKind::MultifdFlush),
            HOOK => Err(StreamError::unsupported(place, "an RDMA hook")),
            _ if layout.mapped_ram => malformed("no page record (mapped-ram has its pages aside)"),
            kind @ (ZERO | PAGE | XBZRLE | COMPRESS_PAGE) => {
                let offset = BlockOffset(word - flags);
                let block = self.block(source, place, flags & CONTINUE != 0, offset)?;
                let content = content(source, kind, layout.page_size)?;
                Ok(RecordKind::Page { block, offset, content })
            }
            _ => malformed("a page record or the end of the section's part"),
        }
    }

    fn block_list<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
        total: u64,
        layout: &Layout,
    ) -> Result<&RamBlockList, StreamError> {
        let list = block_list::read(source, total, layout)?;
        let names = list.blocks.iter().map(|block| block.idstr.clone());
        self.index = names.zip((0..).map(BlockIndex)).collect();
        Ok(self.list.insert(list))
    }

    /// Finds the block of a page record, and whether `offset` lies in it.
    fn block<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
        place: Place,
        continues: bool,
        offset: BlockOffset,
    ) -> Result<BlockIndex, StreamError> {
        if !continues {
            let idstr = source.name("the name of a page's block")?;
            let Some(&named) = self.index.get(&idstr) else {
                let found = format!("a page of {idstr:?}");
                return Err(StreamError::malformed(place, "a block of the block list", found));
            };
            self.last = Some(named);
        }
        let (Some(index), Some(list)) = (self.last, &self.list) else {
            return Err(StreamError::malformed(place, "a block's name", "CONTINUE without one"));
        };
        let block = &list.blocks[index.0];
        if offset.0 >= block.used_length {
            let expected = format!("an offset below {:#x} in {}", block.used_length, block.idstr);
            return Err(StreamError::malformed(place, expected, offset.to_string()));
        }
        Ok(index)
    }
}

fn content<'a, R: BufRead>(
    source: &'a mut Source<R>,
    kind: u64,
    page_size: u64,
) -> Result<PageContent<'a>, StreamError> {
    let page_size = page_size as usize;
    let place = source.place();
    let (length, longest) = match kind {
        ZERO => return source.u8("a fill byte").map(PageContent::Fill),
        PAGE => {
            return source.take(page_size, "the bytes of a page").map(PageContent::Full);
        }
        XBZRLE => {
            let encoding = source.u8("an XBZRLE header")?;
            if encoding != ENCODING_FLAG_XBZRLE {
                let found = format!("encoding {encoding:#04x}");
                return Err(StreamError::malformed(place, "XBZRLE's encoding, 0x01", found));
            }
            (source.u16("the length of an XBZRLE page")?.into(), page_size)
        }
        // zlib may make a page a little longer.
        _ => (source.u32("the length of a compressed page")? as usize, 2 * page_size),
    };
    if length > longest {
        let expected = format!("at most {longest} encoded bytes");
        return Err(StreamError::malformed(place, expected, length.to_string()));
    }
    let bytes = source.take(length, "the bytes of an encoded page")?;
    Ok(if kind == XBZRLE { PageContent::Xbzrle(bytes) } else { PageContent::Zlib(bytes) })
}
