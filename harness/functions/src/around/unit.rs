//! Which functions make up a unit of what is done around the save loop, in 5.2 and later.

use crate::extract::ExtractError;
use crate::lockstep::Unit;
use crate::pool::{Pool, is_of_today};
use pcram_mirror::around::capabilities::Checks;
use pcram_mirror::around::{Packets, Tree};
use pcram_mirror::ram;

/// The files that may have something of it; which they are has changed from version to version.
pub const FILES: [&str; 21] = [
    "include/qemu/queue.h",
    "migration/ram.c",
    "migration/ram.h",
    "migration/qemu-file.h",
    "migration/savevm.c",
    "migration/savevm.h",
    "migration/options.c",
    "migration/migration.c",
    "migration/multifd.c",
    "migration/multifd.h",
    "migration/multifd-nocomp.c",
    "migration/dirtyrate.c",
    "migration/dirtyrate.h",
    "include/exec/ramblock.h",
    "include/system/ramblock.h",
    "include/exec/ram_addr.h",
    "include/system/ram_addr.h",
    "include/exec/memory.h",
    "include/system/memory.h",
    "softmmu/physmem.c",
    "system/physmem.c",
];
/// Behind all others: `strpadcpy`, `size_to_str`.
const UTIL: &str = "util/cutils.c";

const BEFORE: &str = concat!(
    include_str!("../../c/ram.h"),
    include_str!("../../c/around/before.h"),
    include_str!("../../c/around/stream.h"),
    include_str!("../../c/around/capabilities.h"),
    include_str!("../../c/around/dirtyrate.h"),
    include_str!("../../c/around/info.h"),
    include_str!("../../c/around/snapshot.h"),
    include_str!("../../c/put.h"),
);
const AFTER: &str = concat!(
    include_str!("../../c/flags.h"),
    include_str!("../../c/around/configuration.c"),
    include_str!("../../c/around/after.c"),
    include_str!("../../c/around/capabilities.c"),
    include_str!("../../c/around/dirtyrate.c"),
    include_str!("../../c/around/info.c"),
    include_str!("../../c/around/snapshot.c"),
    include_str!("../../c/around/view.c")
);

/// Types and macros that every version has.
const TYPES: &[&str] = &["RAM_SHARED", "RAM_RESIZEABLE", "RAM_MIGRATABLE", "struct RAMBlock"];
/// What only some versions have, and those that have it need.
const SOME_TYPES: &[&str] = &["RAM_NAMED_FILE", "RAM_EXTERNAL", "ExternalRAM"];
const STREAM: &[&str] = &[
    "RAM_SAVE_FLAG_ZERO",
    "RAM_SAVE_FLAG_MEM_SIZE",
    "RAM_SAVE_FLAG_PAGE",
    "RAM_SAVE_FLAG_EOS",
    "RAM_SAVE_FLAG_CONTINUE",
    "RAM_SAVE_FLAG_XBZRLE",
    "RAM_SAVE_FLAG_HOOK",
    "RAMBLOCK_FOREACH_NOT_IGNORED",
    "RAMBLOCK_FOREACH_MIGRATABLE",
    "QEMU_VM_FILE_MAGIC",
    "QEMU_VM_FILE_VERSION_COMPAT",
    "QEMU_VM_FILE_VERSION",
    "QEMU_VM_SUBSECTION",
    "QEMU_VM_CONFIGURATION",
    "MIN_RAMBLOCK_SIZE",
    "MULTIFD_MAGIC",
    "MULTIFD_VERSION",
    "MULTIFD_PACKET_SIZE",
];
const SOME_STREAM: &[&str] = &[
    "RAM_SAVE_FLAG_COMPRESS_PAGE",
    "RAM_SAVE_FLAG_MULTIFD_FLUSH",
    "MULTIFD_FLAG_SYNC",
    "MAPPED_RAM_FILE_OFFSET_ALIGNMENT",
    "MAPPED_RAM_LOAD_BUF_SIZE",
    "MAPPED_RAM_HDR_VERSION",
    "struct MappedRamHeader",
    "MappedRamHeader",
    "MultiFDPacketHdr_t",
];
const PACKETS: &[&str] = &["MultiFDPacket_t"];
const SOME_PACKETS: &[&str] = &["MultiFDPacketDeviceState_t", "MultiFDPages_t"];
const RECEIVER: &[&str] = &["MultiFDRecvParams"];

const ASKED: &[&str] = &["offset_in_ramblock", "qemu_ram_is_migratable", "qemu_ram_is_shared"];
const SOME_ASKED: &[&str] = &[
    "qemu_ram_is_named_file",
    "qemu_ram_is_external",
    "migrate_ram_is_ignored",
    "ramblock_is_ignored",
    "ram_external_block_name",
];
const LOAD: &[&str] = &[
    "foreach_not_ignored_block",
    "qemu_ram_block_by_name",
    "qemu_ram_resize",
    "ramblock_recv_bitmap_offset",
    "ramblock_recv_bitmap_set",
    "ram_block_from_stream",
    "host_from_ram_block_offset",
];
const SOME_LOAD: &[&str] = &[
    "ram_handle_zero",
    "ram_handle_compressed",
    "mapped_ram_setup_ramblock",
    "ram_save_file_bmap",
    "mapped_ram_read_header",
    "handle_zero_mapped_ram",
    "read_ramblock_mapped_ram",
    "parse_ramblock_mapped_ram",
    "parse_ramblock",
    "parse_ramblocks",
];
const AROUND: &[&str] = &["ram_load_precopy", "qemu_guest_free_page_hint", "skip_sample_ramblock"];
const DIRTY_RATE: &[&str] = &[
    "RAMBLOCK_INFO_MAX_LEN",
    "struct DirtyRateConfig",
    "struct RamblockDirtyInfo",
    "struct DirtyRateStat",
    "DirtyStat",
    "get_ramblock_vfn_hash",
    "save_ramblock_hash",
    "get_ramblock_dirty_info",
    "free_ramblock_dirty_info",
    "record_ramblock_hash_info",
    "calc_page_dirty_rate",
    "find_block_matched",
    "update_dirtyrate_stat",
    "compare_page_hash_info",
    "update_dirtyrate",
];
/// What measures, by name; before 6.2, it is all that measures.
const CALCULATE: &[&str] = &["calculate_dirtyrate_sample_vm", "calculate_dirtyrate"];
const EXTERNAL: &[&str] = &[
    "qemu_strnlen",
    "strpadcpy",
    "external_ram_reset",
    "external_ram_list",
    "external_ram_report_unexpected_pages",
    "external_ram_unexpected_pages",
    "configuration_validate_external_ram",
    "vmstate_external_ram_needed",
    "configuration_is_needed",
    "external_ram_warn",
    "check_caps_external_ram",
    "caps_allow_external_ram",
    "migrate_caps_allow_external_ram",
];
const SOME_CAPABILITIES: &[&str] = &[
    "WriteTrackingSupport",
    "migrate_query_write_tracking",
    "struct MigrateCapsSet",
    "MigrateCapsSet",
    "INITIALIZE_MIGRATE_CAPS_SET",
    "check_caps_background_snapshot",
    "migrate_incoming_started",
    "migrate_rdma_caps_check",
];
const CAPABILITIES: &[&str] = &["migrate_caps_check"];
const SECTION: &[&str] = &[
    "should_validate_capability",
    "get_validatable_capabilities_count",
    "configuration_validate_capabilities",
    "configuration_pre_save",
    "configuration_pre_load",
    "configuration_post_load",
];
const SOME_SECTION: &[&str] = &["configuration_post_save"];
/// Of the last two, each tree has one.
const SOME_INFO: &[&str] = &[
    "iec_binary_prefix",
    "size_to_str",
    "ram_block_file_name",
    "ram_block_dump",
    "ram_block_format",
];
const HEADER: &[&str] = &["qemu_savevm_state_header", "qemu_loadvm_state_header"];
const MULTIFD: &[&str] = &["multifd_ram_page_size", "multifd_ram_page_count"];
const MORE_MULTIFD: &[&str] = &["multifd_ram_unfill_packet", "multifd_recv_unfill_packet_header"];
const LAST_MULTIFD: &[&str] = &["multifd_recv_unfill_packet_ram"];
const OLD_MULTIFD: &[&str] = &["multifd_pages_init", "multifd_pages_clear"];

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
    let names = FILES.iter().chain([&UTIL]);
    let texts: Vec<_> = names.filter_map(|name| Some((*name, file(name)?))).collect();
    let pool = Pool::of(&texts);
    let asked = [pool.all(ASKED)?, pool.some(SOME_ASKED)?].concat();
    let packets = match (pool.has("multifd_ram_unfill_packet"), pool.all(PACKETS)?) {
        (true, _) => Packets::Zero,
        (_, packet) if packet.contains("normal_pages") => Packets::Normal,
        _ => Packets::Used,
    };
    let [sent, received] = [pool.some(SOME_PACKETS)?, pool.all(RECEIVER)?];
    let queue = match pool.has("multifd_queue_page") {
        true => pool.all(&["multifd_queue_page"])?,
        false => String::new(),
    };
    let queues = queue.contains("multifd_send_pages(f)");
    let multifd = match packets {
        Packets::Zero => [pool.some(MULTIFD)?, pool.all(MORE_MULTIFD)?, pool.all(LAST_MULTIFD)?],
        Packets::Normal => {
            [String::new(), pool.all(&["multifd_recv_unfill_packet"])?, String::new()]
        }
        Packets::Used => {
            [pool.all(OLD_MULTIFD)?, pool.all(&["multifd_recv_unfill_packet"])?, String::new()]
        }
    };
    let load = [pool.all(LOAD)?, pool.some(SOME_LOAD)?, pool.all(AROUND)?].concat();
    let section = [pool.all(SECTION)?, pool.some(SOME_SECTION)?].concat();
    let header = pool.all(HEADER)?;
    let rate = [pool.some(&["SampleVMStat"])?, pool.all(DIRTY_RATE)?].concat();
    let calculate = CALCULATE.iter().find(|name| pool.has(name)).unwrap_or(&CALCULATE[0]);
    let rate_by = [
        format!("#define PCRAM_CALCULATE {calculate}\n"),
        if rate.contains("calc_time_ms;") {
            "#define PCRAM_PERIOD calc_time_ms\n#define PCRAM_PERIODS 1000\n"
        } else {
            "#define PCRAM_PERIOD sample_period_seconds\n#define PCRAM_PERIODS 1\n"
        }
        .to_owned(),
        match rate.contains("page_sampling") {
            true => "#define PCRAM_SAMPLING page_sampling.\n".to_owned(),
            false => "#define PCRAM_SAMPLING\n".to_owned(),
        },
    ];
    let external = match pool.has("RAM_EXTERNAL") {
        true => pool.some(EXTERNAL)?,
        false => String::new(),
    };
    let capabilities = [pool.some(SOME_CAPABILITIES)?, pool.all(CAPABILITIES)?].concat();
    let checks = match capabilities.as_str() {
        it if it.contains("migrate_rdma()") => Checks::Rdma,
        it if it.contains("migrate_incoming_started()") => Checks::Started,
        it if it.contains("MIGRATION_CAPABILITY_COMPRESS") => Checks::Compress,
        _ => Checks::Postcopy,
    };
    let info = pool.some(SOME_INFO)?;
    let snapshot = pool.all(&["save_snapshot"])?;
    let tree = Tree {
        ram: ram::Tree { steps_back: false, ..pool.ignores(&asked) },
        mapped_ram: pool.has("parse_ramblock_mapped_ram"),
        zeroes: pool.has("handle_zero_mapped_ram"),
        by_block: pool.has("parse_ramblock"),
        asks_postcopy: load.contains("postcopy_advised && migrate_postcopy_ram()"),
        keeps_refused: load.contains("static RAMBlock *block;"),
        header_error: header.contains("Error **errp"),
        cleans_up: header.contains("qemu_loadvm_state_cleanup()"),
        describes: header.contains("json_writer_start_object"),
        save_error: header.contains("vmdesc, &local_err"),
        post_save: pool.has("configuration_post_save"),
        frees_loaded: section.contains("g_free((void *)state->name)"),
        tells_host: info.contains("\"HVA\""),
        old_snapshot: !snapshot.contains("overwrite"),
        asks_capabilities: snapshot.contains("migrate_can_snapshot("),
        stores_global_state: snapshot.contains("ret = global_state_store()"),
        clears_region: load.contains("migration_clear_memory_region_dirty_bitmap_range(block"),
        background_snapshot: capabilities.contains("MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT"),
        checks,
        queues,
        packets,
    };
    let set = |name: &str, is: bool| if is { format!("#define {name} 1\n") } else { String::new() };
    let used = packets == Packets::Used;
    let queued = match (queues, used) {
        (false, _) => "",
        (true, true) => "#define PCRAM_QUEUED used\n",
        (true, false) => "#define PCRAM_QUEUED num\n",
    };
    let state = "static struct { MultiFDPages_t *pages; } the_send_state, \
                 *multifd_send_state = &the_send_state;\n";
    let parts = [
        set("PCRAM_EXTERNAL", tree.ram.external),
        set("PCRAM_MAPPED_RAM", tree.mapped_ram),
        set("PCRAM_POST_SAVE", tree.post_save),
        set("PCRAM_KEEPS_REFUSED", tree.keeps_refused),
        set("PCRAM_HEADER_ERROR", tree.header_error),
        set("PCRAM_DUMPS", pool.has("ram_block_dump")),
        set("PCRAM_OLD_SNAPSHOT", tree.old_snapshot),
        set("PCRAM_CAPS_LISTED", checks < Checks::Started),
        set("PCRAM_PACKETS_USED", used),
        set("PCRAM_PACKETS_ZERO", packets == Packets::Zero),
        queued.to_owned(),
        pool.is_ignored(),
        BEFORE.to_owned(),
        pool.queue(),
        pool.all(TYPES)?,
        pool.some(SOME_TYPES)?,
        "static struct { QLIST_HEAD(, RAMBlock) blocks; } ram_list;\n".to_owned(),
        pool.all(&["SaveState"])?,
        "static SaveState savevm_state;\n".to_owned(),
        pool.all(STREAM)?,
        pool.some(SOME_STREAM)?,
        pool.all(PACKETS)?,
        sent,
        received,
        if queues { state } else { "" }.to_owned(),
        "RAMBlock *qemu_ram_block_from_host(void *host, bool round_offset, ram_addr_t *offset);\n"
            .to_owned(),
        Pool::prototypes(&asked),
        asked,
        load,
        external,
        capabilities,
        section,
        header,
        info,
        snapshot,
        rate,
        pool.some(&["has_samples"])?,
        pool.all(&[calculate])?,
        rate_by.concat(),
        multifd.concat(),
        if queues { queue } else { String::new() },
        AFTER.to_owned(),
    ];
    Ok(Some(Unit { tree, text: parts.concat() }))
}
