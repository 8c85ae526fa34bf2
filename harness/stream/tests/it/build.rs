//! Builds small migration streams.

use pcram_stream::{Record, RecordKind, StreamError};
use serde_json::{Value, json};

pub const PAGE: u64 = 4096;
pub const RAM: u32 = 2;

pub const FLAG_ZERO: u64 = 0x02;
pub const FLAG_MEM_SIZE: u64 = 0x04;
pub const FLAG_PAGE: u64 = 0x08;
pub const FLAG_EOS: u64 = 0x10;
pub const FLAG_CONTINUE: u64 = 0x20;
pub const FLAG_XBZRLE: u64 = 0x40;
pub const FLAG_HOOK: u64 = 0x80;
pub const FLAG_COMPRESS_PAGE: u64 = 0x100;
pub const FLAG_MULTIFD_FLUSH: u64 = 0x200;

/// A stream in the making.
#[derive(Clone)]
pub struct Stream {
    pub bytes: Vec<u8>,
    footers: bool,
    devices: Option<Vec<Value>>,
}

impl Stream {
    /// As QEMU 1.0 begins: no configuration, no footers, no VM description.
    pub fn v1_0() -> Self {
        Stream::empty().u32(0x5145_564d).u32(3)
    }

    pub fn empty() -> Self {
        Stream { bytes: Vec::new(), footers: false, devices: None }
    }

    /// As QEMU 10.0 begins.
    pub fn v10_0() -> Self {
        Stream::v10_0_with(&[])
    }

    /// The same, with capabilities.
    pub fn v10_0_with(capabilities: &[&str]) -> Self {
        let start = Stream { footers: true, devices: Some(Vec::new()), ..Stream::v1_0() };
        let stream = start.u8(7).u32(14).raw(b"pc-i440fx-10.0");
        if capabilities.is_empty() {
            return stream;
        }
        let stream = stream.subsection("configuration/capabilities", 1);
        capabilities
            .iter()
            .fold(stream.u32(capabilities.len() as u32), |stream, name| stream.name(name))
    }

    pub fn without_footers(self) -> Self {
        Stream { footers: false, ..self }
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub fn name(self, name: &str) -> Self {
        self.u8(name.len() as u8).raw(name.as_bytes())
    }

    pub fn subsection(self, name: &str, version: u32) -> Self {
        self.u8(5).name(name).u32(version)
    }

    pub fn section(self, kind: u8, id: u32, idstr: &str, instance: u32, version: u32) -> Self {
        self.u8(kind).u32(id).name(idstr).u32(instance).u32(version)
    }

    pub fn start_ram(self) -> Self {
        self.section(1, RAM, "ram", 0, 4)
    }

    pub fn part_ram(self) -> Self {
        self.u8(2).u32(RAM)
    }

    pub fn end_ram(self) -> Self {
        self.u8(3).u32(RAM)
    }

    /// The head of the RAM block list.
    pub fn total(self, bytes: u64) -> Self {
        self.u64(bytes | FLAG_MEM_SIZE)
    }

    /// The RAM block list; lengths in pages.
    pub fn blocks(self, blocks: &[(&str, u64)]) -> Self {
        let total: u64 = blocks.iter().map(|(_, pages)| pages * PAGE).sum();
        blocks
            .iter()
            .fold(self.total(total), |stream, (name, pages)| stream.name(name).u64(pages * PAGE))
    }

    /// The header of a page record that names its block.
    pub fn page(self, block: &str, page: u64, flags: u64) -> Self {
        self.u64((page * PAGE) | flags).name(block)
    }

    /// The header of a page record of the same block as the one before.
    pub fn continued(self, page: u64, flags: u64) -> Self {
        self.u64((page * PAGE) | flags | FLAG_CONTINUE)
    }

    /// The bytes of a full page.
    pub fn full(self, fill: u8) -> Self {
        self.raw(&[fill; PAGE as usize])
    }

    /// Ends a part of the RAM section.
    pub fn close(self) -> Self {
        self.u64(FLAG_EOS).footer(RAM)
    }

    pub fn footer(self, id: u32) -> Self {
        if self.footers { self.u8(0x7e).u32(id) } else { self }
    }

    /// A device of four, six and two bytes, the last in a subsection.
    pub fn device(mut self, id: u32, name: &str) -> Self {
        let subsection = format!("{name}/more");
        if let Some(devices) = &mut self.devices {
            devices.push(json!({
                "name": name, "instance_id": 0, "vmsd_name": name, "version": 3,
                "fields": [
                    {"name": "a", "type": "uint32", "size": 4},
                    {"name": "b", "array_len": 3, "type": "uint16", "size": 2},
                ],
                "subsections": [{
                    "vmsd_name": subsection, "version": 1,
                    "fields": [{"name": "c", "type": "uint16", "size": 2}],
                }],
            }));
        }
        self.section(4, id, name, 0, 3)
            .raw(b"aaaabbbbbb")
            .subsection(&subsection, 1)
            .raw(b"cc")
            .footer(id)
    }

    /// Ends the stream, with a VM description where the version has one.
    pub fn finish(self) -> Vec<u8> {
        match self.devices.clone() {
            Some(devices) => self.finish_with(&json!({"page_size": PAGE, "devices": devices})),
            None => self.u8(0).bytes,
        }
    }

    pub fn finish_with(self, description: &Value) -> Vec<u8> {
        let text = description.to_string();
        self.u8(0).u8(6).u32(text.len() as u32).raw(text.as_bytes()).bytes
    }
}

/// A multifd channel as it begins.
pub fn channel(id: u8) -> Stream {
    Stream::empty().u32(0x1122_3344).u32(1).raw(&[7; 16]).u8(id).raw(&[0; 39])
}

impl Stream {
    /// A multifd packet of pages of one block, by their numbers; the full ones are filled with the
    /// byte beside them.
    pub fn packet(self, number: u64, block: &str, full: &[(u64, u8)], zero: &[u64]) -> Self {
        let bytes = full.len() as u32 * PAGE as u32;
        let pages = full.iter().map(|(page, _)| page).chain(zero);
        let offsets: Vec<_> = pages.map(|page| page * PAGE).collect();
        let header = self.u32(0x1122_3344).u32(1).u32(0).u32(128).u32(full.len() as u32);
        let header = header.u32(bytes).u64(number).u32(zero.len() as u32).raw(&[0; 28]);
        let header = header.packet_block(block);
        let header = offsets.iter().fold(header, |header, &offset| header.u64(offset));
        let header = header.raw(&vec![0; 8 * (128 - offsets.len())]);
        full.iter().fold(header, |stream, &(_, fill)| stream.full(fill))
    }

    /// A packet that synchronises the channels, as 7.2 writes it: with the length of pages that it
    /// does not have.
    pub fn sync(self, number: u64) -> Self {
        let header = self.u32(0x1122_3344).u32(1).u32(1).u32(0).u32(0).u32(1 << 19);
        let header = header.u64(number).u32(0);
        header.raw(&[0; 28]).packet_block("").raw(&[0; 8 * 128])
    }

    fn packet_block(self, block: &str) -> Self {
        self.raw(block.as_bytes()).raw(&vec![0; 256 - block.len()])
    }
}

/// A mapped-ram block whose bitmap and pages lie a little further on; each page that is in the
/// bitmap is full of its number and one, the others are zero. Gives both offsets, too.
pub fn mapped(stream: Stream, name: &str, pages: u64, bitmap: &[u64]) -> (Stream, (u64, u64)) {
    let stream = stream.name(name).u64(pages * PAGE).u32(1).u64(PAGE);
    let bitmap_offset = stream.bytes.len() as u64 + 16 + 3;
    let pages_offset = bitmap_offset + bitmap.len() as u64 * 8 + 5;
    let stream = stream.u64(bitmap_offset).u64(pages_offset).raw(&[0xee; 3]);
    let stream = bitmap.iter().fold(stream, |stream, word| stream.raw(&word.to_le_bytes()));
    let stream = (0..pages).fold(stream.raw(&[0xee; 5]), |stream, page| {
        let present = bitmap[page as usize / 64] >> (page % 64) & 1 == 1;
        stream.full(if present { page as u8 + 1 } else { 0 })
    });
    (stream, (bitmap_offset, pages_offset))
}

/// The bytes of `page` are a full one's.
pub fn full(fill: u8) -> Vec<u8> {
    vec![fill; PAGE as usize]
}

/// Reads all records, and gives `each` every one of them.
pub fn read(stream: &[u8], mut each: impl FnMut(Record<'_>)) -> Result<(), StreamError> {
    let mut reader = pcram_stream::Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        each(record);
    }
    assert_eq!(reader.offset().0, stream.len() as u64, "the reader stopped early");
    assert!(reader.next_record().expect("nothing more to fail").is_none());
    Ok(())
}

/// The records of a stream, from the RAM block list on if there is one, as text without contents.
pub fn outline(stream: &[u8]) -> Result<Vec<String>, StreamError> {
    let mut lines = Vec::new();
    read(stream, |record| lines.push(format!("{} {}", record.offset.0, line(&record.kind))))?;
    Ok(lines)
}

fn line(kind: &RecordKind<'_>) -> String {
    use pcram_stream::PageContent::{Fill, Full, Xbzrle, Zlib};
    match kind {
        RecordKind::RamBlocks(list) => {
            let blocks = list.blocks.iter().map(|it| format!(" {}:{}", it.idstr, it.used_length));
            format!("blocks {}{}", list.total, blocks.collect::<String>())
        }
        RecordKind::Page { block, offset, content } => {
            let content = match content {
                Fill(byte) => format!("fill {byte}"),
                Full(bytes) => format!("full {}x{}", bytes.len(), bytes[0]),
                Xbzrle(bytes) => format!("xbzrle {bytes:?}"),
                Zlib(bytes) => format!("zlib {bytes:?}"),
            };
            format!("page {}+{offset} {content}", block.0)
        }
        other => format!("{other:?}"),
    }
}
