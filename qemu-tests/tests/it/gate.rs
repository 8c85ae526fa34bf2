//! `check --qemu`: a QEMU that somebody else built is gated, without anything but itself.

use pcram::machine::offers::Offers;
use qemu_tests::{Told, qemu, run_in};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

static STOCK: LazyLock<PathBuf> = LazyLock::new(|| qemu("stock"));
static PATCHED: LazyLock<PathBuf> = LazyLock::new(|| qemu("patched"));

/// Runs `check` on `qemu` with an empty cache and no network: nothing can come from elsewhere.
fn check(qemu: &Path, args: &[&str]) -> Told {
    let cache = tempfile::tempdir().unwrap();
    let gate = ["check", "--offline", "--cache", text(cache.path()), "--qemu", text(qemu)];
    run_in(&[], &[&gate[..], args].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// QEMUs alone in a folder, as an installation has them that lacks qemu-img.
fn alone(qemu: &Path) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("qemu-system-x86_64");
    symlink(qemu, &link).unwrap();
    (folder, link)
}

#[test]
fn without_stock_what_compares_is_not_tried_and_all_else_is() {
    let rows = ["--row", "p1.option", "--row", "p2.visible.running", "--row", "p4.savevm.stopped"];
    let told = check(&PATCHED, &rows);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    assert_eq!(told.verdict("p1.option"), "held");
    assert_eq!(told.verdict("p2.visible.running"), "held");
    assert_eq!(told.verdict("p4.savevm.stopped"), "not-tried");
    let why = &told.row("p4.savevm.stopped")["summary"];
    assert_eq!(why, "there is no unpatched QEMU to compare with");
    let steps: Vec<_> = told.of("step-started").map(|step| step["step"].clone()).collect();
    assert_eq!(steps, ["qemu", "check"]);
}

#[test]
fn with_stock_beside_it_every_figure_is_compared_and_the_row_repeats_alone() {
    let told = check(&PATCHED, &["--stock", text(&STOCK), "--row", "p4.savevm.stopped"]);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    let row = told.row("p4.savevm.stopped");
    assert!(row["summary"].as_str().unwrap().contains("(stock: 16384)"), "{row}");
    let (stock, patched) = (text(&STOCK), text(&PATCHED));
    let repeat = row["repeat"].as_str().unwrap();
    let again = format!("--qemu {patched} --stock {stock} --row p4.savevm.stopped");
    assert!(repeat.ends_with(&again), "{repeat}");
}

#[test]
fn a_qemu_without_the_option_keeps_no_promise() {
    let told = check(&STOCK, &["--row", "p1.option", "--row", "p2.*", "--row", "p3.missing"]);
    assert_eq!(told.code(), Some(1), "{}", told.text());
    assert!(told.of("row").all(|row| row["verdict"] == "failed"), "{}", told.text());
    let said = told.row("p1.option")["summary"].as_str().unwrap().to_owned();
    assert!(said.contains("does not offer -pcram-file; of its kind its help offers"), "{said}");
    assert!(said.contains("-mem-path, -mem-prealloc"), "{said}");
    assert_eq!(told.row("p3.missing")["summary"], "this QEMU does not offer -pcram-file");
}

#[test]
fn what_needs_a_disk_is_not_tried_where_no_qemu_img_is_found() {
    let (_folder, lonely) = alone(&PATCHED);
    let cache = tempfile::tempdir().unwrap();
    let mut args = vec!["check", "--cache", text(cache.path()), "--qemu", text(&lonely)];
    args.extend(["--stock", text(&STOCK), "--row", "p4.savevm.stopped", "--row", "p1.option"]);
    let told = run_in(&[("PATH", "/nowhere")], &args);
    assert_eq!(told.code(), Some(0), "{}", told.text());
    assert_eq!(told.row("p4.savevm.stopped")["summary"], "there is no qemu-img");
    let img = PATCHED.with_file_name("qemu-img");
    args.extend(["--qemu-img", text(&img)]);
    let told = run_in(&[("PATH", "/nowhere")], &args);
    assert_eq!(told.verdict("p4.savevm.stopped"), "held", "{}", told.text());
}

#[test]
fn a_run_that_could_try_nothing_is_not_taken_for_a_good_one() {
    let told = check(&PATCHED, &["--row", "p4.savevm.*"]);
    assert_eq!(told.code(), Some(3), "{}", told.text());
    assert!(told.of("row").all(|row| row["verdict"] == "not-tried"));
}

#[test]
fn what_is_no_qemu_is_bad_usage() {
    for (path, why) in [("/no/such/qemu", "No such file"), ("/bin/true", "no QEMU system")] {
        let told = check(Path::new(path), &[]);
        assert_eq!(told.code(), Some(2), "{}", told.text());
        assert!(told.text().contains(why), "{}", told.text());
    }
    let told = check(&PATCHED, &["--tree", "."]);
    assert_eq!(told.code(), Some(2), "a source has no say here: {}", told.text());
}

#[test]
fn what_a_qemu_offers_is_read_to_its_end() {
    // Its description of QMP is longer than a pipe takes; the modes are far behind that.
    let offers = Offers::of(&PATCHED).unwrap();
    assert!(offers.modes.contains("cpr-reboot"), "{offers:?}");
    assert!(offers.capabilities.contains("multifd") && offers.machines.contains("q35"));
    assert!(offers.parameters.contains("max-bandwidth"), "{offers:?}");
}
