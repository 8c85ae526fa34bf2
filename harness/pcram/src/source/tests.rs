//! Choosing among sources, without a network.

use super::*;
use crate::cache::tests::{cache, notes};
use crate::failure::Exit;
use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use tempfile::TempDir;

/// A request for 10.0 that reaches for no network.
fn request(choice: Choice) -> Request {
    let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patches");
    let releases = Releases::read(&patches.join("releases.toml")).unwrap();
    Request {
        wanted: Wanted::Release(releases.find("10.0").unwrap().clone()),
        choice,
        git_url: None,
        git_rev: None,
        tree_dir: None,
        offline: true,
        refresh: false,
        repeat: String::new(),
    }
}

/// The least that passes for a QEMU source, with a wrap whose folder is not there.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("subprojects")).unwrap();
    for name in ["configure", "VERSION", "subprojects/keycodemapdb.wrap"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    dir
}

fn filled_tree() -> TempDir {
    let dir = tree();
    fs::create_dir(dir.path().join("subprojects/keycodemapdb")).unwrap();
    fs::write(dir.path().join("subprojects/keycodemapdb/meson.build"), "keys").unwrap();
    dir
}

/// As if the package had been fetched with the files of `dir`.
fn pretend_package(cache: &Cache, dir: &Path) -> Source {
    let fetched = fetch_tree(cache, dir).unwrap();
    let source = Source {
        origin: Origin::Package {
            name: "qemu".into(),
            version: "1:10.0.13".into(),
            suite: "trixie".into(),
            dsc_sha256: "ab".repeat(32),
        },
        ..fetched
    };
    source.save(cache).unwrap();
    source
}

fn fetch_tree(cache: &Cache, dir: &Path) -> Result<Source> {
    let request = Request { tree_dir: Some(dir.to_owned()), ..request(Choice::Tree) };
    fetch(cache, &Events::default(), &request)
}

fn failure(cache: &Cache, request: &Request) -> (Exit, String) {
    let error = fetch(cache, &Events::default(), request).unwrap_err();
    (Exit::of(&error), format!("{error:#}"))
}

#[test]
fn offline_with_an_empty_cache_nothing_answers_and_each_says_why() {
    let (_guard, cache) = cache();
    let asked =
        Request { git_url: Some("https://example.org/q.git".into()), ..request(Choice::Auto) };
    let (exit, text) = failure(&cache, &asked);
    assert_eq!(exit, Exit::PrerequisiteMissing);
    for part in
        ["source package does not answer", "git does not answer", "nothing is fetched", "--tree"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(failure(&cache, &request(Choice::Package)).0, Exit::PrerequisiteMissing);
}

#[test]
fn a_git_that_is_to_lie_here_and_does_not_is_no_reason_to_take_another_source() {
    let (_guard, cache) = cache();
    for url in ["/nowhere/qemu", "nowhere", "file:///nowhere/qemu"] {
        let asked = Request { git_url: Some(url.into()), ..request(Choice::Auto) };
        let (_, text) = failure(&cache, &asked);
        assert!(text.contains("nowhere") && !text.contains("source package"), "{text}");
    }
}

#[test]
fn a_source_that_is_not_named_is_bad_usage() {
    let (_guard, cache) = cache();
    for (choice, option) in [(Choice::Git, "--git-url"), (Choice::Tree, "--tree")] {
        let (exit, text) = failure(&cache, &request(choice));
        assert_eq!(exit, Exit::BadUsage);
        assert!(text.contains(option), "{text}");
    }
}

#[test]
fn what_the_cache_has_is_taken_first_and_told() {
    let (_guard, cache) = cache();
    let package = pretend_package(&cache, filled_tree().path());
    let (tell, told) = channel();
    let source = fetch(&cache, &notes(tell), &request(Choice::Auto)).unwrap();
    assert_eq!(source, package);
    assert!(told.recv().unwrap().contains("the cache has it"));
    assert_eq!(request(Choice::Auto).uses(&cache), [Use::Trees]);
}

#[test]
fn a_record_without_its_tree_is_no_record() {
    let (_guard, cache) = cache();
    let mut source = pretend_package(&cache, filled_tree().path());
    source.tree = "0123456789".repeat(4);
    source.save(&cache).unwrap();
    assert_eq!(record::package(&cache, "10.0"), None);
}

#[test]
fn auto_takes_a_tree_that_was_named() {
    let (_guard, cache) = cache();
    let dir = filled_tree();
    let named = Request { tree_dir: Some(dir.path().into()), ..request(Choice::Auto) };
    let source = fetch(&cache, &Events::default(), &named).unwrap();
    assert_eq!(source.origin, Origin::Tree { path: dir.path().into() });
    assert!(source.description().contains(&dir.path().display().to_string()));
}

#[test]
fn what_a_tree_lacks_is_filled_in_from_the_package() {
    let (_guard, cache) = cache();
    let bare = tree();
    let error = fetch_tree(&cache, bare.path()).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
    assert!(format!("{error:#}").contains("subprojects/keycodemapdb"), "{error:#}");

    let package = pretend_package(&cache, filled_tree().path());
    let source = fetch_tree(&cache, bare.path()).unwrap();
    assert_eq!(source.tree, package.tree, "with the folder, the trees are the same");
    assert_eq!(source.filled[0].folder, "subprojects/keycodemapdb");
    assert!(source.filled[0].from.contains("1:10.0.13"), "{:?}", source.filled);
    assert!(source.description().contains("subprojects/keycodemapdb from"));
}

#[test]
fn the_submodule_of_older_trees_is_filled_in_too() {
    let (_guard, cache) = cache();
    let dir = tree();
    fs::remove_dir_all(dir.path().join("subprojects")).unwrap();
    fs::write(dir.path().join(".gitmodules"), "[submodule \"ui/keycodemapdb\"]\n").unwrap();
    let error = fetch_tree(&cache, dir.path()).unwrap_err();
    assert!(format!("{error:#}").contains("ui/keycodemapdb"), "{error:#}");
    fs::create_dir_all(dir.path().join("ui/keycodemapdb")).unwrap();
    fs::write(dir.path().join("ui/keycodemapdb/README"), "keys").unwrap();
    let package = pretend_package(&cache, dir.path());
    fs::remove_dir_all(dir.path().join("ui")).unwrap();
    assert_eq!(fetch_tree(&cache, dir.path()).unwrap().tree, package.tree);
}

#[test]
fn a_folder_that_is_no_qemu_is_refused() {
    let (_guard, cache) = cache();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), "").unwrap();
    let error = fetch_tree(&cache, dir.path()).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::BadUsage);
    assert!(error.to_string().contains("configure"), "{error}");
}
