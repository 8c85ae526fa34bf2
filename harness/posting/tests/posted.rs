//! The posting that this project starts from, where its page is at hand: read, mended, and proved
//! by the ids of its own blobs, where a git that has them is named.

use pcram_posting::found::find;
use pcram_posting::letter::{Kind, read};
use pcram_posting::repair::{Proof, repair};
use std::path::Path;
use std::process::Command;

fn page() -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/thread.txt");
    let page = std::fs::read(path).ok();
    if page.is_none() {
        println!("skipped: ../shared/thread.txt is not here");
    }
    page
}

#[test]
fn the_page_has_its_letters_and_its_diff() {
    let Some(page) = page() else { return };
    let (kind, letters) = read(&page).unwrap();
    assert_eq!(kind, Kind::Page);
    let names: Vec<_> = letters.iter().map(|letter| letter.name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "Peter Feiner").count(), 4);
    let files = find(&letters[0].lines).unwrap();
    assert_eq!(files.len(), 6);
    assert_eq!(files.iter().map(|file| file.hunks.len()).sum::<usize>(), 11);
}

#[test]
fn the_posting_is_proved_by_its_blobs() {
    let Some(page) = page() else { return };
    let Some(git) = std::env::var_os("PCRAM_GIT_URL") else {
        println!("skipped: PCRAM_GIT_URL names no git that has QEMU's history");
        return;
    };
    let (_, letters) = read(&page).unwrap();
    let files = find(&letters[0].lines).unwrap();
    for (at, file) in files.iter().enumerate() {
        let id = file.old_id.as_deref().unwrap();
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&git).args(["cat-file", "blob", id]);
        let blob = command.output().unwrap();
        assert!(blob.status.success(), "{id}");
        let repaired = repair(file, Some(&blob.stdout), at + 1 == files.len()).unwrap();
        assert_eq!(repaired.proof, Proof::Proved, "{}", file.new.as_deref().unwrap());
        for repair in &repaired.repairs {
            println!("{}: {}", repair.line, repair.what);
        }
    }
}
