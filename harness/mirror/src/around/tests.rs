//! What the mirror does on its own, one thing at a time.

mod capabilities;
mod info;
mod snapshot;

use super::external::{Capability, NAME};
use super::file::{Input, Output, TURNS};
use super::load::RAM_SAVE_FLAG_MULTIFD_FLUSH;
use super::mapped_ram::MappedRamHeader;
use super::multifd::{MULTIFD_MAGIC, MULTIFD_VERSION, Packet};
use super::*;
use crate::v1_0::save::{
    RAM_SAVE_FLAG_CONTINUE, RAM_SAVE_FLAG_EOS, RAM_SAVE_FLAG_MEM_SIZE, RAM_SAVE_FLAG_PAGE,
};

/// A tree of today.
fn today(external: bool) -> Tree {
    Tree {
        ram: ram::Tree { external, named_files: true, ..ram::Tree::default() },
        mapped_ram: true,
        by_block: true,
        asks_postcopy: true,
        clears_region: true,
        background_snapshot: true,
        post_save: true,
        frees_loaded: true,
        packets: Packets::Zero,
        ..Tree::default()
    }
}

const SETTINGS: Settings = Settings {
    mode: Mode::Normal,
    ignore_shared: false,
    mapped_ram: false,
    multifd: false,
    flush_each_section: false,
    postcopy_ram: false,
    postcopy_advised: false,
    send_configuration: false,
    vmdesc: false,
    restore_vm: false,
    running: true,
    others_fail: false,
    fast_thread: false,
};

/// A guest with a block of two pages, `a`, `b` and so on, of each kind.
fn guest(tree: Tree, settings: Settings, kinds: &[Kind]) -> Guest {
    let block = |(at, &kind): (usize, &Kind)| Block {
        idstr: vec![b'a' + at as u8],
        kind,
        resizeable: false,
        used_length: 2 * PAGE,
        max_length: 2 * PAGE,
        page_size: PAGE,
        addr: at as u64 * 2 * PAGE,
        host: at as u64 * 2 * PAGE,
        bmap: None,
        file_bmap: None,
        receivedmap: None,
        bitmap_offset: 0,
        pages_offset: 0,
    };
    Guest::new(tree, settings, kinds.iter().enumerate().map(block).collect())
}

fn said(guest: &Guest) -> Vec<String> {
    guest.said.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// What is loaded out of a stream: what it returns, and where it ended.
fn load(guest: &mut Guest, stream: &[u8]) -> Result<(i32, u64), Undefined> {
    let mut memory = vec![1; guest.blocks.len() * 2 * PAGE as usize];
    let mut input = Input::new(stream);
    guest.ram_load_precopy(&mut input, &mut memory).map(|ret| (ret, input.at))
}

/// The list of one block.
fn list(name: &str, length: u64, rest: &[u8]) -> Vec<u8> {
    let head = (length & !(PAGE - 1) | RAM_SAVE_FLAG_MEM_SIZE).to_be_bytes();
    [&head[..], &[name.len() as u8], name.as_bytes(), &length.to_be_bytes(), rest].concat()
}

#[test]
fn a_list_of_the_same_blocks_is_taken() {
    let mut guest = guest(today(true), SETTINGS, &[Kind::Plain]);
    let stream = [list("a", 2 * PAGE, &[]), RAM_SAVE_FLAG_EOS.to_be_bytes().to_vec()].concat();
    assert_eq!(load(&mut guest, &stream), Ok((0, 26)));
    assert_eq!(said(&guest), ["(rdma a)"]);
}

#[test]
fn a_block_that_nobody_knows_and_one_of_another_length_are_refused() {
    let mut guest = guest(today(true), SETTINGS, &[Kind::Plain]);
    assert_eq!(load(&mut guest, &list("z", PAGE, &[])), Ok((EINVAL, 18)));
    assert_eq!(load(&mut guest, &list("a", PAGE, &[])), Ok((EINVAL, 18)));
    let unknown = "Unknown ramblock \"z\", cannot accept migration";
    let other = "Size mismatch: a: 0x1000 != 0x2000: Invalid argument";
    assert_eq!(said(&guest), [unknown, other]);
}

#[test]
fn a_block_that_may_become_longer_does() {
    let mut guest = guest(today(true), SETTINGS, &[Kind::Plain]);
    (guest.blocks[0].resizeable, guest.blocks[0].used_length) = (true, PAGE);
    _ = load(&mut guest, &list("a", PAGE + 1, &[]));
    assert_eq!(guest.blocks[0].used_length, 2 * PAGE);
}

#[test]
fn a_page_of_an_ignored_block_is_refused_and_that_of_another_received() {
    let mut guest = guest(today(true), SETTINGS, &[Kind::External, Kind::Plain]);
    let page = |name: u8| [&RAM_SAVE_FLAG_PAGE.to_be_bytes()[..], &[1, name], &[7; 4096]].concat();
    assert_eq!(load(&mut guest, &page(b'a')), Ok((EINVAL, 10)));
    assert_eq!(said(&guest), ["block a should not be migrated !", "Illegal RAM offset 0"]);
    assert!(guest.carried.is_empty());
    // The end of the stream is none of the section.
    assert_eq!(load(&mut guest, &page(b'b')), Ok((EIO, 4106)));
    assert!(guest.blocks[1].receivedmap.as_ref().unwrap().has(0));
    assert_eq!(guest.carried, [1]);
}

#[test]
fn only_5_2_goes_on_in_a_block_that_it_refused() {
    let old = Tree { keeps_refused: true, ..Tree::default() };
    let stream = [&RAM_SAVE_FLAG_PAGE.to_be_bytes()[..], &[1, b'a']].concat();
    let more = (RAM_SAVE_FLAG_PAGE | RAM_SAVE_FLAG_CONTINUE).to_be_bytes();
    for (tree, came) in [(old, Err(Undefined::NoBitmap)), (today(true), Ok((EINVAL, 8)))] {
        let mut guest = guest(tree, SETTINGS, &[Kind::NotMigratable]);
        assert_eq!(load(&mut guest, &stream), Ok((EINVAL, 10)));
        assert_eq!(load(&mut guest, &more), came);
    }
}

#[test]
fn a_stream_of_a_mapped_file_has_no_pages_of_its_own() {
    let settings = Settings { mapped_ram: true, ..SETTINGS };
    let mut guest = guest(today(true), settings, &[Kind::Plain]);
    let flags = RAM_SAVE_FLAG_MULTIFD_FLUSH.to_be_bytes();
    assert_eq!(load(&mut guest, &flags), Ok((EINVAL, 8)));
    assert_eq!(said(&guest), ["Unexpected RAM flags: 512"]);
}

#[test]
fn a_mapped_file_without_the_pages_of_a_block_is_refused() {
    let settings = Settings { mapped_ram: true, ..SETTINGS };
    let none = MappedRamHeader { version: 1, page_size: PAGE, ..MappedRamHeader::default() };
    for (kind, ret) in [(Kind::Plain, EINVAL), (Kind::External, EIO)] {
        let mut guest = guest(today(true), settings, &[kind]);
        let came = load(&mut guest, &list("a", 2 * PAGE, &none.to_bytes()));
        assert_eq!(came, Ok((ret, 46)), "{kind:?}");
    }
}

#[test]
fn a_page_size_of_zero_pages_behind_a_block_and_too_many_are_not_defined() {
    let settings = Settings { mapped_ram: true, ..SETTINGS };
    for (page_size, undefined) in [(0, Undefined::NoPageSize), (PAGE / 2, Undefined::Outside)] {
        let mut guest = guest(today(true), settings, &[Kind::Plain]);
        let pages_offset = PAGE;
        let header = MappedRamHeader { version: 1, page_size, bitmap_offset: 46, pages_offset };
        let mut stream = list("a", 2 * PAGE, &header.to_bytes());
        stream.extend(0b111_u64.to_le_bytes());
        stream.resize(4 * PAGE as usize, 0);
        assert_eq!(load(&mut guest, &stream), Err(undefined));
    }
    // So many pages that their bitmap has memory nowhere, and as many as may have it.
    let header = MappedRamHeader { version: 1, page_size: 1, ..MappedRamHeader::default() };
    let header = MappedRamHeader { pages_offset: PAGE, ..header }.to_bytes();
    for (pages, came) in [(1 << 41, Err(Undefined::NoMemory)), (1 << 40, Ok((EINVAL, 46)))] {
        let mut guest = guest(today(true), settings, &[Kind::Plain]);
        guest.blocks[0].used_length = pages;
        assert_eq!(load(&mut guest, &list("a", pages, &header)), came);
    }
}

#[test]
fn a_run_of_pages_is_read_in_pieces_up_to_the_end_of_its_block_and_no_further() {
    let settings = Settings { mapped_ram: true, ..SETTINGS };
    let (pages, words) = ((1 << 20) / PAGE + 2, 5);
    let length = pages * PAGE;
    let header =
        MappedRamHeader { version: 1, page_size: PAGE, bitmap_offset: 46, pages_offset: PAGE };
    let all = |guest: &mut Guest, header: MappedRamHeader, first: u64| {
        (guest.blocks[0].used_length, guest.blocks[0].max_length) = (length, length);
        let mut stream = list("a", length, &header.to_bytes());
        let has = |page: u64| (first..2 * pages).contains(&page);
        for word in 0..2 * words {
            let bits = (0..64).filter(|bit| has(word * 64 + bit));
            stream.extend(bits.fold(0, |bits, bit| bits | 1_u64 << bit).to_le_bytes());
        }
        stream.resize(PAGE as usize, 0);
        (0..2 * pages).for_each(|page| stream.extend([page as u8 | 1; PAGE as usize]));
        let mut memory = vec![0; length as usize];
        let mut input = Input::new(&stream);
        guest.ram_load_precopy(&mut input, &mut memory).map(|_| memory)
    };
    let one = || guest(today(true), settings, &[Kind::Plain]);
    let memory = all(&mut one(), header, 1).unwrap();
    let found: Vec<_> = memory.iter().step_by(PAGE as usize).copied().collect();
    let sent = std::iter::once(0).chain((1..pages).map(|page| page as u8 | 1));
    assert_eq!(found, sent.collect::<Vec<_>>());
    // Said to be of half the size, there are twice as many pages.
    let header = MappedRamHeader { page_size: PAGE / 2, ..header };
    assert_eq!(all(&mut one(), header, pages - 1), Err(Undefined::Outside));
}

#[test]
fn a_mapped_file_has_room_for_what_is_not_ignored_alone() {
    let mut guest = guest(today(true), SETTINGS, &[Kind::External, Kind::Plain]);
    let mut file = Output::default();
    guest.mapped_ram_setup_ramblock(&mut file, 0);
    assert_eq!((file.at, guest.blocks[0].bitmap_offset), (28, 0));
    guest.mapped_ram_setup_ramblock(&mut file, 1);
    assert_eq!((file.at, guest.blocks[1].bitmap_offset), ((1 << 20) + 2 * PAGE, 56));
    guest.ram_save_file_bmap(&mut file);
    assert_eq!(file.pieces.last(), Some(&(56, vec![0; 8])));
    assert_eq!((file.error, guest.transferred), (0, 8));
}

#[test]
fn as_released_the_bitmap_of_an_ignored_block_is_written_from_nowhere() {
    let settings = Settings { ignore_shared: true, ..SETTINGS };
    let mut guest = guest(today(false), settings, &[Kind::SharedFile]);
    let mut file = Output::default();
    guest.ram_save_file_bmap(&mut file);
    assert_eq!(file, Output { error: EFAULT, ..Output::default() });
}

#[test]
fn a_hint_goes_on_behind_an_ignored_block_and_ends_behind_the_last() {
    let kinds = [Kind::Plain, Kind::External, Kind::Plain];
    let mut guest = guest(today(true), SETTINGS, &kinds);
    assert_eq!(guest.dirty_pages, 4);
    assert_eq!(guest.qemu_guest_free_page_hint(PAGE, 9 * PAGE), Ok(()));
    assert_eq!(guest.dirty_pages, 1);
    let error = "qemu_guest_free_page_hint unexpected error";
    assert_eq!(said(&guest), ["(clear a 1 1)", "(clear c 0 2)", error]);
}

#[test]
fn as_released_a_hint_of_an_ignored_block_is_not_defined() {
    let mut guest = guest(today(false), SETTINGS, &[Kind::NotMigratable]);
    assert_eq!(guest.qemu_guest_free_page_hint(0, PAGE), Err(Undefined::NoBitmap));
}

/// The head of a stream that a guest writes.
fn head_of(guest: &mut Guest) -> Vec<u8> {
    let mut output = Output::default();
    guest.qemu_savevm_state_header(&mut output);
    output.pieces.into_iter().flat_map(|(_, piece)| piece).collect()
}

/// What a guest says of the head of a stream, and gives back.
fn reads(mut guest: Guest, head: &[u8]) -> (i32, Vec<String>) {
    (guest.qemu_loadvm_state_header(&mut Input::new(head)), said(&guest))
}

#[test]
fn what_the_stream_lacks_is_what_is_external() {
    let blocks = [Kind::External, Kind::Plain];
    let mut here = guest(today(true), SETTINGS, &blocks);
    let mut head = head_of(&mut here);
    assert_eq!(reads(here.clone(), &head), (0, vec![]));
    // The name in the list, without an end.
    let name = head.len() - NAME;
    head[name..].fill(b'b');
    let (ret, said) = reads(here, &head);
    assert_eq!((ret, said.len()), (EINVAL, 2));
    let cut = "b".repeat(NAME - 1);
    assert!(said[0].starts_with(&format!("The stream has no pages of RAM block '{cut}'")));
    assert!(said[1].starts_with("The stream has the pages of RAM block 'a', which is external"));
}

#[test]
fn a_header_without_what_is_needed_and_one_with_more_are_refused() {
    let with = |kind| guest(today(true), SETTINGS, &[kind]);
    let without = head_of(&mut with(Kind::Plain));
    assert_eq!(without.len(), 8, "magic and version");
    let head = head_of(&mut with(Kind::External));
    let other = [&without[..], &[1]].concat();
    assert_eq!(reads(with(Kind::Plain), &other), (0, vec![]));
    assert_eq!(reads(with(Kind::External), &head), (0, vec![]));
    let (ret, said) = reads(with(Kind::External), &other);
    assert_eq!(ret, EINVAL);
    assert!(said[0].contains("-pcram-file was missing where it was made"));
    let asks = Settings { send_configuration: true, ..SETTINGS };
    let section = head_of(&mut guest(today(true), asks, &[Kind::Plain]));
    let unexpected = vec!["Unexpected configuration section".to_owned()];
    assert_eq!(reads(with(Kind::Plain), &section), (EINVAL, unexpected));
}

#[test]
fn a_section_of_another_machine_or_other_capabilities_is_refused() {
    let asks = Settings { send_configuration: true, ..SETTINGS };
    let shares = Settings { ignore_shared: true, ..asks };
    let head = head_of(&mut guest(today(true), shares, &[]));
    let here = guest(today(true), asks, &[]);
    let (ret, said) = reads(here.clone(), &head);
    let differs = "Capability x-ignore-shared is off, but received capability is on";
    assert_eq!((ret, said), (EINVAL, vec![differs.to_owned()]));
    let mut head = head_of(&mut here.clone());
    let last = head.len() - 1;
    head[last] = b'x';
    let (ret, said) = reads(here, &head);
    let machine = "Machine type received is 'pc-q3x' and local is 'pc-q35'";
    assert_eq!((ret, said), (EINVAL, vec![machine.to_owned()]));
}

#[test]
fn a_capability_that_needs_all_pages_is_refused_with_its_reason() {
    let mut guest = guest(today(true), SETTINGS, &[]);
    assert!(guest.caps_allow_external_ram(&[Capability::XIgnoreShared], "a"));
    assert!(!guest.caps_allow_external_ram(&[Capability::XColo, Capability::PostcopyRam], "a"));
    assert!(said(&guest)[0].starts_with("postcopy-ram cannot be used with RAM block 'a', whose"));
}

#[test]
fn a_packet_is_refused_for_an_ignored_block_and_for_a_page_behind_the_end() {
    let packet = |name: u8, offset| {
        let mut ramblock = [0; NAME];
        ramblock[0] = name;
        Packet {
            magic: MULTIFD_MAGIC,
            version: MULTIFD_VERSION,
            flags: 0,
            pages_alloc: 128,
            normal_pages: 1,
            zero_pages: 0,
            next_packet_size: 0,
            packet_num: 0,
            ramblock,
            offset: vec![offset],
        }
    };
    let mut guest = guest(today(true), SETTINGS, &[Kind::External, Kind::Plain]);
    assert_eq!(guest.multifd_recv_unfill_packet(&packet(b'a', 0)), Ok(-1));
    assert_eq!(guest.multifd_recv_unfill_packet(&packet(b'b', PAGE)), Ok(0));
    assert_eq!(guest.multifd_recv_unfill_packet(&packet(b'b', PAGE + 1)), Ok(-1));
    let long = "multifd: offset too long 4097 (max 2000)";
    assert_eq!(said(&guest), ["multifd: block a should not be migrated !", long]);
}

#[test]
fn as_released_a_page_is_queued_twice_where_the_thread_is_fast() {
    let settings = Settings { fast_thread: true, ..SETTINGS };
    for (external, left) in [(false, 1), (true, 0)] {
        let mut guest = guest(today(external), settings, &[Kind::Plain]);
        (0..3).for_each(|_| assert_eq!(guest.multifd_queue_page(0, 0), Ok(1)));
        assert_eq!(guest.queue.pages.offset.len(), left);
    }
}

#[test]
fn a_stream_may_go_back_so_often_and_no_more() {
    let mut f = Input::new(&[7; 8]);
    let turns = u64::from(TURNS);
    (0..=2 * turns).for_each(|at| f.set_offset(at).unwrap());
    for at in (turns..2 * turns).rev() {
        f.set_offset(at).unwrap();
        f.set_offset(at).unwrap();
    }
    assert_eq!(f.set_offset(0), Err(Undefined::Endless));
}

#[test]
fn a_read_from_elsewhere_takes_all_or_nothing_and_stays_out_after_an_error() {
    let mut f = Input::new(&[1, 2, 3]);
    assert_eq!((f.get_buffer_at(2, 1), f.error), (&[2, 3][..], 0));
    assert_eq!((f.get_buffer_at(0, 9), f.error), (&[][..], 0), "of nothing, nothing is asked");
    assert_eq!((f.get_buffer_at(2, 2), f.error), (&[][..], EIO));
    assert_eq!(f.get_buffer_at(1, 0), &[][..], "there was an error");
}

#[test]
fn without_a_sample_the_dirty_rate_is_none_but_beside_external_ram() {
    let measured = |tree, kinds: &[Kind], pages: u64, rate| {
        let mut guest = guest(tree, SETTINGS, kinds);
        let block = guest.blocks.last_mut().unwrap();
        (block.used_length, block.max_length) = (pages * PAGE, pages * PAGE);
        let mut memory = vec![0; ((pages + 2) * PAGE) as usize];
        let write = |guest: &mut Guest, memory: &mut [u8]| {
            memory[guest.blocks.last().unwrap().host as usize] = 1;
        };
        guest.calculate_dirtyrate_sample_vm(rate, 1000, &mut memory, |at, _| at, write)
    };
    let (external, plain) = ([Kind::External, Kind::Plain], [Kind::Plain, Kind::Plain]);
    assert_eq!(measured(today(true), &external, 2, 512).dirty_rate, 0);
    assert_eq!(measured(today(true), &external, 256, 512).dirty_rate, 0, "it is sampled nowhere");
    assert_eq!(measured(today(true), &plain, 256, 512).dirty_rate, -1);
    assert_eq!(measured(today(false), &plain, 2, 512).dirty_rate, -1);
    // One of 16 samples of a block of 1 MiB was written.
    let stat = measured(today(true), &external, 256, 16384);
    let dirty = (stat.total_dirty_samples, stat.total_sample_count, stat.total_block_mem_mb);
    assert_eq!(dirty, (1, 16, 1));
}
