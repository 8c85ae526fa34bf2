//! Functions of RAM blocks in lock-step with their mirror: as released, as carried, and damaged.
//!
//! Those of 1.0 are tried where the cache holds the source, or where `PCRAM_GIT_URL` names a git that
//! has it.

mod damage;
mod touched;

use qemu_tests::{REVISION, Told, lines, run, run_in, skip};
use std::fs;
use std::path::Path;

/// The environment variable that names a git with QEMU's history.
const GIT_URL: &str = "PCRAM_GIT_URL";

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

#[test]
fn the_functions_of_today_do_what_their_mirror_does() {
    let agree = |line: String| {
        let told = run(&["mirror", &line, "--seed", "1"]);
        assert_eq!(told.code(), Some(0), "{}", told.text());
        for row in [
            "stock.functions",
            "carried.functions",
            "carried.option",
            "stock.loader",
            "carried.loader",
            "stock.dirty",
            "carried.dirty",
            "carried.dirty.complete",
            "carried.dirty.ends",
            "stock.around",
            "carried.around",
            "carried.around.left-out",
            "carried.left-out",
            "carried.ends",
        ] {
            assert_eq!(told.verdict(&format!("mirror.{row}")), "held");
        }
    };
    // Each is a process of one thread.
    std::thread::scope(|scope| {
        lines().into_iter().for_each(|line| _ = scope.spawn(|| agree(line)));
    });
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
        (r#"{"of":"1.0","tree":"odd","case":{"blocks":[],"steps":[]}}"#, "unknown variant `odd`"),
        (r#"{"of":"1.0","tree":"stock","case":{"blocks":[],"steps":[]}}"#, "1 to 5 blocks"),
        (
            r#"{"of":"1.0","tree":"stock","case":{"blocks":[{"pages":7,"left_out":false}],"steps":[]}}"#,
            "1 to 6 pages",
        ),
        (
            r#"{"of":"option","tree":"v1-0","case":{"given":["/etc/passwd"],"ram_size":0,
                "files":[0,0,0,0],"settings":[],"fault":null,"ends":false,
                "blocked":[],"thread":{"detached":false,"fails":null},"types":[],"asks":null}}"#,
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
        r#"{"of":"1.0","tree":"stock","case":{"blocks":[{"pages":1,"left_out":false}],
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
