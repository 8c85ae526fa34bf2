//! What turns a configured folder into programs: ninja, or make where QEMU is older than its meson.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use regex::Regex;

use crate::failure::Failure;

/// What a build folder is built by, as configure has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// ninja, which tells how many steps there are.
    Ninja,
    /// make, which has a folder for each target, and tells each step as it comes.
    Make,
}

/// A step that a driver told of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// How many there were with it, where the driver counts them.
    pub done: Option<u64>,
    /// How many there will have been in the end, where the driver knows.
    pub total: Option<u64>,
    /// What it is.
    pub what: String,
}

impl Driver {
    /// What the folder `build` was configured for; `None` where it was not. One that has files for
    /// both has make call ninja.
    pub(super) fn of(build: &Path) -> Option<Driver> {
        let files = [("build.ninja", Driver::Ninja), ("Makefile", Driver::Make)];
        files.into_iter().find(|(file, _)| build.join(file).exists()).map(|(_, driver)| driver)
    }

    /// Where in `build` it leaves a program: make has a folder for each target.
    pub(super) fn program(self, build: &Path, name: &str) -> PathBuf {
        match self {
            Driver::Make => build.join(target(name).unwrap_or_default()).join(name),
            Driver::Ninja => build.join(name),
        }
    }

    /// The command that makes `products` in `build` (ninja's names, separated by blanks).
    ///
    /// # Errors
    /// A [`Failure`] where the system does not have the driver.
    pub(super) fn command(self, build: &Path, jobs: usize, products: &str) -> Result<Command> {
        let products = products.split(' ');
        let mut command = Command::new(self.name()?);
        command.arg("-C").arg(build).arg(format!("-j{jobs}"));
        match self {
            Driver::Ninja => command.args(products).env("NINJA_STATUS", "[%f/%t] "),
            Driver::Make => {
                let goal = |name| target(name).map_or(name.to_owned(), |it| format!("subdir-{it}"));
                // What the user's make is told is not meant for this one.
                command.args(products.map(goal)).env_remove("MAKEFLAGS").env("LC_ALL", "C")
            }
        };
        Ok(command)
    }

    /// The step that a line of its output tells of.
    pub(super) fn step(self, line: &str) -> Option<Told> {
        let shape = match self {
            Driver::Ninja => r"^\[(?<done>\d+)/(?<total>\d+)\] (?<what>.*)",
            // As rules.mak has it: `  CC    x86_64-softmmu/vl.o`.
            Driver::Make => r"^  (?<what>[A-Z]+ +\S.*)",
        };
        let found = Regex::new(shape).ok()?.captures(line)?;
        let number = |name| found.name(name)?.as_str().parse().ok();
        Some(Told { done: number("done"), total: number("total"), what: found["what"].into() })
    }

    /// The program that it is.
    fn name(self) -> Result<&'static str> {
        let (names, package): (&[_], _) = match self {
            Driver::Ninja => (&["ninja", "ninja-build"], "ninja-build"),
            Driver::Make => (&["make", "gmake"], "make"),
        };
        let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
        let found = names.iter().find(runs).copied();
        Ok(found.ok_or_else(|| {
            let name = names[0];
            Failure::missing(format!(
                "this QEMU is built by {name}, which the system lacks; Debian's package \
                 {package} has it"
            ))
        })?)
    }
}

/// The target that a program is of, as configure's `--target-list` names it; `None` for tools.
fn target(program: &str) -> Option<String> {
    let rest = program.strip_prefix("qemu-")?;
    match rest.strip_prefix("system-") {
        Some(machine) => Some(format!("{machine}-softmmu")),
        None if TOOLS.contains(&rest) => None,
        None => Some(format!("{rest}-linux-user")),
    }
}

/// The tools that are named like programs of a target.
const TOOLS: [&str; 4] = ["img", "io", "nbd", "ga"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_build_folder_says_what_builds_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Driver::of(dir.path()), None);
        fs::write(dir.path().join("Makefile"), "").unwrap();
        assert_eq!(Driver::of(dir.path()), Some(Driver::Make));
        fs::write(dir.path().join("build.ninja"), "").unwrap();
        assert_eq!(Driver::of(dir.path()), Some(Driver::Ninja));
    }

    #[test]
    fn make_has_a_folder_for_each_target() {
        let build = Path::new("b");
        for (name, place) in [
            ("qemu-system-x86_64", "b/x86_64-softmmu/qemu-system-x86_64"),
            ("qemu-x86_64", "b/x86_64-linux-user/qemu-x86_64"),
            ("qemu-img", "b/qemu-img"),
        ] {
            assert_eq!(Driver::Make.program(build, name), Path::new(place));
            assert_eq!(Driver::Ninja.program(build, name), build.join(name));
        }
        let command = Driver::Make.command(build, 2, "qemu-system-x86_64 qemu-img").unwrap();
        let arguments: Vec<_> = command.get_args().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(arguments, ["-C", "b", "-j2", "subdir-x86_64-softmmu", "qemu-img"]);
    }

    #[test]
    fn steps_are_found_in_what_is_printed() {
        let told = Driver::Ninja.step("[3/1542] Compiling C object x.o").unwrap();
        assert_eq!((told.done, told.total), (Some(3), Some(1542)));
        let told = Driver::Make.step("  CC    x86_64-softmmu/vl.o").unwrap();
        assert_eq!((told.done, told.what.as_str()), (None, "CC    x86_64-softmmu/vl.o"));
        for line in ["make: Entering directory '/b'", "   34 |     int x;", "/a.c:1: warning: W"] {
            assert_eq!(Driver::Make.step(line), None, "{line}");
        }
    }
}
