//! The guests do what they are for, on every board, and on QEMUs without and with the series.

use pcram::cache::Cache;
use pcram::check::ram_file;
use pcram::event::Events;
use pcram::images::{Images, images};
use pcram::machine::Machine;
use pcram::machine::binary::Binary;
use pcram::machine::guest::Found;
use pcram::machine::guest::code::Ran;
use pcram::machine::kind::linux::{Linux, LinuxGuest};
use pcram::machine::kind::seabios::SeaBios;
use pcram::machine::kvm;
use pcram::machine::launch::{Inherited, Launch, opt_value};
use pcram::machine::sockets;
use pcram_guests::code;
use pcram_guests::stamp::{self, PAGE_SIZE, Span, sparse};
use pcram_mirror::address::{Board, GuestPhysical, RamLayout};
use qemu_tests::{qemu, skip};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::tempdir;

const SEED: u64 = 0x5ee0_0009;
const MIB: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(60);

static QEMUS: LazyLock<[Binary; 2]> = LazyLock::new(|| {
    ["stock", "patched"].map(|side| Binary::probe(&qemu(side)).expect("a QEMU has a help"))
});
static IMAGES: LazyLock<Images> = LazyLock::new(|| {
    let cache = Cache::open(None).expect("the cache");
    images(&cache, &Events::default(), false).expect("the packages of this machine's suite")
});

fn stock() -> &'static Binary {
    &QEMUS[0]
}

/// A machine whose RAM is the file at `path`, of the right size.
fn on_file(launch: Launch, path: &Path) -> Launch {
    let file = File::options().create(true).append(true).open(path).unwrap();
    file.set_len(launch.ram()).unwrap();
    let extra = vec!["-pcram-file".to_owned(), opt_value(path)];
    Launch { extra: [launch.extra, extra].concat(), ..launch }
}

/// Whether the file holds the stamp of the page at `address`.
fn holds(file: &File, layout: &RamLayout, address: u64, generation: u64) -> bool {
    let offset = layout.offset_of(GuestPhysical(address)).expect("an address in RAM").0;
    let mut page = [0; PAGE_SIZE];
    file.read_exact_at(&mut page, offset).unwrap();
    stamp::matches(&page, address, SEED, generation)
}

/// A machine whose RAM is a memfd, and that file.
fn on_memfd(launch: Launch) -> (Launch, File) {
    let memfd = Inherited::new(memfd_create("ram", MemfdFlags::CLOEXEC).unwrap());
    let file = File::from(memfd.file().try_clone().unwrap());
    let launch = on_file(launch, &memfd.path());
    (Launch { inherited: vec![memfd], ..launch }, file)
}

#[test]
fn the_bare_guest_knows_its_ram_on_every_board_and_samples_it() {
    let near = |size: u64| [size - 64 * 1024, size, size + 8 * 1024];
    let sizes = [[63 * MIB + 8 * 1024, 64 * MIB, 65 * MIB], near(0xb000_0000), near(0xe000_0000)];
    for (machine, board) in [("pc", Board::I440fx), ("q35", Board::Q35), ("isapc", Board::Old)] {
        for (at, &ram) in sizes.as_flattened().iter().chain(&[5120 * MIB]).enumerate() {
            let cpus = if machine == "isapc" { 1 } else { 1 + 3 * (at as u32 % 2) };
            let launch = Launch { machine: machine.into(), cpus, ..Launch::default() };
            let (launch, file) = on_memfd(launch.with_ram(ram));
            let folder = tempdir().unwrap();
            let mut machine = Machine::start(&QEMUS[1], &launch, folder.path()).unwrap();
            let layout = machine.guest.ready().unwrap();
            assert_eq!(layout, board.layout(ram), "{board:?} {ram:#x}");

            let spans = sparse(layout.below_4g, layout.above_4g);
            machine.guest.seed(SEED, 1).unwrap();
            let pages = machine.guest.stamp_spans(&spans).unwrap();
            let mut sample = spans.iter().flat_map(Span::pages);
            assert_eq!(pages, sample.clone().count() as u64);
            assert!(sample.all(|page| holds(&file, &layout, page, 1)), "{board:?} {ram:#x}");
            let all = Found { pages, matching: pages, first_bad: None };
            assert_eq!(machine.guest.find_spans(&spans).unwrap(), all);
            let last = layout.below_4g - 8;
            let value = machine.guest.peek(last).unwrap();
            machine.guest.poke(last, value ^ 1).unwrap();
            let Found { matching, first_bad, .. } = machine.guest.find_spans(&spans).unwrap();
            assert_eq!((matching, first_bad), (pages - 1, Some(last - last % PAGE_SIZE as u64)));
        }
    }
}

#[test]
fn code_in_ram_is_run_and_its_sum_tells_which_code_it_was() {
    const CODE: u64 = 0x5000;
    let (folder, launch) = (tempdir().unwrap(), Launch { cpus: 2, ..Launch::default() });
    let mut machine = Machine::start(stock(), &launch, folder.path()).unwrap();
    let guest = &mut machine.guest;
    guest.ready().unwrap();
    guest.poke(CODE, code::adds(3)).unwrap();
    assert_eq!(guest.run(CODE, 0).unwrap(), Ran { runs: 0, value: 0 });
    assert_eq!(guest.run(CODE, 100_000).unwrap(), Ran { runs: 100_000, value: 300_000 });

    guest.loop_at(CODE).unwrap();
    let first = guest.looping().unwrap();
    let second = guest.looping().unwrap();
    let ran = guest.end_loop().unwrap();
    assert!(0 < first.runs && first.runs < second.runs && second.runs <= ran.runs, "{ran:?}");
    assert_eq!(ran.value, 3 * ran.runs);

    guest.poke(CODE, code::adds(5)).unwrap();
    assert_eq!(guest.run(CODE, 2).unwrap(), Ran { runs: 2, value: 10 });
    let error = guest.run(12 << 30, 1).unwrap_err().to_string();
    assert!(error.contains("0x300000000"), "{error}");
}

#[test]
fn video_memory_is_dirtied_alone() {
    for machine in ["pc", "q35"] {
        let extra = vec!["-device".into(), "VGA,romfile=".into()];
        let launch = Launch { machine: machine.into(), extra, ..Launch::default() };
        let folder = tempdir().unwrap();
        let mut machine = Machine::start(stock(), &launch, folder.path()).unwrap();
        let guest = &mut machine.guest;
        guest.ready().unwrap();
        guest.seed(SEED, 1).unwrap();
        let vram = guest.map_video_memory().unwrap();
        assert_eq!(vram.end - vram.first, 16 * MIB);
        let ram = [Span::whole(0x10_0000, 0x20_0000)];
        guest.stamp_spans(&ram).unwrap();

        guest.dirty_span(vram).unwrap();
        guest.sweeps(2).unwrap();
        let generation = guest.halt().unwrap();
        assert!(generation >= 3, "{generation}");
        assert!(guest.find_spans(&[vram]).unwrap().all());
        guest.seed(SEED, 1).unwrap();
        assert!(guest.find_spans(&ram).unwrap().all(), "RAM was left alone");
    }
}

#[test]
fn a_migration_to_an_open_file_is_told_by_events() {
    let folder = tempdir().unwrap();
    let mut machine = Machine::start(stock(), &Launch::default(), folder.path()).unwrap();
    machine.guest.ready().unwrap();
    let events = json!([{ "capability": "events", "state": true }]);
    let set = json!({ "capabilities": events });
    machine.qmp.execute("migrate-set-capabilities", set).unwrap();
    let (mut near, far) = std::io::pipe().unwrap();
    machine.qmp.give_file("out", &far).unwrap();
    drop(far);
    let reading = thread::spawn(move || {
        let mut stream = Vec::new();
        near.read_to_end(&mut stream).map(|_| stream).unwrap()
    });
    machine.migrate("fd:out").unwrap();
    let mut status = String::new();
    while status != "completed" {
        let event = machine.qmp.await_event("MIGRATION", LIMIT).unwrap();
        status = event["data"]["status"].as_str().unwrap().to_owned();
        assert_ne!(status, "failed");
    }
    machine.qmp.await_event("STOP", LIMIT).unwrap();
    machine.kill().unwrap();
    assert!(reading.join().unwrap().starts_with(b"QEVM"));
}

#[test]
fn seabios_finds_nothing_to_boot() {
    let kind = SeaBios { firmware: IMAGES.firmware() };
    for (machine, cpus) in [("pc", 4), ("q35", 1), ("isapc", 1)] {
        let launch = Launch { machine: machine.into(), cpus, ..Launch::default() };
        let folder = tempdir().unwrap();
        let mut machine = Machine::boot(stock(), &launch, &kind, folder.path()).unwrap();
        let lines = machine.guest.ready().unwrap();
        assert!(lines[0].starts_with("SeaBIOS (version "), "{lines:#?}");
    }
}

/// A Linux guest on the file at `path`, with a balloon that tells of freed pages.
fn linux(path: &Path, folder: &Path, more: &[String]) -> Machine<LinuxGuest> {
    let balloon = ["-device".to_owned(), "virtio-balloon-pci,free-page-reporting=on".into()];
    let launch = Launch { ram_mib: 256, cpus: 2, extra: balloon.into(), ..Launch::default() };
    let mut launch = on_file(launch, path);
    launch.extra.extend_from_slice(more);
    Machine::boot(&QEMUS[1], &launch, &Linux { images: &IMAGES }, folder).expect("a QEMU")
}

#[test]
fn linux_tells_where_its_pages_lie_and_gives_memory_back() {
    const PAGES: u64 = 64 * MIB / PAGE_SIZE as u64;
    let folder = tempdir().unwrap();
    let path = folder.path().join("ram");
    let start = Instant::now();
    let mut machine = linux(&path, &folder.path().join("source"), &[]);
    let kernel = machine.guest.ready().unwrap();
    eprintln!("Linux {kernel} was up after {:.1} s", start.elapsed().as_secs_f64());
    let (file, layout) = (File::open(&path).unwrap(), Board::I440fx.layout(256 * MIB));

    machine.guest.stamp(SEED, 1, PAGES).unwrap();
    let found = Found { pages: PAGES, matching: PAGES, first_bad: None };
    assert_eq!(machine.guest.find().unwrap(), found);
    let lie = machine.guest.addresses().unwrap();
    assert_eq!((lie.pages.len() as u64, lie.moved), (PAGES, 0));
    assert!(lie.pages.iter().all(|&page| holds(&file, &layout, page, 1)), "the file has them");
    ram_file::flip(&path, lie.pages[7] + 5).unwrap();
    let found = Found { matching: PAGES - 1, first_bad: Some(lie.pages[7]), ..found };
    assert_eq!(machine.guest.find().unwrap(), found);

    machine.guest.dirty().unwrap();
    machine.guest.sweeps(2).unwrap();
    let generation = machine.guest.halt().unwrap();
    assert!(generation >= 3, "{generation}");
    assert!(machine.guest.find().unwrap().all());
    assert!(lie.pages.iter().all(|&page| holds(&file, &layout, page, generation)));

    let sockets = sockets::folder().unwrap();
    let uri = format!("unix:{}", sockets.path().join("incoming").display());
    let incoming = ["-incoming".to_owned(), uri.clone()];
    let destination = linux(&path, &folder.path().join("destination"), &incoming);
    machine.migrate(&uri).unwrap();
    machine.migrated(|_| Ok(())).unwrap();
    machine.quit().unwrap();
    machine = destination;
    assert!(machine.guest.find().unwrap().all(), "at the destination");

    // The kernel reports what was freed a few seconds later, and QEMU punches it out of the file.
    let used = || file.metadata().unwrap().blocks() * 512;
    let before = used();
    machine.guest.free().unwrap();
    let end = Instant::now() + LIMIT;
    while used() + 48 * MIB > before {
        assert!(Instant::now() < end, "{before} bytes were used, and {} are", used());
        thread::sleep(Duration::from_millis(20));
    }

    let whole = machine.guest.memory().unwrap();
    machine.balloon(192 * MIB).unwrap();
    let less = machine.guest.memory().unwrap();
    assert_eq!(whole.total - less.total, 64 * MIB);
}

#[test]
fn kvm_is_usable_where_a_guest_counts_under_it() {
    let folder = tempdir().unwrap();
    let tcg = kvm::pace(stock(), "tcg", &folder.path().join("tcg")).unwrap();
    assert!(!tcg.is_interpreted(), "{tcg:?}");
    match kvm::usable(stock(), &folder.path().join("kvm")) {
        Ok(kvm) => eprintln!("KVM counts: {kvm:?}, TCG: {tcg:?}"),
        Err(why) => skip("kvm_is_usable_where_a_guest_counts_under_it", &why.to_string()),
    }
}

#[test]
fn kvm_that_does_not_run_a_guest_is_told() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("qemu");
    std::fs::write(&path, "#!/bin/sh\necho kvm: no such thing >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = kvm::usable(&Binary { path, help: String::new() }, folder.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/dev/kvm cannot be opened") || text.contains("no such thing"), "{text}");
}
