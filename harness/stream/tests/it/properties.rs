//! What was built is read back, and nothing that is read makes the reader panic.

use pcram_stream::{DeviceState, PageContent, RecordKind, Summary, multifd};
use proptest::prelude::*;

use crate::build::*;

/// One thing in the RAM section.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Page {
        block: usize,
        page: u64,
        content: Content,
    },
    Flush,
    /// The next part begins here.
    Part,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Fill(u8),
    Full(u8),
    Xbzrle(Vec<u8>),
    Zlib(Vec<u8>),
}

fn content() -> impl Strategy<Value = Content> {
    let encoded = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        any::<u8>().prop_map(Content::Fill),
        any::<u8>().prop_map(Content::Full),
        encoded().prop_map(Content::Xbzrle),
        encoded().prop_map(Content::Zlib),
    ]
}

fn item(blocks: Vec<u64>) -> impl Strategy<Value = Item> {
    let page =
        (0..blocks.len()).prop_flat_map(move |block| {
            (Just(block), 0..blocks[block], content())
                .prop_map(|(block, page, content)| Item::Page { block, page, content })
        });
    prop_oneof![8 => page, 1 => Just(Item::Flush), 1 => Just(Item::Part)]
}

/// Lengths of blocks in pages, and items that lie in them.
fn ram() -> impl Strategy<Value = (Vec<u64>, Vec<Item>)> {
    prop::collection::vec(1..5u64, 1..5).prop_flat_map(|blocks| {
        let items = prop::collection::vec(item(blocks.clone()), 0..30);
        (Just(blocks), items)
    })
}

/// Writes the items; a block is named where it must be, and sometimes where it need not.
fn build(start: Stream, blocks: &[u64], items: &[Item], named: &[bool]) -> Stream {
    let names: Vec<_> = (0..blocks.len()).map(|index| format!("block{index}")).collect();
    let list: Vec<_> = names.iter().map(String::as_str).zip(blocks.iter().copied()).collect();
    let mut stream = start.start_ram().blocks(&list);
    let mut last = None;
    for (item, &named) in items.iter().zip(named.iter().cycle()) {
        stream = match item {
            Item::Flush => stream.u64(FLAG_MULTIFD_FLUSH),
            Item::Part => stream.close().part_ram(),
            Item::Page { block, page, content } => {
                let flag = match content {
                    Content::Fill(_) => FLAG_ZERO,
                    Content::Full(_) => FLAG_PAGE,
                    Content::Xbzrle(_) => FLAG_XBZRLE,
                    Content::Zlib(_) => FLAG_COMPRESS_PAGE,
                };
                let continues = last.replace(*block) == Some(*block) && !named;
                let stream = match continues {
                    true => stream.continued(*page, flag),
                    false => stream.page(&names[*block], *page, flag),
                };
                match content {
                    Content::Fill(byte) => stream.u8(*byte),
                    Content::Full(byte) => stream.full(*byte),
                    Content::Xbzrle(bytes) => stream.u8(1).u16(bytes.len() as u16).raw(bytes),
                    Content::Zlib(bytes) => stream.u32(bytes.len() as u32).raw(bytes),
                }
            }
        };
    }
    stream.close().end_ram().close()
}

/// The items of a stream.
fn items_of(stream: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    read(stream, |record| match record.kind {
        RecordKind::Page { block, offset, content } => {
            let content = match content {
                PageContent::Fill(byte) => Content::Fill(byte),
                PageContent::Full(bytes) => {
                    assert_eq!(bytes, full(bytes[0]));
                    Content::Full(bytes[0])
                }
                PageContent::Xbzrle(bytes) => Content::Xbzrle(bytes.to_vec()),
                PageContent::Zlib(bytes) => Content::Zlib(bytes.to_vec()),
            };
            items.push(Item::Page { block: block.0, page: offset.0 / PAGE, content });
        }
        RecordKind::MultifdFlush => items.push(Item::Flush),
        RecordKind::SectionPart(RAM) => items.push(Item::Part),
        _ => {}
    })
    .unwrap();
    items
}

/// Pages of a packet by their numbers, each filled or zero.
fn pages() -> impl Strategy<Value = Vec<(u64, Option<u8>)>> {
    prop::collection::vec((0..1000_u64, any::<Option<u8>>()), 0..20)
}

fn start(new: bool) -> Stream {
    if new { Stream::v10_0() } else { Stream::v1_0() }
}

proptest! {
    #[test]
    fn what_was_built_is_read_back(
        (blocks, items) in ram(),
        named in prop::collection::vec(any::<bool>(), 1..8),
        new: bool,
        devices in 0..3u32,
    ) {
        let ram = build(start(new), &blocks, &items, &named);
        let stream = (0..devices).fold(ram, |it, id| it.device(id + 10, &format!("dev{id}")));
        let stream = stream.finish();
        prop_assert_eq!(items_of(&stream), items.clone());

        let summary = Summary::read(stream.as_slice()).unwrap();
        prop_assert_eq!(summary.blocks.len(), blocks.len());
        for (index, (block, length)) in summary.blocks.iter().zip(&blocks).enumerate() {
            let mut pages = std::collections::BTreeSet::new();
            let mut records = 0;
            for item in &items {
                if let Item::Page { block, page, .. } = item && *block == index {
                    pages.insert(*page);
                    records += 1;
                }
            }
            prop_assert_eq!(block.used_length, length * PAGE);
            prop_assert_eq!(block.records.total(), records);
            prop_assert_eq!(block.pages.len(), pages.len() as u64);
            prop_assert!(block.pages.iter().eq(pages));
        }
        match summary.device_state {
            DeviceState::Examined { sections, .. } => {
                prop_assert!(new);
                prop_assert_eq!(sections.len(), devices as usize);
            }
            DeviceState::Listed { sections } => {
                prop_assert!(!new);
                prop_assert_eq!(sections.len(), devices as usize);
            }
            DeviceState::Unexamined { .. } => prop_assert!(!new && devices == 0),
        }
    }

    /// Whatever a byte is changed to, there is an answer.
    #[test]
    fn a_changed_byte_is_survived(
        (blocks, items) in ram(),
        new: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut stream = build(start(new), &blocks, &items, &[false]).device(9, "dev").finish();
        for (index, byte) in changes {
            *index.get_mut(&mut stream) = byte;
        }
        let _ = Summary::read(stream.as_slice());
    }

    #[test]
    fn anything_behind_the_block_list_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        capability in prop::sample::select(vec!["other", "mapped-ram", "x-ignore-shared"]),
    ) {
        let stream = Stream::v10_0_with(&[capability]).start_ram().raw(&bytes);
        let _ = Summary::read(stream.bytes.as_slice());
    }

    #[test]
    fn a_channel_that_was_built_is_read_back(
        packets in prop::collection::vec((pages(), any::<bool>()), 0..6),
    ) {
        let mut stream = channel(2);
        for (number, (pages, sync)) in packets.iter().enumerate() {
            let full: Vec<_> = pages.iter().filter_map(|&(page, fill)| Some((page, fill?))).collect();
            let zero: Vec<_> =
                pages.iter().filter(|(_, fill)| fill.is_none()).map(|(page, _)| *page).collect();
            stream = match sync {
                true => stream.sync(number as u64),
                false => stream.packet(number as u64, "pc.ram", &full, &zero),
            };
        }
        let mut reader = multifd::Reader::new(stream.bytes.as_slice(), PAGE);
        let (mut read, mut syncs) = (Vec::new(), Vec::new());
        while let Some(record) = reader.next_record().unwrap() {
            match record.kind {
                multifd::RecordKind::Init { id, .. } => prop_assert_eq!(id, 2),
                multifd::RecordKind::Packet(packet) => syncs.push(packet.sync),
                multifd::RecordKind::Page { offset, content, .. } => {
                    read.push((offset.0 / PAGE, match content {
                        PageContent::Full(bytes) => Some(bytes[0]),
                        other => { prop_assert_eq!(other, PageContent::Fill(0)); None }
                    }));
                }
            }
        }
        let sent = packets.iter().filter(|(_, sync)| !sync).flat_map(|(pages, _)| {
            let (full, zero): (Vec<_>, Vec<_>) =
                pages.iter().copied().partition(|(_, fill)| fill.is_some());
            [full, zero].concat()
        });
        prop_assert_eq!(read, sent.collect::<Vec<_>>());
        prop_assert_eq!(syncs, packets.iter().map(|(_, sync)| *sync).collect::<Vec<_>>());
        prop_assert_eq!(reader.offset().0, stream.bytes.len() as u64);
    }

    #[test]
    fn a_changed_channel_is_survived(
        pages in pages(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
    ) {
        let full: Vec<_> = pages.iter().filter_map(|&(page, fill)| Some((page, fill?))).collect();
        let mut stream = channel(0).packet(0, "pc.ram", &full, &[]).sync(1).bytes;
        for (index, byte) in changes {
            *index.get_mut(&mut stream) = byte;
        }
        stream.truncate(length.index(stream.len()));
        let mut reader = multifd::Reader::new(stream.as_slice(), PAGE);
        while let Ok(Some(_)) = reader.next_record() {}
    }
}
