//! The meson that a tree wants: the tree's own, the machine's, or one in a private environment.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::cache::{Cache, Kind, Lock, touch, write_atomically};
use crate::event::Step;
use crate::failure::Failure;
use crate::process::{self, Ending};

/// How long making an environment may take, its one download included.
const LIMIT: Duration = Duration::from_secs(600);

/// The meson for trees that say only which one is too old.
const MESON: &str = "1.5.0";

/// What is written into an environment last.
const COMPLETE: &str = "complete";

/// The Python that a tree is configured and built with.
#[derive(Debug)]
pub(super) enum Python {
    /// The machine's, as the tree finds it.
    Machine,
    /// That of a private environment.
    Private {
        /// Its folder.
        dir: PathBuf,
        /// Whether configure is told by `--python`, or finds it first in PATH.
        by_argument: bool,
        /// Keeps it from being pruned.
        _lock: Lock,
    },
}

/// What a tree wants of meson.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// A version specifier, such as `>=1.5.0`.
    accepted: String,
    /// The version to install where the machine's is not accepted.
    installed: String,
    /// Whether the tree's configure makes an environment from the one of `--python`.
    by_argument: bool,
}

impl Python {
    /// The Python for the tree in `src`, its environment made where there is none.
    pub(super) fn for_tree(
        cache: &Cache,
        step: &Step,
        src: &Path,
        offline: bool,
    ) -> Result<Python> {
        match wanted(src)? {
            Some(wanted) if !machine_has(&wanted)? => private(cache, step, &wanted, offline),
            _ => Ok(Python::Machine),
        }
    }

    /// Its arguments for configure.
    pub(super) fn arguments(&self) -> Vec<String> {
        match self {
            Python::Private { dir, by_argument: true, .. } => {
                vec![format!("--python={}", dir.join("bin/python3").display())]
            }
            _ => Vec::new(),
        }
    }

    /// Lets `command` find it.
    pub(super) fn set_up(&self, command: &mut Command) {
        if let Python::Private { dir, by_argument: false, .. } = self {
            let mut path = OsString::from(dir.join("bin"));
            path.push(":");
            path.push(env::var_os("PATH").unwrap_or_default());
            command.env("PATH", path);
        }
        // The tree is kept as it is.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
    }

    /// What a build folder that was configured with it depends on.
    pub(super) fn identity(&self) -> Result<String> {
        match self {
            Python::Machine => machines(),
            Python::Private { dir, .. } => Ok(dir.display().to_string()),
        }
    }
}

/// What the tree in `src` wants to be installed; `None` where it is content with what it has.
fn wanted(src: &Path) -> Result<Option<Wanted>> {
    #[derive(Deserialize)]
    struct Groups {
        meson: Group,
    }
    #[derive(Deserialize)]
    struct Group {
        meson: Dependency,
    }
    #[derive(Deserialize)]
    struct Dependency {
        accepted: String,
        installed: Option<String>,
    }
    if let Ok(text) = fs::read_to_string(src.join("pythondeps.toml")) {
        let groups: Groups = toml::from_str(&text).context("reading the tree's pythondeps.toml")?;
        let Dependency { accepted, installed } = groups.meson.meson;
        let installed = installed.unwrap_or_else(|| MESON.into());
        // Upstream's trees bring the wheel, and their configure installs it.
        let wheel = format!("meson-{installed}-");
        let mut wheels = fs::read_dir(src.join("python/wheels")).into_iter().flatten().flatten();
        if wheels.any(|file| file.file_name().to_string_lossy().starts_with(&wheel)) {
            return Ok(None);
        }
        return Ok(Some(Wanted { accepted, installed, by_argument: true }));
    }
    let Ok(text) = fs::read_to_string(src.join("meson.build")) else { return Ok(None) };
    if src.join("meson/meson.py").exists() {
        return Ok(None);
    }
    let shape = Regex::new(r"meson_version:\s*'([^']*)'")?;
    let accepted = shape.captures(&text).map_or(String::new(), |found| found[1].to_owned());
    Ok(Some(Wanted { accepted, installed: MESON.into(), by_argument: false }))
}

/// What the machine's Python is, and where.
fn machines() -> Result<String> {
    let shell = Shell::new()?;
    let ask = "import sys; print(sys.executable, sys.version.replace(chr(10), ' '))";
    cmd!(shell, "python3 -c {ask}").quiet().read().context("asking for python3")
}

fn machine_has(wanted: &Wanted) -> Result<bool> {
    let shell = Shell::new()?;
    let version = if wanted.by_argument {
        let ask = "from importlib.metadata import version; print(version('meson'))";
        cmd!(shell, "python3 -c {ask}").quiet().ignore_stderr().read()
    } else {
        cmd!(shell, "meson --version").quiet().ignore_stderr().read()
    };
    Ok(version.is_ok_and(|version| is_accepted(&version, &wanted.accepted)))
}

/// Whether a version meets a specifier, of which only `>=` is understood: what is not is answered
/// by an environment with the version that the tree names.
fn is_accepted(version: &str, accepted: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        text.trim().split('.').map(|part| part.parse().ok()).collect()
    };
    let least = accepted.trim().strip_prefix(">=").and_then(numbers);
    matches!((numbers(version), least), (Some(version), Some(least)) if version >= least)
}

/// The private environment with the wanted meson. An environment cannot be moved, so it is made
/// in its place, and is one only when it says so at the end.
fn private(cache: &Cache, step: &Step, wanted: &Wanted, offline: bool) -> Result<Python> {
    let Wanted { installed, by_argument, .. } = wanted;
    // It is bound to the Python that it was made with, and to its place.
    let made_of = format!("{}\n{}", machines()?, cache.root().display());
    let hash = blake3::hash(made_of.as_bytes()).to_hex();
    let name = format!("meson-{installed}-{}", &hash[..12]);
    let dir = cache.folder(Kind::Python).join(&name);
    let lock_name = Kind::Python.lock(&name);
    let complete = dir.join(COMPLETE);

    let lock = cache.lock(&lock_name, step)?;
    if !complete.exists() {
        if offline {
            return Err(Failure::missing(format!(
                "this tree wants meson {}, the machine's is older or none, and --offline keeps \
                 from fetching it: build once without --offline, or install that meson",
                wanted.accepted
            ))
            .into());
        }
        step.progress(0, 1, format!("a Python environment with meson {installed}"));
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        run(&lock, Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--no-cache-dir",
            "--disable-pip-version-check",
        ];
        let mut install = Command::new(dir.join("bin/python3"));
        run(&lock, install.args(pip).arg(format!("meson=={installed}")))?;
        write_atomically(&complete, installed).context("finishing the Python environment")?;
        step.note(format!("made a Python environment with meson {installed}"));
    }
    touch(&complete)?;
    drop(lock);
    let lock = cache.share(&lock_name)?;
    Ok(Python::Private { dir, by_argument: *by_argument, _lock: lock })
}

fn run(lock: &Lock, command: &mut Command) -> Result<()> {
    lock.lend(command)?;
    let mut lines = Vec::new();
    let status = process::run(command, Ending::Kill, LIMIT, |line| lines.push(line.to_owned()))
        .map_err(|error| Failure::missing(error.to_string()))?;
    if !status.success() {
        return Err(Failure::missing(format!(
            "the Python environment could not be made ({status}): {}",
            lines.join("; ")
        ))
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn a_tree_says_which_meson_it_wants() {
        let deps = "[meson]\nmeson = { accepted = \">=1.5.0\", installed = \"1.5.1\" }\n";
        let wanted_by = |files: &[(&str, &str)]| wanted(tree(files).path()).unwrap();
        let named =
            Wanted { accepted: ">=1.5.0".into(), installed: "1.5.1".into(), by_argument: true };
        assert_eq!(wanted_by(&[("pythondeps.toml", deps)]), Some(named));
        let wheel = ("python/wheels/meson-1.5.1-py3-none-any.whl", "");
        assert_eq!(wanted_by(&[("pythondeps.toml", deps), wheel]), None);

        let build = "project('qemu', ['c'], meson_version: '>=0.55.0',\n  version: 'x')\n";
        let least =
            Wanted { accepted: ">=0.55.0".into(), installed: MESON.into(), by_argument: false };
        assert_eq!(wanted_by(&[("meson.build", build)]), Some(least));
        assert_eq!(wanted_by(&[("meson.build", build), ("meson/meson.py", "")]), None);
        assert_eq!(wanted_by(&[("Makefile", "")]), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, accepted) in [("1.5.0", ">=1.5.0"), ("1.10.0", ">=1.5.0"), ("2.0", ">=1.5")] {
            assert!(is_accepted(version, accepted), "{version} {accepted}");
        }
        for (version, accepted) in
            [("1.0.1", ">=1.5.0"), ("1.5.0rc1", ">=1.5.0"), ("1.5.0", "==1.5.0"), ("1.5.0", "")]
        {
            assert!(!is_accepted(version, accepted), "{version} {accepted}");
        }
    }
}
