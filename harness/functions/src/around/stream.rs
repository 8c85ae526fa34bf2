//! The bytes of what a case says somebody else has sent.

use super::case::{Case, Name};
use super::sent::{Content, Damage, Entry, Header, Item, Packet, Wrong};
use pcram_mirror::address::TARGET_PAGE_SIZE as PAGE;
use pcram_mirror::around::external::NAME;
use pcram_mirror::around::load::RAM_SAVE_FLAG_XBZRLE;
use pcram_mirror::around::mapped_ram::{HEADER, MappedRamHeader};
use pcram_mirror::around::multifd::{self, MULTIFD_MAGIC, MULTIFD_VERSION, PAGES};
use pcram_mirror::around::{Guest, Packets};
use pcram_mirror::v1_0::save::{
    RAM_SAVE_FLAG_COMPRESS, RAM_SAVE_FLAG_CONTINUE, RAM_SAVE_FLAG_EOS, RAM_SAVE_FLAG_MEM_SIZE,
    RAM_SAVE_FLAG_PAGE,
};

/// The most pages of a block for which the file has room, whatever its length is said to be.
const LAID_OUT: u64 = 512;

/// A section of RAM, as a guest of these blocks writes it, for this guest to read.
pub fn load(case: &Case, guest: &Guest, items: &[Item], damage: Option<Damage>) -> Vec<u8> {
    let mut to = Vec::new();
    let mut last = 0;
    for item in items {
        match item {
            Item::List(entries) => list(case, guest, entries, &mut to),
            Item::Page { of, page, beyond, content } => {
                last = of.and_then(|name| case.named(name)).unwrap_or(last);
                let pages = guest.blocks[last].used_length / PAGE;
                let inside = u64::from(*page) % pages.max(1);
                let addr = if *beyond { pages + u64::from(page % 3) } else { inside } * PAGE;
                self::page(case, *of, addr, *content, &mut to);
            }
            Item::Flags(flags) => to.extend((u64::from(*flags) & (PAGE - 1)).to_be_bytes()),
            Item::End => to.extend(RAM_SAVE_FLAG_EOS.to_be_bytes()),
        }
    }
    match damage {
        Some(Damage::Cut(at)) => to.truncate(at as usize % to.len().max(1)),
        Some(Damage::Byte(at, byte)) => {
            let length = to.len().max(1);
            to.get_mut(usize::from(at) % length).into_iter().for_each(|it| *it = byte);
        }
        None => {}
    }
    to
}

/// A name with its length before it.
fn put_name(name: &[u8], to: &mut Vec<u8>) {
    let name = &name[..name.len().min(u8::MAX.into())];
    to.push(name.len() as u8);
    to.extend(name);
}

fn page(case: &Case, of: Option<Name>, addr: u64, content: Content, to: &mut Vec<u8>) {
    let kind = match content {
        Content::Same(_) => RAM_SAVE_FLAG_COMPRESS,
        Content::Bytes(_) => RAM_SAVE_FLAG_PAGE,
        Content::Difference => RAM_SAVE_FLAG_XBZRLE,
    };
    let cont = if of.is_some() { 0 } else { RAM_SAVE_FLAG_CONTINUE };
    to.extend((addr | kind | cont).to_be_bytes());
    if let Some(name) = of {
        put_name(&case.name(name), to);
    }
    match content {
        Content::Same(byte) => to.push(byte),
        Content::Bytes(first) => to.extend(bytes(first)),
        Content::Difference => {}
    }
}

/// A page of bytes that are not all the same.
fn bytes(first: u8) -> impl Iterator<Item = u8> {
    (0..PAGE).map(move |at| first.wrapping_add(at as u8))
}

fn list(case: &Case, guest: &Guest, entries: &[Entry], to: &mut Vec<u8>) {
    let length = |entry: &Entry| {
        let block = case.named(entry.name);
        let same = block.map_or(PAGE, |block| guest.blocks[block].used_length);
        entry.length.unwrap_or(same)
    };
    let total = entries.iter().fold(0_u64, |total, entry| total.wrapping_add(length(entry)));
    to.extend((total & !(PAGE - 1) | RAM_SAVE_FLAG_MEM_SIZE).to_be_bytes());
    let settings = guest.settings;
    for entry in entries {
        put_name(&case.name(entry.name), to);
        let length = length(entry);
        to.extend(length.to_be_bytes());
        let block = &guest.blocks[case.named(entry.name).unwrap_or(0)];
        let advised =
            settings.postcopy_advised && (settings.postcopy_ram || !guest.tree.asks_postcopy);
        if advised && block.page_size != PAGE {
            to.extend((block.page_size << u8::from(entry.other_pages)).to_be_bytes());
        }
        if settings.ignore_shared {
            to.extend((block.addr + u64::from(entry.elsewhere)).to_be_bytes());
        }
        if guest.tree.mapped_ram && settings.mapped_ram {
            mapped(entry, length, to);
        }
    }
}

/// The header, the bitmap and the pages of a block.
fn mapped(entry: &Entry, length: u64, to: &mut Vec<u8>) {
    let bitmap_offset = (to.len() + HEADER) as u64;
    let pages = (length / PAGE).min(LAID_OUT);
    let bitmap_size = pages.div_ceil(64) * 8;
    let pages_offset = (bitmap_offset + bitmap_size).next_multiple_of(PAGE);
    let mut header = MappedRamHeader { version: 1, page_size: PAGE, bitmap_offset, pages_offset };
    match entry.header {
        Header::Fine => {}
        Header::Ignored => (header.bitmap_offset, header.pages_offset) = (0, 0),
        Header::Version(version) => header.version = version,
        Header::PageSize(size) => header.page_size = size,
        Header::Bitmap(offset) => header.bitmap_offset = offset,
        Header::Pages(offset) => header.pages_offset = offset,
    }
    to.extend(header.to_bytes());
    if entry.header == Header::Ignored {
        return;
    }
    // Where pages are said to be smaller, more of them are looked for.
    let bits = match entry.header {
        Header::PageSize(size @ 1..PAGE) => (length / size).min(bitmap_size * 8),
        _ => pages,
    };
    let mut bitmap = vec![0; bitmap_size as usize];
    to.resize((pages_offset + pages * PAGE) as usize, 0);
    for page in entry.pages.iter().filter_map(|&page| u64::from(page).checked_rem(bits)) {
        bitmap[(page / 8) as usize] |= 1 << (page % 8);
        let room = to.iter_mut().skip((pages_offset + page * PAGE) as usize);
        room.zip(bytes(page as u8)).for_each(|(to, it)| *to = it);
    }
    to[bitmap_offset as usize..][..bitmap.len()].copy_from_slice(&bitmap);
}

/// A name in as many bytes as there are for one; what is behind it is 0.
pub fn name(name: &[u8], unended: bool) -> [u8; NAME] {
    let mut to = [if unended { b'x' } else { 0 }; NAME];
    let length = name.len().min(NAME);
    to[..length].copy_from_slice(&name[..length]);
    to
}

/// A packet.
pub fn packet(case: &Case, guest: &Guest, packet: &Packet) -> multifd::Packet {
    let pages = case.named(packet.name).map(|block| guest.blocks[block].used_length / PAGE);
    let pages = pages.unwrap_or(1).max(1);
    let zero: &[u16] = match guest.tree.packets {
        Packets::Zero => &packet.zero,
        Packets::Used | Packets::Normal => &[],
    };
    let all = packet.normal.iter().chain(zero);
    let mut offset: Vec<_> = all.map(|&page| u64::from(page) % pages * PAGE).collect();
    offset.truncate(PAGES);
    let mut it = multifd::Packet {
        magic: MULTIFD_MAGIC,
        version: MULTIFD_VERSION,
        flags: 1,
        pages_alloc: PAGES as u32,
        normal_pages: packet.normal.len() as u32,
        zero_pages: zero.len() as u32,
        next_packet_size: offset.len() as u32 * PAGE as u32,
        packet_num: 0x1_0000_0007,
        ramblock: name(&case.name(packet.name), packet.unended),
        offset,
    };
    match packet.damage {
        None => {}
        Some(Wrong::Magic(magic)) => it.magic = magic,
        Some(Wrong::Version(version)) => it.version = version,
        Some(Wrong::Room(room)) => it.pages_alloc = room,
        Some(Wrong::Normal(pages)) => it.normal_pages = pages,
        Some(Wrong::Longer(pages)) => (it.pages_alloc, it.normal_pages) = (pages, pages),
        Some(Wrong::Zero(pages)) => it.zero_pages = pages,
        Some(Wrong::Offset(at, offset)) => {
            let count = it.offset.len().max(1);
            it.offset.get_mut(usize::from(at) % count).into_iter().for_each(|it| *it = offset);
        }
    }
    it
}

/// A packet as it is sent, with room for all offsets.
pub fn packet_bytes(packet: &multifd::Packet, packets: Packets) -> Vec<u8> {
    let words = [packet.magic, packet.version, packet.flags, packet.pages_alloc];
    let mut to: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    to.extend(packet.normal_pages.to_be_bytes());
    to.extend(packet.next_packet_size.to_be_bytes());
    to.extend(packet.packet_num.to_be_bytes());
    // What is reserved; in it are the zero pages, where there are such.
    let zero = if packets == Packets::Zero { packet.zero_pages } else { 0 };
    to.extend(zero.to_be_bytes());
    to.extend([0; 28]);
    to.extend(packet.ramblock);
    to.extend(packet.offset.iter().flat_map(|offset| offset.to_be_bytes()));
    to.resize(to.len() + (PAGES - packet.offset.len()) * 8, 0);
    to
}
