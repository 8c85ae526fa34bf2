//! A work tree for the user, where a series stopped: a git of its own, in which `git am` waits.
//!
//! Nothing in it leans on the cache, and nothing in it is this tool's invention: the patches that
//! went on are commits, the one that did not has its conflict markers, and `git am` knows the
//! rest. So the way on is git's: `git add`, and `git am --continue`, `--skip` or `--abort`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use git2::Repository;

use super::Series;
use super::apply::{Onto, Stopped};
use super::checkout::expect_vacant;
use super::commits::{commits, mail};
use super::git::{Git, answer, pipe, said};
use super::images::images;
use super::three_way::provide;
use crate::cache::Cache;
use crate::event::Step;

/// The tag of the commit that the series begins after.
pub(super) const BASE: &str = "pcram-base";

/// The branch that has the series.
const BRANCH: &str = "pcram";

/// A work tree that was handed over.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// The files that have conflict markers, or want a decision for another reason.
    pub conflicts: Vec<String>,
    /// How many patches are commits in it.
    pub commits: usize,
    /// How many patches are to follow the one that stopped.
    pub left: usize,
}

/// Leaves the work tree at which `series` stopped in `dir`, a folder of the user's that is new or
/// empty. `what` says what `onto` is.
///
/// # Errors
/// A `Failure` where the folder is not; else where something cannot be written.
pub fn hand_over(
    cache: &Cache,
    step: &Step,
    onto: &Onto,
    what: &str,
    series: &Series,
    stopped: &Stopped,
    dir: &Path,
) -> Result<HandedOver> {
    expect_vacant(dir)?;
    let dir = std::path::absolute(dir)?;
    let git = Git::new(cache)?;
    let made = commits(&git, series, &onto.tree, what, &stopped.applied)?;
    let user = UserGit { cache, dir: dir.clone() };

    step.progress(0, 3, "copying the objects".to_owned());
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Repository::init(&dir).with_context(|| format!("making a git in {}", dir.display()))?;
    let blobs = blobs(cache, &git, onto, series, stopped)?;
    let wanted = [vec![made.base.clone(), made.head.clone()], blobs].concat().join("\n");
    let pack = dir.join(".git/objects/pack/pack").to_string_lossy().into_owned();
    // Looking for deltas would take longer than all else.
    let pack = ["pack-objects", "--quiet", "--revs", "--window=0", &pack];
    git.ask(&pack, wanted.as_bytes())?;

    step.progress(1, 3, "writing the files".to_owned());
    // The files are what the tree has, byte for byte, whatever its attributes or the user wish.
    let info = dir.join(".git/info");
    fs::create_dir_all(&info)?;
    fs::write(info.join("attributes"), "* -text -ident -filter -working-tree-encoding\n")?;
    user.ask(&["tag", BASE, &made.base], b"")?;
    user.ask(&["update-ref", &format!("refs/heads/{BRANCH}"), &made.head], b"")?;
    user.ask(&["symbolic-ref", "HEAD", &format!("refs/heads/{BRANCH}")], b"")?;
    user.ask(&["reset", "--quiet", "--hard"], b"")?;

    step.progress(2, 3, "applying the patch".to_owned());
    let conflicts = user.am(series, stopped)?;
    Ok(HandedOver { conflicts, commits: made.count, left: stopped.rest.len() })
}

/// The blobs that the patches from the one that stopped on were made on, as far as there are any:
/// `git am` will want them.
fn blobs(
    cache: &Cache,
    git: &Git,
    onto: &Onto,
    series: &Series,
    stopped: &Stopped,
) -> Result<Vec<String>> {
    let store = cache.store()?;
    provide(git, &store, &series.patches, &stopped.tree, &onto.gits)?;
    let rest = series.patches[stopped.at..].iter().flat_map(images);
    Ok(rest.filter_map(|image| Some(image.before?.find(&store)?.to_string())).collect())
}

/// The git in the user's folder.
struct UserGit<'a> {
    cache: &'a Cache,
    dir: PathBuf,
}

impl UserGit<'_> {
    /// git in the folder, as if nobody had settings.
    fn command(&self) -> Result<Command> {
        let mut git = self.cache.git()?;
        git.env("GIT_DIR", self.dir.join(".git")).env("GIT_WORK_TREE", &self.dir);
        git.env("GIT_COMMITTER_NAME", "pcram").env("GIT_COMMITTER_EMAIL", "pcram");
        git.current_dir(&self.dir);
        Ok(git)
    }

    fn ask(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        answer(self.command()?.args(arguments), input)
    }

    /// Begins `git am` with the patch that stopped and those that are to follow, and returns the
    /// files that it has conflicts in.
    fn am(&self, series: &Series, stopped: &Stopped) -> Result<Vec<String>> {
        let mails = tempfile::tempdir_in(self.dir.join(".git")).context("making a mailbox")?;
        let mut arguments: Vec<String> =
            ["am", "--3way", "--keep-non-patch"].map(Into::into).into();
        for at in [stopped.at].iter().chain(&stopped.rest) {
            let path = mails.path().join(format!("{at:04}"));
            fs::write(&path, mail(&series.patches[*at])).context("writing a patch for `git am`")?;
            arguments.push(path.to_string_lossy().into_owned());
        }
        let mut git = self.command()?;
        if stopped.unclear {
            // `git am` would put it in at the other place. A hook that says no stops it before.
            let hooks = mails.path().join("hooks");
            fs::create_dir(&hooks).context("making a folder for a hook")?;
            let hook = hooks.join("applypatch-msg");
            fs::write(&hook, "#!/bin/sh\nexit 1\n").context("writing a hook")?;
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o700))?;
            git.arg("-c").arg(format!("core.hooksPath={}", hooks.display()));
        }
        let done = pipe(git.args(&arguments), b"")?;
        ensure!(
            self.dir.join(".git/rebase-apply").is_dir(),
            "`git am` did not stop where the series stopped: {}",
            said(&done)
        );
        let unmerged = self.ask(&["diff", "--name-only", "--diff-filter=U", "-z"], b"")?;
        Ok(unmerged.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests;
