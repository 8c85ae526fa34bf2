//! A summary counts what the records carry.

use pcram_stream::{ChannelSummary, DeviceState, RecordCounts, Summary};

use crate::build::*;

/// Two sweeps and a bit over "pc.ram", one page of "vga", none of "rom".
fn stream() -> Vec<u8> {
    Stream::v10_0()
        .start_ram()
        .blocks(&[("pc.ram", 3), ("vga", 2), ("rom", 1)])
        .close()
        .part_ram()
        .page("pc.ram", 0, FLAG_ZERO)
        .u8(0)
        .continued(1, FLAG_PAGE)
        .full(1)
        .continued(2, FLAG_PAGE)
        .full(2)
        .page("vga", 1, FLAG_PAGE)
        .full(3)
        .u64(FLAG_MULTIFD_FLUSH)
        .close()
        .end_ram()
        .page("pc.ram", 1, FLAG_XBZRLE)
        .u8(1)
        .u16(1)
        .u8(9)
        .continued(1, FLAG_COMPRESS_PAGE)
        .u32(1)
        .u8(9)
        .continued(2, FLAG_ZERO)
        .u8(0)
        .close()
        .device(7, "timer")
        .finish()
}

#[test]
fn a_whole_stream() {
    let bytes = stream();
    let summary = Summary::read(bytes.as_slice()).unwrap();
    assert_eq!(summary.machine.as_deref(), Some("pc-i440fx-10.0"));
    assert_eq!(summary.capabilities, Vec::<String>::new());
    assert_eq!(summary.page_size, PAGE);
    assert_eq!(summary.total, 6 * PAGE);
    assert_eq!(summary.sweeps, 3);
    assert_eq!(summary.multifd_flushes, 1);
    assert_eq!(summary.length, bytes.len() as u64);
    assert!(
        matches!(&summary.device_state, DeviceState::Examined { sections, .. } if sections.len() == 1)
    );
    let names: Vec<_> = summary.blocks.iter().map(|it| it.idstr.as_str()).collect();
    assert_eq!(names, ["pc.ram", "vga", "rom"]);
}

#[test]
fn its_blocks() {
    let summary = Summary::read(stream().as_slice()).unwrap();
    let ram = summary.block("pc.ram").unwrap();
    assert_eq!(ram.used_length, 3 * PAGE);
    assert_eq!(ram.records, RecordCounts { fill: 2, full: 2, xbzrle: 1, zlib: 1 });
    assert_eq!(ram.records.total(), 6);
    assert_eq!(ram.pages.iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(summary.block("vga").unwrap().pages.iter().collect::<Vec<_>>(), [1]);
    assert!(summary.block("rom").unwrap().pages.is_empty());
    assert!(!ram.pages.is_empty());

    let pages = ["pc.ram", "vga", "rom", "pc.bios"].map(|it| summary.pages_of(it));
    assert_eq!(pages, [Some(3), Some(1), Some(0), None]);
    let whole = ["pc.ram", "vga", "rom", "pc.bios"].map(|it| summary.is_whole(it));
    assert_eq!(whole, [Some(true), Some(false), Some(false), None]);
}

#[test]
fn a_stream_of_1_0_names_no_machine() {
    let stream = Stream::v1_0().start_ram().blocks(&[("pc.ram", 1)]).close().end_ram().close();
    let summary = Summary::read(stream.finish().as_slice()).unwrap();
    assert_eq!((summary.machine, summary.sweeps), (None, 0));
    assert_eq!(summary.device_state, DeviceState::Unexamined { length: 1 });
}

#[test]
fn capabilities_are_listed() {
    let stream = Stream::v10_0_with(&["x-ignore-shared"]).start_ram().blocks(&[]);
    let summary = Summary::read(stream.close().end_ram().close().finish().as_slice()).unwrap();
    assert_eq!(summary.capabilities, ["x-ignore-shared"]);
}

#[test]
fn pages_of_a_mapped_ram_file() {
    let stream = Stream::v10_0_with(&["mapped-ram"]).start_ram();
    let stream = stream.total(2 * PAGE).name("pc.ram").u64(2 * PAGE);
    let here = stream.bytes.len() as u64 + 28;
    let stream = stream.u32(1).u64(PAGE).u64(here).u64(here + 8).raw(&[2, 0, 0, 0, 0, 0, 0, 0]);
    let stream = stream.full(0).full(1).close().end_ram().close().finish();
    let summary = Summary::read(stream.as_slice()).unwrap();
    assert_eq!(summary.pages_of("pc.ram"), Some(1));
    assert_eq!(summary.is_whole("pc.ram"), Some(false));
    assert_eq!(summary.block("pc.ram").unwrap().records.total(), 0);
}

#[test]
fn external_ram_is_listed() {
    let names = ["pc.ram", "m"].map(|name| {
        let mut field = name.as_bytes().to_vec();
        field.resize(256, 0);
        field
    });
    let stream = Stream::v10_0().subsection("configuration/external-ram", 1).u32(2);
    let stream = stream.raw(&names.concat()).start_ram().blocks(&[]).close().end_ram().close();
    let summary = Summary::read(stream.finish().as_slice()).unwrap();
    assert_eq!(summary.external_ram, ["pc.ram", "m"]);
}

#[test]
fn pages_on_other_channels_count_with_their_blocks() {
    let mut summary = Summary::read(stream().as_slice()).unwrap();
    let channel = channel(3).packet(0, "rom", &[(0, 1)], &[]).sync(1).packet(2, "vga", &[], &[0]);
    summary.add_channel(channel.bytes.as_slice()).unwrap();
    let pages = RecordCounts { fill: 1, full: 1, xbzrle: 0, zlib: 0 };
    let length = channel.bytes.len() as u64;
    let expected = ChannelSummary { id: 3, packets: 3, syncs: 1, pages, length };
    assert_eq!(summary.channels, [expected]);
    assert_eq!(summary.is_whole("rom"), Some(true));
    assert_eq!(summary.is_whole("vga"), Some(true));
    assert_eq!(summary.block("rom").unwrap().records.full, 1);
}

#[test]
fn a_page_of_no_block_on_another_channel() {
    for (block, page) in [("ram", 0), ("rom", 1)] {
        let mut summary = Summary::read(stream().as_slice()).unwrap();
        let channel = channel(0).packet(0, block, &[], &[page]);
        let error = summary.add_channel(channel.bytes.as_slice()).unwrap_err().to_string();
        let found = format!("found {:#x} of {block:?}", page * PAGE);
        assert!(error.contains("expected a page of a block") && error.contains(&found), "{error}");
    }
}

/// A claim of 2^56 bytes costs nothing but the pages that are there.
#[test]
fn a_block_that_claims_to_be_huge() {
    let pages = 1 << 44;
    let stream = Stream::v10_0()
        .start_ram()
        .blocks(&[("pc.ram", pages)])
        .page("pc.ram", pages - 1, FLAG_ZERO)
        .u8(0)
        .close()
        .end_ram()
        .close()
        .finish();
    let summary = Summary::read(stream.as_slice()).unwrap();
    assert_eq!(summary.block("pc.ram").unwrap().pages.iter().collect::<Vec<_>>(), [pages - 1]);
}
