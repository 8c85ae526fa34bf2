//! For tests: a small upstream of their own, whose commits become a series.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::Series;
use crate::cache::Cache;
use crate::cache::tests::a_step;
use crate::source::import::directory;

/// A git with a commit `base`, and commits after it.
pub(crate) struct Upstream {
    dir: TempDir,
}

/// git in `dir`, out of reach of the user's settings.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> Output {
    let mut git = Command::new("git");
    git.current_dir(dir).args(["-c", "init.defaultBranch=main"]).args(arguments);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "A Developer");
        git.env(format!("GIT_{who}_EMAIL"), "a@example.org");
    }
    git.output().unwrap()
}

/// What git says, where it must succeed.
pub(crate) fn ask(dir: &Path, arguments: &[&str]) -> String {
    let output = git(dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Lines that tell each other apart: `line 1` and so on.
pub(crate) fn numbers(lines: impl Iterator<Item = u32>) -> String {
    lines.map(|line| format!("line {line}\n")).collect()
}

impl Upstream {
    /// An upstream with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Upstream {
        let upstream = Upstream { dir: tempfile::tempdir().unwrap() };
        ask(upstream.path(), &["init", "--quiet"]);
        upstream.commit("base", files);
        ask(upstream.path(), &["tag", "base"]);
        upstream
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes files, without a commit.
    pub(crate) fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Writes files, and commits whatever has changed.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) {
        self.write(files);
        ask(self.path(), &["add", "--all"]);
        ask(self.path(), &["commit", "--quiet", "-m", subject, "-m", "Why."]);
    }

    /// The files as they are now, in the cache.
    pub(crate) fn import(&self, cache: &Cache) -> String {
        let skip = |path: &Path, _| Ok(path.starts_with(".git"));
        let import = |step: &_| directory(cache, step, self.path(), &mut { skip });
        a_step(import).unwrap().to_string()
    }

    /// The commits after `base` as a series in a folder of its own; the work tree goes back to
    /// `base`, for the tree to take another way.
    pub(crate) fn series(&self) -> (TempDir, Series) {
        self.series_as(&["--full-index"])
    }

    /// The same, formatted in another way.
    pub(crate) fn series_as(&self, options: &[&str]) -> (TempDir, Series) {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().display().to_string();
        let range = ["base..HEAD", "-o", &into];
        let written = ask(self.path(), &[&["format-patch"], options, &range].concat());
        let names = written.lines().map(|path| path.rsplit('/').next().unwrap());
        let list: String = names.map(|name| format!("{name}\n")).collect();
        fs::write(dir.path().join("series"), list).unwrap();
        ask(self.path(), &["checkout", "--quiet", "base"]);
        let series = Series::load(dir.path()).unwrap();
        (dir, series)
    }
}
