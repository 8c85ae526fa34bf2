//! What the series is there for, in the mirror alone.

use super::*;

const SERIES: Tree =
    Tree { waits: true, left_out: true, fills: true, tells_all: true, refuses_eight: false };
const PLAIN: Reset = Reset { comes: Comes::Nothing, within_loadvm: false };

fn comes(comes: Comes) -> Reset {
    Reset { comes, ..PLAIN }
}

fn rom(isrom: bool) -> Rom {
    let (data, mr) = (Some(vec![7; 2]), Some(Region { host: 0, rom: isrom }));
    let (fw_file, space) = (false, None);
    Rom { fw_file, isrom: false, data, romsize: 4, mr, space, addr: 0x1000, mapped: None }
}

fn machine(tree: Tree, roms: Vec<Rom>) -> Machine {
    Machine::new(tree, roms, vec![1; 4])
}

/// The memory after a reset, and whether the image is kept.
fn reset(tree: Tree, isrom: bool, reset: Reset) -> (Vec<u8>, bool) {
    let mut machine = machine(tree, vec![rom(isrom)]);
    assert!(machine.rom_check_and_register_reset() && machine.roms_loaded);
    machine.qemu_devices_reset(reset).unwrap();
    (machine.memory, machine.roms[0].data.is_some())
}

#[test]
fn with_the_series_only_rom_is_written_before_state_comes() {
    let [nothing, migration, snapshot] =
        [Comes::Nothing, Comes::Migration, Comes::Snapshot].map(comes);
    assert_eq!(reset(SERIES, false, nothing), (vec![7, 7, 0, 0], true));
    assert_eq!(reset(SERIES, false, snapshot), (vec![1; 4], true));
    assert_eq!(reset(SERIES, true, snapshot), (vec![7, 7, 0, 0], false));
    assert_eq!(reset(SERIES, true, migration), (vec![1; 4], false));
    let released = Tree { refuses_eight: true, ..Tree::default() };
    assert_eq!(reset(released, false, snapshot), (vec![7, 7, 1, 1], true));
}

#[test]
fn with_the_series_a_reset_within_loadvm_writes_nothing() {
    let within = Reset { within_loadvm: true, ..PLAIN };
    for isrom in [false, true] {
        assert_eq!(reset(SERIES, isrom, within), (vec![1; 4], true));
        let stock = Tree { left_out: false, ..SERIES };
        assert_eq!(reset(stock, isrom, within), (vec![7, 7, 0, 0], !isrom));
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

#[test]
fn a_loader_writes_nothing_where_state_comes_and_the_processor_begins_all_the_same() {
    let loader = GenericLoader { addr: 8, data_len: 4, set_pc: true };
    let did = |tree, loader, of| {
        let mut machine = machine(tree, Vec::new());
        machine.add_loader(loader);
        machine.qemu_devices_reset(comes(of)).map(|()| machine.did)
    };
    let both = vec![Did::Begin(8), Did::Write(8, 4)];
    assert_eq!(did(SERIES, loader, Comes::Nothing), Ok(both.clone()));
    for comes in [Comes::Migration, Comes::Snapshot] {
        assert_eq!(did(SERIES, loader, comes), Ok(vec![Did::Begin(8)]));
        assert_eq!(did(Tree { waits: false, ..SERIES }, loader, comes), Ok(both.clone()));
    }
    let eight = GenericLoader { data_len: 8, ..loader };
    let strict = Tree { refuses_eight: true, ..SERIES };
    assert_eq!(did(strict, eight, Comes::Nothing), Err(Ends::Asserts));
    assert!(did(strict, eight, Comes::Snapshot).is_ok());
    assert!(did(SERIES, eight, Comes::Nothing).is_ok());
}
