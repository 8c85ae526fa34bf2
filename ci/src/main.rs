//! Passes the tests: builds what they need, runs them all, and holds their skips against a list.
//!
//! Sections print how long they took. The last line counts passed, failed and skipped.

mod outcome;
mod skips;

use anyhow::{Context, Result};
use outcome::Outcome;
use skips::Skips;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// The environment variable that names the file in which tests leave their skips.
const SKIPS_FILE: &str = "PCRAM_SKIPS_FILE";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("ci has a parent folder")?;
    let shell = xshell::Shell::new()?;
    shell.change_dir(root);
    let folder = tempfile::tempdir()?;
    let skips_file = folder.path().join("skips");

    section("the QEMUs that the tests run", || {
        let build = ["run", "--quiet", "--package", "pcram", "--", "build", "10.0", "--yes"];
        Ok(xshell::cmd!(shell, "cargo {build...}").run()?)
    })?;

    let outcome = section("the tests", || {
        let mut tests = Command::new("cargo");
        tests.args(["test", "--workspace", "--no-fail-fast"]);
        tests.current_dir(root).env(SKIPS_FILE, &skips_file).stdout(Stdio::piped());
        let mut child = tests.spawn().context("cannot start cargo test")?;
        let mut outcome = Outcome::default();
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            let line = line?;
            println!("{line}");
            outcome.take(&line);
        }
        outcome.ended(child.wait()?.success());
        Ok(outcome)
    })?;

    let listed = Skips::listed(&root.join("ci/skips.txt"))?;
    let happened = Skips::happened(&skips_file)?;
    for skip in happened.iter() {
        println!("skipped {skip}");
    }
    let unlisted = happened.without(&listed);
    for skip in unlisted.iter() {
        println!("FAILED: {skip}: this skip does not stand in ci/skips.txt");
    }
    let skipped = happened.count() + outcome.ignored;
    let failed = outcome.failed + unlisted.count();
    println!(
        "\n{} passed, {failed} failed, {skipped} skipped",
        outcome.passed.saturating_sub(happened.count())
    );
    Ok(outcome.is_good() && failed == 0 && outcome.ignored == 0)
}

fn section<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {what}");
    let start = Instant::now();
    let done = work().with_context(|| format!("failed at {what}"));
    println!("== {what}: {:.0} s", start.elapsed().as_secs_f64());
    done
}
