//! Choosing among series for trees that none was made for.

use super::super::upstream::{Upstream, numbers};
use super::*;
use crate::cache::Cache;
use crate::cache::tests::cache;
use std::fs;
use tempfile::TempDir;

/// A table with series for 8.2, 9.0 and 10.0: each changes `a.c` and `b.c` as they were then.
fn table() -> (TempDir, Releases) {
    let dir = tempfile::tempdir().unwrap();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patches/releases.toml");
    let real = fs::read_to_string(real).unwrap();
    let entry = real.split("[[release]]").nth(1).unwrap();
    let mut table = String::new();
    for name in ["8.2", "9.0", "10.0"] {
        let lines: Vec<_> = entry.lines().filter(|line| !line.starts_with("name = \"10")).collect();
        let lines = lines.join("\n").replace("series = \"10.0\"", &format!("series = \"{name}\""));
        table += &format!("[[release]]\nname = \"{name}\"\n{lines}\n");
        let upstream = Upstream::new(&[("a.c", &text(name, "a")), ("b.c", &text(name, "b"))]);
        let changed = |file| text(name, file).replace("line 5\n", "five\n");
        upstream.commit("change", &[("a.c", &changed("a")), ("b.c", &changed("b"))]);
        let (series, _) = upstream.series();
        fs::rename(series.path(), dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("releases.toml"), table).unwrap();
    let releases = Releases::read(&dir.path().join("releases.toml")).unwrap();
    (dir, releases)
}

fn text(release: &str, file: &str) -> String {
    format!("{file} of {release}\n{}", numbers(1..=10))
}

/// The names of the releases in the order of their nearness to a tree, and the first in words.
fn order(cache: &Cache, version: &str, a: &str, b: &str) -> (Vec<String>, String) {
    let (dir, releases) = table();
    let tree = Upstream::new(&[("VERSION", version), ("a.c", a), ("b.c", b)]).import(cache);
    let found = nearest(&cache.store().unwrap(), &releases, dir.path(), &tree).unwrap();
    assert_eq!(found.release.name, found.candidates[0].release);
    assert_eq!(found.dir, dir.path().join(&found.release.name));
    let order = found.candidates.iter().map(|candidate| candidate.release.clone());
    (order.collect(), found.candidates[0].to_string())
}

#[test]
fn the_series_that_finds_most_files_unchanged_is_nearest() {
    let (_guard, cache) = cache();
    let (order, why) = order(&cache, "10.0.2\n", &text("9.0", "a"), "int b;\n");
    assert_eq!(order, ["9.0", "10.0", "8.2"]);
    let told = "9.0: 1 of the 2 files that it changes are as it expects, 3 releases away";
    assert_eq!(why, told);
}

#[test]
fn where_no_file_tells_the_nearer_version_is_and_then_the_newer() {
    let (_guard, cache) = cache();
    let order = |version| order(&cache, version, "int a;\n", "int b;\n");
    assert_eq!(order("8.2.1\n").0, ["8.2", "9.0", "10.0"]);
    assert_eq!(order("10.0.0\n").1.split(", ").last(), Some("its version is the tree's"));
    assert_eq!(order("9.1.50\n").0, ["10.0", "9.0", "8.2"], "half-way");
    let (order, why) = order("no version\n");
    assert_eq!(order, ["10.0", "9.0", "8.2"]);
    assert!(why.ends_with("as it expects"), "{why}");
}
