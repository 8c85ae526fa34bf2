//! Tests of the cache as a whole, and what other tests make caches with.

use super::*;
use crate::event::{Event, Events, Outcome, Report};
use crate::failure::Exit;
use std::sync::mpsc::Sender;

/// A new cache in a folder of its own.
pub(crate) fn cache() -> (TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(Some(dir.path())).unwrap();
    (dir, cache)
}

/// Runs `work` in a step that nobody hears of.
pub(crate) fn a_step<T>(work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
    Events::default().step("test", "", "", |step| Ok((work(step)?, Outcome::default())))
}

struct Notes(Sender<String>);

impl Report for Notes {
    fn take(&mut self, event: &Event) {
        if let Event::Note { text, .. } = event {
            // A test that listens no more has what it wanted.
            let _ = self.0.send(text.clone());
        }
    }
}

/// A stream whose notes are sent to `to`.
pub(crate) fn notes(to: Sender<String>) -> Events {
    Events::new(vec![Box::new(Notes(to))])
}

fn refusal(dir: &Path) -> (Exit, String) {
    let error = Cache::open(Some(dir)).map(|_| ()).unwrap_err();
    (Exit::of(&error), format!("{error:#}"))
}

#[test]
fn another_layout_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("layout"), "99").unwrap();
    let (exit, text) = refusal(dir.path());
    assert_eq!(exit, Exit::PrerequisiteMissing);
    assert!(text.contains("\"99\"") && text.contains("remove the folder"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_of_somebody_elses_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let (exit, text) = refusal(dir.path());
    assert_eq!(exit, Exit::BadUsage);
    assert!(text.contains("letter.txt"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_place_that_cannot_be_written_to_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (exit, text) = refusal(&file.join("cache"));
    assert_eq!(exit, Exit::PrerequisiteMissing);
    assert!(text.contains("cannot be written to"), "{text}");
}

#[test]
fn a_look_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Cache::look(Some(&dir.path().join("none"))).unwrap().is_none());
    assert!(Cache::look(Some(dir.path())).unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(Cache::open(Some(dir.path())).unwrap());
    let leftover = dir.path().join(".pcram-tmp-a");
    fs::write(&leftover, "").unwrap();
    assert!(Cache::look(Some(dir.path())).unwrap().is_some());
    assert!(leftover.exists(), "a look cleans nothing, either");
}

#[test]
fn leftovers_are_removed_by_the_next_run_that_is_alone() {
    let (dir, cache) = cache();
    cache.store().unwrap();
    let left = [
        dir.path().join(".pcram-tmp-a"),
        cache.folder(Kind::Build).join(".pcram-tmp-b"),
        cache.store_dir().join("objects/pack/tmp_pack_c"),
    ];
    left.iter().for_each(|path| fs::create_dir_all(path.join("in")).unwrap());
    let kept = cache.folder(Kind::Build).join("kept");
    fs::create_dir(&kept).unwrap();
    let killed = cache.new_run().unwrap();
    let failed = killed.dir.join("failed");
    let [interrupted, begun] = ["interrupted", "begun"].map(|name| killed.dir.join(name));
    for folder in [&failed, &interrupted, &begun] {
        begin_in(folder).unwrap();
    }
    end_in(&failed, true);
    // Killed before there was a folder, or after it was gone.
    fs::remove_dir(&begun).unwrap();

    let second = Cache::open(Some(dir.path())).unwrap();
    assert!(left.iter().all(|path| path.exists()), "another run is still at work");
    drop((cache, second));
    Cache::open(Some(dir.path())).unwrap();
    assert!(left.iter().all(|path| !path.exists()), "all are dead");
    assert!(kept.exists() && failed.exists());
    let left = fs::read_dir(&killed.dir).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(left.collect::<Vec<_>>(), [failed], "neither folders nor marks");
}

#[test]
fn each_run_has_a_folder_that_is_not_pruned_under_it() {
    let (_dir, cache) = cache();
    let run = cache.new_run().unwrap();
    assert!(run.dir.is_dir() && run.dir.ends_with(&run.id));
    assert_eq!(cache.prune(Which::default()).unwrap().in_use.len(), 1);
    assert!(run.dir.is_dir());
}
