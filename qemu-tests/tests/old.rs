//! QEMUs of 2011, built on a machine of today, and spoken to by the same machine layer.
//!
//! No distribution has them any more. They are tried where the cache holds their source, or where
//! `PCRAM_GIT_URL` names a git that has them.

use pcram::machine::Machine;
use pcram::machine::binary::Binary;
use pcram::machine::incoming::Arrival;
use pcram::machine::launch::Launch;
use pcram::machine::offers::Offers;
use pcram_stream::{DeviceState, Summary, qcow2};
use qemu_tests::{Told, run, skip};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::tempdir;

/// The environment variable that names a git with QEMU's history.
const GIT_URL: &str = "PCRAM_GIT_URL";
const LIMIT: Duration = Duration::from_secs(60);
const SEED: u64 = 0x5ee0_0011;
/// The pages of a machine with 64 MiB.
const PAGES: u64 = 64 << 8;
const DISK: &str = "disk.qcow2";

/// Changes nothing that is compiled, so that the patched QEMU is the stock one again.
const SERIES: &str = "\
Subject: [PATCH] README: Greet the reader

It is read seldom.
---
diff --git a/README b/README
--- a/README
+++ b/README
@@ -1,3 +1,3 @@
-Read the documentation in qemu-doc.html.
+Please read the documentation in qemu-doc.html.
 
 Fabrice Bellard.
";

/// The stock QEMU of a revision, built where it was not; none, having told so, where nobody has its
/// source. The second one is the qemu-img beside it.
fn stock(revision: &str, test: &str) -> Option<(Binary, PathBuf)> {
    let series = tempdir().unwrap();
    fs::write(series.path().join("series"), "readme.patch\n").unwrap();
    fs::write(series.path().join("readme.patch"), SERIES).unwrap();
    let git = std::env::var(GIT_URL).unwrap_or_default();
    let told = |command: &str| -> Told {
        let mut args = vec![command, revision, "--series", series.path().to_str().unwrap()];
        if !git.is_empty() {
            args.extend(["--git-url", &git]);
        }
        run(&args)
    };
    let fetched = told("fetch");
    if fetched.code() == Some(3) {
        let why = format!("the cache does not have QEMU {revision}, and ${GIT_URL} names no git");
        skip(test, &why);
        return None;
    }
    assert_eq!(fetched.code(), Some(0), "{}", fetched.text());
    let built = told("build");
    assert_eq!(built.code(), Some(0), "{}", built.text());
    let figure = |step: &str, name: &str| {
        let step = built.of("step-finished").find(|each| each["step"] == step).unwrap();
        let mut evidence = step["evidence"].as_array().unwrap().iter();
        let figure = evidence.find(|figure| figure["name"] == name).unwrap();
        figure["value"].as_str().unwrap().to_owned()
    };
    assert_ne!(figure("build stock", "tree"), figure("build patched", "tree"));
    let qemu = PathBuf::from(figure("build stock", "qemu-system-x86_64"));
    Some((Binary::probe(&qemu).unwrap(), qemu.with_file_name("qemu-img")))
}

/// A machine with a stamped guest that counts, in `folder`.
fn counting(binary: &Binary, folder: &Path, launch: &Launch) -> Machine {
    let mut machine = Machine::start(binary, launch, folder).unwrap();
    let layout = machine.guest.ready().unwrap();
    assert_eq!((layout.below_4g, layout.above_4g), (64 << 20, 0));
    machine.guest.seed(SEED, 1).unwrap();
    machine.guest.stamp().unwrap();
    machine.guest.count().unwrap();
    assert!(machine.guest.counting().unwrap() < machine.guest.counting().unwrap());
    machine
}

/// A machine in `folder` that waits for its stream.
fn waiting(binary: &Binary, folder: &Path) -> Machine {
    let extra = ["-incoming", "defer"].map(str::to_owned).to_vec();
    let launch = Launch { extra, ..Launch::default() };
    Machine::start(binary, &launch, folder).unwrap()
}

/// Sees the guest go on counting from where it was, ends that, and finds its pages as they were.
fn goes_on(machine: &mut Machine, from: u64) {
    // It may have been stopped in the middle of a report.
    machine.guest.counting().unwrap();
    assert!(machine.guest.counted().unwrap() > from);
    let found = machine.guest.find().unwrap();
    assert!(found.all() && found.pages == PAGES, "{found:?}");
}

/// All of RAM is in the stream, and behind it are devices that have names.
fn is_whole(stream: &[u8]) {
    let summary = Summary::read(stream).unwrap();
    assert_eq!(summary.pages_of("pc.ram"), Some(PAGES));
    assert!(summary.blocks.iter().all(|block| summary.is_whole(&block.idstr) == Some(true)));
    let DeviceState::Listed { sections } = summary.device_state else {
        panic!("{:?}", summary.device_state);
    };
    let names: Vec<_> = sections.iter().map(|it| it.header.idstr.as_str()).collect();
    assert!(names.contains(&"cpu") && names.contains(&"timer"), "{names:?}");
}

fn does_all_that(revision: &str, test: &str) {
    let Some((binary, qemu_img)) = stock(revision, test) else { return };
    let offers = Offers::of(&binary.path).unwrap();
    assert!(offers.machines.contains("isapc") && offers.devices.contains("VGA"), "{offers:?}");
    assert_eq!(offers.in_full("pc"), "pc-1.0");
    assert!(offers.capabilities.is_empty(), "{offers:?}");

    let folder = tempdir().unwrap();
    let of = |name: &str| {
        let dir = folder.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let source = of("source");
    let mut create = Command::new(qemu_img);
    create.args(["create", "-f", "qcow2", DISK, "1M"]).current_dir(&source);
    assert!(create.output().unwrap().status.success());
    let launch = Launch { disk: Some(DISK.into()), ..Launch::default() };
    let mut machine = counting(&binary, &source, &launch);

    machine.stop().unwrap();
    assert_eq!(machine.status().unwrap(), "paused");
    assert_eq!(machine.qmp.human("savevm then").unwrap(), "");
    let mut state = Vec::new();
    let disk = File::open(source.join(DISK)).unwrap();
    qcow2::Image::open(disk).unwrap().vm_state("then").unwrap().read_to_end(&mut state).unwrap();
    is_whole(&state);
    machine.cont().unwrap();
    machine.guest.counting().unwrap();
    machine.stop().unwrap();
    assert_eq!(machine.qmp.human("loadvm then").unwrap(), "");
    machine.cont().unwrap();
    goes_on(&mut machine, 0);

    // Through a file, and on to another one, live, over a socket.
    machine.guest.count().unwrap();
    let left_at = machine.guest.counting().unwrap();
    machine.limit_migration(1 << 30).unwrap();
    machine.migrate("exec:cat > stream").unwrap();
    machine.migrated(|_| Ok(())).unwrap();
    machine.quit().unwrap();
    is_whole(&fs::read(source.join("stream")).unwrap());
    let mut second = waiting(&binary, &of("second"));
    assert_eq!(second.status().unwrap(), "inmigrate");
    second.load_from("exec:cat ../source/stream").unwrap();
    second.loaded(LIMIT).unwrap();
    goes_on(&mut second, left_at);

    second.guest.dirty().unwrap();
    second.guest.sweeps(2).unwrap();
    let mut third = waiting(&binary, &of("third"));
    second.limit_migration(1 << 30).unwrap();
    second.limit_downtime(10_000).unwrap();
    let _socket = second.migrate_to(&mut third).unwrap();
    second.migrated(|_| Ok(())).unwrap();
    assert_eq!(third.arrival(LIMIT).unwrap(), Arrival::Loaded("running".into()));
    third.guest.sweeps(2).unwrap();
    third.guest.halt().unwrap();
    let found = third.guest.find().unwrap();
    assert!(found.all(), "{found:?}");
}

#[test]
fn the_bare_guest_lives_on_a_qemu_1_0_and_moves() {
    does_all_that("1.0", "the_bare_guest_lives_on_a_qemu_1_0_and_moves");
}

#[test]
fn the_bare_guest_lives_on_a_qemu_1_0_rc3_and_moves() {
    does_all_that("1.0-rc3", "the_bare_guest_lives_on_a_qemu_1_0_rc3_and_moves");
}
