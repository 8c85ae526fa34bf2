//! Deliberate damage turns the right check red: in QEMU, in a stream, in a file, in the reader.

use pcram::check::omission::judge;
use pcram::check::ram_file;
use pcram::check::streams::{Stream, Terms};
use pcram::check::visible::judge_running;
use pcram::event::Verdict;
use pcram::machine::Machine;
use pcram::machine::binary::Binary;
use pcram::machine::launch::{Launch, opt_value};
use pcram_mirror::address::Board;
use pcram_stream::{BlockOffset, PageSet, damage::smuggle_page};
use qemu_tests::{REVISION, Told, damaged_series, qemu, run};
use std::fs;
use std::sync::LazyLock;

/// The streams of one healthy run, by side.
static HEALTHY: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let row = "p4.migrate-exec.stopped";
    let told = run(&["check", REVISION, "--row", row, "--keep"]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let folder = told.folder(row);
    let stream = |side: &str| fs::read(folder.join(side).join("stream")).expect("a stream");
    let streams = [stream("stock"), stream("patched")];
    assert!(folder.ends_with(row), "{} is not the row's folder", folder.display());
    fs::remove_dir_all(&folder).expect("it can be removed");
    streams
});

fn read(stream: &[u8]) -> Stream {
    Stream::read("pc.ram", stream).expect("the stream can be read")
}

fn judged(stock: &Stream, patched: &Stream) -> (Verdict, String) {
    let finding = judge(&Terms::plain("pc.ram"), stock, patched);
    (finding.verdict, finding.summary)
}

#[test]
fn a_page_smuggled_into_the_stream_is_counted() {
    let [stock, patched] = &*HEALTHY;
    let (verdict, summary) = judged(&read(stock), &read(patched));
    assert_eq!(verdict, Verdict::Held, "{summary}");

    let smuggled = smuggle_page(patched, "pc.ram", BlockOffset(0x7000)).unwrap();
    let (verdict, summary) = judged(&read(stock), &read(&smuggled));
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(summary, "patched: 1 pages of pc.ram in the stream, not 0");
}

#[test]
fn a_reader_that_misses_a_block_is_found_out() {
    let [stock, patched] = &*HEALTHY;
    for missed in ["pc.ram", "pc.bios"] {
        let (mut stock, mut patched) = (read(stock), read(patched));
        for stream in [&mut stock, &mut patched] {
            stream.summary.blocks.retain(|block| block.idstr != missed);
        }
        let (verdict, summary) = judged(&stock, &patched);
        assert_eq!(verdict, Verdict::Failed);
        assert!(summary.contains("the list's total is"), "{summary}");
    }
    // A reader that lists the block, but misses its pages, sees too few in stock's stream.
    let (mut stock, patched) = (read(stock), read(patched));
    let block = stock.summary.blocks.iter_mut().find(|block| block.idstr == "pc.ram").unwrap();
    (block.pages, block.records) = Default::default();
    let (verdict, summary) = judged(&stock, &patched);
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(summary, "stock: 0 pages of pc.ram in the stream, not 16384");
}

#[test]
fn another_block_that_lost_a_page_is_found_out() {
    let [stock, patched] = &*HEALTHY;
    let (stock, mut patched) = (read(stock), read(patched));
    let block = patched.summary.blocks.iter_mut().find(|block| block.idstr == "pc.rom").unwrap();
    let mut pages = PageSet::default();
    block.pages.iter().skip(1).for_each(|page| pages.insert(page));
    block.pages = pages;
    let (verdict, summary) = judged(&stock, &patched);
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(summary, "patched: 31 pages of pc.rom in the stream, not 32");
}

#[test]
fn another_block_that_holds_something_else_is_found_out() {
    let [stock, patched] = &*HEALTHY;
    let smuggled = smuggle_page(patched, "pc.bios", BlockOffset(0x3000)).unwrap();
    let (verdict, summary) = judged(&read(stock), &read(&smuggled));
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(summary, "patched: the pages of pc.bios hold something else than stock's");
}

#[test]
fn a_byte_of_the_file_flipped_is_named_by_its_page() {
    let binary = Binary::probe(&qemu("patched")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(ram_file::NAME);
    let layout = Board::I440fx.layout(64 << 20);
    ram_file::create(&path, 64 << 20).unwrap();
    let extra = vec!["-pcram-file".into(), opt_value(&path)];
    let launch = Launch { extra, ..Launch::default() };
    let mut machine = Machine::start(&binary, &launch, folder.path()).unwrap();
    machine.guest.ready().unwrap();
    machine.guest.seed(1, 0).unwrap();
    let generation = machine.guest.stamp().unwrap();
    let judged = || {
        let seen = ram_file::census(&path, &layout, 1, &[generation]).unwrap();
        judge_running(16384, generation, &seen)
    };
    assert_eq!(judged().verdict, Verdict::Held, "{judged:?}", judged = judged());
    ram_file::flip(&path, 0x34_5678).unwrap();
    let damaged = judged();
    assert_eq!(damaged.verdict, Verdict::Failed);
    let named = "16383 were read from the file; the first other one at 0x345000";
    assert!(damaged.summary.ends_with(named), "{}", damaged.summary);
}

/// A run of the checks on a QEMU with patches of damage, each of which undoes one thing. One build
/// serves all tests.
static DAMAGED: LazyLock<Told> = LazyLock::new(|| {
    let series = damaged_series(&[
        "undo-omission.patch",
        "undo-size-check.patch",
        "undo-marker-check.patch",
        "undo-quiet-loader.patch",
        "undo-flush.patch",
        "undo-tlb-reset.patch",
        "undo-forget-loadvm.patch",
    ]);
    let folder = series.path().to_str().expect("the path is UTF-8");
    let built = run(&["build", REVISION, "--series", folder]);
    assert_eq!(built.code(), Some(0), "{}", built.text());
    let rows = ["p1.option", "p2.prefilled", "p3.*", "p4.migrate-exec.*", "p4.savevm.*"];
    let other_ways =
        ["p4.multifd.stopped", "p4.mapped-ram.stopped", "p4.xbzrle", "p4.other-block.cached"];
    let foretold = ["p4.foretold"];
    let told = ["p5.counts", "p5.converges", "p5.savevm"];
    let beyond = ["p6.mismatch.unix.*", "p6.waiting.memfd.loader"];
    let back = ["p7.restore.same-qemu*", "p7.reset"];
    let rows = rows.iter().chain(&other_ways).chain(&foretold).chain(&told).chain(&beyond);
    let rows = rows.chain(&back);
    let rows = rows.flat_map(|row| ["--row", row]);
    let args: Vec<_> = ["check", REVISION, "--series", folder].into_iter().chain(rows).collect();
    let told = run(&args);
    // It is never dropped; gigabytes would stay.
    told.remove_folders();
    told
});

#[test]
fn a_hunk_of_the_migration_patch_undone_puts_every_page_back() {
    let told = &*DAMAGED;
    assert_eq!(told.code(), Some(1), "{}", told.text());
    for via in ["migrate-exec", "savevm"] {
        for guest in ["stopped", "dirtying"] {
            let row = told.row(&format!("p4.{via}.{guest}"));
            assert_eq!(row["verdict"], "failed", "{row}");
            let summary = row["summary"].as_str().unwrap();
            assert!(summary.contains("16384 pages of pc.ram in the stream, not 0"), "{summary}");
        }
    }
}

#[test]
fn the_pages_are_seen_whichever_way_they_take_and_in_what_qemu_tells() {
    failed("p4.multifd.stopped", "patched: 16384 pages of pc.ram in the stream, not 0");
    failed("p4.mapped-ram.stopped", "patched: 16384 pages of pc.ram in the stream, not 0");
    failed("p4.xbzrle", "patched: 4096 pages of pc.ram in the stream, not 0");
    failed("p4.foretold", "with, migrate: at 0x");
    failed("p5.counts", "patched: QEMU tells of 75833344 bytes in all, the stream has 8724480");
    failed("p5.converges", "bytes remain");
    failed("p5.savevm", "bytes of RAM");
}

#[test]
fn what_a_guest_writes_unnoticed_is_missed() {
    // How many depends on when QEMU looks.
    let lost = "of 2048 pages of 0000:00:02.0/vga.vram are in the stream as the guest left them";
    failed("p4.other-block.cached", lost);
}

#[test]
fn a_size_check_removed_turns_the_sizes_red_and_nothing_else() {
    let told = &*DAMAGED;
    let sizes = ["p3.short", "p3.long", "p3.on-tmpfs.short", "p3.q35.long"];
    for row in sizes {
        assert_eq!(told.verdict(row), "failed", "{}", told.row(row));
    }
    let held = told.of("row").filter(|row| {
        let id = row["id"].as_str().unwrap();
        ["p1.", "p2.", "p3."].iter().any(|promise| id.starts_with(promise)) && !sizes.contains(&id)
    });
    let red: Vec<_> = held.filter(|row| row["verdict"] != "held").collect();
    assert!(red.is_empty(), "{red:#?}");
}

/// The row has failed, and says so in these words.
fn failed(row: &str, words: &str) {
    let told = &*DAMAGED;
    assert_eq!(told.verdict(row), "failed", "{}", told.row(row));
    let summary = told.row(row)["summary"].as_str().unwrap();
    assert!(summary.contains(words), "{row}: {summary}");
}

#[test]
fn a_mark_that_nobody_heeds_lets_guests_run_where_they_must_not() {
    failed("p6.mismatch.unix.with-to-without", "the guest ran at the destination");
    failed("p6.mismatch.unix.without-to-with", "the guest ran at the destination");
    failed("p6.mismatch.unix.stock-to-with", "pages of the destination's file have changed");
}

#[test]
fn a_loader_that_writes_too_early_is_seen_in_the_file() {
    failed("p6.waiting.memfd.loader", "1 pages of its file were read or written while it waited");
}

#[test]
fn code_that_was_translated_before_loadvm_and_kept_is_found_out() {
    failed("p7.restore.same-qemu", "something else than it was run");
    failed("p7.restore.same-qemu.in-code", "something else than it was run");
}

#[test]
fn an_image_that_no_reset_brings_back_after_loadvm_is_found_out() {
    failed("p7.reset", "nobody put them there again");
}

#[test]
fn a_reset_that_writes_over_a_snapshot_is_found_out() {
    let series = damaged_series(&["undo-quiet-loader.patch", "undo-rom-exclusion.patch"]);
    let folder = series.path().to_str().expect("the path is UTF-8");
    let built = run(&["build", REVISION, "--series", folder]);
    assert_eq!(built.code(), Some(0), "{}", built.text());
    let row = "p7.reset";
    let told = run(&["check", REVISION, "--series", folder, "--row", row]);
    assert_eq!(told.verdict(row), "failed", "{}", told.text());
    let summary = told.row(row)["summary"].as_str().unwrap();
    let seen = [("loadvm", "0x310000"), ("-loadvm", "0x300000")].map(|(how, at)| {
        format!("after {how}, 4095 of 4096 pages are the snapshot's; the first other one at {at}")
    });
    assert_eq!(summary, seen.join("; "));
}

#[test]
fn a_file_that_is_mapped_privately_is_found_out() {
    let series = damaged_series(&["undo-shared.patch"]);
    let folder = series.path().to_str().expect("the path is UTF-8");
    let built = run(&["build", REVISION, "--series", folder]);
    assert_eq!(built.code(), Some(0), "{}", built.text());
    let red = [
        ("p2.visible.running", "0 were read from the file"),
        ("p2.held", "mapped rw-p, not rw-s"),
        ("p2.vhost-user", "the back end read 0 as the guest wrote them"),
    ];
    let rows = red.iter().flat_map(|(row, _)| ["--row", row]);
    let args: Vec<_> = ["check", REVISION, "--series", folder].into_iter().chain(rows).collect();
    let told = run(&args);
    assert_eq!(told.code(), Some(1), "{}", told.text());
    for (row, words) in red {
        let summary = told.row(row)["summary"].as_str().unwrap();
        assert_eq!(told.verdict(row), "failed", "{summary}");
        assert!(summary.contains(words), "{row}: {summary}");
    }
}
