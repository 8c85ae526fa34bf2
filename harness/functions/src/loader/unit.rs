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
/// Who knows of a snapshot that is yet to be loaded, and who loads it, in 7.2 and later.
const LOADVM: &[&str] = &["loadvm", "qemu_loadvm_is_pending", "qmp_x_exit_preconfig"];
/// The same in 5.2.
const SNAPSHOT: &[&str] =
    &["snapshot_pending", "load_snapshot_is_pending", "load_snapshot_announce", "load_snapshot"];
/// What 5.2 does not have as released, where nobody asks.
const UNKNOWN: &str = "static bool snapshot_pending;\n#define load_snapshot_announce() ((void)0)\n";
const BEFORE: &str =
    concat!(include_str!("../../c/aborts.h"), include_str!("../../c/loader/before.h"));
const LATER: &str = concat!("#define PCRAM_STARTS 1\n", include_str!("../../c/loader/later.h"));
const V5_2: &str = include_str!("../../c/loader/v5_2.h");
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
    // In 5.2, no more than a function knows it.
    let starts = pool.has("loadvm");
    let snapshot = match starts {
        true => LATER.to_owned() + &pool.some(LOADVM)?,
        false => {
            let known = pool.has("snapshot_pending");
            V5_2.to_owned() + if known { "" } else { UNKNOWN } + &pool.some(SNAPSHOT)?
        }
    };
    let tree = Tree {
        waits: loader.contains("RUN_STATE_INMIGRATE"),
        left_out: check.contains("nosnapshotload"),
        fills: roms.contains("address_space_set"),
        tells_all: check.contains("roms_overlap"),
        refuses_eight: loader.contains("data_len < sizeof"),
        tells_why: loader.contains("error_prepend"),
        starts,
        may_fail: snapshot.contains("qemu_machine_creation_done(errp)"),
        resumes: snapshot.contains("load_snapshot_resume(state);"),
    };
    let text =
        [BEFORE, &pool.queue(), &formats, &snapshot, &roms, &overlaps, &check, &loader, AFTER]
            .concat();
    Ok(Some(Unit { tree, text }))
}
