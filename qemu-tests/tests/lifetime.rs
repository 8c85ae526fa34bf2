//! No QEMU outlives the tool, however the tool ends.

use qemu_tests::{REVISION, tool};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to appear or to go.
const LIMIT: Duration = Duration::from_secs(60);

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "waited {LIMIT:?} in vain for {what}");
        std::thread::yield_now();
    }
}

/// The QEMUs whose parent is `parent`.
fn qemus_of(parent: u32) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let folders = processes.map(|entry| entry.path()).filter(|path| {
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        // `pid (comm) state ppid`; comm is cut at 15 characters.
        let (head, tail) = stat.rsplit_once(')').unwrap_or_default();
        head.contains("(qemu-system-x8") && tail.split(' ').nth(2) == Some(&parent.to_string())
    });
    folders.collect()
}

fn is_gone(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // A zombie waits for whoever inherited it; it runs no more.
    stat.rsplit_once(") ").is_none_or(|(_, tail)| tail.starts_with('Z'))
}

fn run_with_a_qemu(row: &str) -> (Child, Vec<PathBuf>) {
    let mut child = tool()
        .args(["check", REVISION, "--row", row])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let qemus = until("the tool to start a QEMU", || {
        if let Some(status) = child.try_wait().expect("the tool can be waited for") {
            let stderr = child.stderr.take().expect("a pipe");
            let said: Vec<_> = BufReader::new(stderr).lines().map_while(Result::ok).collect();
            panic!("the tool ended with {status} before a QEMU ran: {}", said.join("\n"));
        }
        Some(qemus_of(child.id())).filter(|qemus| !qemus.is_empty())
    });
    (child, qemus)
}

fn end_by(signal: Signal) -> Option<i32> {
    let (mut child, qemus) = run_with_a_qemu("p4.migrate-exec.dirtying");
    let pid = Pid::from_child(&child);
    kill_process(pid, signal).expect("the tool can be signalled");
    let status = child.wait().expect("the tool can be waited for");
    for qemu in &qemus {
        until("QEMU to be gone", || is_gone(qemu).then_some(()));
    }
    status.code()
}

#[test]
fn ctrl_c_ends_every_qemu_and_exits_with_130() {
    assert_eq!(end_by(Signal::INT), Some(130));
}

#[test]
fn a_termination_signal_does_the_same() {
    assert_eq!(end_by(Signal::TERM), Some(130));
}

#[test]
fn sigkill_of_the_tool_takes_its_qemus_along() {
    assert_eq!(end_by(Signal::KILL), None);
}
