//! Each kind of record is read as what it is, where it is.

use std::io::{self, BufReader, Read};

use pcram_stream::{Configuration, MappedRam, PageSet, RamBlock, Reader, RecordKind};

use crate::build::*;

const START: &str =
    r#"SectionStart(SectionHeader { id: 2, idstr: "ram", instance: 0, version: 4 })"#;

/// RAM as 1.0 saves it: the list and the first pages in one part.
fn ram_of_1_0() -> Stream {
    Stream::v1_0()
        .start_ram()
        .blocks(&[("pc.ram", 3), ("vga", 1)])
        .page("pc.ram", 0, FLAG_ZERO)
        .u8(7)
        .continued(1, FLAG_PAGE)
        .full(9)
        .close()
        .part_ram()
        // What CONTINUE refers to is kept from part to part.
        .continued(2, FLAG_ZERO)
        .u8(0)
        .close()
        .end_ram()
        .page("vga", 0, FLAG_PAGE)
        .full(1)
        .close()
}

#[test]
fn a_stream_of_1_0() {
    let stream = ram_of_1_0().device(5, "timer").finish();
    assert_eq!(
        outline(&stream).unwrap(),
        [
            "0 FileHeader { version: 3 }",
            &format!("8 {START}"),
            "25 blocks 16384 pc.ram:12288 vga:4096",
            "60 page 0+0x0 fill 7",
            "76 page 0+0x1000 full 4096x9",
            "4180 EndOfSection",
            "4188 SectionPart(2)",
            "4193 page 0+0x2000 fill 0",
            "4202 EndOfSection",
            "4210 SectionEnd(2)",
            "4215 page 1+0x0 full 4096x1",
            "8323 EndOfSection",
            "8331 DeviceState(Listed { sections: [DeviceSection { offset: StreamOffset(8331), \
             header: SectionHeader { id: 5, idstr: \"timer\", instance: 0, version: 3 }, \
             length: 28 }] })",
        ]
    );
}

#[test]
fn a_stream_of_10_0() {
    let stream = Stream::v10_0()
        .start_ram()
        .blocks(&[("pc.ram", 1)])
        .close()
        .part_ram()
        .page("pc.ram", 0, FLAG_ZERO)
        .u8(0)
        .u64(FLAG_MULTIFD_FLUSH)
        .close()
        // SWITCHOVER_START
        .u8(8)
        .u16(11)
        .u16(2)
        .raw(&[1, 2])
        .end_ram()
        .close()
        .finish();
    let lines = outline(&stream).unwrap();
    assert_eq!(
        lines[1],
        r#"8 Configuration(Configuration { machine: "pc-i440fx-10.0", target_page_bits: None, capabilities: [], uuid: None, external_ram: [] })"#
    );
    assert_eq!(
        lines[2..lines.len() - 1],
        [
            &format!("27 {START}"),
            "44 blocks 4096 pc.ram:4096",
            "67 EndOfSection",
            "75 Footer(2)",
            "80 SectionPart(2)",
            "85 page 0+0x0 fill 0",
            "101 MultifdFlush",
            "109 EndOfSection",
            "117 Footer(2)",
            "122 Command { command: 11, data: [1, 2] }",
            "129 SectionEnd(2)",
            "134 EndOfSection",
            "142 Footer(2)",
        ]
    );
    assert!(lines.last().unwrap().starts_with("147 DeviceState(Examined { sections: []"));
}

#[test]
fn encoded_pages() {
    let stream = Stream::v1_0()
        .start_ram()
        .blocks(&[("pc.ram", 3)])
        .page("pc.ram", 2, FLAG_XBZRLE)
        .u8(1)
        .u16(3)
        .raw(&[4, 5, 6])
        .continued(1, FLAG_COMPRESS_PAGE)
        .u32(2)
        .raw(&[7, 8])
        // The longest that there may be.
        .continued(0, FLAG_XBZRLE)
        .u8(1)
        .u16(PAGE as u16)
        .full(3)
        .close()
        .end_ram()
        .close()
        .finish();
    let lines = outline(&stream).unwrap();
    assert_eq!(lines[3], "48 page 0+0x2000 xbzrle [4, 5, 6]");
    assert_eq!(lines[4], "69 page 0+0x1000 zlib [7, 8]");
    assert!(lines[5].starts_with("83 page 0+0x0 xbzrle [3, 3"));
    assert_eq!(lines[6], "4190 EndOfSection");
}

#[test]
fn a_disabled_block_migration() {
    let stream = Stream::v1_0()
        .section(1, 1, "block", 0, 1)
        .u64(2)
        .start_ram()
        .blocks(&[])
        .close()
        .u8(3)
        .u32(1)
        .u64(2)
        .end_ram()
        .close()
        .finish();
    let lines = outline(&stream).unwrap();
    let block = r#"SectionStart(SectionHeader { id: 1, idstr: "block", instance: 0, version: 1 })"#;
    assert_eq!(lines[1..3], [format!("8 {block}"), "27 EndOfSection".into()]);
    assert_eq!(
        lines[6..],
        [
            "68 SectionEnd(1)",
            "73 EndOfSection",
            "81 SectionEnd(2)",
            "86 EndOfSection",
            "94 DeviceState(Unexamined { length: 1 })",
        ]
    );
}

#[test]
fn the_configuration() {
    let stream = Stream::v10_0_with(&["x-ignore-shared", "other"])
        .subsection("configuration/target-page-bits", 1)
        .u32(13)
        .subsection("configuration/uuid", 1)
        .raw(b"0123456789abcdef")
        .subsection("configuration/external-ram", 1)
        .u32(1)
        .raw(b"pc.ram")
        .raw(&[0; 250]);
    let mut reader = Reader::new(stream.bytes.as_slice());
    reader.next_record().unwrap();
    let expected = Configuration {
        machine: "pc-i440fx-10.0".into(),
        target_page_bits: Some(13),
        capabilities: vec!["x-ignore-shared".into(), "other".into()],
        uuid: Some(*b"0123456789abcdef"),
        external_ram: vec!["pc.ram".into()],
    };
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!(record.kind, RecordKind::Configuration(&expected));
    // Nothing follows.
    assert!(reader.next_record().is_err());
    assert_eq!(reader.next_record().unwrap(), None, "there are no records behind an error");
}

#[test]
fn a_long_machine_name() {
    let stream = Stream::v1_0().u8(7).u32(1024).raw(&[b'm'; 1024]).start_ram().blocks(&[]);
    let stream = stream.close().end_ram().close().finish();
    let machine = pcram_stream::Summary::read(stream.as_slice()).unwrap().machine;
    assert_eq!(machine, Some("m".repeat(1024)));
}

#[test]
fn the_page_size_is_the_configurations() {
    let stream = Stream::v10_0()
        .subsection("configuration/target-page-bits", 1)
        .u32(13)
        .start_ram()
        .total(8192)
        .name("ram")
        .u64(8192)
        .page("ram", 0, FLAG_PAGE)
        .full(1)
        .full(1)
        .close();
    let mut reader = Reader::new(stream.bytes.as_slice());
    let mut seen = 0;
    while let Ok(Some(record)) = reader.next_record() {
        match record.kind {
            RecordKind::RamBlocks(list) => assert_eq!(list.page_size, 8192),
            RecordKind::Page { content, .. } => {
                assert_eq!(content, pcram_stream::PageContent::Full(&[1; 8192]));
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 1);
}

/// The block list of a stream.
fn list_of(stream: Stream) -> Vec<RamBlock> {
    let mut blocks = Vec::new();
    let stream = stream.close().end_ram().close().finish();
    read(&stream, |record| {
        if let RecordKind::RamBlocks(list) = record.kind {
            blocks = list.blocks.clone();
        }
    })
    .unwrap();
    blocks
}

fn block(idstr: &str, pages: u64) -> RamBlock {
    RamBlock {
        idstr: idstr.into(),
        used_length: pages * PAGE,
        page_size: None,
        guest_address: None,
        mapped: None,
    }
}

#[test]
fn a_list_with_guest_addresses() {
    let blocks = list_of(
        Stream::v10_0_with(&["x-ignore-shared"])
            .start_ram()
            .total(3 * PAGE)
            .name("pc.ram")
            .u64(2 * PAGE)
            .u64(0)
            .name("pc.bios")
            .u64(PAGE)
            .u64(0xfffc_0000),
    );
    assert_eq!(
        blocks,
        [
            RamBlock { guest_address: Some(0), ..block("pc.ram", 2) },
            RamBlock { guest_address: Some(0xfffc_0000), ..block("pc.bios", 1) },
        ]
    );
}

/// A stream that says that postcopy may follow.
fn postcopy_advised() -> Stream {
    Stream::v10_0().u8(8).u16(3).u16(16).u64(0x20_1000).u64(PAGE).start_ram()
}

#[test]
fn a_list_with_page_sizes() {
    let huge = 0x20_0000;
    let total = 2 * huge + PAGE;
    let blocks = list_of(
        postcopy_advised()
            .total(total)
            .name("a")
            .u64(huge)
            .u64(huge)
            .name("b")
            .u64(PAGE)
            .name("c")
            .u64(huge)
            .u64(huge),
    );
    let sizes: Vec<_> = blocks.iter().map(|it| (it.idstr.as_str(), it.page_size)).collect();
    assert_eq!(sizes, [("a", Some(huge)), ("b", None), ("c", Some(huge))]);
}

#[test]
fn a_list_without_page_sizes_though_postcopy_may_follow() {
    assert_eq!(
        list_of(postcopy_advised().blocks(&[("a", 1), ("b", 2)])),
        [block("a", 1), block("b", 2)]
    );
    let only_bitmaps = Stream::v10_0().u8(8).u16(3).u16(0).start_ram();
    assert_eq!(list_of(only_bitmaps.blocks(&[("a", 1)])), [block("a", 1)]);
}

#[test]
fn a_list_with_mapped_ram() {
    let stream = Stream::v10_0_with(&["mapped-ram"]).start_ram().total(67 * PAGE);
    let (stream, a) = mapped(stream, "a", 65, &[1 << 63 | 0b101, 1]);
    let (mut stream, b) = mapped(stream, "b", 2, &[0]);
    *stream.bytes.last_mut().unwrap() = 1;
    let set = |pages: &[u64]| {
        let mut set = PageSet::default();
        pages.iter().for_each(|&page| set.insert(page));
        set
    };
    let mapped = |(bitmap_offset, pages_offset), pages: &[u64], stray: &[u64]| {
        let (present, stray) = (set(pages), set(stray));
        Some(MappedRam { page_size: PAGE, bitmap_offset, pages_offset, present, stray })
    };
    assert_eq!(
        list_of(stream),
        [
            RamBlock { mapped: mapped(a, &[0, 2, 63, 64], &[]), ..block("a", 65) },
            RamBlock { mapped: mapped(b, &[], &[1]), ..block("b", 2) },
        ]
    );
}

#[test]
fn a_mapped_ram_block_that_is_left_out() {
    let stream = Stream::v10_0_with(&["mapped-ram"]).start_ram().total(3 * PAGE);
    let left_out = stream.name("pc.ram").u64(2 * PAGE).u32(1).u64(PAGE).u64(0).u64(0);
    let (stream, _) = mapped(left_out, "vga", 1, &[1]);
    let list = list_of(stream);
    let it = list[0].mapped.as_ref().unwrap();
    assert_eq!((it.bitmap_offset, it.pages_offset), (0, 0));
    assert!(it.present.is_empty() && it.stray.is_empty());
    assert_eq!(list[1].mapped.as_ref().unwrap().present.len(), 1);
}

/// Gives one byte at a time, and is interrupted before each.
struct Trickle<'a> {
    bytes: &'a [u8],
    interrupted: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let wanted = buffer.len().min(1);
        self.bytes.read(&mut buffer[..wanted])
    }
}

#[test]
fn an_input_may_give_its_bytes_as_it_likes() {
    let stream = ram_of_1_0().device(5, "timer").finish();
    let mut trickle = Reader::new(BufReader::new(Trickle { bytes: &stream, interrupted: false }));
    let mut whole = Reader::new(stream.as_slice());
    while let Some(record) = whole.next_record().unwrap() {
        assert_eq!(trickle.next_record().unwrap().as_ref(), Some(&record));
    }
    assert_eq!(trickle.next_record().unwrap(), None);
}

#[test]
fn a_stream_longer_than_any_buffer() {
    let mut stream = Stream::v1_0().start_ram().blocks(&[("pc.ram", 500)]);
    stream = stream.page("pc.ram", 0, FLAG_PAGE).full(0);
    for page in 1..500 {
        stream = stream.continued(page, FLAG_PAGE).full(page as u8);
    }
    let stream = stream.close().end_ram().close().finish();
    let mut next = 0;
    read(&stream, |record| {
        if let RecordKind::Page { offset, content, .. } = record.kind {
            assert_eq!(offset.0, next * PAGE);
            assert_eq!(content, pcram_stream::PageContent::Full(&full(next as u8)));
            next += 1;
        }
    })
    .unwrap();
    assert_eq!(next, 500);
}

#[test]
fn a_failing_input() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is cut"))
        }
    }
    let head = Stream::v1_0().start_ram().bytes;
    let input = BufReader::new(head.as_slice().chain(Failing));
    let error = pcram_stream::Summary::read(input).unwrap_err();
    assert_eq!(error.to_string(), "byte 0x19 of the stream: reading failed: the cable is cut");
}
