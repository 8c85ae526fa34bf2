//! A series written anew, each hunk at its line: from what was applied, or from a work tree of the
//! user's.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use git2::{Repository, RepositoryState, Status, StatusOptions};

use super::Series;
use super::apply::{Applied, Onto};
use super::checkout::expect_vacant;
use super::commits::commits;
use super::git::{Git, Way};
use super::hand_over::BASE;
use crate::cache::Cache;
use crate::failure::Failure;

/// What is written in a patch, whatever anybody's settings are.
pub(super) const FORMAT: [&str; 10] = [
    "--full-index",
    "--binary",
    "--zero-commit",
    "--no-signature",
    "--no-numbered",
    "--no-ext-diff",
    "--no-textconv",
    "--find-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// Writes `series` as it went onto `onto` into `dir`, a folder that is new or empty: with no
/// offsets, and without patches that were there already. Returns how many patches it has.
///
/// # Errors
/// A [`Failure`] where the folder is not new or empty, or all patches were there already.
pub fn write_applied(
    cache: &Cache,
    onto: &Onto,
    series: &Series,
    applied: &Applied,
    dir: &Path,
) -> Result<usize> {
    let git = Git::new(cache)?;
    let made = commits(&git, series, &onto.tree, "base", &applied.patches)?;
    write(cache, &git, &made.base, &made.head, dir)
}

/// Writes the commits of the work tree `from`, which a stopped `apply` left, as a series into
/// `dir`, a folder that is new or empty. Returns how many patches it has.
///
/// # Errors
/// A [`Failure`] where `from` is no such work tree, or something in it is not committed, or its
/// commits cannot be written as a series of patches.
pub fn refresh(cache: &Cache, from: &Path, dir: &Path) -> Result<usize> {
    let wrong = |what: String| Failure::usage(format!("{}: {what}", from.display()));
    let repo = Repository::open(from)
        .map_err(|error| wrong(format!("no git work tree is here: {}", error.message())))?;
    if repo.state() != RepositoryState::Clean {
        let text = "`git am` or its like is still under way: end it with `git am --continue` first";
        return Err(wrong(text.to_owned()).into());
    }
    if let Some(file) = uncommitted(&repo)? {
        return Err(wrong(format!("{file} has changes: commit them first")).into());
    }
    let commit = |name: &str| repo.revparse_single(name)?.peel_to_commit();
    let base = commit(&format!("refs/tags/{BASE}"))
        .map_err(|_| wrong(format!("there is no tag `{BASE}` that the series begins after")))?;
    let head = commit("HEAD").map_err(|error| wrong(error.message().to_owned()))?;
    let git = Git::over(cache, &repo)?;
    write(cache, &git, &base.id().to_string(), &head.id().to_string(), dir)
}

/// A file of the work tree that git tracks and that differs from the last commit.
fn uncommitted(repo: &Repository) -> Result<Option<String>> {
    let mut options = StatusOptions::new();
    let statuses = repo.statuses(Some(options.include_untracked(false)))?;
    let mut changed = statuses.iter().filter(|entry| entry.status() != Status::CURRENT);
    Ok(changed.next().map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned()))
}

/// Writes the commits of `git` as a series, tries it, and moves it to `dir`.
fn write(cache: &Cache, git: &Git, base: &str, head: &str, dir: &Path) -> Result<usize> {
    expect_vacant(dir)?;
    let scratch = cache.scratch(cache.root())?;
    let into = scratch.path().to_string_lossy().into_owned();
    let range = format!("{base}..{head}");
    let arguments = [&["format-patch", "-o", &into], FORMAT.as_slice(), &[&range]].concat();
    let written = git.ask(&arguments, b"")?;
    let names: Vec<_> = written
        .lines()
        .filter_map(|path| Some(Path::new(path).file_name()?.to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() {
        let text = "there is no commit after the base: a series of no patch is none";
        return Err(Failure::usage(text).into());
    }
    let list: String = names.iter().map(|name| format!("{name}\n")).collect();
    fs::write(scratch.path().join("series"), list).context("writing the list of a series")?;
    prove(git, base, head, &Series::load(scratch.path())?)?;

    let writing = || format!("writing the series into {}", dir.display());
    fs::create_dir_all(dir).with_context(writing)?;
    // The list comes last: without it, nobody takes the folder for a series.
    for name in names.iter().map(String::as_str).chain(["series"]) {
        fs::copy(scratch.path().join(name), dir.join(name)).with_context(writing)?;
    }
    Ok(names.len())
}

/// Sees to it that the series, applied exactly, makes of the first commit's tree the last one's.
fn prove(git: &Git, base: &str, head: &str, series: &Series) -> Result<()> {
    let tree = |commit: &str| git.ask(&["rev-parse", &format!("{commit}^{{tree}}")], b"");
    let index = git.index("proof");
    index.read(&tree(base)?)?;
    for patch in &series.patches {
        let tried = index.apply(patch, Way::Forward)?;
        ensure!(
            tried.fits && tried.remarks.is_empty(),
            Failure::usage(format!(
                "the commits cannot be written as a series: {} does not apply exactly; is there a \
                 merge among them? {}",
                patch.file, tried.said
            ))
        );
    }
    let (found, expected) = (index.write()?, tree(head)?);
    ensure!(
        found == expected,
        Failure::usage(
            "the commits cannot be written as a series: applied one on the other, the patches \
             make another tree than the last commit's; is there a merge among them?"
        )
    );
    Ok(())
}
