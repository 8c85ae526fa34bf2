//! `boot`: a QEMU in front of a user, who is a pair of pipes here.

use qemu_tests::{qemu, tool};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

static PATCHED: LazyLock<PathBuf> = LazyLock::new(|| qemu("patched"));

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The tool with a QEMU in front of the test.
struct Front {
    cache: TempDir,
    tool: Child,
    keys: ChildStdin,
    lines: Receiver<String>,
}

impl Front {
    /// Boots the bare guest, and waits until it is up.
    fn boot(args: &[&str]) -> Front {
        let cache = tempfile::tempdir().unwrap();
        let mut command = tool();
        command.args(["boot", "--bare", "--cache"]).arg(cache.path()).arg("--qemu").arg(&*PATCHED);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut tool = command.spawn().expect("the tool starts");
        let (keys, out) = (tool.stdin.take().unwrap(), tool.stdout.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Front { cache, tool, keys, lines }
    }

    /// The next line that contains `text`.
    fn line(&self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("no line with {text:?}: {error}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("QEMU reads keys");
    }

    /// What is left of this run in the cache.
    fn left(&self) -> usize {
        fs::read_dir(self.cache.path().join("runs")).unwrap().count()
    }
}

/// The RAM file of a QEMU's command line.
fn ram_file(command_line: &str) -> PathBuf {
    let mut words = command_line.split(' ').skip_while(|word| *word != "-pcram-file");
    PathBuf::from(words.nth(1).expect("a RAM file"))
}

/// Whether a process has `path` on its command line.
fn is_used(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    let mut processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(path)
    })
}

#[test]
fn the_guest_answers_its_ram_is_in_the_file_and_all_goes_with_qemu() {
    let mut front = Front::boot(&[]);
    let ram = ram_file(&front.line(" -pcram-file "));
    front.line("ready ");
    assert_eq!(ram.metadata().unwrap().len(), 64 << 20);
    front.press("p");
    front.line("pong");
    front.press("\x01c");
    front.line("monitor - type 'help'");
    front.press("\x01x");
    front.line("QEMU has ended");
    assert_eq!(front.tool.wait().unwrap().code(), Some(0));
    assert!(!ram.exists());
    assert_eq!(front.left(), 0);
}

#[test]
fn a_file_of_the_users_is_its_ram_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    let content: Vec<u8> = (0..16 << 20).map(|at: u32| (at % 251) as u8).collect();
    fs::write(&mine, &content).unwrap();
    let mut front = Front::boot(&["--ram-file", mine.to_str().unwrap()]);
    assert!(front.line("RAM file: ").contains("16.00 MiB, yours"));
    assert_eq!(ram_file(&front.line(" -m 16 ")), mine);
    assert!(front.line("ready ").contains("below=0000000001000000"));
    front.press("\x01x");
    assert_eq!(front.tool.wait().unwrap().code(), Some(0));
    assert!(fs::read(&mine).unwrap() == content, "the file has changed");
}

#[test]
fn keep_keeps_what_was_made_and_more_arguments_reach_qemu() {
    let mut front = Front::boot(&["--keep", "--ram-mib", "8", "--", "-name", "mine"]);
    let line = front.line(" -pcram-file ");
    assert!(line.ends_with(" -name mine"), "{line}");
    front.line("ready ");
    front.press("\x01x");
    assert_eq!(front.tool.wait().unwrap().code(), Some(0));
    assert_eq!(ram_file(&line).metadata().unwrap().len(), 8 << 20);
}

#[test]
fn a_qemu_that_refuses_is_an_error() {
    let mut front = Front::boot(&["--", "-m", "7"]);
    assert_eq!(front.tool.wait().unwrap().code(), Some(6));
    assert_eq!(front.left(), 0);
}

/// Ends the tool by a signal, and waits until its QEMU is gone.
fn end_by(signal: Signal) -> (Option<i32>, usize) {
    let mut front = Front::boot(&[]);
    let ram = ram_file(&front.line(" -pcram-file "));
    front.line("ready ");
    assert!(is_used(&ram));
    kill_process(Pid::from_child(&front.tool), signal).unwrap();
    let code = front.tool.wait().unwrap().code();
    let end = Instant::now() + LIMIT;
    while is_used(&ram) {
        assert!(Instant::now() < end, "QEMU outlives the tool");
        thread::yield_now();
    }
    let left = front.left();
    if signal == Signal::KILL {
        // The next run cleans up.
        tool().arg("cache").arg("--cache").arg(front.cache.path()).output().unwrap();
        assert_eq!(front.left(), 0);
    }
    (code, left)
}

#[test]
fn a_signal_takes_qemu_and_all_that_was_made_along() {
    let (code, left) = end_by(Signal::TERM);
    assert_eq!(code, Some(130));
    // The run's own folder is empty, and goes with the next run.
    assert!(left <= 1, "{left} are left");
}

#[test]
fn not_even_sigkill_leaves_a_qemu_behind() {
    assert_eq!(end_by(Signal::KILL).0, None);
}
