//! No QEMU outlives the tool, however the tool ends.

use qemu_tests::{REVISION, tool};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A check that takes a while.
const ROW: &str = "p4.migrate-exec.dirtying";
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

/// The QEMU that `parent` runs for [`ROW`], and the folder of that row. QEMUs that are only asked
/// for their help run elsewhere, and do not count.
fn qemu_of(parent: u32) -> Option<(PathBuf, PathBuf)> {
    let mut processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    processes.find_map(|entry| {
        let process = entry.path();
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        // `pid (comm) state ppid`; comm is cut at 15 characters.
        let (head, tail) = stat.rsplit_once(')')?;
        let is_ours =
            head.contains("(qemu-system-x8") && tail.split(' ').nth(2) == Some(&parent.to_string());
        let folder = fs::read_link(process.join("cwd")).ok().filter(|_| is_ours)?;
        let row = folder.parent().filter(|row| row.ends_with(ROW))?.to_owned();
        Some((process, row))
    })
}

fn is_gone(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // A zombie waits for whoever inherited it; it runs no more.
    stat.rsplit_once(") ").is_none_or(|(_, tail)| tail.starts_with('Z'))
}

fn end_by(signal: Signal) -> Option<i32> {
    let mut child = tool()
        .args(["check", REVISION, "--row", ROW])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let (qemu, row) = until("the tool to start a QEMU", || {
        if let Some(status) = child.try_wait().expect("the tool can be waited for") {
            let stderr = child.stderr.take().expect("a pipe");
            let said: Vec<_> = BufReader::new(stderr).lines().map_while(Result::ok).collect();
            panic!("the tool ended with {status} before a QEMU ran: {}", said.join("\n"));
        }
        qemu_of(child.id())
    });

    kill_process(Pid::from_child(&child), signal).expect("the tool can be signalled");
    let status = child.wait().expect("the tool can be waited for");
    until("QEMU to be gone", || is_gone(&qemu).then_some(()));
    if status.code().is_some() {
        assert!(!row.exists(), "{} is left", row.display());
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
