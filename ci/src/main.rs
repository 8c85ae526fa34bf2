//! Passes the tests: every check on the lines that ci/lines.txt names, then the tests, which
//! run on the QEMUs that this built. All skips, of tests and of checks, are held against a list.
//!
//! Sections print how long they took. The last line counts passed, failed and skipped.

mod outcome;
mod skips;
mod verified;

use anyhow::{Context, Result, ensure};
use outcome::Outcome;
use skips::Skips;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;
use verified::Verified;

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
    let folder = tempfile::tempdir()?;
    let skips_file = folder.path().join("skips");

    let listed = Skips::listed(&root.join("ci/skips.txt"))?;
    // All of it: the tool alone would be compiled with other features of what it depends on.
    section("what is compiled", || {
        let mut build = cargo(root);
        build.args(["test", "--quiet", "--workspace", "--no-run"]);
        let done = build.status().context("cannot start cargo")?;
        ensure!(done.success(), "it does not compile, or clippy is not content");
        Ok(())
    })?;
    let tool = env::current_exe()?.with_file_name("pcram");
    let mut verified = Verified::default();
    let at_once = at_once();
    for line in lines(root)? {
        let report = folder.path().join(format!("events-{}", line.replace('/', "-")));
        let ended_well = section(&format!("every check on QEMU {line}"), || {
            let mut tool = Command::new(&tool);
            tool.args(["verify", &line, "--thorough", "--yes", "--at-once", &at_once]);
            tool.arg("--json").arg(&report);
            Ok(tool.current_dir(root).status().context("cannot start the tool")?.success())
        })?;
        let run = Verified::read(&line, &report)?;
        if run.held == 0 || (!ended_well && run.failed.is_empty()) {
            verified.failed.push(format!("{line}: it did not come to its checks"));
        }
        verified.held += run.held;
        verified.failed.extend(run.failed);
        verified.skipped.extend(run.skipped);
    }

    let outcome = section("the tests", || {
        let mut tests = cargo(root);
        tests.args(["test", "--workspace", "--no-fail-fast"]);
        tests.env("RUST_TEST_THREADS", &at_once);
        tests.env(SKIPS_FILE, &skips_file).stdout(Stdio::piped());
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

    let mut happened = Skips::happened(&skips_file)?;
    let tests_skipped = happened.count();
    happened.extend(verified.skipped);
    for skip in happened.iter() {
        println!("skipped {skip}");
    }
    let unlisted = happened.without(&listed);
    for skip in unlisted.iter() {
        println!("FAILED: {skip}: this skip does not stand in ci/skips.txt");
    }
    for row in &verified.failed {
        println!("FAILED: {row}");
    }
    let skipped = happened.count() + outcome.ignored;
    let failed = outcome.failed + unlisted.count() + verified.failed.len();
    let passed = outcome.passed.saturating_sub(tests_skipped) + verified.held;
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    Ok(outcome.is_good() && failed == 0 && outcome.ignored == 0)
}

/// cargo, with clippy in the place of rustc for what is ours, and its warnings as errors. It is rustc
/// with more lints; `cargo clippy` would go through everything a second time. What it would keep for
/// the next time that a file has changed costs more here than it is worth, and so does what a debugger
/// wants.
fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    cargo.env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__").env("CARGO_INCREMENTAL", "0");
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo
}

/// How many checks or tests are tried at once: one more than there are processors, since one may wait
/// half a minute for a QEMU that hangs, and a check waits for its guests again and again.
fn at_once() -> String {
    (thread::available_parallelism().map_or(1, usize::from) + 1).to_string()
}

/// The lines that `ci/lines.txt` names, one on each line of it; `#` begins a comment.
fn lines(root: &Path) -> Result<Vec<String>> {
    let path = root.join("ci/lines.txt");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn section<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {what}");
    let start = Instant::now();
    let done = work().with_context(|| format!("failed at {what}"));
    println!("== {what}: {:.0} s", start.elapsed().as_secs_f64());
    done
}
