//! Functions with one thing in them replaced: each damage is seen.

mod around;
mod loader;
mod option;

use super::{has_source, on_1_0};
use pcram::cache::Cache;
use pcram::functions::{Optimized, Unit, subject};
use pcram_functions::around::Around;
use pcram_functions::dirty::Sync;
use pcram_functions::kinds::Of;
use pcram_functions::lockstep::Kind;
use pcram_functions::option::PcramFile;
use pcram_functions::ram::Loop;
use pcram_functions::search::{Differs, Found, search};
use pcram_functions::v1_0::Migration;
use pcram_mirror::dirty::Tlb;
use pcram_mirror::v1_0::Variant;
use qemu_tests::{REVISION, Told, run};

const SEED: u64 = 1;

/// The tree of a revision with its series.
fn patched(told: &Told) -> String {
    let step = told.of("step-finished").find(|each| each["step"] == "apply").unwrap();
    let mut evidence = step["evidence"].as_array().unwrap().iter();
    let figure = evidence.find(|figure| figure["name"] == "patched tree").unwrap();
    figure["value"].as_str().unwrap().to_owned()
}

/// The units of a revision with its series.
fn units(told: &Told) -> Vec<Unit> {
    Unit::of_tree(&Cache::open(None).unwrap(), &patched(told)).unwrap()
}

/// The one of a kind, and what its tree has.
fn of<K: Kind>(units: &[Unit], of: Of) -> (&Unit, K::Tree) {
    let unit = units.iter().find(|unit| unit.of == of).expect("each tree of today has it");
    (unit, unit.tree::<K>().unwrap())
}

/// What comes of cases on a unit with one thing in its text replaced.
fn damaged<K: Kind>(unit: &Unit, from: &str, to: &str) -> Result<Found, Box<Differs<K::Case>>> {
    assert!(unit.text.contains(from), "{from:?} is not in the functions");
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit { text: unit.text.replacen(from, to, 1), ..unit.clone() };
    let object = unit.compile(folder.path(), Optimized::No).unwrap();
    let mut subject = subject::<K>(unit.tree::<K>().unwrap(), Some(&object)).unwrap();
    search(&mut subject, 10_000, SEED, |_| {})
}

#[test]
fn each_damage_to_the_save_loop_of_today_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let (unit, tree) = of::<Loop>(&units, Of::Ram);
    assert!(tree.external && tree.named_files);
    let damaged = |from: &str, to: &str| damaged::<Loop>(unit, from, to);
    assert!(damaged("int pages = 0;", "int pages = 0;").is_ok());
    for (from, to) in [
        ("(block == pss->last_sent_block)", "(0)"),
        ("pss->last_sent_block = block;", ""),
        ("rs->migration_dirty_pages--;", ""),
        ("qemu_ram_is_external(block) ||", ""),
        ("qemu_ram_is_named_file(block))", "1)"),
        ("migrate_ignore_shared() &&", ""),
        ("mode == MIG_MODE_CPR_TRANSFER ||", ""),
        ("size = MIN(size, pss->host_page_end);", ""),
        ("RAMBLOCK_FOREACH_MIGRATABLE(block) {", "RAMBLOCK_FOREACH_NOT_IGNORED(block) {"),
        ("rs->last_page = pss->page;", "rs->last_page = 0;"),
        ("qemu_put_byte(file, 0);", "qemu_put_byte(file, 1);"),
        ("stat64_add(&mig_stats.normal_pages, 1);", ""),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.steps.len() <= 6, "{from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_to_what_takes_over_written_pages_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let (unit, tree) = of::<Sync>(&units, Of::Dirty);
    assert_eq!(tree.tlb, Tlb::Reset);
    let damaged = |from: &str, to: &str| damaged::<Sync>(unit, from, to);
    assert!(damaged("bool cleared = false;", "bool cleared = false;").is_ok());
    for (from, to) in [
        ("dirty_bits_cleared(start + rb->offset, length)", "dirty_bits_cleared(start, length)"),
        ("if (cleared) {", "if (num_dirty) {"),
        ("if (cleared) {", "if (0) {"),
        ("new_dirty &= bits;", ""),
        ("dest[k] |= bits;", "dest[k] = bits;"),
        ("if (++offset >= BITS", "if (++offset > BITS"),
        ("if (rb->clear_bmap) {", "if (0) {"),
        (
            "start >> TARGET_PAGE_BITS,\n                           length",
            "0,\n                           length",
        ),
        ("!(length & ((BITS_PER_LONG << TARGET_PAGE_BITS) - 1))", "1"),
        ("if (!test_and_set_bit(k, dest)) {", "test_and_set_bit(k, dest); {"),
        ("if (tcg_enabled()) {", "if (1) {"),
        ("start - block->offset);", "0);"),
        ("if (dirty) {", "if (0) {"),
        ("DIV_ROUND_UP(pages, 1UL << shift)", "(pages >> shift)"),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.steps.len() <= 4, "{from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_around_the_save_loop_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let (unit, tree) = of::<Around>(&units, Of::Around);
    assert!(tree.ram.external && tree.mapped_ram);
    let damaged = |from: &str, to: &str| damaged::<Around>(unit, from, to);
    assert!(damaged("bool ret = true;", "bool ret = true;").is_ok());
    for (from, to) in [
        ("if (migrate_ram_is_ignored(block)) {\n        /* Both", "if (0) {\n        /* Both"),
        (
            "block->bitmap_offset = qemu_get_offset(file) + header_size;",
            "block->bitmap_offset = qemu_get_offset(file);",
        ),
        (
            "RAMBLOCK_FOREACH_NOT_IGNORED(block) {\n        long num_pages",
            "RAMBLOCK_FOREACH_MIGRATABLE(block) {\n        long num_pages",
        ),
        ("ram_transferred_add(bitmap_size);", ""),
        (
            "if (header->version > MAPPED_RAM_HDR_VERSION) {",
            "if (header->version != MAPPED_RAM_HDR_VERSION) {",
        ),
        ("!migrate_ram_is_ignored(block) && !migrate_ignore_shared()", "!migrate_ignore_shared()"),
        ("!header.bitmap_offset && !header.pages_offset", "!header.pages_offset"),
        (
            "if (migrate_ram_is_ignored(block)) {\n        error_setg(errp, \"block %s",
            "if (0) {\n        error_setg(errp, \"block %s",
        ),
        ("!QEMU_IS_ALIGNED(block->pages_offset, TARGET_PAGE_SIZE)", "0"),
        ("qemu_set_offset(f, block->pages_offset + length, SEEK_SET);", ""),
        (
            "if (!qemu_ram_is_migratable(block)) {\n        error_report",
            "if (0) {\n        error_report",
        ),
        ("if (length != block->used_length) {", "if (length > block->used_length) {"),
        (
            "if (remote_page_size != block->page_size) {",
            "if (remote_page_size < block->page_size) {",
        ),
        ("block->mr->addr != addr) {", "0) {"),
        ("if (migrate_ram_is_ignored(block)) {\n        /* RDMA", "if (0) {\n        /* RDMA"),
        ("mis->last_recv_block[channel] = block;", ""),
        ("ramblock_recv_bitmap_set(block, host);\n", "\n"),
        ("memset(host, 0, size);", "memset(host, 0, size - 1);"),
        ("continue;\n        }\n\n        start", "return;\n        }\n\n        start"),
        ("start = offset >> TARGET_PAGE_BITS;", "start = 0;"),
        ("bitmap_count_one_with_offset(block->bmap, start, npages);", "npages;"),
        (
            "if (qemu_ram_is_external(block)) {\n            return block->idstr;",
            "if (1) {\n            return block->idstr;",
        ),
        ("external_ram_reset(state);\n\n    RCU", "\n\n    RCU"),
        ("if (!block || !qemu_ram_is_external(block)) {", "if (!block) {"),
        (
            "idstr[sizeof(state->external_ram[i].idstr) - 1] = '\\0';",
            "idstr[sizeof(state->external_ram[i].idstr) - 2] = '\\0';",
        ),
        (
            "strcmp(state->external_ram[i].idstr, block->idstr)) {",
            "strncmp(state->external_ram[i].idstr, block->idstr, 6)) {",
        ),
        ("all of RAM */\n    external_ram_reset(state);", "all of RAM */"),
        ("state->target_page_bits = qemu_target_page_bits_min();", ""),
        ("external_ram_list(state);\n\n    return 0;", "return 0;"),
        ("if (!configuration_validate_external_ram(state)) {", "if (0) {"),
        ("if (!configuration_validate_capabilities(state)) {", "if (0) {"),
        (
            "state->caps_count = 0;\n    external_ram_reset(state);\n    return 0;",
            "state->caps_count = 0;\n    return 0;",
        ),
        (
            "state->caps_count = 0;\n    external_ram_reset(state);\n\n    return ret;",
            "state->caps_count = 0;\n\n    return ret;",
        ),
        ("if (configuration_is_needed()) {", "if (migrate_get_current()->send_configuration) {"),
        (
            "caps_allow_external_ram(migrate_get_current()->capabilities, idstr,",
            "caps_allow_external_ram((bool[MIGRATION_CAPABILITY__MAX]){ 0 }, idstr,",
        ),
        ("return migrate_get_current()->send_configuration ||", "return"),
        (
            "if (qemu_peek_byte(f, 0) == QEMU_VM_CONFIGURATION) {",
            "if (qemu_get_byte(f) == QEMU_VM_CONFIGURATION) {",
        ),
        ("if (!needed) {", "if (0) {"),
        ("\"RAM block '%s' is not in snapshot '%s'", "\"block '%s' is not in snapshot '%s'"),
        ("{ MIGRATION_CAPABILITY_X_COLO,\n      \"they are missing from its checkpoints\" },", ""),
        ("if (migrate_ram_is_ignored(p->block)) {", "if (0) {"),
        (
            "if (offset > (p->block->used_length - page_size)) {",
            "if (offset >= (p->block->used_length - page_size)) {",
        ),
        (
            "p->zero_num > pages_per_packet - p->normal_num",
            "p->zero_num >= pages_per_packet - p->normal_num",
        ),
        ("packet->offset[p->normal_num + i]", "packet->offset[i]"),
        ("packet->ramblock[255] = 0;", "packet->ramblock[5] = 0;"),
        (
            "if (qemu_ram_is_external(block)) {\n        return true;",
            "if (0) {\n        return true;",
        ),
        ("if (dinfo == NULL && total_count) {", "if (dinfo == NULL) {"),
        ("if (infos[i].sample_pages_count) {", "if (1) {"),
        ("ram_external_block_name() &&\n            !has_samples", "!has_samples"),
        ("!has_samples(block_dinfo, block_count)) {", "1) {"),
        ("DirtyStat.dirty_rate = 0;", ""),
        ("info->sample_dirty_count++;", ""),
        (
            "(qemu_ram_get_used_length(block) >> qemu_target_page_bits())) {",
            "infos[i].ramblock_pages) {",
        ),
        ("1000 / (total_sample_count * msec);", "1 / total_sample_count;"),
        ("(MIN_RAMBLOCK_SIZE << 10)) {", "(MIN_RAMBLOCK_SIZE << 9)) {"),
        ("if (ret) {\n            break;", "if (0) {\n            break;"),
        ("if (ch != 0) {", "if (0) {"),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.steps.len() <= 3, "{from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_to_the_functions_is_seen() {
    if !has_source("each_damage_to_the_functions_is_seen") {
        return;
    }
    let units = units(&on_1_0(&["apply", "1.0"]));
    let (unit, tree) = of::<Migration>(&units, Of::V1_0);
    assert_eq!(tree, Variant::Carried);
    let damage_option =
        |from, to| damaged::<PcramFile>(of::<PcramFile>(&units, Of::Option).0, from, to);
    let damaged = |from: &str, to: &str| damaged::<Migration>(unit, from, to);
    assert!(damaged("int bytes_sent = 0;", "int bytes_sent = 0;").is_ok());
    for (from, to, what) in [
        (
            "if (addr - block->offset < block->length) {\n            /* Move",
            "if (0) { /* Move",
            "",
        ),
        ("next - end < mingap", "next - end <= mingap", ""),
        ("(block == last_block) ? RAM_SAVE_FLAG_CONTINUE : 0", "0", "bytes"),
        ("if (array[i] != val)", "if (i && array[i] != val)", "bytes"),
        ("            last_offset = offset;\n", "            last_offset = 0;\n", "variables"),
        ("    if (bwidth == 0) {", "    if (bwidth < 0) {", "ram_save_live()"),
        (
            "(stage == 2) && (expected_time <=",
            "(stage == 2) && (expected_time <",
            "ram_save_live()",
        ),
        ("cpu_physical_memory_set_dirty_tracking(1);", "", "variables"),
        (
            "if (offset >= block->length) {\n        error",
            "if (offset > block->length) {\n error",
            "",
        ),
        ("if (block->length != length) {", "if (block->length < length) {", ""),
        ("memset(host, ch, TARGET_PAGE_SIZE);", "memset(host, ch, 4095);", "memory"),
        ("version_id > 4", "version_id > 5", "ram_load()"),
        ("if (count < ram_count_external())", "if (0)", "ram_load_external_list()"),
        (
            "        id[sizeof(id) - 1] = '\\0';\n",
            "        id[1] = '\\0';\n",
            "ram_load_external_list()",
        ),
        ("(*ablock)->offset < (*b", "(*ablock)->offset > (*b", ""),
        ("MAP_SHARED, fd, 0", "MAP_PRIVATE, fd, 0", "what allocates a block"),
        ("new_block->flags |= RAM_EXTERNAL_MASK;", "", ""),
        (
            "munmap(block->host, block->length);\n                close(block->fd);",
            "munmap(block->host, block->length);",
            "qemu_ram_free()",
        ),
    ] {
        let differs = damaged(from, to).expect_err(from);
        let Differs { difference, case } = *differs;
        assert!(what.is_empty() || difference.what == what, "{from}: {difference}");
        assert!(case.steps.len() <= 16, "{from}: {case:?}");
    }
    for (from, to) in [
        ("option->given++ == 0", "++option->given"),
        ("if (option.paths > 1) {", "if (option.paths > 2) {"),
        ("if (mem_path) {", "if (0) {"),
        ("stat(path, &st) == 0 && !S_ISREG(st.st_mode)", "0"),
        ("st.st_size != size", "st.st_size < size"),
        ("size = TARGET_PAGE_ALIGN(size);", ""),
        ("MAX(strlen(params) + 1, sizeof(\"off\"))", "sizeof(\"off\") + 100"),
        ("if (*(p + 1) != ',')", "if (1)"),
        ("path && xen_enabled()", "path && 0"),
    ] {
        damage_option(from, to).expect_err(from);
    }
}
