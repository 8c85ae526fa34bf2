//! `pcram stream` reads what a real QEMU wrote, as upstream's own script does.

use pcram::cache::Cache;
use pcram::machine::Machine;
use pcram::machine::binary::Binary;
use pcram::machine::launch::{Launch, opt_value};
use pcram_guests::stamp::{self, PAGE_SIZE, Span};
use pcram_stream::{DeviceState, Reader, RecordKind, Summary};
use qemu_tests::{Told, lines, qemu, qemu_of, run, tool};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::{TempDir, tempdir};

const SEED: u64 = 0x5ee0_000b;
const RAM: u64 = 16 << 20;
/// The page that the guest writes between two streams.
const WRITTEN: u64 = 0x20_3000;

/// Streams and a snapshot of one guest, which was stopped for each: `stream`, then `disk.qcow2`, then,
/// when it had written one page, `later`; and its RAM file where it has one.
struct Left(TempDir);

impl Left {
    fn by(side: &str) -> Left {
        Left::by_qemu(&qemu(side), side)
    }

    fn by_qemu(qemu: &Path, side: &str) -> Left {
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let binary = Binary::probe(qemu).unwrap();
        let mut img = Command::new(binary.path.with_file_name("qemu-img"));
        img.args(["create", "-q", "-f", "qcow2"]).arg(path("disk.qcow2")).arg("1M");
        assert!(img.status().unwrap().success());
        let mut extra = ["-device", "VGA,romfile="].map(str::to_owned).to_vec();
        if side == "patched" {
            File::create(path("ram")).unwrap().set_len(RAM).unwrap();
            extra.extend(["-pcram-file".to_owned(), opt_value(&path("ram"))]);
        }
        let launch = Launch { disk: Some("disk.qcow2".into()), extra, ..Launch::default() };
        let mut machine = Machine::start(&binary, &launch.with_ram(RAM), folder.path()).unwrap();
        machine.guest.ready().unwrap();
        machine.guest.seed(SEED, 0).unwrap();
        machine.guest.stamp().unwrap();
        machine.stop().unwrap();
        let migrate = |machine: &mut Machine, name: &str| {
            machine.migrate(&format!("exec:cat > {name}")).unwrap();
            machine.migrated(|_| Ok(())).unwrap();
        };
        let said = machine.qmp.human("savevm then").unwrap();
        assert!(said.is_empty() || said.starts_with("warning: RAM block 'pc.ram'"), "{said}");
        migrate(&mut machine, "stream");
        machine.cont().unwrap();
        machine.guest.seed(SEED, 2).unwrap();
        machine.guest.stamp_spans(&[Span::whole(WRITTEN, WRITTEN + PAGE_SIZE as u64)]).unwrap();
        machine.stop().unwrap();
        migrate(&mut machine, "later");
        machine.kill().unwrap();
        Left(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// What a step noted.
fn notes<'a>(told: &'a Told, step: &str) -> Vec<&'a str> {
    let notes = told.of("note").filter(|note| note["step"] == step);
    notes.map(|note| note["text"].as_str().unwrap()).collect()
}

fn line<'a>(lines: &[&'a str], begin: &str) -> &'a str {
    lines
        .iter()
        .find(|line| line.starts_with(begin))
        .unwrap_or_else(|| panic!("{begin}: {lines:?}"))
}

#[test]
fn a_stream_and_a_snapshot_are_read_held_against_each_other_and_a_block_is_taken_out() {
    let left = Left::by("stock");
    let told = run(&["stream", &left.path("stream")]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let lines = notes(&told, "stream");
    line(&lines, "machine pc-i440fx-10.0");
    line(
        &lines,
        "pc.ram: 16777216 bytes, 4096 of 4096 pages, by 4096 records: 4064 full, 32 filled",
    );
    assert!(lines.iter().any(|line| line.contains(": timer, instance 0, version 2, 24 bytes")));

    let told = run(&["stream", &left.path("stream"), "--diff", &left.path("disk.qcow2")]);
    let lines = notes(&told, "diff");
    line(&lines, "pc.ram: all 4096 pages are the same");
    let told = run(&["stream", &left.path("stream"), "--diff", &left.path("stream")]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let (stream, later) = (left.path("stream"), left.path("later"));
    let told = run(&["stream", &stream, "--diff", &later, "--block", "pc.ram"]);
    assert_eq!(told.code(), Some(1), "{}", told.text());
    assert_eq!(notes(&told, "diff"), ["pc.ram: 1 pages differ: 0x203000-0x204000"]);

    let out = left.path("out");
    let told = run(&["stream", &left.path("disk.qcow2"), "--extract", "pc.ram", "--to", &out]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let ram = fs::read(&out).unwrap();
    assert_eq!(ram.len() as u64, RAM);
    let pages = ram.chunks(PAGE_SIZE).zip((0..).step_by(PAGE_SIZE));
    // The first MiB has windows that the guest does not write.
    let stamped = pages.filter(|(page, at)| stamp::matches(page, *at, SEED, 1)).count();
    assert!(stamped >= 3840, "{stamped} pages have their stamp");
    let again = run(&["stream", &left.path("stream"), "--extract", "pc.ram", "--to", &out]);
    assert_eq!(again.code(), Some(2), "{}", again.text());
    assert!(again.text().contains("name a new file"), "{}", again.text());
    let none = run(&["stream", &left.path("stream"), "--extract", "ram", "--to", &out]);
    assert_eq!(none.code(), Some(2), "{}", none.text());
    assert!(
        none.text().contains("it has no RAM block ram; there are: pc.ram, "),
        "{}",
        none.text()
    );
    assert_eq!(fs::read(&out).unwrap(), ram, "what was there stays");
}

#[test]
fn pages_that_are_left_out_are_missed_and_what_is_damaged_is_told_with_all_before_it() {
    let (left, stock) = (Left::by("patched"), Left::by("stock"));
    let told = run(&["stream", &left.path("stream"), "--diff", &stock.path("stream")]);
    assert_eq!(told.code(), Some(1), "{}", told.text());
    line(&notes(&told, "diff"), "pc.ram: 4096 pages are only in the second: 0x0-0x1000000");
    line(&notes(&told, "diff"), "external RAM: pc.ram in the first, none in the second");
    line(&notes(&told, "stream"), "external RAM: pc.ram");

    let whole = fs::read(stock.path("stream")).unwrap();
    let short = stock.path("short");
    fs::write(&short, &whole[..whole.len() / 2]).unwrap();
    let told = run(&["stream", &short]);
    assert_eq!(told.code(), Some(2), "{}", told.text());
    let half = notes(&told, "stream");
    let pages = line(&half, "pc.ram: 16777216 bytes, ");
    assert!(!pages.contains(" 4096 of"), "{pages}");
    let text = told.text();
    assert!(text.contains("of the stream: expected") && text.contains("bytes are left"), "{text}");
    assert!(text.contains(&short), "{text}");

    // By standard input, which cannot be read twice.
    let mut child = tool();
    child.args(["stream", "-", "--diff", &stock.path("stream")]);
    child.stdin(File::open(stock.path("stream")).unwrap()).stdout(Stdio::piped());
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let bad = run(&["stream", &left.path("disk.qcow2"), "--snapshot", "never"]);
    assert_eq!(bad.code(), Some(2));
    assert!(bad.text().contains("no snapshot never with a VM state; there are: then (id 1)"));
}

/// Upstream's reader, of the source that the stock QEMU was built from, written to `to`.
fn script(revision: &str, to: &Path) {
    let told = run(&["build", revision]);
    let step = told.of("step-finished").find(|each| each["step"] == "build stock").unwrap();
    let figure = step["evidence"].as_array().unwrap().iter().find(|it| it["name"] == "tree");
    let tree = figure.expect("the tree")["value"].as_str().unwrap();
    let store = Cache::open(None).unwrap().root().join("objects.git");
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(store).arg("show").arg(format!("{tree}:scripts/analyze-migration.py"));
    let output = git.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::write(to, output.stdout).unwrap();
}

/// Has upstream's script write out the RAM blocks of a stream, and list its sections. Its own -x
/// ends in an error under Python 3, since it writes text to a file that it opened for bytes; so its
/// classes are asked.
const ANALYZE: &str = "
import runpy, sys
script, stream = sys.argv[1:]
sys.argv = [script, '-f', stream, '-d', 'desc']
sys.stdout = open('/dev/null', 'w')
dump = runpy.run_path(script)['MigrationDump'](stream)
dump.read(write_memory=True)
sys.stdout = sys.__stdout__
for number, section in dump.sections.items():
    print('section', number, *section.section_key)
for name in dump.sections[[n for n, s in dump.sections.items() if s.section_key[0] == 'ram'][0]].files:
    print('block', name)
";

#[test]
fn upstreams_script_reads_the_same_on_each_line() {
    lines().iter().for_each(|line| script_reads_the_same(line));
}

fn script_reads_the_same(revision: &str) {
    let left = Left::by_qemu(&qemu_of(revision, "stock"), "stock");
    let aside = left.0.path().join("script");
    fs::create_dir(&aside).unwrap();
    let mut python = Command::new("python3");
    script(revision, &aside.join("analyze-migration.py"));
    python
        .args(["-c", ANALYZE])
        .arg("analyze-migration.py")
        .arg(left.path("stream"))
        .current_dir(&aside);
    let output = python.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let blocks: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("block ")).collect();
    assert!(
        blocks.contains(&"pc.ram") && blocks.contains(&"0000:00:02.0/vga.vram"),
        "{revision}: {blocks:?}"
    );
    for (at, block) in blocks.iter().enumerate() {
        let ours = left.path(&format!("ours-{at}"));
        let told = run(&["stream", &left.path("stream"), "--extract", block, "--to", &ours]);
        assert_eq!(told.code(), Some(0), "{}", told.text());
        let (ours, theirs) =
            (fs::read(ours).unwrap(), fs::read(aside.join(block.trim_start_matches('/'))).unwrap());
        assert!(ours == theirs, "{revision}, {block}: {} and {} bytes", ours.len(), theirs.len());
    }

    let bytes = fs::read(left.path("stream")).unwrap();
    let summary = Summary::read(bytes.as_slice()).unwrap();
    let devices = pcram_stream::diff::sections(&summary.device_state).iter();
    let ours: BTreeMap<_, _> = devices
        .map(|it| (it.header.id, format!("{} {}", it.header.idstr, it.header.instance)))
        .collect();
    let sections = said.lines().filter_map(|line| line.strip_prefix("section "));
    let theirs = sections.map(|line| line.split_once(' ').unwrap());
    let theirs: BTreeMap<u32, _> = theirs
        .map(|(id, name)| (id.parse().unwrap(), name.to_owned()))
        .filter(|it| it.1 != "ram 0")
        .collect();
    assert_eq!(ours, theirs, "{revision}");
}

#[test]
fn what_cannot_be_held_against_each_other_page_by_page_is_no_silent_match() {
    let left = Left::by("stock");
    let whole = fs::read(left.path("stream")).unwrap();
    let summary = Summary::read(whole.as_slice()).unwrap();
    let DeviceState::Examined { sections, description } = &summary.device_state else {
        panic!("{:?}", summary.device_state);
    };
    let made = |name: &str, bytes: &[u8]| {
        fs::write(left.path(name), bytes).unwrap();
        left.path(name)
    };
    // Without its VM description, nothing tells the devices apart.
    let untold = &whole[..whole.len() - 5 - description.len()];
    let mut other = untold.to_vec();
    other[sections[0].content().0 as usize] ^= 1;
    let (one, other) = (made("untold", untold), made("other", &other));
    assert_eq!(run(&["stream", &one, "--diff", &one]).code(), Some(0));
    let told = run(&["stream", &one, "--diff", &other]);
    assert_eq!(told.code(), Some(1), "{}", told.text());
    line(
        &notes(&told, "diff"),
        "the devices' state, which nothing in a stream tells apart, differs",
    );

    let mut reader = Reader::new(whole.as_slice());
    let end = loop {
        let record = reader.next_record().unwrap().expect("a section's end");
        if record.kind == RecordKind::EndOfSection {
            break record.offset.0 as usize;
        }
    };
    let flush = 0x200_u64.to_be_bytes();
    let elsewhere = made("elsewhere", &[&whole[..end], &flush, &whole[end..]].concat());
    let out = left.path("out");
    for words in [["--diff", &one, "--block", "pc.ram"], ["--extract", "pc.ram", "--to", &out]] {
        let told = run(&[&["stream", elsewhere.as_str()], &words[..]].concat());
        assert_eq!(told.code(), Some(2), "{}", told.text());
        assert!(told.text().contains("its pages are on multifd channels"), "{}", told.text());
    }
    assert!(!Path::new(&out).exists());
}
