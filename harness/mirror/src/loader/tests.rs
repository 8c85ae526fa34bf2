//! What the series is there for, in the mirror alone.

use super::*;

const SERIES: Tree = Tree {
    waits: true,
    left_out: true,
    fills: true,
    tells_all: true,
    refuses_eight: false,
    tells_why: false,
    starts: true,
    may_fail: true,
    resumes: true,
};

/// A reset from which the guest runs, one before a migration comes, and one within loadvm.
const PLAIN: Reset = Reset { incoming: false, within_loadvm: false };
const INCOMING: Reset = Reset { incoming: true, ..PLAIN };
const WITHIN: Reset = Reset { within_loadvm: true, ..PLAIN };

fn rom(isrom: bool) -> Rom {
    let (data, mr) = (Some(vec![7; 2]), Some(Region { host: 0, rom: isrom }));
    let (fw_file, space) = (false, None);
    Rom { fw_file, isrom: false, data, romsize: 4, mr, space, addr: 0x1000, mapped: None }
}

fn machine(tree: Tree, roms: Vec<Rom>) -> Machine {
    Machine::new(tree, roms, vec![1; 4], 2, 1 << 20)
}

/// The memory after a reset, before which a snapshot may have been announced, and whether the image is
/// kept.
fn reset(tree: Tree, isrom: bool, pending: bool, reset: Reset) -> (Vec<u8>, bool) {
    let mut machine = machine(tree, vec![rom(isrom)]);
    machine.pending = pending;
    assert!(machine.rom_check_and_register_reset() && machine.roms_loaded);
    machine.qemu_devices_reset(reset).unwrap();
    (machine.memory, machine.roms[0].data.is_some())
}

#[test]
fn with_the_series_only_rom_is_written_before_state_comes() {
    assert_eq!(reset(SERIES, false, false, PLAIN), (vec![7, 7, 0, 0], true));
    assert_eq!(reset(SERIES, false, true, PLAIN), (vec![1; 4], true));
    assert_eq!(reset(SERIES, true, true, PLAIN), (vec![7, 7, 0, 0], false));
    assert_eq!(reset(SERIES, true, false, INCOMING), (vec![1; 4], false));
    let released = Tree { refuses_eight: true, ..Tree::default() };
    assert_eq!(reset(released, false, true, PLAIN), (vec![7, 7, 1, 1], true));
}

#[test]
fn with_the_series_a_reset_within_loadvm_writes_nothing() {
    for isrom in [false, true] {
        assert_eq!(reset(SERIES, isrom, false, WITHIN), (vec![1; 4], true));
        let stock = Tree { left_out: false, ..SERIES };
        assert_eq!(reset(stock, isrom, false, WITHIN), (vec![7, 7, 0, 0], !isrom));
    }
}

#[test]
fn an_image_that_is_in_the_way_of_another_is_told_and_then_none_is_written() {
    let at = |addr: u64| Rom { mr: None, addr, space: Some("memory"), ..rom(false) };
    let check = |tree: Tree, roms: Vec<Rom>| {
        let mut machine = machine(tree, roms);
        let fits = machine.rom_check_and_register_reset();
        machine.qemu_devices_reset(PLAIN).unwrap();
        assert_eq!((machine.roms_loaded, !machine.did.is_empty()), (fits, fits));
        machine.said
    };
    assert_eq!(check(SERIES, vec![at(0), at(4)]), "");
    let all = vec![at(0), at(3), at(6)];
    let said = check(SERIES, all.clone());
    assert!(said.starts_with("Some ROM regions are overlapping\n"));
    let last = "\nThe following two regions overlap (in the memory address space):
  image1 (addresses 0x0000000000000003 - 0x0000000000000007)
  image2 (addresses 0x0000000000000006 - 0x000000000000000a)\n";
    assert!(said.ends_with(last), "{said}");
    assert_eq!(
        check(Tree { tells_all: false, ..SERIES }, all),
        "rom: requested regions overlap (rom image1. free=0x0000000000000004, \
         addr=0x0000000000000003)\n"
    );
    let elsewhere = Rom { space: None, ..at(3) };
    assert_eq!(check(SERIES, vec![at(0), elsewhere]), "");
}

/// A device that writes four bytes.
const DATA: Options = Options {
    data: 0x1_0203_0405,
    data_len: 4,
    data_be: false,
    file: None,
    force_raw: false,
    addr: 8,
    cpu_num: CPU_NONE,
};
/// One that has the second processor begin at its address.
const PC: Options = Options { data: 0, data_len: 0, cpu_num: 1, ..DATA };

#[test]
fn a_loader_writes_nothing_where_state_comes_and_the_processor_begins_all_the_same() {
    let did = |tree, options: &Options, pending, reset| {
        let mut machine = machine(tree, Vec::new());
        if pending {
            machine.announce();
        }
        machine.generic_loader_realize(options).unwrap();
        machine.qemu_devices_reset(reset).map(|()| machine.did)
    };
    let written = vec![Did::Store { cpu: 0, addr: 8, length: 4, data: 0x0203_0405 }];
    assert_eq!(did(SERIES, &DATA, false, PLAIN), Ok(written.clone()));
    assert_eq!(did(SERIES, &DATA, false, WITHIN), Ok(vec![]));
    assert_eq!(did(Tree { left_out: false, ..SERIES }, &DATA, false, WITHIN), Ok(written.clone()));
    for (pending, reset) in [(false, INCOMING), (true, PLAIN)] {
        assert_eq!(did(SERIES, &DATA, pending, reset), Ok(vec![]));
        assert_eq!(did(SERIES, &PC, pending, reset), Ok(vec![Did::Begin(1, 8)]));
        assert_eq!(
            did(Tree { waits: false, ..SERIES }, &DATA, pending, reset),
            Ok(written.clone())
        );
    }
    let big_endian = Options { data_be: true, data_len: 8, ..DATA };
    let swapped = Did::Store { cpu: 0, addr: 8, length: 8, data: 0x0504_0302_0100_0000 };
    assert_eq!(did(SERIES, &big_endian, false, PLAIN), Ok(vec![swapped]));
    let strict = Tree { refuses_eight: true, ..SERIES };
    assert_eq!(did(strict, &big_endian, false, PLAIN), Err(Ends::Asserts));
    assert!(did(strict, &big_endian, true, PLAIN).is_ok());
}

#[test]
fn a_loader_that_is_refused_late_is_reset_all_the_same() {
    let refused = |tree, options: &Options| {
        let mut machine = machine(tree, Vec::new());
        let why = machine.generic_loader_realize(options).unwrap_err();
        (why, machine.qemu_devices_reset(PLAIN))
    };
    let early = (Ok(()), Options { data_len: 9, ..DATA });
    let late = (Err(Ends::Gone), Options { cpu_num: 2, ..PC });
    for ((came, options), why) in [early, late]
        .into_iter()
        .zip(["data-len cannot be greater then 8 bytes", "Specified boot CPU#2 is nonexistent"])
    {
        assert_eq!(refused(SERIES, &options), (why.to_owned(), came));
    }
    let file = Some(File { format: None, entry: 0 });
    let (why, _) = refused(Tree { tells_why: true, ..SERIES }, &Options { file, ..PC });
    assert_eq!(why, "Cannot load specified image an image: it cannot be read");
}

#[test]
fn a_file_is_what_the_first_loader_takes_it_for_and_begins_where_it_says() {
    let did = |options: &Options| {
        let mut machine = machine(SERIES, Vec::new());
        machine.generic_loader_realize(options).unwrap();
        let tried = std::mem::take(&mut machine.did);
        machine.qemu_devices_reset(PLAIN).unwrap();
        (tried.len(), machine.did)
    };
    let options = |format, force_raw| {
        let file = Some(File { format: Some(format), entry: 0x40 });
        Options { file, force_raw, ..PC }
    };
    assert_eq!(did(&options(Format::Uimage, false)), (2, vec![Did::Begin(1, 0x40)]));
    assert_eq!(did(&options(Format::Image, false)), (4, vec![Did::Begin(1, 8)]));
    assert_eq!(did(&options(Format::Uimage, true)), (1, vec![Did::Begin(1, 8)]));
}

#[test]
fn once_the_snapshot_of_the_start_is_loaded_a_reset_writes_again() {
    let start = |tree: Tree| {
        let mut machine = machine(tree, vec![rom(false)]);
        machine.announce();
        assert!(machine.rom_check_and_register_reset());
        let left = machine.qmp_x_exit_preconfig(&Start::default()).map(|_| machine.memory.clone());
        machine.qemu_devices_reset(PLAIN).unwrap();
        (left, machine.memory)
    };
    assert_eq!(start(SERIES), (Ok(vec![1; 4]), vec![7, 7, 0, 0]));
    let stock = Tree { waits: false, left_out: false, ..SERIES };
    assert_eq!(start(stock).0, Ok(vec![7, 7, 0, 0]));
}

#[test]
fn a_start_that_does_not_come_to_the_end_says_why() {
    let start = |tree: Tree, start: Start| {
        let mut machine = machine(tree, Vec::new());
        let came = machine.qmp_x_exit_preconfig(&start);
        (came, machine.said)
    };
    let fails = Start { fails: true, ..Start::default() };
    assert_eq!(start(SERIES, fails), (Ok(false), "it cannot be made".to_owned()));
    assert_eq!(start(Tree { may_fail: false, ..SERIES }, fails), (Ok(true), String::new()));
    let incoming = |incoming| Start { incoming: Some(incoming), ..Start::default() };
    assert_eq!(start(SERIES, incoming(Incoming::Fails)).0, Err(Ends::Exits));
    assert_eq!(start(SERIES, incoming(Incoming::Awaited)).0, Ok(true));
}

#[test]
fn in_5_2_loadvm_announces_its_own_snapshot_for_one_reset() {
    let released = Tree { starts: false, left_out: false, ..Tree::default() };
    let load = |waits, disk| {
        let mut machine = machine(Tree { waits, ..released }, vec![rom(false)]);
        assert!(machine.rom_check_and_register_reset());
        let came = machine.load_snapshot(disk, false).unwrap();
        assert!(!machine.pending);
        (came, machine.memory)
    };
    assert_eq!(load(true, Disk::Fine), (true, vec![1; 4]));
    assert_eq!(load(false, Disk::Fine), (true, vec![7, 7, 1, 1]));
    assert_eq!(load(true, Disk::Broken), (false, vec![1; 4]));
    assert_eq!(load(false, Disk::Empty), (false, vec![1; 4]));
}
