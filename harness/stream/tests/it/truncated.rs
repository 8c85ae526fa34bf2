//! A stream that is cut off is an error at its end, wherever it is cut.

use pcram_stream::{DeviceState, Place, StreamError, Summary};

use crate::build::*;

fn stream(start: Stream) -> Stream {
    start
        .start_ram()
        .blocks(&[("pc.ram", 4), ("vga", 1)])
        .close()
        .part_ram()
        .page("pc.ram", 0, FLAG_ZERO)
        .u8(1)
        .continued(1, FLAG_PAGE)
        .full(2)
        .continued(2, FLAG_XBZRLE)
        .u8(1)
        .u16(2)
        .raw(&[1, 2])
        .continued(3, FLAG_COMPRESS_PAGE)
        .u32(2)
        .raw(&[1, 2])
        .close()
        .end_ram()
        .page("vga", 0, FLAG_ZERO)
        .u8(1)
        .close()
}

/// Where a prefix of the stream is taken for a stream.
fn accepted(stream: &[u8]) -> Vec<usize> {
    (0..stream.len()).filter(|&length| Summary::read(&stream[..length]).is_ok()).collect()
}

/// The place is where the missing thing begins, so never behind the end.
fn assert_truncated_at_each(stream: &[u8], up_to: usize) {
    for length in 0..up_to {
        let error = Summary::read(&stream[..length]).unwrap_err();
        let StreamError::Truncated { place, wanted, left, .. } = error else {
            panic!("{length}: {error}");
        };
        assert_eq!(place, Place::Stream(length as u64 - left));
        assert!(left < wanted, "{length}: {left} of {wanted}");
    }
}

#[test]
fn a_stream_of_10_0() {
    let ram = stream(Stream::v10_0_with(&["other"]).u8(8).u16(2).u16(4).u32(1));
    let devices = ram.clone().device(5, "timer").device(6, "rtc");
    let whole = devices.clone().finish();
    assert_truncated_at_each(&whole, ram.bytes.len());
    // Behind the EOF, only the VM description is missing.
    assert_eq!(accepted(&whole), [devices.bytes.len() + 1]);
    let without = Summary::read(&whole[..devices.bytes.len() + 1]).unwrap();
    assert!(matches!(without.device_state, DeviceState::Unexamined { .. }));
}

/// Device state of 1.0 has no end that could be missed; its last byte is 0.
#[test]
fn a_stream_of_1_0() {
    let ram = stream(Stream::v1_0().section(1, 1, "block", 0, 1).u64(2).u8(3).u32(1).u64(2));
    let whole = ram.clone().device(5, "timer").finish();
    assert_truncated_at_each(&whole, ram.bytes.len());
    for length in accepted(&whole) {
        assert_eq!(whole[length - 1], 0);
        let length = (length - ram.bytes.len()) as u64;
        let summary = Summary::read(&whole[..ram.bytes.len() + length as usize]).unwrap();
        // The header of the one section has 19 bytes, and the end has one.
        let covered = match summary.device_state {
            DeviceState::Listed { sections } => 19 + sections[0].length + 1,
            DeviceState::Unexamined { length } => length,
            other => panic!("{other:?}"),
        };
        assert_eq!(covered, length);
    }
}

#[test]
fn a_mapped_ram_file() {
    let stream = Stream::v10_0_with(&["mapped-ram", "x-ignore-shared"]).start_ram();
    let stream = stream.total(PAGE).name("pc.ram").u64(PAGE).u64(0);
    let here = stream.bytes.len() as u64 + 28;
    let stream = stream.u32(1).u64(PAGE).u64(here + 9).u64(here + 40).raw(&[0; 40]);
    let ram = stream.full(1).close().end_ram().close();
    let up_to = ram.bytes.len();
    assert_truncated_at_each(&ram.finish(), up_to);
}
