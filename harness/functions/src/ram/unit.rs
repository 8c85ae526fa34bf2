//! Which functions of migration/ram.c make up a unit that compiles alone, in 5.2 and later.

use crate::extract::ExtractError;
use crate::lockstep::Unit;
use crate::pool::{Pool, is_of_today};
use pcram_mirror::ram::Tree;

/// The files that may have something of it; which they are has changed from version to version.
pub const FILES: [&str; 11] = [
    "include/qemu/queue.h",
    "migration/ram.c",
    "migration/ram.h",
    "include/exec/ramblock.h",
    "include/system/ramblock.h",
    "include/exec/ramlist.h",
    "include/exec/ram_addr.h",
    "include/exec/memory.h",
    "include/system/memory.h",
    "softmmu/physmem.c",
    "system/physmem.c",
];

const BEFORE: &str = concat!(
    include_str!("../../c/ram.h"),
    include_str!("../../c/ram/before.h"),
    include_str!("../../c/put.h")
);
const AFTER: &str = concat!(include_str!("../../c/flags.h"), include_str!("../../c/ram/after.c"));

/// Types and macros that every version has.
const TYPES: &[&str] = &["RAM_SHARED", "RAM_MIGRATABLE", "struct RAMBlock"];
/// What only some versions have, and those that have it need.
const SOME_TYPES: &[&str] = &["RAM_NAMED_FILE", "RAM_EXTERNAL"];
const STREAM: &[&str] = &[
    "RAM_SAVE_FLAG_ZERO",
    "RAM_SAVE_FLAG_PAGE",
    "RAM_SAVE_FLAG_CONTINUE",
    "RAMBLOCK_FOREACH_NOT_IGNORED",
    "RAMBLOCK_FOREACH_MIGRATABLE",
];
const SOME_STATE: &[&str] = &["struct PageLocation", "PageLocation", "struct PageLocationHint"];
const MORE_STATE: &[&str] = &["PageLocationHint", "PAGE_ALL_CLEAN", "PAGE_TRY_AGAIN"];
const LAST_STATE: &[&str] = &["PAGE_DIRTY_FOUND"];
const STATE: &[&str] = &["struct PageSearchStatus", "PageSearchStatus", "struct RAMState"];
const ASKED: &[&str] = &["offset_in_ramblock", "qemu_ram_is_migratable", "qemu_ram_is_shared"];
const SOME_ASKED: &[&str] = &[
    "qemu_ram_is_named_file",
    "qemu_ram_is_external",
    "migrate_ram_is_ignored",
    "ramblock_is_ignored",
    "pss_init",
    "pss_find_next_dirty",
    "migration_bitmap_find_dirty",
    "pss_host_page_prepare",
    "pss_within_range",
    "pss_host_page_finish",
    "ram_bytes_total_common",
    "ram_bytes_total_with_ignored",
];
const FIRST: &[&str] = &["ram_bytes_total", "save_page_header"];
const LOOP: &[&str] = &[
    "find_dirty_block",
    "migration_bitmap_clear_dirty",
    "save_zero_page",
    "save_normal_page",
    "ram_save_page",
    "ram_save_target_page",
    "ram_save_host_page",
    "ram_find_and_save_block",
];

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
    let (has, all) = (|name: &str| pool.has(name), |names: &[&str]| pool.all(names));
    let some = |names: &[&str]| pool.some(names);
    let state = [some(SOME_STATE)?, some(MORE_STATE)?, some(LAST_STATE)?, all(STATE)?].concat();
    let functions = all(LOOP)?;
    let asked = [all(ASKED)?, some(SOME_ASKED)?].concat();
    let steps_back = functions.contains("pss->page--;");
    let tree = Tree { steps_back, ..pool.ignores(&asked) };
    let set = |name: &str, is: bool| if is { format!("#define {name} 1\n") } else { String::new() };
    let total = match has("ram_bytes_total_common") {
        true => "ram_bytes_total_common(true)",
        false => "ram_bytes_total_with_ignored()",
    };
    // Before 7.0, whether it is the last stage is an argument.
    let told_stage = functions.contains("ram_find_and_save_block(RAMState *rs, bool last_stage)");
    let parts = [
        set("PCRAM_PSS_HAS_CHANNEL", state.contains("pss_channel")),
        pool.is_ignored(),
        format!("#define PCRAM_TOTAL_WITH_IGNORED {total}\n"),
        format!("#define PCRAM_NOT_LAST_STAGE {}\n", if told_stage { ", false" } else { "" }),
        BEFORE.to_owned(),
        pool.queue(),
        all(TYPES)?,
        some(SOME_TYPES)?,
        "static struct { QLIST_HEAD(, RAMBlock) blocks; } ram_list;\n".to_owned(),
        all(STREAM)?,
        state,
        Pool::prototypes(&asked),
        asked,
        all(FIRST)?,
        some(&["save_zero_page_to_file"])?,
        functions,
        AFTER.to_owned(),
    ];
    Ok(Some(Unit { tree, text: parts.concat() }))
}
