//! A smuggled page is found where it was put, and nothing else changes.

use pcram_stream::damage::{SMUGGLED, misplace_page, smuggle_mapped, smuggle_packet, smuggle_page};
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

#[test]
fn one_page_less() {
    let before = stream(Stream::v10_0());
    let after = misplace_page(&before, "vga", BlockOffset(0), BlockOffset(PAGE)).unwrap();
    assert_eq!(Summary::read(after.as_slice()).unwrap().pages_of("vga"), Some(1));
    let after = misplace_page(&before, "vga", BlockOffset(PAGE), BlockOffset(0)).unwrap();
    assert_eq!(Summary::read(after.as_slice()).unwrap().pages_of("vga"), Some(1));
    let error = misplace_page(&before, "vga", BlockOffset(2 * PAGE), BlockOffset(0)).unwrap_err();
    assert!(error.to_string().contains("expected a page of vga at 0x2000, found none"));
}

#[test]
fn one_page_more_on_another_channel() {
    let summary = |channel: &[u8]| {
        let mut summary = Summary::read(stream(Stream::v10_0()).as_slice()).unwrap();
        summary.add_channel(channel).unwrap();
        summary
    };
    let before = channel(0).packet(0, "vga", &[(0, 1)], &[]).sync(1).bytes;
    let after = smuggle_packet(&before, "pc.ram", BlockOffset(PAGE), PAGE).unwrap();
    let (before, after) = (summary(&before), summary(&after));
    assert_eq!((before.pages_of("pc.ram"), after.pages_of("pc.ram")), (Some(0), Some(1)));
    assert_eq!(before.blocks[1], after.blocks[1]);
    assert_eq!(after.channels[0].packets, 3);
}

#[test]
fn one_page_more_in_a_mapped_ram_file() {
    let file = Stream::v10_0_with(&["mapped-ram"]).start_ram().total(12 * PAGE);
    let (file, _) = mapped(file, "pc.ram", 10, &[0]);
    let file = file.name("rom").u64(2 * PAGE).u32(1).u64(PAGE).u64(0).u64(0);
    let file = file.close().end_ram().close().finish();
    let pages = |file: &[u8]| {
        let summary = Summary::read(file).unwrap();
        let block = summary.block("pc.ram").unwrap();
        (block.pages.iter().collect::<Vec<_>>(), block.stray.iter().collect::<Vec<_>>())
    };
    assert_eq!(pages(&file), (vec![], vec![]));
    for page in [1, 9] {
        let offset = BlockOffset(page * PAGE);
        let smuggled = |bitmap| smuggle_mapped(&file, "pc.ram", offset, bitmap).unwrap();
        assert_eq!(pages(&smuggled(true)), (vec![page], vec![]));
        assert_eq!(pages(&smuggled(false)), (vec![], vec![page]));
    }
    let error = smuggle_mapped(&file, "rom", BlockOffset(0), true).unwrap_err().to_string();
    assert!(error.contains("expected room for the pages of rom"), "{error}");
}
