//! A bench without a QEMU: what becomes of a check's folder, and why a check is not tried.

use super::*;
use crate::event::Verdict::{Broken, Cannot, Failed, Held, NotTried};
use crate::failure::Failure;
use catalogue::Catalogue;
use std::fs;
use tempfile::TempDir;

const HEAD: &str = r#"
    layout = 1
    block = "pc.ram"
    ram-file = ["-pcram-file", "{opt-path}"]
    board = { machine = "pc", accel = "tcg", ram-mib = 64 }
    promise = [{ id = "P1", title = "one" }]
    [[check]]
    id = "p1.a"
    promise = "P1"
    title = "a"
"#;
const OFFERS: &str = "does = 'option'\noption = '-pcram-file'";
const HELP: &str = "-pcram-file PATH\n";

/// What tries one check on a QEMU that is only a help text.
struct Dry {
    folder: TempDir,
    catalogue: Catalogue,
    patched: Binary,
    stock: Option<Binary>,
    keep: bool,
}

impl Dry {
    fn new(check: &str, help: &str) -> Dry {
        let binary = Binary { path: "/nowhere/qemu".into(), help: help.to_owned() };
        Dry {
            folder: tempfile::tempdir().unwrap(),
            catalogue: Catalogue::parse(&format!("{HEAD}{check}")).unwrap(),
            patched: binary,
            stock: None,
            keep: false,
        }
    }

    fn row(&self) -> Row {
        let bench = Bench {
            catalogue: &self.catalogue,
            revision: "10.0",
            stock: self.stock.as_ref(),
            patched: &self.patched,
            qemu_img: None,
            provenance: None,
            images: &|| unreachable!("no guest is booted"),
            folder: self.folder.path(),
            keep: self.keep,
        };
        bench.try_check(&self.catalogue.checks[0], "again".into())
    }

    /// The names in the row's folder, where it was left.
    fn left(&self) -> Option<Vec<String>> {
        let entries = fs::read_dir(self.folder.path().join("p1.a")).ok()?;
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        Some(names.collect())
    }
}

#[test]
fn the_folder_of_what_holds_is_removed_unless_it_is_to_be_kept() {
    let mut dry = Dry::new(OFFERS, HELP);
    let row = dry.row();
    assert_eq!((row.verdict, row.folder), (Held, None), "{}", row.summary);
    assert_eq!((row.machine.as_str(), row.repeat.as_str()), ("", "again"));
    assert_eq!(dry.left(), None);
    dry.keep = true;
    assert_eq!(dry.row().folder, Some(dry.folder.path().join("p1.a")));
    let beside = fs::read_dir(dry.folder.path()).unwrap().count();
    assert_eq!((dry.left(), beside), (Some(vec![]), 1), "no mark says that a run is under way");
}

#[test]
fn the_folder_of_what_fails_is_left() {
    let dry = Dry::new(OFFERS, "");
    let row = dry.row();
    assert_eq!(row.verdict, Failed);
    assert!(row.summary.contains("does not offer -pcram-file"), "{}", row.summary);
    assert_eq!(dry.left(), Some(vec![]));
}

#[test]
fn a_qemu_without_the_option_keeps_no_promise_of_it_and_one_with_it_is_started() {
    let machine = "does = 'prefilled'";
    let without = Dry::new(machine, "").row();
    assert_eq!(without.verdict, Failed);
    assert_eq!(without.summary, "this QEMU does not offer -pcram-file");
    assert_eq!(without.machine, "pc, tcg, 64 MiB");
    let with = Dry::new(machine, HELP).row();
    assert_eq!(with.verdict, Broken);
    assert!(with.summary.contains("cannot start /nowhere/qemu"), "{}", with.summary);
}

#[test]
fn an_error_is_stocks_fault_under_kvm_only() {
    let mut dry = Dry::new("does = 'prefilled'", HELP);
    dry.stock = Some(dry.patched.clone());
    assert_eq!(dry.row().verdict, Broken);
}

#[test]
fn what_is_needed_and_not_there_is_the_reason() {
    let reason = |needs: &str| {
        let row = Dry::new(&format!("needs = [{needs}]\n{OFFERS}"), HELP).row();
        (row.verdict, row.summary)
    };
    let (verdict, said) = reason("'host /nowhere'");
    assert_eq!(verdict, NotTried);
    assert!(said.starts_with("/nowhere cannot be used"), "{said}");
    assert_eq!(reason("'host /dev/null', 'option -pcram-file'").0, Held);
    let (verdict, said) = reason("'option -other'");
    assert_eq!((verdict, said.as_str()), (NotTried, "this QEMU has no option -other"));
    let (verdict, said) = reason("'stock'");
    assert_eq!(verdict, NotTried);
    assert_eq!(said, "there is no unpatched QEMU to compare with");
    assert_eq!(reason("'incoming file:'").1, "this QEMU has no migration from file:");
    // Where there is a tmpfs, it is no reason.
    let (_, said) = {
        let row = Dry::new(&format!("file-on = 'tmpfs'\nneeds = ['stock']\n{OFFERS}"), HELP).row();
        (row.verdict, row.summary)
    };
    assert_eq!(said.contains("compare with"), has_tmpfs(), "{said}");
}

#[test]
fn with_a_stock_there_is_something_to_compare_with_and_it_is_asked() {
    let mut dry = Dry::new(&format!("needs = ['stock', 'incoming file:']\n{OFFERS}"), HELP);
    let help = format!("{HELP}-incoming file:FILENAME\n");
    dry.stock = Some(Binary { path: "/nowhere/stock".into(), help });
    let row = dry.row();
    assert_eq!(row.verdict, Broken);
    assert!(row.summary.contains("cannot start /nowhere/stock"), "{}", row.summary);
}

#[test]
fn what_cannot_hold_is_looked_up_by_its_name() {
    let mut dry = Dry::new(OFFERS, "");
    let cannot = |check: &str| cannot::Cannot {
        check: check.into(),
        function: "vl".into(),
        why: "no".into(),
        shows: "does not offer".into(),
    };
    dry.catalogue.cannot = vec![cannot("p1.b")];
    assert_eq!(dry.row().verdict, Failed);
    dry.catalogue.cannot.push(cannot("p1.a"));
    assert_eq!(dry.row().verdict, Cannot);
}

#[test]
fn a_check_that_is_over_is_no_longer_under_way_and_others_are() {
    let other = tempfile::tempdir().unwrap();
    leave_nothing_in(other.path());
    let dry = Dry::new(OFFERS, HELP);
    dry.row();
    let known = under_way().clone();
    assert!(known.iter().any(|folder| folder == other.path()));
    assert!(!known.iter().any(|folder| *folder == dry.folder.path().join("p1.a")));
    under_way().retain(|folder| folder != other.path());
}

#[test]
fn what_is_tried_of_a_series_wants_the_series() {
    for check in [
        "does = 'each-patch-builds'",
        "does = 'own-test'\nprogram = 'test'",
        "does = 'other-targets'\noption = '-x'\noffered-by = []\nrefused-by = []\nbuilt = []",
    ] {
        let row = Dry::new(check, HELP).row();
        assert_eq!(row.verdict, NotTried, "{check}: {}", row.summary);
        assert_eq!(row.summary, "the source and the series are not at hand", "{check}");
    }
}

#[test]
fn space_is_asked_of_the_folder_that_checks_run_in() {
    let dry = Dry::new(&format!("needs = ['space 99999999999 .']\n{OFFERS}"), HELP);
    let row = dry.row();
    assert_eq!(row.verdict, NotTried);
    assert!(row.summary.starts_with(dry.folder.path().to_str().unwrap()), "{}", row.summary);
}

#[test]
fn a_guest_that_is_not_to_be_had_is_a_reason_not_to_try_and_a_fault_is_none() {
    let dry = Dry::new(OFFERS, HELP);
    let error = |failure: fn() -> anyhow::Error| {
        let images = || Err(failure());
        let bench = Bench {
            catalogue: &dry.catalogue,
            revision: "10.0",
            stock: None,
            patched: &dry.patched,
            qemu_img: None,
            provenance: None,
            images: &images,
            folder: dry.folder.path(),
            keep: false,
        };
        let (board, folder) = (dry.catalogue.board.clone(), dry.folder.path());
        let trial = Trial { bench: &bench, board, place: Place::Folder, folder };
        trial.images().unwrap_err()
    };
    let missing = error(|| Failure::missing("no kernel is here").into());
    assert_eq!(missing.to_string(), "no kernel is here");
    assert!(missing.is::<super::NotTried>());
    assert!(!error(|| anyhow::anyhow!("a fault")).is::<super::NotTried>());
}
