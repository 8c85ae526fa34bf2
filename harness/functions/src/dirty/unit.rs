//! Which functions that take over written pages make up a unit that compiles alone.

use crate::extract::ExtractError;
use crate::lockstep::Unit;
use crate::pool::{Pool, is_of_today};
use pcram_mirror::dirty::{Tlb, Tree};

const FILES: [&str; 11] = [
    "include/qemu/queue.h",
    "migration/ram.c",
    "include/exec/ramblock.h",
    "include/system/ramblock.h",
    "include/exec/ramlist.h",
    "include/exec/ram_addr.h",
    "include/system/ram_addr.h",
    "include/exec/cpu-common.h",
    "include/system/physmem.h",
    "softmmu/physmem.c",
    "system/physmem.c",
];
const BEFORE: &str = concat!(
    include_str!("../../c/ram.h"),
    include_str!("../../c/aborts.h"),
    include_str!("../../c/dirty/before.h")
);
const AFTER: &str = include_str!("../../c/dirty/after.c");
const LIST: &str = "static struct {\n    RAMBlock *mru_block;\n    QLIST_HEAD(, RAMBlock) blocks;\n    \
                    DirtyMemoryBlocks *dirty_memory[DIRTY_MEMORY_NUM];\n} ram_list;\n\
                    #define RAMBLOCK_FOREACH(block) INTERNAL_RAMBLOCK_FOREACH(block)\n";

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
    // Until 10.1 all of them begin with `cpu_`.
    let prefix = match pool.has("cpu_physical_memory_sync_dirty_bitmap") {
        true => "cpu_physical_memory",
        false => "physical_memory",
    };
    let [sync, test_and_clear, cleared] =
        ["sync_dirty_bitmap", "test_and_clear_dirty", "dirty_bits_cleared"]
            .map(|rest| format!("{prefix}_{rest}"));
    let blocks = pool.all(&["struct RAMBlock", "DirtyMemoryBlocks"])?;
    let asked = pool.all(&["offset_in_ramblock", "ramblock_ptr", "qemu_get_ram_block"])?;
    let cleared = [pool.all(&["tlb_reset_dirty_range_all"])?, pool.some(&[&cleared])?].concat();
    let pieces = pool.all(&["clear_bmap_size", "clear_bmap_set"])?;
    let [test_and_clear, taken_over] = [pool.all(&[&test_and_clear])?, pool.all(&[&sync])?];
    let tlb = if taken_over.contains("if (num_dirty) {") {
        Tlb::Elsewhere
    } else if taken_over.contains("if (cleared") {
        Tlb::Reset
    } else {
        Tlb::Stays
    };
    let parts = [
        BEFORE.to_owned(),
        pool.queue(),
        blocks,
        LIST.to_owned(),
        asked,
        cleared,
        pieces,
        test_and_clear,
        taken_over,
        format!("#define PCRAM_SYNC {sync}\n"),
        AFTER.to_owned(),
    ];
    Ok(Some(Unit { tree: Tree { tlb }, text: parts.concat() }))
}
