//! Bad input and bad days: each ends in a clear error with its exit code, and nothing is lost.

use qemu_tests::small_tree::{Programs, SmallTree};
use qemu_tests::{REVISION, Told, root, run, skip, tool};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(90);

fn text(output: &Output) -> String {
    let Output { stdout, stderr, .. } = output;
    format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}

/// The words that verify the small tree, but for the cache.
fn verify(small: &SmallTree, rows: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = ["verify", REVISION].map(str::to_owned).to_vec();
    for name in ["tree", "series"] {
        words.extend([format!("--{name}"), small.path(name).display().to_string()]);
    }
    words.extend(rows.iter().flat_map(|row| ["--row".to_owned(), (*row).to_owned()]));
    words
}

/// Runs a line of shell in a mount namespace of its own, where it may mount what it likes: all of
/// that goes with it. `$0` is the tool, `$@` its words. `None` where the host does not allow it.
fn in_a_namespace(script: &str, words: &[String]) -> Option<Output> {
    let allowed = Command::new("unshare").args(["--mount", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let tool = tool();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script]).arg(tool.get_program()).args(words);
    Some(command.current_dir(root()).output().unwrap())
}

#[test]
fn a_full_disk_is_told_and_with_room_the_next_run_succeeds() {
    let small = SmallTree::new();
    let cache = small.path("cache");
    fs::create_dir(&cache).unwrap();
    // More than the disk has: what is imported does not compress.
    let mut noise = vec![0; 24 << 20];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    fs::write(small.path("tree/noise"), &noise).unwrap();
    let mount =
        format!("mount -t tmpfs -o size=16m full {0}; export PCRAM_CACHE={0}", cache.display());
    let script = format!(
        "{mount}; \"$0\" \"$@\" || status=$?; rm -f {}/noise; \"$0\" \"$@\"; exit $status",
        small.path("tree").display()
    );
    // Only the source: a build of QEMU is refused for want of room before it begins.
    let tree = small.path("tree").display().to_string();
    let words = ["fetch", REVISION, "--tree", &tree].map(str::to_owned);
    let Some(output) = in_a_namespace(&script, &words) else {
        return skip("a_full_disk_is_told", "no mount namespaces here");
    };
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let is_told = said.contains("No space left on device") || said.contains("Out of diskspace");
    assert!(is_told, "{said}");
    assert!(
        said.contains("exit 0: all held") || said.contains("as it is now ("),
        "with room: {said}"
    );
}

#[test]
fn an_unwritable_cache_is_named() {
    let small = SmallTree::new();
    let cache = small.path("cache");
    fs::create_dir(&cache).unwrap();
    let script = format!(
        "mount -t tmpfs -o ro empty {0}; export PCRAM_CACHE={0}; exec \"$0\" \"$@\"",
        cache.display()
    );
    let Some(output) = in_a_namespace(&script, &verify(&small, &["p1.option"])) else {
        return skip("an_unwritable_cache_is_named", "no mount namespaces here");
    };
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("cannot be written to: Read-only file system"),
        "{}",
        text(&output)
    );
}

#[test]
fn without_a_network_the_source_that_is_missing_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let fetch = || {
        let mut command = tool();
        command.args(["fetch", REVISION, "--source", "package", "--cache"]).arg(cache.path());
        command
    };
    let offline = fetch().arg("--offline").output().unwrap();
    assert_eq!(offline.status.code(), Some(3), "{}", text(&offline));
    assert!(text(&offline).contains("nothing is fetched here"), "{}", text(&offline));

    let tool = fetch();
    let mut command = Command::new("unshare");
    command.args(["--net"]).arg(tool.get_program()).args(tool.get_args()).current_dir(root());
    let output = command.output().unwrap();
    if text(&output).contains("unshare: unshare failed") {
        return skip("without_a_network", "no network namespaces here");
    }
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("there is no qemu 10.0 to be had"), "{}", text(&output));
}

/// What a proxy does to the .dsc that passes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    Truncate,
    Corrupt,
}

/// A proxy on the loopback that passes everything on, and harms each .dsc. The one thing that is
/// made up here is the harm.
fn harmful_proxy(harm: Harm) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || pass_on(client, harm));
        }
    });
    port
}

/// One request and its answer; then the connection ends, which HTTP allows.
fn pass_on(mut client: TcpStream, harm: Harm) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let url = head.split(' ').nth(1)?.strip_prefix("http://")?.to_owned();
    let (host, path) = url.split_once('/')?;
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut server = TcpStream::connect(address).ok()?;
    let rest = head.split_once("\r\n")?.1.replace("Connection: keep-alive\r\n", "");
    write!(server, "GET /{path} HTTP/1.1\r\nConnection: close\r\n{rest}").ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    if path.ends_with(".dsc") {
        let length = answer.len();
        match harm {
            Harm::Truncate => answer.truncate(length - 100),
            Harm::Corrupt => answer[length - 100] ^= 1,
        }
    }
    client.write_all(&answer).ok()
}

#[test]
fn a_download_that_is_truncated_or_corrupt_is_refused_and_leaves_nothing() {
    for harm in [Harm::Truncate, Harm::Corrupt] {
        let cache = tempfile::tempdir().unwrap();
        let mut fetch = tool();
        fetch.args(["fetch", REVISION, "--source", "package", "--cache"]).arg(cache.path());
        fetch.env("http_proxy", format!("http://127.0.0.1:{}", harmful_proxy(harm)));
        let output = fetch.output().unwrap();
        let said = text(&output);
        if said.contains("there is no qemu 10.0 to be had") && !said.contains("does not download") {
            return skip(
                "a_download_that_is_truncated_or_corrupt",
                "no site of apt's answers through a proxy",
            );
        }
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("does not download"), "{said}");
        assert_eq!(fs::read_dir(cache.path().join("sources")).unwrap().count(), 0);
    }
}

#[test]
fn a_cache_of_another_layout_is_left_alone() {
    let cache = tempfile::tempdir().unwrap();
    fs::write(cache.path().join("layout"), "99\n").unwrap();
    let told = run(&["list", "--cache", cache.path().to_str().unwrap()]);
    assert_eq!(told.code(), Some(3), "{}", told.text());
    assert!(told.text().contains("layout version \"99\""), "{}", told.text());
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
}

/// A folder with a QEMU in it that answers as the patched one does, but runs `then` in its place
/// where it is to run a machine.
fn wrapper(patched: &Path, then: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qemu-system-x86_64");
    let script = format!(
        "#!/bin/sh\nQEMU={}\ncase \" $* \" in *' chardev=monitor,mode=control '*) {then};; \
         *) exec \"$QEMU\" \"$@\";; esac\n",
        patched.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

/// Checks the QEMU at `path` with one row that must run a machine.
fn check(path: &Path) -> Told {
    run(&["check", REVISION, "--row", "p2.visible.running", "--qemu", path.to_str().unwrap()])
}

fn broken(told: &Told, reason: &str) {
    assert_eq!(told.code(), Some(6), "{}", told.text());
    let row = told.row("p2.visible.running");
    assert_eq!(row["verdict"], "broken", "{row}");
    assert!(row["summary"].as_str().unwrap().contains(reason), "{row}");
}

#[test]
fn a_qemu_that_crashes_breaks_the_row_and_is_told() {
    let Programs { patched, .. } = Programs::built();
    // The real QEMU, which gets a real SIGSEGV once it has connected its monitor.
    let crash = "\"$QEMU\" \"$@\" & child=$!; until grep -q QMP monitor.log 2>/dev/null; do :; done; \
                 kill -SEGV $child; wait $child; exit";
    let (_folder, path) = wrapper(&patched, crash);
    broken(&check(&path), "QEMU closed its");
}

#[test]
fn a_qemu_that_hangs_is_ended_after_its_limit() {
    let Programs { patched, .. } = Programs::built();
    let hang = "\"$QEMU\" \"$@\" & child=$!; until grep -q QMP monitor.log 2>/dev/null; do :; done; \
                kill -STOP $child; echo $child > child; wait $child; exit";
    let (_folder, path) = wrapper(&patched, hang);
    let told = check(&path);
    broken(&told, "in vain for");
    let child = fs::read_to_string(told.folder("p2.visible.running").join("child")).unwrap();
    assert!(ends(child.trim().parse().unwrap()), "it still runs");
}

/// Whether the process ends within the limit. It is nobody's child here: the kernel may still be
/// taking down what was killed when the tool is done.
fn ends(pid: i32) -> bool {
    let pid = Pid::from_raw(pid).unwrap();
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => true,
        process => {
            let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
            let process = process.unwrap();
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap() == 1
        }
    }
}

/// A mock: no QEMU can be brought to flood its monitor. It connects to the monitor's socket as
/// QEMU does, and writes events without end.
const FLOOD: &str = r#"exec python3 -c '
import re, socket, sys
path = re.search("id=monitor,path=([^ ]*)", " ".join(sys.argv)).group(1)
def connect(path):
    s = socket.socket(socket.AF_UNIX); s.connect(path); return s
monitor = connect(path)
others = [connect(path.replace("monitor", name)) for name in ("debug", "serial")]
monitor.sendall(b"{\"QMP\": {}}\n")
event = b"{\"event\": \"X\", \"data\": {\"text\": \"" + b"x" * 1000 + b"\"}}\n"
while True: monitor.sendall(event * 64)
' "$@""#;

#[test]
fn a_monitor_that_floods_ends_the_wait_at_its_limit_and_costs_little_memory() {
    let Programs { patched, .. } = Programs::built();
    let (folder, path) = wrapper(&patched, FLOOD);
    let cache = folder.path().join("cache");
    let mut command = tool();
    command.args(["check", REVISION, "--row", "p2.visible.running", "--qemu"]).arg(&path);
    command.arg("--cache").arg(&cache).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = Path::new("/proc").join(child.id().to_string()).join("status");
    let (mut most, end) = (0, Instant::now() + LIMIT);
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if Instant::now() > end {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            panic!("it still waits");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(6));
    assert!(most > 0 && most < 512 << 10, "it took {most} KiB");
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let small = SmallTree::new();
    let cache = small.path("cache").display().to_string();
    let words =
        [verify(&small, &["p1.option", "p2.visible.killed"]), vec!["--cache".into(), cache]];
    let words = words.concat();
    let start = || {
        let mut command = tool();
        command.args(&words).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let both = [start(), start(), start()];
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}
