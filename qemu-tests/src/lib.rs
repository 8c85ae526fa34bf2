//! The tool as tests that need a QEMU run it: as a process of its own, read through its JSON.

pub mod small_tree;

use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The revision that the tests run on.
pub const REVISION: &str = "10.0";

/// The tool, with the cache that everybody uses: it is warm where somebody ran it before.
pub fn tool() -> Command {
    let mut folder = std::env::current_exe().expect("a test has a path");
    // The test lies in target/PROFILE/deps, the tool in target/PROFILE.
    folder.pop();
    folder.pop();
    let tool = folder.join("pcram");
    assert!(tool.is_file(), "{} is not built; run `cargo test --workspace`", tool.display());
    let mut command = Command::new(tool);
    command.current_dir(root());
    command
}

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What a run of the tool told, and how it ended.
#[derive(Debug)]
pub struct Told {
    /// Its exit code, and what it printed.
    pub output: Output,
    /// Its events.
    pub events: Vec<Value>,
}

/// Runs the tool with `args`, and takes what it tells.
pub fn run(args: &[&str]) -> Told {
    run_in(&[], args)
}

/// The same, with variables set in its environment.
pub fn run_in(variables: &[(&str, &str)], args: &[&str]) -> Told {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("events");
    let mut tool = tool();
    tool.envs(variables.iter().copied()).args(args).arg("--json").arg(&json);
    let output = tool.output().expect("the tool starts");
    let text = std::fs::read_to_string(&json).unwrap_or_default();
    let events = text.lines().map(|line| serde_json::from_str(line).expect("an event is JSON"));
    Told { events: events.collect(), output }
}

/// What does not hold leaves its folder, RAM files and streams in it: gigabytes, which nobody wants but
/// where the test fails.
impl Drop for Told {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.remove_folders();
        }
    }
}

impl Told {
    /// Removes what the rows left; for one that is never dropped.
    pub fn remove_folders(&self) {
        let folders = self.of("row").filter_map(|row| row["folder"].as_str());
        folders.for_each(|folder| _ = std::fs::remove_dir_all(folder));
    }

    /// The exit code.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// The row of this name.
    pub fn row(&self, id: &str) -> &Value {
        let row = self.of("row").find(|event| event["id"] == id);
        row.unwrap_or_else(|| panic!("no row {id} in:\n{}", self.text()))
    }

    /// The verdict of the row of this name.
    pub fn verdict(&self, id: &str) -> &str {
        self.row(id)["verdict"].as_str().expect("a verdict is a string")
    }

    /// The folder that the row of this name left.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.row(id)["folder"].as_str().expect("the row left a folder").into()
    }

    /// The events of one kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["event"] == kind)
    }

    /// All that was printed.
    pub fn text(&self) -> String {
        let Output { stdout, stderr, .. } = &self.output;
        format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
    }
}

/// The lines on which CI tries every check (ci/lines.txt).
pub fn lines() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("ci/lines.txt")).expect("the list of lines");
    let names = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<_> = names.map(str::to_owned).collect();
    assert!(lines.iter().any(|line| line == REVISION), "{lines:?}");
    lines
}

/// The QEMU that the tool built, `stock` or `patched`; built now where it was not.
pub fn qemu(side: &str) -> PathBuf {
    qemu_of(REVISION, side)
}

/// The same of another revision.
pub fn qemu_of(revision: &str, side: &str) -> PathBuf {
    let told = run(&["build", revision]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let step = format!("build {side}");
    let step = told.of("step-finished").find(|each| each["step"] == step).expect("the step");
    let mut evidence = step["evidence"].as_array().expect("a list").iter();
    let figure = evidence.find(|figure| figure["name"] == "qemu-system-x86_64").expect("its path");
    figure["value"].as_str().expect("a string").into()
}

/// Tells that the test `name` is skipped, and why; the test then returns. `cargo ci` holds the
/// skips against `ci/skips.txt`.
pub fn skip(name: &str, reason: &str) {
    eprintln!("skipped {name}: {reason}");
    if let Some(path) = std::env::var_os("PCRAM_SKIPS_FILE") {
        let file = File::options().append(true).create(true).open(path);
        // As a whole: another test may tell of its own at the same moment.
        let line = format!("{name}: {reason}\n");
        file.expect("the list of skips").write_all(line.as_bytes()).expect("a skip is told");
    }
}

/// A copy of the carried series, with further patches of `qemu-tests/damage` on top.
pub fn damaged_series(patches: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let carried = root().join("patches").join(REVISION);
    for entry in std::fs::read_dir(&carried).expect("the carried series") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, folder.path().join(path.file_name().expect("a name")))
            .expect("a copy");
    }
    copy_checks(folder.path());
    let list = folder.path().join("series");
    let mut series = std::fs::read_to_string(&list).expect("the series file");
    for patch in patches {
        let from = root().join("qemu-tests/damage").join(patch);
        std::fs::copy(from, folder.path().join(patch)).expect("a copy of the damage");
        series.push_str(patch);
        series.push('\n');
    }
    std::fs::write(list, series).expect("the series file is written");
    folder
}

/// Copies the promises and checks into the folder of a series.
pub fn copy_checks(series: &Path) {
    let patches = root().join("patches");
    let copy = |from: &Path, to: PathBuf| std::fs::copy(from, to).expect("a copy of the checks");
    copy(&patches.join("checks.toml"), series.join("checks.toml"));
    let included = series.join("checks");
    std::fs::create_dir(&included).expect("a folder for the checks");
    for entry in std::fs::read_dir(patches.join("checks")).expect("the included checks") {
        let path = entry.expect("an entry").path();
        copy(&path, included.join(path.file_name().expect("a name")));
    }
}
