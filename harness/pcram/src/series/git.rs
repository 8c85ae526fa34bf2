//! The system's git for a series: refs, indices and commits in a temporary folder of its own, on
//! the objects of a store.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use git2::Repository;
use tempfile::TempDir;

use super::Patch;
use crate::cache::Cache;
use crate::process::Group;

/// A git whose refs and indices nobody else sees.
pub(super) struct Git<'a> {
    cache: &'a Cache,
    dir: TempDir,
    objects: PathBuf,
}

/// Which way a patch is applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As it is.
    Forward,
    /// Taken back.
    Reverse,
}

/// What `git apply` made of a patch.
pub(super) struct Tried {
    /// Whether it was, or would be, applied.
    pub fits: bool,
    /// What is not exactly as the patch says: hunks that were found elsewhere, other modes.
    pub remarks: Vec<String>,
    /// All that git said.
    pub said: String,
}

/// One index of such a git.
pub(super) struct Index<'g> {
    git: &'g Git<'g>,
    file: PathBuf,
}

impl<'a> Git<'a> {
    /// A git that reads and writes the cache's store.
    pub(super) fn new(cache: &'a Cache) -> Result<Git<'a>> {
        let objects = cache.store()?.path().join("objects");
        Ok(Git { objects, ..Git::begin(cache)? })
    }

    /// A git that reads the objects of the git at `other`, and leaves what it writes nowhere.
    pub(super) fn over(cache: &'a Cache, other: &Repository) -> Result<Git<'a>> {
        let git = Git::begin(cache)?;
        let line = format!("{}\n", other.commondir().join("objects").display());
        fs::write(git.objects.join("info/alternates"), line).context("naming the objects")?;
        Ok(git)
    }

    fn begin(cache: &'a Cache) -> Result<Git<'a>> {
        let dir = cache.scratch(cache.root())?;
        Repository::init_bare(dir.path()).context("making a git of its own")?;
        let objects = dir.path().join("objects");
        fs::create_dir_all(objects.join("info")).context("making a place for objects")?;
        Ok(Git { cache, dir, objects })
    }

    /// An index called `name`; empty until it is read.
    pub(super) fn index(&'a self, name: &str) -> Index<'a> {
        Index { git: self, file: self.path(name) }
    }

    /// A place for a file, which goes with this git.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// git on these refs and objects.
    pub(super) fn command(&self) -> Result<Command> {
        let mut git = self.cache.git()?;
        git.env("GIT_DIR", self.dir.path()).env("GIT_OBJECT_DIRECTORY", &self.objects);
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "pcram").env(format!("GIT_{who}_EMAIL"), "pcram");
            // Commits of the same content are the same commit.
            git.env(format!("GIT_{who}_DATE"), "@0 +0000");
        }
        Ok(git)
    }

    /// Runs a command that must succeed, and returns what it wrote, without the last line feed.
    pub(super) fn ask(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        answer(self.command()?.args(arguments), input)
    }

    /// Commits a tree.
    pub(super) fn commit(&self, tree: &str, parent: Option<&str>, message: &str) -> Result<String> {
        let mut arguments = vec!["commit-tree", tree, "-F", "-"];
        arguments.extend(parent.iter().flat_map(|parent| ["-p", parent]));
        self.ask(&arguments, message.as_bytes())
    }
}

impl<'g> Index<'g> {
    /// Makes it the index of `tree`.
    pub(super) fn read(&self, tree: &str) -> Result<()> {
        let read = self.run(&["read-tree", tree], b"")?;
        ensure!(read.status.success(), "reading the tree {tree}: {}", said(&read));
        Ok(())
    }

    /// Writes its tree, and returns the id.
    pub(super) fn write(&self) -> Result<String> {
        let written = self.run(&["write-tree"], b"")?;
        ensure!(written.status.success(), "writing a patched tree: {}", said(&written));
        Ok(String::from_utf8_lossy(&written.stdout).trim().to_owned())
    }

    /// Applies `patch`, or takes it back; where it does not fit, nothing changes. A hunk that is
    /// not at its line is looked for, but its context must match whole.
    pub(super) fn apply(&self, patch: &Patch, way: Way) -> Result<Tried> {
        let mut arguments = vec!["apply", "--cached", "--verbose", "--whitespace=nowarn"];
        if way == Way::Reverse {
            arguments.push("--reverse");
        }
        let done = self.run(&arguments, &patch.text)?;
        let said = said(&done);
        Ok(Tried { fits: done.status.success(), remarks: remarks(&said, way), said })
    }

    /// The index called `name` that has just the files which `patch` was made on, by its `index`
    /// lines, or what git said where their blobs cannot be found.
    pub(super) fn ancestor(
        &self,
        patch: &Patch,
        name: &str,
    ) -> Result<std::result::Result<Index<'g>, String>> {
        let index = self.git.index(name);
        let option = format!("--build-fake-ancestor={}", index.file.display());
        let done = self.run(&["apply", &option], &patch.text)?;
        Ok(if done.status.success() { Ok(index) } else { Err(said(&done)) })
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut git = self.git.command()?;
        pipe(git.env("GIT_INDEX_FILE", &self.file).args(arguments), input)
    }
}

/// What `git apply --verbose` says of hunks that it found elsewhere and of modes that differ, each
/// with its file.
fn remarks(said: &str, way: Way) -> Vec<String> {
    let mut file = "";
    let mut found = Vec::new();
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("Checking patch ") {
            file = name.trim_end_matches("...");
        } else if let Some((hunk, place)) = line.split_once(" succeeded at ") {
            let place = place.trim_end_matches('.');
            found.push(match (way, place.split_once(' ')) {
                // git turns the offset's sign round here.
                (Way::Reverse, Some((line, _))) => format!("{file}: {hunk} stands at {line}"),
                _ => format!("{file}: {hunk} succeeded at {place}"),
            });
        } else if let Some(warning) = line.strip_prefix("warning: ")
            && warning.contains(" has type ")
        {
            found.push(warning.to_owned());
        }
    }
    found
}

/// What a command said on its error output.
pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Runs a command that must succeed, and returns what it wrote, without the last line feed.
pub(super) fn answer(command: &mut Command, input: &[u8]) -> Result<String> {
    let done = pipe(command, input)?;
    ensure!(done.status.success(), "{command:?}: {}", said(&done));
    Ok(String::from_utf8_lossy(&done.stdout).trim_end_matches('\n').to_owned())
}

/// Runs a command on `input`, in a process group that ends with this process.
pub(super) fn pipe(command: &mut Command, input: &[u8]) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_owned();
    let running = || format!("running {program:?}");
    let mut group = Group::spawn(command).with_context(running)?;
    let child = group.child();
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut out), Some(mut err)) = pipes else { bail!("no pipes") };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        scope.spawn(move || {
            // Who does not read to the end has found a fault before it, and will say so.
            let _ = stdin.write_all(input);
        });
        let errors = scope.spawn(|| err.read_to_end(&mut stderr));
        let read = out.read_to_end(&mut stdout);
        errors.join().unwrap_or(Ok(0)).and(read)
    })
    .with_context(running)?;
    let status = group.wait().with_context(running)?;
    Ok(Output { status, stdout, stderr })
}
