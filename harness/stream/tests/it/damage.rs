//! A smuggled page is found where it was put, and nothing else changes.

use pcram_stream::damage::{SMUGGLED, smuggle_page};
use pcram_stream::{BlockOffset, PageContent, RecordKind, Summary};

use crate::build::*;

fn stream(start: Stream) -> Vec<u8> {
    start
        .start_ram()
        .blocks(&[("pc.ram", 3), ("vga", 2)])
        .close()
        .end_ram()
        .page("vga", 0, FLAG_ZERO)
        .u8(0)
        .continued(1, FLAG_ZERO)
        .u8(0)
        .close()
        .device(5, "timer")
        .finish()
}

#[test]
fn one_page_more() {
    for before in [stream(Stream::v1_0()), stream(Stream::v10_0())] {
        let after = smuggle_page(&before, "pc.ram", BlockOffset(2 * PAGE)).unwrap();
        let mut smuggled = Vec::new();
        read(&after, |record| {
            if let RecordKind::Page { block, offset, content: PageContent::Full(bytes) } =
                record.kind
            {
                assert_eq!(bytes, full(SMUGGLED));
                smuggled.push((block.0, offset.0));
            }
        })
        .unwrap();
        assert_eq!(smuggled, [(0, 2 * PAGE)]);

        let (before, after) =
            [before, after].map(|it| Summary::read(it.as_slice()).unwrap()).into();
        assert_eq!((before.pages_of("pc.ram"), after.pages_of("pc.ram")), (Some(0), Some(1)));
        assert_eq!(before.blocks[1], after.blocks[1]);
        assert_eq!(after.length, before.length + 8 + 1 + 6 + PAGE);
    }
}

#[test]
fn no_such_block() {
    let error = smuggle_page(&stream(Stream::v10_0()), "pc.rom", BlockOffset(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 0x0 of the stream: expected pc.rom in the block list, found other blocks"
    );
}

#[test]
fn no_stream() {
    assert!(smuggle_page(b"", "pc.ram", BlockOffset(0)).is_err());
}
