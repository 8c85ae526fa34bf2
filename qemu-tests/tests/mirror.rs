//! The functions of QEMU 1.0 in lock-step with their mirror: as released, as carried, and damaged.
//!
//! They are tried where the cache holds the source, or where `PCRAM_GIT_URL` names a git that has it.

use pcram::cache::Cache;
use pcram::functions::{compile, unit};
use pcram_functions::unit::Unit;
use pcram_functions::v1_0::search::{Differs, Found, search};
use pcram_mirror::v1_0::Variant;
use qemu_tests::{Told, run, skip};
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

/// The functions as carried, with one thing in them replaced.
fn damaged(unit: &Unit, from: &str, to: &str) -> Result<Found, Box<Differs>> {
    assert!(unit.text.contains(from), "{from:?} is not in the functions");
    let text = unit.text.replacen(from, to, 1);
    let folder = tempfile::tempdir().unwrap();
    let mut functions = compile(&Unit { text, ..unit.clone() }, folder.path()).unwrap();
    search(Variant::Carried, Some(&mut functions), 10_000, SEED, |_| {})
}

#[test]
fn each_damage_to_the_functions_is_seen() {
    if !has_source("each_damage_to_the_functions_is_seen") {
        return;
    }
    let applied = on_1_0(&["apply", "1.0"]);
    let step = applied.of("step-finished").find(|each| each["step"] == "apply").unwrap();
    let mut evidence = step["evidence"].as_array().unwrap().iter();
    let tree = evidence.find(|figure| figure["name"] == "patched tree").unwrap()["value"]
        .as_str()
        .unwrap();
    let cache = Cache::open(None).unwrap();
    let unit = unit(&cache, tree).unwrap();
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
        ("(*ablock)->offset < (*b", "(*ablock)->offset > (*b", ""),
    ] {
        let differs = damaged(&unit, from, to).expect_err(from);
        let Differs { difference, case } = *differs;
        assert!(what.is_empty() || difference.what == what, "{from}: {difference}");
        assert!(case.steps.len() <= 8, "{from}: {case:?}");
    }
}

#[test]
fn a_case_that_is_none_is_refused_and_one_that_breaks_nothing_replays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.json");
    let replay = |text: &str| {
        fs::write(&file, text).unwrap();
        run(&["mirror", "replay", file.to_str().unwrap()])
    };
    for (text, why) in [
        ("{", "EOF while parsing"),
        (r#"{"variant":"odd","case":{"blocks":[],"steps":[]}}"#, "unknown variant `odd`"),
        (r#"{"variant":"stock","case":{"blocks":[],"steps":[]}}"#, "1 to 5 blocks"),
        (
            r#"{"variant":"stock","case":{"blocks":[{"pages":7,"left_out":false}],"steps":[]}}"#,
            "1 to 6 pages",
        ),
    ] {
        let told = replay(text);
        assert_eq!(told.code(), Some(2), "{}", told.text());
        assert!(told.text().contains(why), "{}", told.text());
    }
    let missing = run(&["mirror", "replay", "/no/such/case"]);
    assert_eq!(missing.code(), Some(2), "{}", missing.text());
    let told = replay(
        r#"{"variant":"stock","case":{"blocks":[{"pages":1,"left_out":false}],
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
            "posted.inside" => "nothing outside a block is read or written",
            "posted.accounting" => "what is counted as remaining is what is yet to be sent",
            other => panic!("{other} is named after nothing"),
        };
        assert!(told.text().contains(words), "{}", told.text());
        seen += 1;
    }
    assert_eq!(seen, 5);
}
