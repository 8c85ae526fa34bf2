//! The rows that are asked for hold on a QEMU that keeps its promises: what mutants of a check's code
//! are tried with (`ci/mutants.sh`). All rows of all lines are tried by `cargo ci`.

use qemu_tests::{REVISION, run};

/// The variable that names them, with blanks between.
const ROWS: &str = "PCRAM_ROWS";
/// What is tried where nobody asks for more.
const ONE: &str = "p1.option";

#[test]
fn the_rows_that_are_asked_for_hold() {
    let rows = std::env::var(ROWS).unwrap_or(ONE.into());
    let rows = rows.split_whitespace().flat_map(|row| ["--row", row]);
    let args: Vec<_> = ["check", REVISION].into_iter().chain(rows).collect();
    let told = run(&args);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let verdicts: Vec<_> = told.of("row").map(|row| (&row["id"], &row["verdict"])).collect();
    assert!(!verdicts.is_empty());
    for (row, verdict) in verdicts {
        assert_eq!(verdict, "held", "{row}");
    }
}
