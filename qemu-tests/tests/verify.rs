//! The main job: `verify` on QEMU 10.0 holds what it tries.

use qemu_tests::{REVISION, run};
use std::collections::BTreeMap;

#[test]
fn verify_holds_p1_to_p4_and_says_what_it_did_not_try() {
    let told = run(&["verify", REVISION]);
    assert_eq!(told.code(), Some(0), "{}", told.text());

    let judged: BTreeMap<_, _> = told
        .of("judged")
        .map(|each| (each["promise"].as_str().unwrap(), each["verdict"].as_str().unwrap()))
        .collect();
    for promise in ["P1", "P2", "P3", "P4"] {
        assert_eq!(judged[promise], "held", "{}", told.text());
    }
    for promise in ["P5", "P6", "P7", "P8", "P9"] {
        assert_eq!(judged[promise], "not-tried", "{}", told.text());
    }
    assert!(told.of("row").all(|row| row["verdict"] == "held" && row["summary"] != ""));
    assert_eq!(told.of("run-started").next().unwrap()["schema"], 1);
    assert_eq!(told.of("run-finished").next().unwrap()["exit"], 0);
}

#[test]
fn a_row_repeats_alone_with_the_line_that_it_was_given() {
    let told = run(&["check", REVISION, "--row", "p1.option"]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let repeat = told.row("p1.option")["repeat"].as_str().unwrap();
    assert!(repeat.ends_with("check 10.0 --row p1.option"), "{repeat}");
    assert_eq!(told.of("row").count(), 1);
}
