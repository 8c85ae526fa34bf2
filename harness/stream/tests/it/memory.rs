//! What a stream leaves in memory: of each page the content that was sent last.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pcram_stream::{BlockOffset, Memory};
use std::io::Write;

use crate::build::*;

fn two_rounds(second: Stream) -> Vec<u8> {
    second.close().end_ram().close().finish()
}

fn first_round() -> Stream {
    Stream::v10_0()
        .start_ram()
        .blocks(&[("pc.ram", 2), ("vga", 3)])
        .close()
        .part_ram()
        .page("vga", 0, FLAG_PAGE)
        .full(1)
        .continued(1, FLAG_ZERO)
        .u8(0)
        .page("pc.ram", 0, FLAG_PAGE)
        .full(9)
        .close()
        .part_ram()
}

fn page(memory: &Memory, page: u64) -> Option<&[u8]> {
    memory.page("vga", BlockOffset(page * PAGE))
}

#[test]
fn the_last_record_of_a_page_counts() {
    let stream = two_rounds(
        first_round()
            .page("vga", 0, FLAG_XBZRLE)
            .u8(1)
            .u16(3)
            .raw(&[2, 1, 7])
            .continued(1, FLAG_PAGE)
            .full(3),
    );
    let memory = Memory::read(&stream, &[], |idstr| idstr == "vga").unwrap();
    let mut changed = full(1);
    changed[2] = 7;
    assert_eq!(page(&memory, 0), Some(changed.as_slice()));
    assert_eq!(page(&memory, 1), Some(full(3).as_slice()));
    assert_eq!(page(&memory, 2), None);
    assert_eq!(memory.blocks().collect::<Vec<_>>(), ["vga"]);
    let offsets: Vec<_> = memory.pages("vga").map(|(offset, _)| offset.0).collect();
    assert_eq!(offsets, [0, PAGE]);
    assert_eq!(memory.page("pc.ram", BlockOffset(0)), None, "it was not asked for");
}

#[test]
fn a_difference_without_what_it_differs_from() {
    let stream = two_rounds(first_round().page("vga", 2, FLAG_XBZRLE).u8(1).u16(3).raw(&[2, 1, 7]));
    let error = Memory::read(&stream, &[], |_| true).unwrap_err().to_string();
    assert!(error.contains("expected a page that came before, found only a difference"), "{error}");
}

#[test]
fn a_page_that_zlib_packed_is_unpacked() {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&full(4)).unwrap();
    let packed = encoder.finish().unwrap();
    let record = |bytes: &[u8]| {
        let page = first_round().page("vga", 2, FLAG_COMPRESS_PAGE).u32(bytes.len() as u32);
        two_rounds(page.raw(bytes))
    };
    let memory = Memory::read(&record(&packed), &[], |_| true).unwrap();
    assert_eq!(page(&memory, 2), Some(full(4).as_slice()));
    let error = Memory::read(&record(&packed[1..]), &[], |_| true).unwrap_err().to_string();
    assert!(error.contains("expected a page that zlib packed"), "{error}");
}

#[test]
fn pages_of_all_channels_in_the_order_of_their_packets() {
    let main = two_rounds(first_round());
    let a = channel(0).packet(0, "vga", &[(2, 1)], &[]).sync(2).packet(5, "vga", &[(1, 5)], &[]);
    let b = channel(1).packet(1, "vga", &[(1, 4)], &[]).sync(3).packet(4, "vga", &[(2, 6)], &[]);
    let ends = |stream: Stream| stream.sync(6).bytes;
    let (a, b) = (ends(a), ends(b));
    for channels in [[a.as_slice(), b.as_slice()], [b.as_slice(), a.as_slice()]] {
        let memory = Memory::read(&main, &channels, |_| true).unwrap();
        assert_eq!(page(&memory, 1), Some(full(5).as_slice()));
        assert_eq!(page(&memory, 2), Some(full(6).as_slice()));
    }
}

/// A page that became zero goes over the main channel until 9.0.
#[test]
fn a_page_on_two_channels_is_what_the_later_round_made_it() {
    let later = |main: Stream| {
        main.close().part_ram().page("vga", 2, FLAG_ZERO).u8(0).page("vga", 1, FLAG_ZERO).u8(0)
    };
    let main = two_rounds(later(first_round()));
    let channel = channel(0).sync(0).packet(1, "vga", &[(2, 1)], &[]).sync(2).sync(3);
    let channel = channel.packet(4, "vga", &[(1, 8)], &[]).sync(5).bytes;
    let memory = Memory::read(&main, &[&channel], |_| true).unwrap();
    assert_eq!(page(&memory, 2), Some(full(0).as_slice()), "zero came last");
    assert_eq!(page(&memory, 1), Some(full(8).as_slice()), "zero came first");
}

/// Since 8.1 the parts of the main channel say nothing of rounds any more.
#[test]
fn rounds_are_counted_by_flushes_where_there_are_any() {
    let main = Stream::v10_0().start_ram().blocks(&[("pc.ram", 2), ("vga", 3)]);
    let main = main.u64(FLAG_MULTIFD_FLUSH).close().part_ram().close().part_ram().close();
    let main = main.end_ram().page("vga", 1, FLAG_ZERO).u8(0).close().finish();
    let channel = channel(0).sync(0).sync(1).packet(2, "vga", &[(1, 5)], &[]).bytes;
    let memory = Memory::read(&main, &[&channel], |_| true).unwrap();
    assert_eq!(page(&memory, 1), Some(full(5).as_slice()), "the second round came later");
}

#[test]
fn a_page_that_is_sent_twice_in_one_round() {
    let twice = first_round().page("vga", 2, FLAG_PAGE).full(1).page("vga", 2, FLAG_PAGE).full(2);
    let memory = Memory::read(&two_rounds(twice), &[], |_| true).unwrap();
    assert_eq!(page(&memory, 2), Some(full(2).as_slice()));
}

/// 7.2 was seen to write such a packet.
#[test]
fn the_pages_of_a_packet_that_synchronises_are_of_the_round_before() {
    let main = two_rounds(first_round().page("vga", 2, FLAG_ZERO).u8(0));
    let mut both = channel(0).sync(0).packet(1, "vga", &[(2, 1)], &[]);
    let flags = 64 + 320 + 1024 + 8;
    both.bytes[flags..flags + 4].copy_from_slice(&1_u32.to_be_bytes());
    let channel = both.packet(2, "", &[], &[]).bytes;
    let memory = Memory::read(&main, &[&channel], |_| true).unwrap();
    assert_eq!(page(&memory, 2), Some(full(0).as_slice()), "the main channel's came later");
}

#[test]
fn pages_of_a_mapped_ram_file() {
    let file = Stream::v10_0_with(&["mapped-ram"]).start_ram().total(3 * PAGE);
    let (file, _) = mapped(file, "vga", 3, &[0b101]);
    let file = file.close().end_ram().close().finish();
    let memory = Memory::read(&file, &[], |_| true).unwrap();
    assert_eq!(page(&memory, 0), Some(full(1).as_slice()));
    assert_eq!(page(&memory, 1), None);
    assert_eq!(page(&memory, 2), Some(full(3).as_slice()));
}

#[test]
fn a_page_that_is_sent_twice_in_one_round_beside_a_channel() {
    let twice = first_round().page("vga", 2, FLAG_PAGE).full(1).page("vga", 2, FLAG_PAGE).full(2);
    let channel = channel(0).sync(0).bytes;
    let memory = Memory::read(&two_rounds(twice), &[&channel], |_| true).unwrap();
    assert_eq!(page(&memory, 2), Some(full(2).as_slice()));
}

#[test]
fn a_channel_has_pages_of_blocks_that_are_listed() {
    let main = two_rounds(first_round());
    let with = |block: &str, at: u64| {
        let channel = channel(0).packet(0, block, &[(at, 1)], &[]).bytes;
        Memory::read(&main, &[&channel], |_| true).map_err(|error| error.to_string())
    };
    assert!(with("vga", 2).is_ok());
    for (block, at, found) in [("vga", 3, "0x3000 of \"vga\""), ("cga", 0, "0x0 of \"cga\"")] {
        let error = with(block, at).unwrap_err();
        assert!(error.contains("expected a page of a block") && error.contains(found), "{error}");
    }
}
