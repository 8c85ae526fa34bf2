//! A git: one that lies here is read as it is, one elsewhere is fetched by the system's git.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use git2::{ErrorCode, Oid, Repository};

use super::Origin;
use super::import::Import;
use crate::cache::Cache;
use crate::cache::store::{self, Mode};
use crate::event::Step;
use crate::failure::Failure;
use crate::process::{self, Ending};

/// How long the network may take for one shallow commit.
const LIMIT: Duration = Duration::from_secs(900);

/// How often the progress is told, in files.
const TELL_EVERY: usize = 500;

/// The folder that `url` names, if it names one here.
pub fn local(url: &str) -> Option<PathBuf> {
    match url.strip_prefix("file://") {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(PathBuf::from(url)).filter(|path| path.exists()),
    }
}

/// Whether `url` can only be a path: it has no scheme, and no host before a colon (git-clone(1)).
pub(super) fn is_path(url: &str) -> bool {
    url.starts_with("file://") || url.split('/').next().is_some_and(|first| !first.contains(':'))
}

/// Copies the tree of `rev` of the git at `url` into the store.
pub(super) fn fetch(cache: &Cache, step: &Step, url: &str, rev: &str) -> Result<(Oid, Origin)> {
    let shown = shown(url);
    let (commit, tree) = match local(url) {
        Some(path) => {
            let repo = Repository::open(&path).map_err(|error| cannot_open(&shown, &error))?;
            copy(cache, step, &repo, &shown, rev)?
        }
        None => {
            let scratch = cache.scratch(cache.root())?;
            download(cache, step, scratch.path(), url, rev)?;
            let repo = Repository::open_bare(scratch.path()).context("opening what was fetched")?;
            copy(cache, step, &repo, &shown, "FETCH_HEAD")?
        }
    };
    let origin = Origin::Git { url: shown, rev: rev.into(), commit: commit.to_string() };
    Ok((tree, origin))
}

/// Fetches `rev` alone, without its history, with the user's proxies and credentials, but
/// without asking the user anything.
fn download(cache: &Cache, step: &Step, into: &Path, url: &str, rev: &str) -> Result<()> {
    step.progress(0, 1, format!("fetching {rev}"));
    Repository::init_bare(into).context("making a place to fetch into")?;
    let mut git = Command::new("git");
    for name in ["GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
        git.env_remove(name);
    }
    git.env_remove("GIT_ALTERNATE_OBJECT_DIRECTORIES").env_remove("GIT_COMMON_DIR");
    git.env("GIT_DIR", into);
    git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "false");
    git.env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
    // A line that is dead for so long stays so.
    git.args(["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30"]);
    git.args(["fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", url, rev]);
    cache.in_use().lend(&mut git)?;
    let mut said = Vec::new();
    let status = process::run(&mut git, Ending::Kill, LIMIT, |line| said.push(line.to_owned()));
    let status = status.map_err(|error| Failure::missing(error.to_string()))?;
    if !status.success() {
        return Err(Failure::missing(format!(
            "git could not fetch {rev} of {}: {}",
            shown(url),
            said.join("; ").replace(url, &shown(url))
        ))
        .into());
    }
    Ok(())
}

/// Copies the tree of `rev` from `repo` into the store; returns the commit and the tree.
fn copy(cache: &Cache, step: &Step, repo: &Repository, url: &str, rev: &str) -> Result<(Oid, Oid)> {
    let commit = repo
        .revparse_single(rev)
        .or_else(|_| repo.revparse_single(&format!("refs/remotes/origin/{rev}")))
        .and_then(|object| object.peel_to_commit())
        .map_err(|error| {
            Failure::missing(format!(
                "the git {url} has no commit {rev:?} ({}): fetch it there, or name another by \
                 --git-rev",
                error.message()
            ))
        })?;
    let tree = commit.tree_id();
    // A tree is the last to be written: where it is, all that is in it is.
    if cache.store()?.find_tree(tree).is_ok() {
        return Ok((commit.id(), tree));
    }
    let files = store::files(repo, tree).map_err(|error| incomplete(url, &format!("{error:#}")))?;
    let mut import = Import::begin(cache)?;
    for (at, file) in files.iter().enumerate() {
        if at % TELL_EVERY == 0 {
            step.progress(at as u64, files.len() as u64, file.path.display().to_string());
        }
        let bytes = if file.mode == Mode::Submodule {
            file.id.to_string().into_bytes()
        } else {
            store::blob(repo, file.id)?
                .ok_or_else(|| incomplete(url, &format!("no {}", file.path.display())))?
        };
        import.add(&file.path, file.mode, &bytes)?;
    }
    let copied = import.finish()?;
    anyhow::ensure!(copied == tree, "the tree {tree} of {url} was copied as {copied}");
    Ok((commit.id(), tree))
}

/// Why a git or a work tree cannot be opened, and what helps.
pub(super) fn cannot_open(url: &str, error: &git2::Error) -> anyhow::Error {
    let help = if error.code() == ErrorCode::Owner {
        format!("; if you trust it, `git config --global --add safe.directory {url}`")
    } else {
        String::new()
    };
    Failure::missing(format!("cannot open the git {url}: {}{help}", error.message())).into()
}

fn incomplete(url: &str, what: &str) -> Failure {
    Failure::missing(format!(
        "the git {url} is not complete: {what}; where it is a partial clone, \
         `git fetch --refetch --no-filter` in it helps"
    ))
}

/// The URL as it may be shown and recorded: without a user's name, which may be a token, and
/// password.
pub(super) fn shown(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
        Some((scheme, (user, rest))) if !user.contains('/') => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::{blob, files};
    use crate::cache::tests::{a_step, cache};
    use crate::failure::Exit;
    use git2::Signature;
    use std::fs;
    use tempfile::TempDir;

    /// A git with one commit, tagged `v1.0`.
    fn repository() -> (TempDir, Repository) {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repository::init(dir.path()).unwrap();
        fs::create_dir(dir.path().join("hw")).unwrap();
        fs::write(dir.path().join("hw/pc.c"), "int pc;\n").unwrap();
        fs::write(dir.path().join("VERSION"), "1.0\n").unwrap();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::now("A", "a@example.org").unwrap();
        let commit = repo.commit(Some("HEAD"), &author, &author, "one", &tree, &[]).unwrap();
        let commit = repo.find_object(commit, None).unwrap();
        repo.tag("v1.0", &commit, &author, "a tag", false).unwrap();
        drop((tree, commit));
        (dir, repo)
    }

    fn fetched(cache: &Cache, url: &str, rev: &str) -> Result<(Oid, Origin)> {
        a_step(|step| fetch(cache, step, url, rev))
    }

    #[test]
    fn a_git_here_is_read_by_tag_branch_and_commit() {
        let (dir, repo) = repository();
        let head = repo.head().unwrap().peel_to_commit().unwrap();
        let path = dir.path().display().to_string();
        let branch = repo.head().unwrap().shorthand().unwrap().to_owned();
        for url in [path.clone(), format!("file://{path}")] {
            for rev in ["v1.0", &branch, &head.id().to_string()] {
                let (_guard, cache) = cache();
                let (tree, origin) = fetched(&cache, &url, rev).unwrap();
                assert_eq!(tree, head.tree_id());
                let commit = head.id().to_string();
                let expected = Origin::Git { url: url.clone(), rev: rev.into(), commit };
                assert_eq!(origin, expected);
                let store = cache.store().unwrap();
                let found = files(&store, tree).unwrap();
                assert_eq!(found.len(), 2);
                assert_eq!(blob(&store, found[0].id).unwrap().unwrap(), b"1.0\n");
            }
        }
    }

    #[test]
    fn what_a_git_lacks_is_named() {
        let (dir, repo) = repository();
        let (_guard, cache) = cache();
        let path = dir.path().display().to_string();
        let error = fetched(&cache, &path, "v9.9").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
        assert!(error.to_string().contains("\"v9.9\""), "{error}");
        assert!(error.to_string().contains(&path), "{error}");

        let head = repo.head().unwrap().peel_to_tree().unwrap();
        let lost = head.get_path(Path::new("hw/pc.c")).unwrap().id().to_string();
        fs::remove_file(repo.path().join("objects").join(&lost[..2]).join(&lost[2..])).unwrap();
        let error = fetched(&cache, &path, "v1.0").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
        assert!(error.to_string().contains("hw/pc.c"), "{error}");

        let error = fetched(&cache, "file:///no/such/git", "v1.0").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
    }

    #[test]
    fn a_git_elsewhere_is_fetched_by_the_systems_git() {
        let (dir, repo) = repository();
        let (guard, cache) = cache();
        let scratch = tempfile::tempdir_in(guard.path()).unwrap();
        let url = format!("file://{}", dir.path().display());
        a_step(|step| download(&cache, step, scratch.path(), &url, "v1.0")).unwrap();
        let fetched = Repository::open_bare(scratch.path()).unwrap();
        let (commit, _) =
            a_step(|step| copy(&cache, step, &fetched, "somewhere", "FETCH_HEAD")).unwrap();
        assert_eq!(commit, repo.head().unwrap().peel_to_commit().unwrap().id());

        let error = a_step(|step| download(&cache, step, scratch.path(), &url, "v9.9"));
        assert_eq!(Exit::of(&error.unwrap_err()), Exit::PrerequisiteMissing);
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(shown("https://me:secret@example.org/q.git"), "https://example.org/q.git");
        assert_eq!(shown("https://token@example.org/q.git"), "https://example.org/q.git");
        assert_eq!(shown("https://example.org/a@b"), "https://example.org/a@b");
        assert_eq!(shown("/a/path@x"), "/a/path@x");
    }
}
