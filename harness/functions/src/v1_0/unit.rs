//! Which functions of QEMU 1.0 make up a unit that compiles alone.

use crate::extract::{Definitions, ExtractError};
use crate::lockstep::Unit;
use crate::pool::is_of_today;
use pcram_mirror::v1_0::Variant;

/// The files of QEMU 1.0 that [`unit`] takes from, as they are called in the tree.
pub const FILES: [&str; 4] = ["qemu-queue.h", "cpu-all.h", "exec.c", "arch_init.c"];

const BEFORE: &str = concat!(include_str!("../../c/v1_0/before.h"), include_str!("../../c/put.h"));
const AFTER: &str = include_str!("../../c/v1_0/after.c");

/// Types and inline functions of cpu-all.h that every variant has.
const CPU_ALL: &[&str] = &["RAM_PREALLOC_MASK", "RAMBlock", "RAMList", "MIGRATION_DIRTY_FLAG"];
const CPU_ALL_INLINE: &[&str] = &[
    "cpu_physical_memory_get_dirty",
    "cpu_physical_memory_set_dirty",
    "cpu_physical_memory_mask_dirty_range",
];
const EXEC: &[&str] = &[
    "qemu_safe_ram_ptr",
    "cpu_physical_memory_reset_dirty",
    "find_ram_offset",
    "last_ram_offset",
    "qemu_ram_alloc_from_ptr",
    "qemu_ram_alloc",
    "qemu_ram_free",
    "qemu_get_ram_ptr",
];
const ARCH_INIT: &[&str] = &[
    "RAM_SAVE_FLAG_COMPRESS",
    "RAM_SAVE_FLAG_MEM_SIZE",
    "RAM_SAVE_FLAG_PAGE",
    "RAM_SAVE_FLAG_EOS",
    "RAM_SAVE_FLAG_CONTINUE",
    "is_dup_page",
    "last_block",
    "last_offset",
    "ram_save_block",
    "bytes_transferred",
    "ram_save_remaining",
    "ram_bytes_remaining",
    "ram_bytes_transferred",
    "ram_bytes_total",
    "block_compar",
    "sort_ram_list",
    "ram_save_live",
    "host_from_stream_offset",
    "ram_load",
];

/// What the carried series has beside.
const EXTERNAL: &[&str] = &[
    "ram_external_block_name",
    "ram_count_external",
    "ram_save_external_list",
    "ram_load_external_list",
];

/// The unit of a tree; `file` gives what a file has, where the tree has it. None where it is a later one,
/// with migration/ram.c.
///
/// # Errors
///
/// Where a function is not found, or where the parser was not sure of it.
pub fn unit(file: impl Fn(&str) -> Option<String>) -> Result<Option<Unit<Variant>>, ExtractError> {
    if is_of_today(&file) {
        return Ok(None);
    }
    let texts = FILES.map(|name| file(name).unwrap_or_default());
    let [queue, cpu_all, exec, arch_init] = texts.each_ref().map(String::as_str);
    let cpu_all = Definitions::of("cpu-all.h", cpu_all);
    let exec = Definitions::of("exec.c", exec);
    let arch_init = Definitions::of("arch_init.c", arch_init);
    let variant = match () {
        () if cpu_all.has("RAM_EXTERNAL_MASK") => Variant::Carried,
        () if cpu_all.has("MemFile") => Variant::Posted,
        () => Variant::Stock,
    };
    let mut parts = vec![
        format!("#define PCRAM_{} 1\n", variant.to_string().to_uppercase()),
        BEFORE.to_owned(),
        // The one header that it includes has a barrier, which is defined above.
        queue.replace("#include \"qemu-barrier.h\"", ""),
    ];
    let mut take = |from: &Definitions, names: &[&str]| {
        names.iter().try_for_each(|name| from.take(name).map(|text| parts.push(text)))
    };
    if variant == Variant::Carried {
        take(&cpu_all, &["RAM_EXTERNAL_MASK"])?;
    }
    take(&cpu_all, CPU_ALL)?;
    // Where the header only declares it.
    take(&exec, &["ram_list"])?;
    if variant == Variant::Posted {
        take(&cpu_all, &["MemFile", "MemFileList"])?;
        take(&exec, &["mem_file_list", "mem_file_ram_alloc", "add_memory_file"])?;
    }
    take(&cpu_all, CPU_ALL_INLINE)?;
    let (before, after) = EXEC.split_at(4);
    take(&exec, before)?;
    if variant == Variant::Carried {
        take(&exec, &["watched_ram", "ram_block_alloc", "qemu_ram_alloc_from_fd"])?;
    }
    take(&exec, after)?;
    // What the carried series adds before the static variables is called behind them.
    let at = ARCH_INIT.iter().position(|name| *name == "last_block").unwrap_or(0);
    take(&arch_init, &ARCH_INIT[..at])?;
    if variant == Variant::Carried {
        take(&arch_init, &["ram_block_is_external", "ram_list_bytes", "host_from_block_offset"])?;
    }
    take(&arch_init, &ARCH_INIT[at..])?;
    if variant == Variant::Carried {
        take(&arch_init, EXTERNAL)?;
    }
    parts.push(AFTER.to_owned());
    Ok(Some(Unit { tree: variant, text: parts.concat() }))
}
