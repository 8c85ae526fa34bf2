//! A watched file sees each page that is touched, and its mount goes away even while it is open.

use pcram::check::NotTried;
use pcram::check::watched::{Requests, Watched};
use qemu_tests::skip;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use tempfile::TempDir;

const PAGE: u64 = 4096;

/// A watched file of eight pages; `None` where this user cannot mount, which is told as a skip of
/// the test `name`.
fn watched(name: &str) -> Option<(Watched, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content");
    fs::write(&content, [7; 8 * PAGE as usize]).unwrap();
    match Watched::new(&content) {
        Err(error) if error.is::<NotTried>() => {
            skip(name, "this user cannot mount a file system");
            None
        }
        watched => Some((watched.unwrap(), folder)),
    }
}

#[test]
fn each_page_that_is_read_or_written_is_counted_and_no_other() {
    let name = "each_page_that_is_read_or_written_is_counted_and_no_other";
    let Some((watched, folder)) = watched(name) else { return };
    let file = File::options().read(true).write(true).open(watched.path()).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 8 * PAGE);
    assert_eq!(watched.requests().unwrap(), Requests::default());
    let mut byte = [0];
    file.read_exact_at(&mut byte, 3 * PAGE + 9).unwrap();
    let seen = watched.requests().unwrap();
    assert_eq!((byte, seen.reads, seen.writes), ([7], 1, 0));
    assert_eq!(seen.pages, BTreeSet::from([3]));
    file.write_all_at(&[1], 5 * PAGE).unwrap();
    let seen = watched.requests().unwrap();
    assert_eq!(seen.writes, 1);
    assert_eq!(seen.pages, BTreeSet::from([3, 5]));
    assert_eq!(fs::read(folder.path().join("content")).unwrap()[5 * 4096..][..2], [1, 7]);
    watched.fail_from_now_on();
    assert!(file.read_exact_at(&mut byte, 0).is_err());
}

#[test]
fn a_folder_with_one_file_is_what_is_seen() {
    let Some((watched, _folder)) = watched("a_folder_with_one_file_is_what_is_seen") else {
        return;
    };
    let mount = watched.path().parent().unwrap();
    let root = fs::metadata(mount).unwrap();
    assert!(root.is_dir());
    assert_eq!(root.permissions().mode() & 0o777, 0o700);
    let file = fs::metadata(watched.path()).unwrap();
    assert!(file.is_file());
    assert_eq!((file.len(), file.permissions().mode() & 0o777), (8 * PAGE, 0o600));
    assert!(!mount.join("other").exists());
}

#[test]
fn it_is_unmounted_even_while_it_is_open() {
    let Some((watched, _folder)) = watched("it_is_unmounted_even_while_it_is_open") else { return };
    let mount = watched.path().parent().unwrap().to_owned();
    let file = File::open(watched.path()).unwrap();
    drop(watched);
    assert!(!mount.exists());
    drop(file);
}
