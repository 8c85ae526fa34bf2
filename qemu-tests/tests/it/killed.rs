//! The tool killed at random moments in every step leaves nothing that the next run does not clean,
//! and the next run succeeds.
//!
//! The source is a small tree that stands for a QEMU ([`qemu_tests::small_tree`]), which would take a
//! day to build 200 times. What is kept, started and checked is the real thing.

use qemu_tests::small_tree::SmallTree;
use qemu_tests::{REVISION, tool};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the tool is killed, in each of two tests that run at once.
const KILLS: usize = 100;
/// How many of these in a row meet the same source, and what the one before them left of it.
const IN_A_ROW: usize = 5;
/// The steps that it is killed in, in turn.
const STEPS: [&str; 5] = ["fetch", "apply", "build stock", "build patched", "check"];
/// Rows with a file on a tmpfs, a mount, and two QEMUs at once.
const MOUNTS: &[&str] = &["p1.option", "p2.tmpfs.killed", "p6.waiting.fuse.pc"];
/// Rows that take a snapshot on a disk, for a second QEMU.
const DISKS: &[&str] = &["p1.option", "p6.mismatch.loadvm.with-to-without"];
/// How long what was killed may take to be gone, and a run to begin a step.
const LIMIT: Duration = Duration::from_secs(60);
/// The variable that marks every process of these runs.
const MARK: &str = "PCRAM_TEST_KILLED";

/// A small deterministic generator (splitmix64), so that a run can be repeated.
struct Random(u64);

impl Random {
    /// A fraction of one.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

struct Stage {
    tree: SmallTree,
    rows: &'static [&'static str],
}

impl Stage {
    fn new(rows: &'static [&'static str]) -> Stage {
        let tree = SmallTree::new();
        fs::create_dir(tree.path("tmp")).unwrap();
        Stage { tree, rows }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.path(name)
    }

    fn command(&self) -> Command {
        let mut command = tool();
        command.args(["verify", REVISION]);
        for row in self.rows {
            command.args(["--row", row]);
        }
        let paths = ["tree", "series", "cache", "json"];
        for name in paths {
            command.arg(format!("--{name}")).arg(self.path(name));
        }
        command.env("TMPDIR", self.path("tmp")).env(MARK, self.tree.dir());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Whether the run under way has told that it begins `step`.
    fn has_begun(&self, step: &str) -> bool {
        let text = fs::read_to_string(self.path("json")).unwrap_or_default();
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.any(|each| each["event"] == "step-started" && each["step"] == step)
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.path("json"));
    }

    /// Runs to the end, and gives how many seconds each step took.
    fn succeeds(&self) -> BTreeMap<String, f64> {
        self.forget();
        let output = self.command().output().unwrap();
        let text = fs::read_to_string(self.path("json")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let how = output.status;
        assert!(how.success(), "the next run ended with {how}:\n{said}{text}");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let finished = events.filter(|each| each["event"] == "step-finished");
        let times = finished.map(|each| {
            (each["step"].as_str().unwrap().to_owned(), each["seconds"].as_f64().unwrap())
        });
        times.collect()
    }

    /// Processes of these runs that still live.
    fn processes(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.tree.dir().display()).into_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|each| each == mark) {
                found.push(fs::read_to_string(entry.path().join("stat")).unwrap_or_default());
            }
        }
        found
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let here = self.tree.dir().to_str().unwrap();
        mounts.lines().filter(|line| line.contains(here)).map(str::to_owned).collect()
    }

    /// What a finished run must not leave: temporary names, folders of checks, sockets.
    fn leftovers(&self) -> Vec<PathBuf> {
        let cache = self.path("cache");
        let mut found = Vec::new();
        let kinds = ["", "sources", "trees", "builds", "python", "runs"];
        let in_store = ["objects.git/objects/pack", "objects.git/applied"];
        for folder in kinds.iter().chain(&in_store).map(|name| cache.join(name)) {
            for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let temporary = name.starts_with(".pcram-tmp-") || name.starts_with("tmp_");
                if temporary || folder.ends_with("runs") {
                    found.push(entry.path());
                }
            }
        }
        let sockets = fs::read_dir(self.path("tmp")).unwrap().filter_map(Result::ok);
        found.extend(sockets.map(|entry| entry.path()));
        found
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited {LIMIT:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// RAM files that these runs, all dead by now, left on the host's tmpfs.
fn on_tmpfs(pids: &[u32]) -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().filter_map(Result::ok);
    let ours = |name: &str| pids.iter().any(|pid| name.starts_with(&format!("pcram-{pid}-")));
    entries.filter(|it| ours(&it.file_name().to_string_lossy())).map(|it| it.path()).collect()
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_some()
}

#[test]
fn killed_at_any_moment_the_next_run_cleans_up_and_succeeds() {
    kill_at_random(2011, MOUNTS);
}

#[test]
fn and_so_it_does_beside_another_that_is_killed() {
    kill_at_random(2026, DISKS);
}

fn kill_at_random(seed: u64, rows: &'static [&'static str]) {
    let stage = Stage::new(rows);
    stage.tree.renew(0);
    let mut times = stage.succeeds();
    let mut random = Random(seed);
    let mut hit: BTreeMap<&str, usize> = BTreeMap::new();
    let mut pids = Vec::new();
    for number in 0..KILLS {
        let step = STEPS[number % STEPS.len()];
        if number % IN_A_ROW == 0 {
            stage.tree.renew(1 + number);
        }
        stage.forget();
        let mut child = stage.command().spawn().unwrap();
        pids.push(child.id());
        until(step, || stage.has_begun(step) || has_ended(&mut child));
        // Anywhere in the step, and a little beyond it.
        std::thread::sleep(Duration::from_secs_f64(times[step] * random.next() * 1.1));
        if !has_ended(&mut child) {
            kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
            *hit.entry(step).or_default() += 1;
        } else if let Some(time) = times.get_mut(step) {
            // It is quicker now than when it was timed: the host is less busy.
            *time *= 0.7;
        }
        child.wait().unwrap();
        until("every process of the killed run to be gone", || stage.processes().is_empty());
        if number % IN_A_ROW == IN_A_ROW - 1 {
            stage.succeeds();
            assert_eq!(stage.mounts(), Vec::<String>::new(), "kill {number}, in {step}");
            assert_eq!(stage.leftovers(), Vec::<PathBuf>::new(), "kill {number}, in {step}");
            assert_eq!(on_tmpfs(&pids), Vec::<PathBuf>::new(), "kill {number}, in {step}");
        }
    }
    // Some kills come too late; most must not.
    for step in STEPS {
        assert!(hit.get(step).is_some_and(|hits| *hits > KILLS / STEPS.len() / 2), "{hit:?}");
    }
}

#[test]
fn what_a_killed_run_leaves_is_seen() {
    let stage = Stage::new(MOUNTS);
    assert_eq!(stage.leftovers(), Vec::<PathBuf>::new());
    let left =
        ["cache/.pcram-tmp-a", "cache/builds/.pcram-tmp-b", "cache/runs/1-1", "tmp/pcram-1-a"];
    for name in left {
        fs::create_dir_all(stage.path(name)).unwrap();
    }
    assert_eq!(stage.leftovers(), left.map(|name| stage.path(name)));

    assert_eq!(stage.processes(), Vec::<String>::new());
    let mut child = Command::new("cat");
    let mut child =
        child.env(MARK, stage.tree.dir()).stdin(Stdio::piped()).spawn().expect("cat starts");
    until("the marked process to be seen", || stage.processes().len() == 1);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(stage.processes(), Vec::<String>::new());
}
