//! The RAM section of a guest that stands still, to the last byte; and the head of its stream.
//!
//! The first sweep starts with every page dirty, and nothing becomes dirty again: each page of each
//! block that is saved is sent once, block after block as the list has them, from page 0 up. How many
//! parts the section is cut into follows from time and bandwidth, and nobody foretells it; a part ends
//! with [`EOS`], and what comes in it does not depend on where it is cut.
//!
//! Mirrors `ram_save_setup`, `ram_find_and_save_block`, `save_page_header`, `save_zero_page` and
//! `ram_save_page` of migration/ram.c, and `ram_save_live` and `ram_save_block` of 1.0's arch_init.c.

use crate::address::TARGET_PAGE_SIZE;
use crate::around::file::Output;
use crate::around::{self, Guest, Settings, Tree};
use crate::ram::{self, Kind};
use crate::ram_list::{RamBlock, bytes_total_with_ignored};
use crate::v1_0::save::{
    RAM_SAVE_FLAG_COMPRESS, RAM_SAVE_FLAG_CONTINUE, RAM_SAVE_FLAG_EOS, RAM_SAVE_FLAG_MEM_SIZE,
    RAM_SAVE_FLAG_PAGE,
};

/// What ends each part of the section.
pub const EOS: [u8; 8] = RAM_SAVE_FLAG_EOS.to_be_bytes();

/// Which pages are sent as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Those that repeat any byte: up to 1.4 (`is_dup_page`).
    Repeated,
    /// Those that are zero: since 1.5 (`is_zero_page`, `buffer_is_zero`).
    Zero,
}

impl Short {
    /// As a QEMU of this version does.
    pub fn of_version(major: u32, minor: u32) -> Short {
        if (major, minor) < (1, 5) { Short::Repeated } else { Short::Zero }
    }

    /// The byte that a page is sent as.
    pub(crate) fn byte(self, page: &[u8]) -> Option<u8> {
        let first = *page.first()?;
        let repeats = page.iter().all(|&byte| byte == first);
        (repeats && (first == 0 || self == Short::Repeated)).then_some(first)
    }
}

/// What a stream has before its first section, where no capability is on; before 2.4, it does not tell the
/// `machine`.
pub fn head(machine: Option<&str>, blocks: &[RamBlock]) -> Vec<u8> {
    let tree =
        Tree { ram: ram::Tree { external: true, ..ram::Tree::default() }, ..Tree::default() };
    let settings = Settings { send_configuration: machine.is_some(), ..Settings::default() };
    let block = |block: &RamBlock| around::Block {
        idstr: block.idstr.clone().into_bytes(),
        kind: if block.is_ignored() { Kind::External } else { Kind::Plain },
        // Nothing else of it has a say.
        resizeable: false,
        used_length: 0,
        max_length: 0,
        page_size: TARGET_PAGE_SIZE,
        addr: 0,
        host: 0,
        bmap: None,
        file_bmap: None,
        receivedmap: None,
        bitmap_offset: 0,
        pages_offset: 0,
    };
    let mut guest = Guest::new(tree, settings, blocks.iter().map(block).collect());
    guest.machine = machine.unwrap_or_default().to_owned();
    let mut output = Output::default();
    guest.qemu_savevm_state_header(&mut output);
    output.pieces.into_iter().flat_map(|(_, piece)| piece).collect()
}

/// What the section begins with: the list of all blocks, whoever carries their content.
pub fn list(blocks: &[RamBlock]) -> Vec<u8> {
    let head = bytes_total_with_ignored(blocks) | RAM_SAVE_FLAG_MEM_SIZE;
    let mut bytes = head.to_be_bytes().to_vec();
    for block in blocks {
        put_idstr(&mut bytes, &block.idstr);
        bytes.extend(block.used_length.to_be_bytes());
    }
    bytes
}

/// All page records, which come behind the list. `page` gives what a page of a
/// block holds, by its offset in bytes.
pub fn pages<'a>(
    blocks: &[RamBlock],
    short: Short,
    page: impl Fn(&str, u64) -> Option<&'a [u8]>,
) -> Result<Vec<u8>, NoContent> {
    let mut bytes = Vec::new();
    for block in blocks.iter().filter(|block| !block.is_ignored()) {
        for offset in (0..block.pages()).map(|page| page * TARGET_PAGE_SIZE) {
            let content = page(&block.idstr, offset)
                .ok_or_else(|| NoContent { idstr: block.idstr.clone(), offset })?;
            let byte = short.byte(content);
            let kind = if byte.is_some() { RAM_SAVE_FLAG_COMPRESS } else { RAM_SAVE_FLAG_PAGE };
            let cont = if offset > 0 { RAM_SAVE_FLAG_CONTINUE } else { 0 };
            bytes.extend((offset | cont | kind).to_be_bytes());
            if offset == 0 {
                put_idstr(&mut bytes, &block.idstr);
            }
            match byte {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(content),
            }
        }
    }
    Ok(bytes)
}

/// Nobody knows what a page holds that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the page at {offset:#x} of {idstr} holds is not known")]
pub struct NoContent {
    /// The block.
    pub idstr: String,
    /// The offset in bytes.
    pub offset: u64,
}

fn put_idstr(bytes: &mut Vec<u8>, idstr: &str) {
    bytes.push(idstr.len() as u8);
    bytes.extend(idstr.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ram_list::Carrier;
    use crate::v1_0::bounded::Nowhere;
    use crate::v1_0::{Host, Ram, Save, Variant};

    fn blocks() -> Vec<RamBlock> {
        [("ram", 3, Carrier::Stream), ("file", 2, Carrier::File), ("rom", 1, Carrier::Stream)]
            .map(|(idstr, pages, carrier)| RamBlock {
                idstr: idstr.into(),
                used_length: pages * TARGET_PAGE_SIZE,
                carrier,
            })
            .into()
    }

    /// Pages of zeros, of sevens, and of both, in turn.
    fn page(idstr: &str, offset: u64) -> Option<&'static [u8]> {
        static PAGES: [[u8; 4096]; 3] = {
            let mut pages = [[0; 4096], [7; 4096], [7; 4096]];
            pages[2][4095] = 0;
            pages
        };
        (idstr != "lost").then(|| &PAGES[(offset / 4096) as usize % 3][..])
    }

    #[test]
    fn a_record_is_as_short_as_the_version_has_it() {
        let old = pages(&blocks(), Short::Repeated, page).unwrap();
        let new = pages(&blocks(), Short::Zero, page).unwrap();
        let first = [&2_u64.to_be_bytes()[..], b"\x03ram\0"].concat();
        let rom = [&2_u64.to_be_bytes()[..], b"\x03rom\0"].concat();
        let second = [&0x1022_u64.to_be_bytes()[..], &[7]].concat();
        assert_eq!(old[..13], first);
        assert_eq!(old[13..22], second);
        assert_eq!(old[22..30], 0x2028_u64.to_be_bytes());
        assert_eq!(old[30 + 4096..], rom);
        assert_eq!(new[13..21], 0x1028_u64.to_be_bytes());
        assert_eq!(new.len(), old.len() + 4095);
        let lost = RamBlock { idstr: "lost".into(), ..blocks()[0].clone() };
        assert!(pages(&[lost], Short::Zero, page).is_err());
        assert_eq!(Short::of_version(1, 4), Short::Repeated);
        assert_eq!(Short::of_version(1, 5), Short::Zero);
        assert_eq!(Short::of_version(10, 0), Short::Zero);
    }

    /// What the mirror of 1.0's loop writes is what is foretold for 1.0.
    #[test]
    fn the_save_loop_of_1_0_writes_what_is_foretold() {
        struct Kept(Vec<u8>, Vec<String>);
        impl Save for Kept {
            fn put(&mut self, bytes: &[u8]) {
                self.0.extend_from_slice(bytes);
            }
            fn page(&self, block: usize, offset: u64) -> &[u8] {
                page(&self.1[block], offset).unwrap()
            }
            fn put_page(&mut self, block: usize, offset: u64) {
                self.0.extend_from_slice(page(&self.1[block], offset).unwrap());
            }
            fn rate_limit(&mut self) -> Result<bool, i32> {
                Nowhere.rate_limit()
            }
            fn set_error(&mut self, _: i32) {}
            fn clock_ns(&mut self) -> i64 {
                Nowhere.clock_ns()
            }
            fn max_downtime(&self) -> u64 {
                0
            }
            fn sync_dirty_bitmap(&mut self) -> bool {
                true
            }
        }
        let mut ram = Ram::new(Variant::Carried);
        for block in blocks() {
            let host = if block.is_ignored() { Host::File } else { Host::Given };
            ram.list.alloc(&block.idstr, block.used_length, host).unwrap();
        }
        let mut kept = Kept(Vec::new(), blocks().into_iter().map(|it| it.idstr).collect());
        assert_eq!(ram.ram_save_live(&mut kept, 1), Ok(0));
        let list = list(&blocks());
        let pages = pages(&blocks(), Short::Repeated, page).unwrap();
        let foretold = [&list[..], &pages[..], &EOS[..]].concat();
        assert!(kept.0 == foretold, "{} and {} bytes", kept.0.len(), foretold.len());
    }
}
