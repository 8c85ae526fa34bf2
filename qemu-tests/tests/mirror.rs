//! Functions of RAM blocks in lock-step with their mirror: as released, as carried, and damaged.
//!
//! Those of 1.0 are tried where the cache holds the source, or where `PCRAM_GIT_URL` names a git that
//! has it.

use pcram::cache::Cache;
use pcram::functions::{Unit, load_ram, load_v1_0, option};
use pcram_functions::search::{Differs, Found, search};
use pcram_functions::{ram, v1_0};
use pcram_mirror::v1_0::Variant;
use qemu_tests::{REVISION, Told, lines, run, run_in, skip};
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
    for row in [
        "stock.functions",
        "carried.functions",
        "carried.option",
        "stock.complete",
        "carried.left-out",
    ] {
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
    for line in lines() {
        let told = run(&["mirror", &line, "--seed", "1"]);
        assert_eq!(told.code(), Some(0), "{}", told.text());
        for row in [
            "stock.functions",
            "carried.functions",
            "carried.option",
            "carried.left-out",
            "carried.ends",
        ] {
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

/// The units of a revision with its series.
fn units(told: &Told) -> Vec<Unit> {
    Unit::of_tree(&Cache::open(None).unwrap(), &patched(told)).unwrap()
}

#[test]
fn each_damage_to_the_save_loop_of_today_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let Unit::Ram(unit) = &units[0] else { panic!("another unit") };
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

/// The option, with one thing in it replaced.
fn damaged_option(
    units: &[Unit],
    from: &str,
    to: &str,
) -> Result<Found, Box<Differs<pcram_functions::option::Case>>> {
    let unit = units.iter().find_map(|unit| match unit {
        Unit::Option(unit) => Some(unit.clone()),
        _ => None,
    });
    let mut unit = unit.expect("the series has the option");
    assert!(unit.text.contains(from), "{from:?} is not in the functions");
    unit.text = unit.text.replacen(from, to, 1);
    let (code, folder) = (unit.code, tempfile::tempdir().unwrap());
    let object = Unit::Option(unit).compile(folder.path()).unwrap();
    search(&mut option(code, Some(&object)).unwrap(), 10_000, SEED, |_| {})
}

#[test]
fn each_damage_to_the_option_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let damaged = |from: &str, to: &str| damaged_option(&units, from, to);
    assert!(damaged("unsigned paths = 0;", "unsigned paths = 0;").is_ok());
    for (from, to) in [
        ("stat(path, &st) == 0 && !S_ISREG(st.st_mode)", "0"),
        ("qemu_open(path, O_RDWR, NULL)", "qemu_open(path, O_RDWR | O_CREAT, NULL)"),
        ("st.st_size != size", "st.st_size < size"),
        ("st.st_size != size", "st.st_size > size"),
        ("st.st_size != size", "ftruncate(fd, size)"),
        ("    qemu_close(fd);\n    return -1;", "    return -1;"),
        ("if (backend->prealloc) {", "if (0) {"),
        ("RAM_SHARED | RAM_NAMED_FILE |", "RAM_NAMED_FILE |"),
        ("                                        RAM_EXTERNAL,", "                 0,"),
        ("if (g_strcmp0(mc->default_ram_id, PCRAM_ID)) {", "if (0) {"),
        ("runstate_check(RUN_STATE_INMIGRATE) && ", ""),
        ("} else if (xen_enabled()) {", "} else if (0) {"),
        ("kvm_enabled() && !kvm_has_sync_mmu()", "!kvm_has_sync_mmu()"),
        ("return migrate_caps_allow_external_ram(PCRAM_ID, errp);", "return true;"),
        ("if (QTAILQ_NEXT(opts, next)) {", "if (0) {"),
        ("} else if (paths > 1) {", "} else if (0) {"),
        ("} else if (!*path) {", "} else if (0) {"),
        ("object_unparent(obj);", ""),
        ("(const char *)addr < host + pcram_mapping.size", "1"),
        ("st.st_size < pcram_mapping.size", "st.st_size <= pcram_mapping.size"),
        ("*(offset + 1) == ','", "0"),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.given.len() <= 2, "{from}: {:?}", differs.case);
        assert!(differs.case.settings.len() <= 2, "{from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_to_the_functions_is_seen() {
    if !has_source("each_damage_to_the_functions_is_seen") {
        return;
    }
    let units = units(&on_1_0(&["apply", "1.0"]));
    let Unit::V1_0(unit) = &units[0] else { panic!("another unit") };
    assert_eq!(unit.variant, Variant::Carried);
    assert!(damaged(unit, "int bytes_sent = 0;", "int bytes_sent = 0;").is_ok());
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
        let differs = damaged(unit, from, to).expect_err(from);
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
        damaged_option(&units, from, to).expect_err(from);
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
        (
            r#"{"of":"option","code":"v1-0","case":{"given":["/etc/passwd"],"ram_size":0,
                "files":[0,0,0,0],"settings":[],"fault":null}}"#,
            "a path has no slash",
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
