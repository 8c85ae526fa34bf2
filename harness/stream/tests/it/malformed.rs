//! What QEMU would not have written is an error that says where, and what was expected.

use pcram_stream::{Place, StreamError, Summary};

use crate::build::*;

/// A stream up to the RAM block list: two blocks, the second of one page.
fn listed() -> Stream {
    Stream::v10_0().start_ram().blocks(&[("pc.ram", 2), ("vga", 1)])
}

/// The error of a stream that goes wrong at its last `length` bytes.
fn error_in_last(length: usize, stream: Stream) -> String {
    let at = stream.bytes.len() - length;
    let error = Summary::read(stream.bytes.as_slice()).unwrap_err();
    assert_eq!(error.place(), Place::Stream(at as u64), "{error}");
    match error {
        StreamError::Malformed { expected, found, .. } => format!("{expected} | {found}"),
        StreamError::Unsupported { what, .. } => format!("unsupported | {what}"),
        other => panic!("{other}"),
    }
}

#[test]
fn file_headers() {
    assert_eq!(
        error_in_last(4, Stream::empty().u32(0x5145_4656)),
        r#"the magic 0x5145564d ("QEVM") | 0x51454656"#
    );
    assert_eq!(
        error_in_last(8, Stream::empty().u32(0x5145_564d).u32(2)),
        "unsupported | a stream of version 2"
    );
}

#[test]
fn configurations() {
    let name = Stream::v1_0().u8(7).u32(1025);
    assert_eq!(error_in_last(4, name), "a machine's name | a name of 1025 bytes");
    let utf8 = Stream::v1_0().u8(7).u32(2).raw(b"p\xff");
    assert_eq!(error_in_last(2, utf8), r"the machine's name in UTF-8 | p\xff");
    let unknown = Stream::v10_0().subsection("configuration/new", 1);
    assert_eq!(error_in_last(23, unknown), "unsupported | configuration/new version 1");
    let newer = Stream::v10_0().subsection("configuration/uuid", 2);
    assert_eq!(error_in_last(24, newer), "unsupported | configuration/uuid version 2");
    for bits in [9, 17] {
        let stream = Stream::v10_0().subsection("configuration/target-page-bits", 1).u32(bits);
        assert_eq!(error_in_last(4, stream), format!("page bits in 10..=16 | {bits}"));
    }
    let twice = Stream::v10_0().u8(7);
    assert_eq!(error_in_last(1, twice), "a section that may come here | type 0x07");
}

#[test]
fn sections() {
    let expected = "a section that began";
    let other = |stream: Stream, id| stream.u8(2).u32(id);
    assert_eq!(
        error_in_last(5, other(listed().close(), 3)),
        format!("{expected} | id 3 in a section of type 2")
    );
    assert_eq!(
        error_in_last(5, Stream::v10_0().end_ram()),
        format!("{expected} | id 2 in a section of type 3")
    );
    let again = "the start of another section";
    assert_eq!(
        error_in_last(17, listed().close().start_ram()),
        format!("{again} | ram with id 2 again")
    );
    assert_eq!(
        error_in_last(17, listed().close().section(1, 3, "ram", 0, 4)),
        format!("{again} | ram with id 3 again")
    );
    assert_eq!(
        error_in_last(19, listed().close().section(1, 2, "block", 0, 1)),
        format!("{again} | block with id 2 again")
    );
    for (idstr, instance, version) in [("ram", 0, 3), ("ram", 1, 4), ("vfio", 0, 1)] {
        let stream = Stream::v10_0().section(1, 2, idstr, instance, version);
        assert_eq!(
            error_in_last(14 + idstr.len(), stream),
            format!(
                "unsupported | a section {idstr:?}, instance {instance}, version {version}, in parts"
            )
        );
    }
    assert_eq!(
        error_in_last(8, Stream::v1_0().section(1, 1, "block", 0, 1).u64(1)),
        "unsupported | block migration"
    );
    for kind in [5, 6, 9, 0x7e] {
        assert_eq!(
            error_in_last(1, Stream::v1_0().u8(kind)),
            format!("a section that may come here | type {kind:#04x}")
        );
    }
    assert_eq!(
        error_in_last(5, Stream::v10_0().u8(8).u16(7).u16(4)),
        "unsupported | device state in a package (postcopy)"
    );
}

#[test]
fn ram_that_does_not_end() {
    let expected = "the end of the RAM section | the state of devices";
    assert_eq!(error_in_last(1, listed().close().u8(0)), expected);
    assert_eq!(error_in_last(1, listed().close().u8(4)), expected);
    let none = "unsupported | device state before RAM, or without it";
    assert_eq!(error_in_last(1, Stream::v10_0().u8(0)), none);
    assert_eq!(error_in_last(1, Stream::v10_0().u8(4)), none);
}

/// A second end, or another part, must not pass for device state.
#[test]
fn ram_after_its_end() {
    let ended = || listed().close().end_ram().close();
    for (stream, kind) in [(ended().part_ram(), 2), (ended().end_ram(), 3)] {
        assert_eq!(
            error_in_last(5, stream),
            format!("a section that began | id 2 in a section of type {kind}")
        );
    }
    assert_eq!(
        error_in_last(17, ended().start_ram()),
        "the start of another section | ram with id 2 again"
    );
}

#[test]
fn footers() {
    let another = listed().u64(FLAG_EOS).u8(0x7e).u32(3);
    assert_eq!(error_in_last(5, another), "the footer of section 2 | type 0x7e, id 3");
    let missing = listed().close().part_ram().u64(FLAG_EOS).part_ram();
    assert_eq!(error_in_last(5, missing), "the footer of section 2 | type 0x02, id 2");
    // Without a footer behind the first part there are none behind the others.
    let late = Stream::v1_0().start_ram().blocks(&[]).close().part_ram().close().u8(0x7e);
    assert_eq!(error_in_last(1, late), "a section that may come here | type 0x7e");
}

#[test]
fn block_lists() {
    let start = |total| Stream::v10_0().start_ram().total(total);
    let too_long = start(PAGE).name("a").u64(2 * PAGE);
    assert_eq!(
        error_in_last(10, too_long),
        "whole pages, at most the 0x1000 bytes left of the total | a of 0x2000 bytes"
    );
    let the_second = start(3 * PAGE).name("a").u64(2 * PAGE).name("b").u64(2 * PAGE);
    assert_eq!(
        error_in_last(10, the_second),
        "whole pages, at most the 0x1000 bytes left of the total | b of 0x2000 bytes"
    );
    let uneven = start(2 * PAGE).name("a").u64(PAGE + 1);
    assert_eq!(
        error_in_last(10, uneven),
        "whole pages, at most the 0x2000 bytes left of the total | a of 0x1001 bytes"
    );
    let twice = start(2 * PAGE).name("a").u64(PAGE).name("a").u64(PAGE);
    assert_eq!(error_in_last(10, twice), "another RAM block | a again");
    let nameless = start(PAGE).name("").u64(PAGE);
    assert_eq!(error_in_last(9, nameless), "the name of a RAM block | an empty one");
    // Too little in the list: its next block is looked for in what follows.
    let too_short = start(2 * PAGE).name("a").u64(PAGE).u64(FLAG_EOS);
    let error = Summary::read(too_short.bytes.as_slice()).unwrap_err();
    assert!(matches!(error, StreamError::Truncated { .. }), "{error}");
}

#[test]
fn lists_out_of_place() {
    let first = |word| Stream::v10_0().start_ram().u64(word);
    for word in [FLAG_EOS, FLAG_MULTIFD_FLUSH, FLAG_PAGE, PAGE | FLAG_MEM_SIZE | FLAG_EOS] {
        let expected = format!("the RAM block list | {word:#018x}");
        assert_eq!(error_in_last(8, first(word)), expected);
    }
    let second = listed().total(PAGE);
    assert!(error_in_last(8, second).starts_with("a page record or the end"));
}

#[test]
fn flags() {
    for word in [
        0,
        1,
        PAGE,
        FLAG_CONTINUE,
        FLAG_EOS | FLAG_CONTINUE,
        PAGE | FLAG_EOS,
        PAGE | FLAG_MULTIFD_FLUSH,
        FLAG_PAGE | FLAG_ZERO,
        FLAG_PAGE | FLAG_EOS,
        0x400,
        0x800,
    ] {
        assert_eq!(
            error_in_last(8, listed().u64(word)),
            format!("a page record or the end of the section's part | {word:#018x}")
        );
    }
    assert_eq!(error_in_last(8, listed().u64(FLAG_HOOK)), "unsupported | an RDMA hook");
}

#[test]
fn page_records() {
    let unknown = listed().page("pc.rom", 0, FLAG_ZERO);
    assert_eq!(error_in_last(15, unknown), r#"a block of the block list | a page of "pc.rom""#);
    let nothing_before = listed().continued(0, FLAG_ZERO);
    assert_eq!(error_in_last(8, nothing_before), "a block's name | CONTINUE without one");
    let beyond = listed().page("pc.ram", 2, FLAG_ZERO);
    assert_eq!(error_in_last(15, beyond), "an offset below 0x2000 in pc.ram | 0x2000");
    let continued = listed().page("vga", 0, FLAG_ZERO).u8(0).continued(1, FLAG_ZERO);
    assert_eq!(error_in_last(8, continued), "an offset below 0x1000 in vga | 0x1000");
}

#[test]
fn encoded_pages() {
    let encoding = listed().page("vga", 0, FLAG_XBZRLE).u8(2);
    assert_eq!(error_in_last(1, encoding), "XBZRLE's encoding, 0x01 | encoding 0x02");
    let long = listed().page("vga", 0, FLAG_XBZRLE).u8(1).u16(4097);
    assert_eq!(error_in_last(3, long), "at most 4096 encoded bytes | 4097");
    let long = listed().page("vga", 0, FLAG_COMPRESS_PAGE).u32(8193);
    assert_eq!(error_in_last(4, long), "at most 8192 encoded bytes | 8193");
}

#[test]
fn mapped_ram() {
    let block = |pages: u64| {
        Stream::v10_0_with(&["mapped-ram"])
            .start_ram()
            .total(pages * PAGE)
            .name("a")
            .u64(pages * PAGE)
    };
    assert_eq!(error_in_last(4, block(1).u32(2)), "unsupported | a mapped-ram header of version 2");
    let here = block(1).bytes.len() as u64 + 28;
    for (page_size, bitmap, pages) in [
        (8192, here, here + 8),
        (PAGE, here - 1, here + 8),
        (PAGE, here, here + 7),
        (PAGE, u64::MAX, u64::MAX),
        (PAGE, here, u64::MAX - PAGE + 1),
    ] {
        let stream = block(1).u32(1).u64(page_size).u64(bitmap).u64(pages);
        assert_eq!(
            error_in_last(28, stream),
            format!(
                "pages of 0x1000, and bitmap and pages behind | \
                 pages of {page_size:#x}, {bitmap:#x} and {pages:#x}"
            )
        );
    }
    let beyond = block(2).u32(1).u64(PAGE).u64(here).u64(here + 8).raw(&4u64.to_le_bytes());
    assert_eq!(error_in_last(8, beyond), "a bitmap of 2 pages | page 2");
    let record = block(1).u32(1).u64(PAGE).u64(here).u64(here + 8).u64(0).full(0);
    assert!(error_in_last(8, record.u64(FLAG_ZERO)).starts_with("no page record (mapped-ram"));
}
