//! What `info ramblock` prints of each block, in physmem.c.

use super::Guest;
use crate::ram::Kind;

/// What the blocks of a guest are on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where the guest's memory begins.
    pub base: u64,
    /// It tells which file is behind a descriptor.
    pub links: bool,
    /// The block that the guest only reads.
    pub readonly: Option<usize>,
}

impl Guest {
    /// The table of all blocks (`ram_block_format`; before 6.2, `ram_block_dump`).
    pub fn ram_block_format(&self, host: &Host) -> Vec<u8> {
        let Host { base, readonly, .. } = *host;
        let told = self.tree.tells_host;
        let [name, psize] = ["Block Name", "PSize"];
        let mut head =
            format!("{name:>24} {psize:>8}  {:>18} {:>18} {:>18}", "Offset", "Used", "Total");
        if told {
            head += &format!(" {:>18} {:>3}", "HVA", "RO");
        }
        head += if self.tree.ram.external { " File\n" } else { "\n" };
        let row = |(at, block): (usize, &super::Block)| {
            let name = String::from_utf8_lossy(&block.idstr);
            let psize = size_to_str(block.page_size);
            let numbers = [block.host, block.used_length, block.max_length, base + block.host];
            let numbers = &numbers[..if told { 4 } else { 3 }];
            let numbers: String = numbers.iter().map(|it| format!(" 0x{it:016x}")).collect();
            let access = match readonly == Some(at) {
                _ if !told => "",
                true => "  ro",
                false => "  rw",
            };
            let file = self.ram_block_file_name(at, host.links);
            let file = file.map_or(String::new(), |file| format!(" {file}"));
            format!("{name:>24} {psize:>8} {numbers}{access}{file}\n")
        };
        let rows = self.blocks.iter().enumerate().map(row);
        std::iter::once(head).chain(rows).collect::<String>().into_bytes()
    }

    /// The file of a block, where it has one and the host tells it (`ram_block_file_name`).
    fn ram_block_file_name(&self, block: usize, links: bool) -> Option<String> {
        let has_file = matches!(self.blocks[block].kind, Kind::SharedFile | Kind::External);
        (self.tree.ram.external && links && has_file).then(|| format!("/file {block}"))
    }
}

/// A size of a power of two, in the largest unit of which it has one (`size_to_str`).
fn size_to_str(bytes: u64) -> String {
    let unit = bytes.ilog2() / 10;
    let prefix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][unit as usize];
    format!("{} {prefix}B", bytes >> (unit * 10))
}
