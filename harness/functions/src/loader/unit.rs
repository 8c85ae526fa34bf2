//! Which functions that write into RAM at a reset make up a unit that compiles alone.

use crate::extract::ExtractError;
use crate::lockstep::Unit;
use crate::pool::{Pool, is_of_today};
use pcram_mirror::loader::Tree;

const FILES: [&str; 8] = [
    "include/qemu/queue.h",
    "include/exec/hwaddr.h",
    "hw/core/loader.c",
    "include/hw/core/generic-loader.h",
    "hw/core/generic-loader.c",
    "softmmu/vl.c",
    "system/vl.c",
    "migration/savevm.c",
];
/// What is told of images that overlap, in 7.2 and later.
const OVERLAPS: &[&str] = &[
    "roms_overlap",
    "rom_as_name",
    "rom_print_overlap_error_header",
    "rom_print_one_overlap_error",
];
/// Who knows of a snapshot that is yet to be loaded, as carried: in 5.2, and later.
const ANNOUNCED: &[&str] =
    &["snapshot_pending", "load_snapshot_is_pending", "load_snapshot_announce"];
const LOADVM: &[&str] = &["loadvm", "qemu_loadvm_is_pending"];
const BEFORE: &str =
    concat!(include_str!("../../c/aborts.h"), include_str!("../../c/loader/before.h"));
const AFTER: &str = include_str!("../../c/loader/after.c");

/// The unit of a tree; `file` gives what a file has, where the tree has it. None where it is
/// of before migration/ram.c.
///
/// # Errors
///
/// Where a function is not found, or where the parser was not sure of it.
pub fn unit(file: impl Fn(&str) -> Option<String>) -> Result<Option<Unit<Tree>>, ExtractError> {
    if !is_of_today(&file) {
        return Ok(None);
    }
    let texts: Vec<_> = FILES.iter().filter_map(|name| Some((*name, file(name)?))).collect();
    let pool = Pool::of(&texts);
    let formats = pool.some(&["HWADDR_FMT_plx", "TARGET_FMT_plx"])?;
    let roms = pool.all(&["struct Rom", "roms", "roms_loaded", "rom_free_data", "rom_reset"])?;
    let overlaps = pool.some(OVERLAPS)?;
    let check = pool.all(&["rom_check_and_register_reset"])?;
    let loader = pool.all(&[
        "CPU_NONE",
        "struct GenericLoaderState",
        "generic_loader_reset",
        "generic_loader_realize",
    ])?;
    let (names, pending, announce) = match pool.has("load_snapshot_announce") {
        true => (ANNOUNCED, "snapshot_pending", "load_snapshot_announce()"),
        false if pool.has("qemu_loadvm_is_pending") => {
            (LOADVM, "loadvm", "loadvm = \"a snapshot\"")
        }
        // Nobody asks.
        false => (&[][..], "(bool){ 0 }", "(void)0"),
    };
    let snapshot =
        pool.all(names)? + &format!("#define PENDING {pending}\n#define ANNOUNCE {announce}\n");
    let tree = Tree {
        waits: loader.contains("RUN_STATE_INMIGRATE"),
        left_out: check.contains("nosnapshotload"),
        fills: roms.contains("address_space_set"),
        tells_all: check.contains("roms_overlap"),
        refuses_eight: loader.contains("data_len < sizeof"),
        tells_why: loader.contains("error_prepend"),
    };
    let text =
        [BEFORE, &pool.queue(), &formats, &snapshot, &roms, &overlaps, &check, &loader, AFTER]
            .concat();
    Ok(Some(Unit { tree, text }))
}
