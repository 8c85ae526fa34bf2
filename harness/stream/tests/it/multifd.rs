//! Channels of multifd: what QEMU would not have written, and where a channel ends too early.

use pcram_stream::multifd::{Packet, Reader, Record, RecordKind};
use pcram_stream::{BlockOffset, PageContent, Place, StreamError, StreamOffset};

use crate::build::*;

fn read_all(channel: &[u8]) -> Result<u64, StreamError> {
    let mut reader = Reader::new(channel, PAGE);
    let mut records = 0;
    while reader.next_record()?.is_some() {
        records += 1;
    }
    Ok(records)
}

/// The error of a channel that goes wrong at its last `length` bytes.
fn error_in_last(length: usize, channel: Stream) -> String {
    let error = read_all(&channel.bytes).unwrap_err();
    assert_eq!(error.place(), Place::Stream((channel.bytes.len() - length) as u64), "{error}");
    match error {
        StreamError::Malformed { expected, found, .. } => format!("{expected} | {found}"),
        StreamError::Unsupported { what, .. } => format!("unsupported | {what}"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_packet_and_its_pages() {
    let channel = channel(1).packet(9, "vga", &[(3, 5)], &[2]).bytes;
    let mut reader = Reader::new(channel.as_slice(), PAGE);
    let init = RecordKind::Init { id: 1, uuid: [7; 16] };
    let offset = StreamOffset(0);
    assert_eq!(reader.next_record().unwrap(), Some(Record { offset, kind: init }));
    let (full, zero) = (vec![BlockOffset(3 * PAGE)], vec![BlockOffset(2 * PAGE)]);
    let packet = Packet { number: 9, sync: false, block: "vga".into(), full, zero };
    let record = Record { offset: StreamOffset(64), kind: RecordKind::Packet(packet) };
    assert_eq!(reader.next_record().unwrap(), Some(record));
    let bytes = full_page(5);
    let content = PageContent::Full(&bytes);
    let kind = RecordKind::Page { block: "vga", offset: BlockOffset(3 * PAGE), content };
    let record = Record { offset: StreamOffset(64 + 320 + 1024), kind };
    assert_eq!(reader.next_record().unwrap(), Some(record));
    let content = PageContent::Fill(0);
    let kind = RecordKind::Page { block: "vga", offset: BlockOffset(2 * PAGE), content };
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!((record.offset.0, record.kind), (channel.len() as u64, kind));
    assert_eq!(reader.next_record().unwrap(), None);
}

fn full_page(fill: u8) -> Vec<u8> {
    full(fill)
}

#[test]
fn magics_and_versions() {
    let start = Stream::empty().u32(0x5145_564d);
    assert_eq!(error_in_last(4, start), "the magic 0x11223344 of a multifd channel | 0x5145564d");
    let version = Stream::empty().u32(0x1122_3344).u32(2);
    assert_eq!(error_in_last(8, version), "unsupported | a multifd channel of version 2");
    let packet = channel(0).u32(1);
    assert_eq!(error_in_last(4, packet), "the magic 0x11223344 of a multifd packet | 0x1");
    let version = channel(0).u32(0x1122_3344).u32(0);
    assert_eq!(error_in_last(8, version), "unsupported | a multifd packet of version 0");
}

#[test]
fn packets_that_are_not_read() {
    let flags = |flags| channel(0).u32(0x1122_3344).u32(1).u32(flags);
    assert_eq!(error_in_last(12, flags(2)), "unsupported | compressed pages on a multifd channel");
    assert_eq!(error_in_last(12, flags(64)), "unsupported | device state on a multifd channel");
}

#[test]
fn packets_that_claim_too_much() {
    let block = [0; 256];
    for (room, full, bytes, zero) in
        [(129, 0, 0, 0), (128, 129, 129 * 4096, 0), (128, 1, 4095, 0), (128, 1, 4096, 128)]
    {
        let packet = channel(0).u32(0x1122_3344).u32(1).u32(0).u32(room).u32(full).u32(bytes);
        let packet = packet.u64(0).u32(zero).raw(&[0; 28]).raw(&block);
        assert_eq!(
            error_in_last(320, packet),
            format!(
                "at most 128 pages of 4096 bytes | \
                 {full} full and {zero} zero pages in {bytes} bytes"
            )
        );
    }
}

#[test]
fn a_packet_without_pages_may_repeat_a_length_as_7_2_writes_it() {
    let mut stream = channel(0).packet(1, "vga", &[(3, 5)], &[]).packet(2, "vga", &[], &[]);
    // The length stands 20 bytes into the second packet.
    let second = stream.bytes.len() - 320 - 1024;
    stream.bytes[second + 20..second + 24].copy_from_slice(&(PAGE as u32).to_be_bytes());
    // The start of the channel, both packets, and the one page.
    assert_eq!(read_all(&stream.bytes).unwrap(), 4);
}

#[test]
fn an_offset_within_a_page() {
    let mut stream = channel(0).packet(0, "vga", &[], &[1]);
    stream.bytes.truncate(64 + 320);
    let expected = "an offset of whole pages of 4096 bytes | 0x1001";
    assert_eq!(error_in_last(8, stream.u64(PAGE + 1)), expected);
}

#[test]
fn a_channel_that_ends_too_early() {
    let whole = channel(0).packet(0, "vga", &[(0, 1)], &[1]).sync(1).bytes;
    let packets = [0, 64, 64 + 320 + 1024 + 4096, whole.len()];
    for length in 0..whole.len() {
        let read = read_all(&whole[..length]);
        match read {
            Ok(_) => assert!(packets[1..].contains(&length), "{length} is no end"),
            Err(error) => {
                assert!(matches!(error, StreamError::Truncated { .. }), "{length}: {error}");
                assert!(error.place().offset() <= length as u64);
            }
        }
    }
    assert_eq!(read_all(&whole).unwrap(), 5);
}

#[test]
fn behind_an_error_there_is_nothing() {
    let channel = channel(0).u32(0).bytes;
    let mut reader = Reader::new(channel.as_slice(), PAGE);
    reader.next_record().unwrap();
    assert!(reader.next_record().is_err());
    assert_eq!(reader.next_record().unwrap(), None);
}
