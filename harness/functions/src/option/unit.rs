//! Which functions of `-pcram-file` make up a unit that compiles alone.

use crate::extract::ExtractError;
use crate::lockstep::Unit;
use crate::pool::Pool;
use pcram_mirror::option::{Code, Today};

/// The files that may have something of it.
const FILES: [&str; 32] = [
    "qemu-queue.h",
    "qemu-option.h",
    "qemu-option.c",
    "cpu-all.h",
    "exec.c",
    "hw/pcram-file.h",
    "hw/pcram-file.c",
    "include/qemu/queue.h",
    "include/qemu/option.h",
    "include/qemu/option_int.h",
    "util/qemu-option.c",
    "include/exec/memory.h",
    "include/system/memory.h",
    "softmmu/pcram-file.c",
    "system/pcram-file.c",
    "include/sysemu/hostmem.h",
    "include/system/hostmem.h",
    "backends/hostmem-pcram.c",
    "include/qom/object.h",
    INTERFACES,
    "qom/object_interfaces.c",
    "include/qemu/help_option.h",
    "softmmu/vl.c",
    "system/vl.c",
    "softmmu/cpus.c",
    "system/cpus.c",
    "softmmu/physmem.c",
    "system/physmem.c",
    "softmmu/memory.c",
    "system/memory.c",
    "util/qemu-thread-posix.c",
    // Registers a type of its own: what is asked for is first looked for above.
    "backends/hostmem.c",
];

/// What it is to be made by `-object`.
const INTERFACES: &str = "include/qom/object_interfaces.h";

/// What a user can have made, in 6.0 and later.
const SCHEMA: &str = "qapi/qom.json";

const BEFORE: &str = include_str!("../../c/option/before.h");
const OPTS: &str = include_str!("../../c/option/opts.h");
const POSTED: &str = include_str!("../../c/option/posted.h");
const V1_0: &str = include_str!("../../c/option/v1_0.h");
const V1_0_BLOCKS: &str = include_str!("../../c/option/v1_0_blocks.h");
const TODAY: &str = include_str!("../../c/option/today.h");
const OBJECTS: &str = include_str!("../../c/option/objects.h");
const TYPES: &str = include_str!("../../c/option/types.h");
const TODAY_BLOCKS: &str = include_str!("../../c/option/blocks.h");
const THREADS: &str = include_str!("../../c/option/threads.h");
const AFTER: &str = include_str!("../../c/option/after.c");

/// The reader of options in 1.0.
const V1_0_OPTS: &[&str] = &[
    "QemuOptDesc",
    "struct QemuOptsList",
    "struct QemuOpt",
    "struct QemuOpts",
    "get_opt_name",
    "get_opt_value",
    "qemu_opt_del",
    "qemu_opt_set",
    "qemu_opt_foreach",
    "qemu_opts_find",
    "id_wellformed",
    "qemu_opts_create",
    "qemu_opts_del",
    "qemu_opts_do_parse",
    "qemu_opts_parse",
    "qemu_opts_foreach",
];
const BLOCKS: &[&str] = &["RAMBlock", "RAMList", "ram_list"];
const V1_0_FAULTS: &[&str] = &[
    "watched_ram",
    "qemu_ram_watch_faults",
    "watched_ram_is_cut_short",
    "watched_ram_report",
    "qemu_ram_report_fault",
    "qemu_ram_report_if_cut_short",
];
const V1_0_FILE: &[&str] = &[
    "PCRAM_ID",
    "qemu_pcram_file_opts",
    "pcram_file_used",
    "pcram_file_refuse",
    "PcramFileOption",
    "pcram_file_take_path",
    "pcram_file_take",
    "pcram_file_path",
    "pcram_file_validate",
    "pcram_file_open",
    "pcram_file_watch",
    "pcram_file_init_ram",
    "pcram_file_refuse_unused",
    "pcram_file_machine_done",
];
const POSTED_FILE: &[&str] =
    &["MemFile", "MemFileList", "mem_file_list", "mem_file_ram_alloc", "add_memory_file"];
/// The reader of options in 5.2 and later.
const TODAY_OPTS: &[&str] = &[
    "QemuOptDesc",
    "struct QemuOptsList",
    "struct QemuOpt",
    "struct QemuOpts",
    "is_help_option",
    "get_opt_name",
    "get_opt_value",
    "find_desc_by_name",
    "find_default_by_name",
    "qemu_opt_find",
    "qemu_opt_get",
    "qemu_opt_del",
    "qemu_opt_foreach",
    "opts_accepts_any",
    "opt_create",
    "opt_validate",
    "qemu_opts_find",
    "qemu_opts_create",
    "qemu_opts_del",
    "get_opt_name_value",
    "opts_do_parse",
    "opts_parse_id",
    "opts_parse",
    "qemu_opts_parse_noisily",
];
const TODAY_FLAGS: &[&str] = &["RAM_SHARED", "RAM_EXTERNAL", "RAM_PMEM"];
/// Those of some lines.
const MORE_FLAGS: &[&str] = &[
    "RAM_RESIZEABLE",
    "RAM_NORESERVE",
    "RAM_PROTECTED",
    "RAM_NAMED_FILE",
    "RAM_READONLY",
    "RAM_READONLY_FD",
    "RAM_GUEST_MEMFD",
    "RAM_PRIVATE",
];
const TODAY_TYPES: &[&str] = &[
    "TYPE_MEMORY_BACKEND",
    "TYPE_MEMORY_BACKEND_PCRAM",
    "struct HostMemoryBackendClass",
    "struct TypeInfo",
    "host_memory_backend_mr_inited",
];
const TODAY_FILE: &[&str] = &[
    "struct HostMemoryBackendPcram",
    "pcram_mapping",
    "pcram_is_cut_short",
    "pcram_report",
    "hostmem_pcram_report_sigbus",
    "hostmem_pcram_report_if_cut_short",
    "pcram_watch_faults",
    "pcram_open",
    "pcram_backend_memory_alloc",
    "pcram_backend_get_path",
    "pcram_backend_set_path",
    "pcram_backend_instance_init",
    "pcram_backend_instance_finalize",
    "pcram_backend_class_init",
    "pcram_backend_info",
    "register_types",
    "PCRAM_ID",
    "qemu_pcram_file_opts",
    "pcram_file_register_opts",
    "pcram_file_validate",
    "pcram_file_create_memdev",
    "pcram_file_count",
    "pcram_file_init",
    "sigbus_handler",
    "ram_block_file_name",
];

const TODAY_THREADS: &[&str] = &["error_exit", "QemuThreadArgs", "qemu_thread_create"];

/// The unit of a tree; `file` gives what a file has, where the tree has it. None where the tree does not
/// have the option.
///
/// # Errors
///
/// Where a function is not found, or where the parser was not sure of it.
pub fn unit(file: impl Fn(&str) -> Option<String>) -> Result<Option<Unit<Code>>, ExtractError> {
    let texts: Vec<_> = FILES.iter().filter_map(|name| Some((*name, file(name)?))).collect();
    let pool = Pool::of(&texts);
    let (has, all) = (|name| pool.has(name), |names: &[&str]| pool.all(names));
    let text = |name: &str| texts.iter().find(|it| it.0 == name).map_or("", |it| it.1.as_str());
    // The one header that 1.0's includes has a barrier, of which nothing here has need.
    let old_queue = text("qemu-queue.h").replace("#include \"qemu-barrier.h\"", "");
    let (code, parts) = if has("pcram_backend_memory_alloc") {
        today(&pool, text(INTERFACES), &file(SCHEMA).unwrap_or_default())?
    } else if has("pcram_file_init_ram") {
        let parts = vec![
            before("CARRIED"),
            old_queue,
            format!("{OPTS}{V1_0}"),
            all(V1_0_OPTS)?,
            all(&["RAM_EXTERNAL_MASK"])?,
            all(BLOCKS)?,
            V1_0_BLOCKS.to_owned(),
            all(V1_0_FAULTS)?,
            all(V1_0_FILE)?,
        ];
        (Code::V1_0, parts)
    } else if has("mem_file_ram_alloc") {
        let parts =
            vec![before("POSTED"), old_queue, POSTED.to_owned(), all(BLOCKS)?, all(POSTED_FILE)?];
        (Code::Posted, parts)
    } else {
        return Ok(None);
    };
    Ok(Some(Unit { tree: code, text: parts.concat() + AFTER }))
}

/// What the series has on 5.2 and later, and what the unit consists of.
fn today(pool: &Pool, interfaces: &str, schema: &str) -> Result<(Code, Vec<String>), ExtractError> {
    let alloc = pool.all(&["pcram_backend_memory_alloc"])?;
    let internal = interfaces.contains("bool internal;");
    let from_fd = pool.all(&["qemu_ram_alloc_from_fd", "memory_region_init_ram_from_fd"])?;
    let named_files = alloc.contains("RAM_NAMED_FILE");
    let code = Code::Today(Today {
        warns_of_flags: pool.all(&["get_opt_name_value"])?.contains("warn_on_flag"),
        named_files,
        tells_offset: from_fd.contains("plus 'offset' option"),
        internal,
    });
    // Before 9.0, whether there is an error says whether there is memory.
    let allocated = match alloc.contains("static bool") {
        true => "#define ALLOCATED(done, errp) (done)\n",
        false => "#define ALLOCATED(done, errp) ((done), !*(errp))\n",
    };
    // Before 6.0, a class says that only QEMU itself makes its objects.
    let (made, types) = match internal {
        true => ("#define HAS_INTERNAL 1\n".to_owned(), pool.all(&["user_creatable_add_type"])?),
        false => (object_types(schema), String::new()),
    };
    let parts = vec![
        before("TODAY"),
        pool.queue(),
        format!("{OPTS}{TODAY}{allocated}{made}"),
        pool.all(TODAY_TYPES)?,
        format!("{OBJECTS}{TYPES}"),
        TODAY_BLOCKS.to_owned(),
        pool.all(TODAY_FLAGS)?,
        pool.some(MORE_FLAGS)?,
        from_fd,
        // Later, what makes a block takes the flag.
        pool.some(&["qemu_ram_set_external"])?,
        pool.all(TODAY_OPTS)?,
        pool.all(TODAY_FILE)?,
        THREADS.to_owned(),
        pool.all(TODAY_THREADS)?,
        pool.all(&["user_creatable_print_types"])?,
        types,
    ];
    Ok((code, parts))
}

/// The names of the `ObjectType` of a schema.
fn object_types(schema: &str) -> String {
    let behind = schema.split_once("'enum': 'ObjectType'").map_or("", |(_, behind)| behind);
    let list = behind.split_once("\n  ] }").map_or("", |(list, _)| list);
    let named = list.lines().filter_map(|line| {
        let mut quoted = line.split('\'').skip(1).step_by(2);
        match quoted.next()? {
            "name" => quoted.next(),
            "if" | "data" => None,
            name => Some(name),
        }
    });
    let names: String = named.map(|name| format!("    \"{name}\",\n")).collect();
    format!("static const char *const ObjectType_lookup[] = {{\n{names}    NULL\n}};\n")
}

fn before(name: &str) -> String {
    format!("#define PCRAM_{name} 1\n{BEFORE}")
}
