//! A patch that does not apply, merged: what it was made on is rebuilt from the blobs that its
//! `index` lines name, it is applied there exactly, and git merges the result with the tree.
//!
//! It is what `git am --3way` does, without a work tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use git2::{Diff, DiffOptions, ErrorCode, Oid, Repository};

use super::git::{Git, Way, pipe, said};
use super::images::{BlobName, Image, images};
use super::{Patch, Series};
use crate::failure::Failure;

/// How git's exit status says that there are conflicts.
const CONFLICTS: i32 = 1;

/// What came of a merge.
pub(super) enum Merged {
    /// Both changes are in.
    Clean {
        /// The merged tree.
        tree: String,
        /// Where the patch's change went, file by file, as far as the file is another.
        moved: Vec<String>,
    },
    /// They are not.
    Stopped(Obstacle),
}

/// Why a patch that does not apply could not be merged either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The tree and the patch both change the same place.
    Conflict {
        /// The files that have conflicts.
        files: Vec<String>,
        /// What git says of each conflict.
        messages: Vec<String>,
    },
    /// What the patch was made on is not at hand.
    NoBase {
        /// The files whose blobs are not there.
        missing: Vec<Missing>,
    },
    /// The patch does not fit the blobs that it names: it was edited, or it is no patch.
    Unfit {
        /// What git says.
        said: String,
    },
}

/// A blob that a merge would need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The file that it is.
    pub path: PathBuf,
    /// The beginning of its id, where the patch says which it is.
    pub id: Option<String>,
}

impl Missing {
    fn new(image: &Image) -> Missing {
        let id = image.before.as_ref().map(|name| name.short().to_owned());
        Missing { path: image.path.clone(), id }
    }
}

/// Merges the patch number `at` of `series` into the tree `before`. Blobs are looked for in the
/// store, then in `gits`, and then made from earlier patches of the series.
pub(super) fn merge(
    git: &Git,
    store: &Repository,
    series: &Series,
    at: usize,
    before: &str,
    gits: &[PathBuf],
) -> Result<Merged> {
    let patch = &series.patches[at];
    if images(patch).is_empty() {
        return Ok(Merged::Stopped(Obstacle::Unfit { said: String::new() }));
    }
    provide(git, store, &series.patches[..=at], before, gits)?;
    let missing = lacking(store, patch);
    if !missing.is_empty() {
        return Ok(Merged::Stopped(Obstacle::NoBase { missing }));
    }
    let (base, theirs) = match remake(git, patch, before)? {
        Ok(trees) => trees,
        Err(said) => return Ok(Merged::Stopped(Obstacle::Unfit { said })),
    };
    let base = git.commit(&base, None, "base")?;
    for (name, tree) in [("tree", before), ("patch", &theirs)] {
        let commit = git.commit(tree, Some(&base), name)?;
        git.ask(&["update-ref", &format!("refs/heads/{name}"), &commit], b"")?;
    }
    match merge_tree(git)? {
        Ok(tree) => Ok(Merged::Clean { moved: moved(store, patch, before, &tree)?, tree }),
        Err(conflict) => Ok(Merged::Stopped(conflict)),
    }
}

/// Makes the blobs that the last of `patches` was made on, as far as they can be had.
pub(super) fn provide(
    git: &Git,
    store: &Repository,
    patches: &[Patch],
    before: &str,
    gits: &[PathBuf],
) -> Result<()> {
    let gits: Vec<_> = gits.iter().filter_map(|path| Repository::open(path).ok()).collect();
    for (at, patch) in patches.iter().enumerate() {
        let is_last = at + 1 == patches.len();
        let images = images(patch);
        let known = |name: &BlobName| name.find(store).is_some();
        if !is_last && images.iter().all(|image| image.after.as_ref().is_none_or(known)) {
            continue;
        }
        for name in images.iter().filter_map(|image| image.before.as_ref()) {
            let elsewhere = || gits.iter().find_map(|git| Some((git, name.find(git)?)));
            if !known(name)
                && let Some((git, id)) = elsewhere()
            {
                store.blob(git.find_blob(id)?.content()).context("copying a blob")?;
            }
        }
        // Whoever wants what this one leaves will miss it, and say so.
        if !is_last && lacking(store, patch).is_empty() {
            let _ = remake(git, patch, before)?;
        }
    }
    Ok(())
}

/// The files that `patch` changes and whose blobs before it are not in the store.
fn lacking(store: &Repository, patch: &Patch) -> Vec<Missing> {
    images(patch)
        .iter()
        .filter(|image| !image.is_new && (image.before.is_some() || image.has_hunks))
        .filter(|image| image.before.as_ref().is_none_or(|name| name.find(store).is_none()))
        .map(Missing::new)
        .collect()
}

/// The tree of just the files that `patch` was made on, and that tree with the patch; or what git
/// said where the two do not fit.
fn remake(
    git: &Git,
    patch: &Patch,
    before: &str,
) -> Result<std::result::Result<(String, String), String>> {
    let all = git.index("all");
    // What a patch names no blob of, such as a file that is only renamed, is taken from here.
    all.read(before)?;
    let index = match all.ancestor(patch, "ancestor")? {
        Ok(index) => index,
        Err(said) => return Ok(Err(said)),
    };
    let base = index.write()?;
    let tried = index.apply(patch, Way::Forward)?;
    if !tried.fits || !tried.remarks.is_empty() {
        return Ok(Err(tried.said));
    }
    Ok(Ok((base, index.write()?)))
}

/// Merges the branches `tree` and `patch`: the merged tree, or the conflicts.
fn merge_tree(git: &Git) -> Result<std::result::Result<String, Obstacle>> {
    let arguments = ["merge-tree", "--write-tree", "-z", "--messages", "tree", "patch"];
    let done = pipe(git.command()?.args(arguments), b"")?;
    let conflicts = match done.status.code() {
        Some(0) => false,
        Some(CONFLICTS) if !done.stdout.is_empty() => true,
        _ => bail!(Failure::missing(format!(
            "`git merge-tree` does not work here, which merges three ways; git 2.38 or newer is \
             wanted: {}",
            said(&done)
        ))),
    };
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut fields = told.split('\0');
    let tree = fields.next().unwrap_or_default().to_owned();
    if !conflicts {
        return Ok(Ok(tree));
    }
    // An entry of each stage of each file, and an empty field behind the last.
    let entries = fields.by_ref().take_while(|field| !field.is_empty());
    let files: BTreeSet<String> =
        entries.filter_map(|entry| Some(entry.split_once('\t')?.1.to_owned())).collect();
    let mut messages = Vec::new();
    // A message: how many paths, the paths, its kind, its text.
    while let Some(count) = fields.next().and_then(|field| field.parse::<usize>().ok()) {
        let kind = fields.nth(count).unwrap_or_default();
        let text = fields.next().unwrap_or_default();
        if kind.starts_with("CONFLICT") {
            messages.push(text.trim().to_owned());
        }
    }
    Ok(Err(Obstacle::Conflict { files: files.into_iter().collect(), messages }))
}

/// Where the change of `patch` stands between the trees `before` and `merged`, for each file that
/// is not as the patch expects it.
fn moved(store: &Repository, patch: &Patch, before: &str, merged: &str) -> Result<Vec<String>> {
    let tree = |id| anyhow::Ok(store.find_tree(Oid::from_str(id)?)?);
    let (before, merged) = (tree(before)?, tree(merged)?);
    // Without context, changes that do not touch are hunks of their own.
    let options = &mut DiffOptions::new();
    let options = options.context_lines(0);
    let diff = store.diff_tree_to_tree(Some(&before), Some(&merged), Some(options))?;
    let images = images(patch);
    let mut told = Vec::new();
    for image in &images {
        if !image.is_new && is_missing(&before, &image.path) {
            told.push(format!("{}: not there under this name", image.path.display()));
        }
    }
    for (path, lines) in places(&diff)? {
        let image = images.iter().find(|image| image.path == path || image.to == path);
        let by = match image {
            Some(image) if image.stands_in(&before) => continue,
            Some(image) if image.is_new && is_missing(&before, &path) => continue,
            Some(_) => "merged",
            None => "merged, since it was renamed",
        };
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        told.push(format!("{}: {by}; changes at line {}", path.display(), lines.join(", ")));
    }
    Ok(told)
}

fn is_missing(tree: &git2::Tree, path: &Path) -> bool {
    tree.get_path(path).is_err_and(|error| error.code() == ErrorCode::NotFound)
}

/// The lines at which each file of `diff` is changed, counted in the file after it.
fn places(diff: &Diff) -> Result<Vec<(PathBuf, Vec<u32>)>> {
    let mut found: Vec<(PathBuf, Vec<u32>)> = Vec::new();
    diff.foreach(
        &mut |_, _| true,
        None,
        Some(&mut |delta, hunk| {
            let Some(path) = delta.new_file().path() else { return true };
            match found.last_mut() {
                Some((last, lines)) if last == path => lines.push(hunk.new_start()),
                _ => found.push((path.to_owned(), vec![hunk.new_start()])),
            }
            true
        }),
        None,
    )?;
    Ok(found)
}

#[cfg(test)]
mod tests;
