//! The rows that are asked for hold on a QEMU that keeps its promises, and say what they found there:
//! what mutants of a check's code are tried with (`ci/mutants.sh`). All rows of all lines are tried by
//! `cargo ci`.

use qemu_tests::{REVISION, run};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// The variable that names them, with blanks between.
const ROWS: &str = "PCRAM_ROWS";
/// What is tried where nobody asks for more.
const ONE: &str = "p1.option";
/// What the rows say on the 10.0 of the table. `#` stands for a number that differs from run to run,
/// `*` for a word that does, `~` for the rest of a line.
const SAID: &str = include_str!("rows/said.txt");

#[test]
fn the_rows_that_are_asked_for_hold_and_say_what_they_found() {
    let rows = std::env::var(ROWS).unwrap_or(ONE.into());
    let rows = rows.split_whitespace().flat_map(|row| ["--row", row]);
    let args: Vec<_> = ["check", REVISION].into_iter().chain(rows).collect();
    let told = run(&args);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let known = known();
    let mut count = 0;
    for row in told.of("row") {
        let id = row["id"].as_str().expect("a name");
        assert_eq!(row["verdict"], "held", "{id}");
        let said = said(row);
        let known = known.get(id).unwrap_or_else(|| panic!("rows/said.txt lacks {id}:\n{said}"));
        assert!(is_like(known, &said), "{id} said\n{said}\n\nand not\n{known}");
        count += 1;
    }
    assert!(count > 0);
}

/// What a row says: its sentence, and its figures.
fn said(row: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let figures = row["evidence"].as_array().into_iter().flatten();
    let figures = figures.map(|it| format!("{}: {}", text(&it["name"]), text(&it["value"])));
    let lines = std::iter::once(text(&row["summary"])).chain(figures);
    lines.map(|line| line.replace(['\n', '\r'], " ")).collect::<Vec<_>>().join("\n")
}

/// The file: a row's name, and below it, indented, what it says.
fn known() -> BTreeMap<&'static str, String> {
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    let mut id = "";
    for line in SAID.lines() {
        match line.strip_prefix("    ") {
            None => id = line,
            Some(said) => {
                let text = known.entry(id).or_default();
                *text += if text.is_empty() { "" } else { "\n" };
                *text += said;
            }
        }
    }
    known
}

fn is_like(known: &str, said: &str) -> bool {
    let shape = regex::escape(known).replace("\\#", r"[0-9]+(\.[0-9]+)?").replace("\\*", r"\S+");
    let shape = shape.replace("\\~", "[^\n]*");
    Regex::new(&format!("^{shape}$")).expect("it is one").is_match(said)
}

#[test]
fn a_number_that_differs_is_a_number_and_a_word_a_word() {
    assert!(is_like("# of 5 at *: 1", "17.5 of 5 at /x/y: 1"));
    assert!(!is_like("# of 5 at *: 1", "x of 5 at /x: 1"));
    assert!(!is_like("# of 5 at *: 1", "1 of 6 at /x: 1"));
    assert!(is_like("x: ~\ny", "x: a b\ny") && !is_like("x: ~\ny", "x: a\nb\ny"));
}
