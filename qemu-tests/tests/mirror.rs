//! Functions of RAM blocks in lock-step with their mirror: as released, as carried, and damaged.
//!
//! Those of 1.0 are tried where the cache holds the source, or where `PCRAM_GIT_URL` names a git that
//! has it.

use pcram::cache::Cache;
use pcram::functions::{Unit, load_around, load_ram, load_v1_0};
use pcram_functions::search::{Differs, Found, search};
use pcram_functions::{around, ram, v1_0};
use pcram_mirror::v1_0::Variant;
use qemu_tests::{REVISION, Told, root, run, run_in, skip};
use std::fs;
use std::path::Path;

/// The environment variable that names a git with QEMU's history.
const GIT_URL: &str = "PCRAM_GIT_URL";
const SEED: u64 = 1;

/// Words of a command on QEMU 1.0, and where its source comes from.
fn on_1_0(words: &[&str]) -> Told {
    let git = std::env::var(GIT_URL).unwrap_or_default();
    let mut args = words.to_vec();
    if !git.is_empty() {
        args.extend(["--git-url", &git]);
    }
    run(&args)
}

/// Whether the source of 1.0 is to be had; else the test is skipped.
fn has_source(test: &str) -> bool {
    let fetched = on_1_0(&["fetch", "1.0"]);
    if fetched.code() == Some(3) {
        skip(test, &format!("the cache does not have QEMU 1.0, and ${GIT_URL} names no git"));
        return false;
    }
    assert_eq!(fetched.code(), Some(0), "{}", fetched.text());
    true
}

#[test]
fn the_functions_of_qemu_1_0_do_what_their_mirror_does() {
    if !has_source("the_functions_of_qemu_1_0_do_what_their_mirror_does") {
        return;
    }
    let told = on_1_0(&["mirror", "1.0", "--seed", "1"]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    for row in ["stock.functions", "carried.functions", "stock.complete", "carried.left-out"] {
        assert_eq!(told.verdict(&format!("mirror.{row}")), "held");
    }
    let said = told.row("mirror.carried.functions")["summary"].as_str().unwrap();
    assert!(said.starts_with("10000 cases, 18"), "{said}");
    assert!(told.of("row").all(|row| row["id"] != "mirror.stock.left-out"));
}

type Tried = Result<Found, Box<Differs<v1_0::Case>>>;

/// The functions as carried, with one thing in them replaced.
fn damaged(unit: &v1_0::unit::Unit, from: &str, to: &str) -> Tried {
    assert!(unit.text.contains(from), "{from:?} is not in the functions");
    let text = unit.text.replacen(from, to, 1);
    let folder = tempfile::tempdir().unwrap();
    let damaged = Unit::V1_0(v1_0::unit::Unit { text, ..unit.clone() });
    let functions = load_v1_0(&damaged.compile(folder.path()).unwrap()).unwrap();
    let mut subject = v1_0::Subject { variant: Variant::Carried, functions: Some(functions) };
    search(&mut subject, 10_000, SEED, |_| {})
}

#[test]
fn the_save_loops_of_today_do_what_their_mirror_does() {
    let lines = fs::read_to_string(root().join("ci/lines.txt")).unwrap();
    let lines: Vec<_> =
        lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(lines.contains(&REVISION), "{lines:?}");
    for line in lines {
        let told = run(&["mirror", line, "--seed", "1"]);
        assert_eq!(told.code(), Some(0), "{}", told.text());
        for row in ["stock.functions", "carried.functions", "carried.left-out", "carried.ends"] {
            assert_eq!(told.verdict(&format!("mirror.{row}")), "held");
        }
    }
}

/// The tree of a revision with its series.
fn patched(told: &Told) -> String {
    let step = told.of("step-finished").find(|each| each["step"] == "apply").unwrap();
    let mut evidence = step["evidence"].as_array().unwrap().iter();
    let figure = evidence.find(|figure| figure["name"] == "patched tree").unwrap();
    figure["value"].as_str().unwrap().to_owned()
}

#[test]
fn each_damage_to_the_save_loop_of_today_is_seen() {
    let tree = patched(&run(&["apply", REVISION]));
    let unit = Unit::of_tree(&Cache::open(None).unwrap(), &tree).unwrap();
    let Unit::Ram(unit) = unit else { panic!("another unit") };
    assert!(unit.tree.external && unit.tree.named_files);
    let damaged = |from: &str, to: &str| {
        assert!(unit.text.contains(from), "{from:?} is not in the functions");
        let text = unit.text.replacen(from, to, 1);
        let folder = tempfile::tempdir().unwrap();
        let damaged = Unit::Ram(ram::unit::Unit { text, ..unit.clone() });
        let functions = load_ram(&damaged.compile(folder.path()).unwrap()).unwrap();
        let mut subject = ram::Subject { tree: unit.tree, functions: Some(functions) };
        search(&mut subject, 10_000, SEED, |_| {})
    };
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
fn each_damage_around_the_save_loop_is_seen() {
    let tree = patched(&run(&["apply", REVISION]));
    let unit = Unit::around_of_tree(&Cache::open(None).unwrap(), &tree).unwrap();
    let Unit::Around(unit) = unit else { panic!("another unit") };
    assert!(unit.tree.ram.external && unit.tree.mapped_ram);
    let damaged = |from: &str, to: &str| {
        assert!(unit.text.contains(from), "{from:?} is not in the functions");
        let text = unit.text.replacen(from, to, 1);
        let folder = tempfile::tempdir().unwrap();
        let damaged = Unit::Around(around::unit::Unit { text, ..unit.clone() });
        let functions = load_around(&damaged.compile(folder.path()).unwrap()).unwrap();
        let mut subject = around::Subject { tree: unit.tree, functions: Some(functions) };
        search(&mut subject, 10_000, SEED, |_| {})
    };
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
    let tree = patched(&on_1_0(&["apply", "1.0"]));
    let cache = Cache::open(None).unwrap();
    let Unit::V1_0(unit) = Unit::of_tree(&cache, &tree).unwrap() else { panic!("another unit") };
    assert_eq!(unit.variant, Variant::Carried);
    assert!(damaged(&unit, "int bytes_sent = 0;", "int bytes_sent = 0;").is_ok());
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
    ] {
        let differs = damaged(&unit, from, to).expect_err(from);
        let Differs { difference, case } = *differs;
        assert!(what.is_empty() || difference.what == what, "{from}: {difference}");
        assert!(case.steps.len() <= 16, "{from}: {case:?}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_a_case_that_breaks_nothing_replays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.json");
    let replay = |text: &str| {
        fs::write(&file, text).unwrap();
        run(&["mirror", "replay", file.to_str().unwrap()])
    };
    for (text, why) in [
        ("{", "EOF while parsing"),
        (
            r#"{"of":"1.0","variant":"odd","case":{"blocks":[],"steps":[]}}"#,
            "unknown variant `odd`",
        ),
        (r#"{"of":"1.0","variant":"stock","case":{"blocks":[],"steps":[]}}"#, "1 to 5 blocks"),
        (
            r#"{"of":"1.0","variant":"stock","case":{"blocks":[{"pages":7,"left_out":false}],"steps":[]}}"#,
            "1 to 6 pages",
        ),
    ] {
        let told = replay(text);
        assert_eq!(told.code(), Some(2), "{}", told.text());
        assert!(told.text().contains(why), "{}", told.text());
    }
    let bounded = run(&["mirror", REVISION, "--bounded"]);
    assert_eq!(bounded.code(), Some(2), "{}", bounded.text());
    let without = run_in(&[("CC", "/no/such/compiler")], &["mirror", REVISION]);
    assert_eq!(without.code(), Some(5), "{}", without.text());
    assert!(without.text().contains("/no/such/compiler"), "{}", without.text());
    let missing = run(&["mirror", "replay", "/no/such/case"]);
    assert_eq!(missing.code(), Some(2), "{}", missing.text());
    let told = replay(
        r#"{"of":"1.0","variant":"stock","case":{"blocks":[{"pages":1,"left_out":false}],
            "steps":["save-block"]}}"#,
    );
    assert_eq!(told.code(), Some(0), "{}", told.text());
    assert!(told.text().contains("a guest with block0 of 1 page"), "{}", told.text());
}

#[test]
fn each_case_that_is_kept_breaks_what_it_is_named_after() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let told = run(&["mirror", "replay", path.to_str().unwrap()]);
        assert_eq!(told.code(), Some(1), "{}", told.text());
        let words = match path.file_stem().unwrap().to_str().unwrap() {
            "posted.left-out" => "a block that is left out has no page in the stream",
            "posted.complete" => "every page of every other block is in the stream",
            "posted.ends" => "the loop of ram_save_block() never ends",
            "posted.aborts" => "QEMU aborts: bad ram offset",
            "posted.inside" => "nothing outside a block is read or written",
            "posted.accounting" => "what is counted as remaining is what is yet to be sent",
            other => panic!("{other} is named after nothing"),
        };
        assert!(told.text().contains(words), "{}", told.text());
        seen += 1;
    }
    assert_eq!(seen, 6);
}
