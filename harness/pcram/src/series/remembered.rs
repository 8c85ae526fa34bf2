//! What came of applying a series before, where every patch went on exactly. The same patches onto
//! the same tree make the same trees, and twenty patches onto QEMU take two seconds.

use super::apply::{Applied, AppliedPatch, How};
use super::{Patch, Series};
use crate::cache::{Cache, write_atomically};
use anyhow::{Context, Result};
use git2::{Oid, Repository};
use std::fs;
use std::path::PathBuf;

/// Raised where a series comes to be applied in another way.
const FORMAT: &str = "1";

/// The trees of `series` onto `tree`, where they are known and in the store.
pub(super) fn recall(cache: &Cache, tree: &str, series: &Series) -> Result<Option<Applied>> {
    let store = cache.store()?;
    let Ok(text) = fs::read_to_string(record(cache, tree, series)) else { return Ok(None) };
    let trees: Vec<&str> = text.lines().collect();
    if trees.len() != series.patches.len() || !trees.iter().all(|tree| is_tree(&store, tree)) {
        return Ok(None);
    }
    let patches = series.patches.iter().zip(&trees).map(|(patch, &tree)| {
        let Patch { file, subject, .. } = patch.clone();
        AppliedPatch { file, subject, how: How::Exact, tree: tree.to_owned() }
    });
    let patches: Vec<_> = patches.collect();
    let last = patches.last().map(|patch| patch.tree.clone());
    Ok(last.map(|tree| Applied { tree, patches }))
}

/// Keeps the trees of `applied`, where every patch went on exactly.
pub(super) fn keep(cache: &Cache, tree: &str, series: &Series, applied: &Applied) -> Result<()> {
    if applied.patches.iter().any(|patch| patch.how != How::Exact) {
        return Ok(());
    }
    let path = record(cache, tree, series);
    let folder = cache.applied_dir();
    let trees = applied.patches.iter().map(|patch| format!("{}\n", patch.tree));
    let text: String = trees.collect();
    fs::create_dir_all(&folder)
        .and_then(|()| write_atomically(&path, &text))
        .with_context(|| format!("writing {}", path.display()))
}

/// The file of the trees, one on each line, named after all that they come from.
fn record(cache: &Cache, tree: &str, series: &Series) -> PathBuf {
    let key = blake3::hash(format!("{FORMAT} {tree} {}", series.id).as_bytes());
    cache.applied_dir().join(key.to_hex().as_str())
}

fn is_tree(store: &Repository, tree: &str) -> bool {
    Oid::from_str(tree).is_ok_and(|id| store.find_tree(id).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::Mode;
    use crate::cache::tests::cache;
    use crate::series::apply::tests::{onto, series, tree};

    const ONE: &str = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";
    const TWO: &str = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-b\n+c\n";

    fn trees(applied: &Applied) -> Vec<&str> {
        applied.patches.iter().map(|patch| patch.tree.as_str()).collect()
    }

    #[test]
    fn the_same_series_onto_the_same_tree_is_recalled_and_no_other() {
        let (_folder, cache) = cache();
        let base = tree(&cache, &[("f", Mode::File, "a\n")]);
        let both = series(&[ONE, TWO]);
        assert!(recall(&cache, &base, &both).unwrap().is_none());
        let applied = onto(&cache, &base, &both).unwrap();
        let recalled = recall(&cache, &base, &both).unwrap().unwrap();
        assert_eq!((trees(&recalled), &recalled.tree), (trees(&applied), &applied.tree));
        assert_eq!(recalled.patches[1].file, "1.patch");
        assert!(recall(&cache, &base, &series(&[ONE])).unwrap().is_none());
        let other = tree(&cache, &[("f", Mode::File, "a\n"), ("g", Mode::File, "")]);
        assert!(recall(&cache, &other, &both).unwrap().is_none());
    }

    #[test]
    fn what_is_kept_is_held_against_the_store() {
        let (_folder, cache) = cache();
        let base = tree(&cache, &[("f", Mode::File, "a\n")]);
        let one = series(&[ONE]);
        let made = onto(&cache, &base, &one).unwrap().tree;
        let path = record(&cache, &base, &one);
        for bad in ["", "no tree\n", &format!("{made}\n{made}\n"), &format!("{}\n", "0".repeat(40))]
        {
            fs::write(&path, bad).unwrap();
            assert!(recall(&cache, &base, &one).unwrap().is_none(), "{bad:?}");
            assert_eq!(onto(&cache, &base, &one).unwrap().tree, made, "it is made again");
        }
    }

    #[test]
    fn only_what_went_on_exactly_is_kept() {
        let (_folder, cache) = cache();
        let near = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n x\n-a\n+b\n y\n";
        let (lines, moved) = ("top\nx\na\ny\nend\n", "new\ntop\nx\na\ny\nend\n");
        for (text, kept) in [(lines, true), (moved, false)] {
            let (base, one) = (tree(&cache, &[("f", Mode::File, text)]), series(&[near]));
            onto(&cache, &base, &one).unwrap();
            assert_eq!(recall(&cache, &base, &one).unwrap().is_some(), kept, "{text}");
        }
    }
}
