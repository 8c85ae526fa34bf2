//! Builds of a tree that is configured and built as QEMU is, but is three files.

mod old;

use super::*;
use crate::cache::tests::{cache, notes};
use crate::cache::{Cache, Which};
use crate::failure::Exit;
use crate::source::import;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;

/// Writes a build.ninja whose "compiler" refuses a file with the word `mistake` in it.
const CONFIGURE: &str = r#"#!/bin/sh
if [ "$1" = --help ]; then echo "  --target-list=LIST  targets"; exit; fi
src=$(cd "$(dirname "$0")"; pwd)
echo "$@" >> ../configured-with
cat > build.ninja <<EOF
rule cc
  command = if grep -q mistake \$in; then echo "\$in:1:1: error: a mistake"; exit 1; fi; cp \$in \$out
rule link
  command = cat \$in > \$out
build a.o: cc $src/a.c
build b.o: cc $src/b.c
build qemu-system-x86_64: link a.o b.o
build qemu-img: link b.o
EOF
"#;

/// A tree in the store, with these texts in its two sources.
fn tree(cache: &Cache, a: &str, b: &str) -> String {
    tree_with(cache, CONFIGURE, a, b)
}

fn tree_with(cache: &Cache, configure: &str, a: &str, b: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("configure", configure), ("a.c", a), ("b.c", b)] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path().join("configure"), mode).unwrap();
    let all = &mut |_: &Path, _| Ok(false);
    let import = |step: &Step| import::directory(cache, step, dir.path(), all);
    crate::cache::tests::a_step(import).unwrap().to_string()
}

fn request(source: &str) -> Request {
    Request {
        source: source.into(),
        toolchain: None,
        flags: Flags::default(),
        jobs: 2,
        offline: true,
        repeat: String::new(),
    }
}

fn patched(tree: &str) -> Variant {
    Variant::Patched { tree: tree.into(), series: format!("series of {tree}") }
}

fn stock(cache: &Cache, source: &str) -> Result<Build> {
    build(cache, &Events::default(), &request(source), &Variant::Stock)
}

fn work_tree(cache: &Cache) -> PathBuf {
    let mut trees = fs::read_dir(cache.folder(Kind::Tree)).unwrap();
    trees.next().unwrap().unwrap().path()
}

fn configured(cache: &Cache) -> usize {
    let text = fs::read_to_string(work_tree(cache).join("configured-with")).unwrap();
    text.lines().count()
}

#[test]
fn patched_after_stock_compiles_only_what_differs() {
    let (_guard, cache) = cache();
    let (base, changed) = (tree(&cache, "a1", "b1"), tree(&cache, "a2", "b1"));
    let pair = pair(&cache, &Events::default(), &request(&base), &patched(&changed)).unwrap();
    assert_eq!((pair.stock.compiled, pair.patched.compiled), (4, 2));
    assert_eq!(fs::read_to_string(&pair.stock.qemu_system).unwrap(), "a1b1");
    assert_eq!(fs::read_to_string(&pair.patched.qemu_system).unwrap(), "a2b1");
    assert_eq!(fs::read_to_string(&pair.patched.qemu_img).unwrap(), "b1");
    assert_eq!(configured(&cache), 1);
    let flags = fs::read_to_string(work_tree(&cache).join("configured-with")).unwrap();
    assert_eq!(flags.split('=').next(), Some("--target-list"), "only what configure knows");
    assert!(!flags.contains("tcg"), "{flags}");

    // Another series, and back: each time only what differs.
    let other = tree(&cache, "a2", "b3");
    let third = build(&cache, &Events::default(), &request(&base), &patched(&other)).unwrap();
    assert_eq!(third.compiled, 3);
    assert_eq!(fs::read_to_string(&third.qemu_system).unwrap(), "a2b3");
    assert_eq!(configured(&cache), 1);
}

#[test]
fn a_finished_build_is_found_without_its_work_tree() {
    let (_guard, cache) = cache();
    let base = tree(&cache, "a1", "b1");
    let made = stock(&cache, &base).unwrap();
    assert!(!made.reused);
    // A process that another test has forked, and that has not come to its program yet, still holds
    // the locks of this one.
    let end = Instant::now() + std::time::Duration::from_secs(10);
    while !cache
        .prune(Which { kind: Some(Kind::Tree), older_than: None })
        .unwrap()
        .in_use
        .is_empty()
    {
        assert!(Instant::now() < end, "the work tree stays in use");
    }
    let found = stock(&cache, &base).unwrap();
    assert!(found.reused && found.compiled == 0);
    assert_eq!((found.key, &found.qemu_system), (made.key, &made.qemu_system));
    assert_eq!(fs::read_dir(cache.folder(Kind::Tree)).unwrap().count(), 0);
    let record = fs::read_to_string(found.dir.join("build.toml")).unwrap();
    for part in [&base, "--enable-tcg", "compiler = "] {
        assert!(record.contains(part), "{record}");
    }
}

#[test]
fn a_pair_that_was_not_built_is_not_found() {
    let (_guard, cache) = cache();
    let (base, changed) = (tree(&cache, "a1", "b1"), tree(&cache, "a2", "b1"));
    let request = Request { repeat: "pcram build 10.0".into(), ..request(&base) };
    let variant = patched(&changed);
    stock(&cache, &base).unwrap();
    let error = finished(&cache, &request, &variant).map(|_| ()).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
    let text = error.to_string();
    assert!(text.contains("patched") && text.contains("`pcram build 10.0`"), "{text}");
    let built = pair(&cache, &Events::default(), &request, &variant).unwrap();
    let found = finished(&cache, &request, &variant).unwrap();
    assert_eq!(found.patched.qemu_system, built.patched.qemu_system);
    assert_eq!(found.stock.key, built.stock.key);
}

#[test]
fn a_build_in_use_is_not_pruned() {
    let (_guard, cache) = cache();
    let built = stock(&cache, &tree(&cache, "a1", "b1")).unwrap();
    let copy = built.clone();
    drop(built);
    cache.prune(Which::default()).unwrap();
    assert!(copy.qemu_system.exists());
    let dir = copy.dir.clone();
    drop(copy);
    cache.prune(Which::default()).unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_finished_build_that_was_damaged_is_made_again() {
    let (_guard, cache) = cache();
    let base = tree(&cache, "a1", "b1");
    let built = stock(&cache, &base).unwrap();
    fs::remove_file(&built.qemu_img).unwrap();
    let again = stock(&cache, &base).unwrap();
    assert!(!again.reused && again.qemu_img.exists());
    assert_eq!(again.compiled, 0, "what the work tree has is not compiled again");
}

#[test]
fn a_failed_build_tells_the_first_error_and_its_log_and_can_be_mended() {
    let (_guard, cache) = cache();
    let base = tree(&cache, "a1", "b1");
    stock(&cache, &base).unwrap();
    let wrong = patched(&tree(&cache, "mistake", "b1"));
    let error = build(&cache, &Events::default(), &request(&base), &wrong).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::DidNotBuild);
    let text = error.to_string();
    assert!(text.contains("a.c:1:1: error: a mistake"), "{text}");
    let log = work_tree(&cache).join("patched.log");
    assert!(text.contains(&log.display().to_string()), "{text}");
    assert!(fs::read_to_string(log).unwrap().contains("FAILED: "));

    let right = patched(&tree(&cache, "a2", "b1"));
    let mended = build(&cache, &Events::default(), &request(&base), &right).unwrap();
    assert_eq!(fs::read_to_string(mended.qemu_system).unwrap(), "a2b1");
}

#[test]
fn a_configure_that_fails_is_told_and_not_trusted() {
    let (_guard, cache) = cache();
    let fails = format!("{CONFIGURE}\necho; echo 'ERROR: no glib'; exit 1\n");
    let fails = tree_with(&cache, &fails, "a1", "b1");
    for _ in 0..2 {
        let error = stock(&cache, &fails).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::DidNotBuild);
        let text = error.to_string();
        assert!(text.contains("ERROR: no glib") && text.contains("configure.log"), "{text}");
    }
}

#[test]
fn a_tree_that_was_left_in_the_middle_of_configure_is_configured_again() {
    let (_guard, cache) = cache();
    let base = tree(&cache, "a1", "b1");
    stock(&cache, &base).unwrap();
    let dir = work_tree(&cache);
    fs::remove_file(dir.join("configured")).unwrap();
    fs::write(dir.join("build/build.ninja"), "half a ru").unwrap();
    let changed = patched(&tree(&cache, "a2", "b1"));
    let built = build(&cache, &Events::default(), &request(&base), &changed).unwrap();
    assert_eq!(fs::read_to_string(built.qemu_system).unwrap(), "a2b1");
    assert_eq!(configured(&cache), 2);
}

#[test]
fn a_series_that_changes_configure_has_it_run_again() {
    let (_guard, cache) = cache();
    let base = tree(&cache, "a1", "b1");
    let changed = tree_with(&cache, &format!("{CONFIGURE}\n# changed\n"), "a1", "b1");
    pair(&cache, &Events::default(), &request(&base), &patched(&changed)).unwrap();
    assert_eq!(configured(&cache), 2);
}

#[test]
fn a_tree_whose_last_run_was_killed_is_built_from_scratch_where_it_must() {
    let (_guard, cache) = cache();
    let base = tree(&cache, "a1", "b1");
    stock(&cache, &base).unwrap();
    let dir = work_tree(&cache);
    fs::write(dir.join("build/build.ninja"), "half a ru").unwrap();
    let changed = patched(&tree(&cache, "a2", "b1"));
    let events = Events::default();
    let error = build(&cache, &events, &request(&base), &changed).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::DidNotBuild, "nobody was killed here");

    fs::write(dir.join("busy"), "").unwrap();
    let (tell, told) = channel();
    let built = build(&cache, &notes(tell), &request(&base), &changed).unwrap();
    assert_eq!(fs::read_to_string(built.qemu_system).unwrap(), "a2b1");
    assert!(told.recv().unwrap().contains("from scratch"));
    assert!(!dir.join("busy").exists());
}
