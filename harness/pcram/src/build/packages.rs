//! What a run needs of the system, found before anything starts.

use std::process::Command;

use anyhow::{Context, Result};

use crate::event::{Events, Outcome, Step};
use crate::failure::Failure;

/// A part of a run that needs something of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Trees in the cache's store: importing them, applying a series.
    Trees,
    /// Fetching a distribution's source package.
    SourcePackage,
    /// Building QEMU.
    Build,
}

/// Something that a use needs, the Debian package that has it, and how to find out whether it is
/// there: a line of shell, since what counts is that it runs, not which package is installed.
#[derive(Debug, PartialEq, Eq)]
struct Need {
    of: Use,
    what: &'static str,
    package: &'static str,
    probe: &'static str,
}

const NEEDS: [Need; 12] = [
    Need { of: Use::Build, what: "perl", package: "perl", probe: "perl -v" },
    Need { of: Use::Trees, what: "git", package: "git", probe: "git --version" },
    Need {
        of: Use::SourcePackage,
        what: "dpkg-source",
        package: "dpkg-dev",
        probe: "dpkg-source --version",
    },
    Need { of: Use::Build, what: "a C compiler", package: "gcc", probe: "${CC:-cc} --version" },
    Need {
        of: Use::Build,
        what: "the C library's headers",
        package: "libc6-dev",
        probe: "echo '#include <pthread.h>' | ${CC:-cc} -E -x c -",
    },
    Need {
        of: Use::Build,
        what: "ninja",
        package: "ninja-build",
        probe: "ninja --version || ninja-build --version",
    },
    Need {
        of: Use::Build,
        what: "pkg-config",
        package: "pkg-config",
        probe: "pkg-config --version",
    },
    Need {
        of: Use::Build,
        what: "glib 2.66 or newer",
        package: "libglib2.0-dev",
        probe: "pkg-config --atleast-version=2.66 glib-2.0",
    },
    Need {
        of: Use::Build,
        what: "libfdt, without which there is no microvm",
        package: "libfdt-dev",
        probe: "echo '#include <libfdt.h>' | ${CC:-cc} -E -x c -",
    },
    Need { of: Use::Build, what: "zlib", package: "zlib1g-dev", probe: "pkg-config --exists zlib" },
    // QEMUs of before 8.2 have no emulator without it.
    Need {
        of: Use::Build,
        what: "pixman",
        package: "libpixman-1-dev",
        probe: "pkg-config --exists pixman-1",
    },
    Need {
        of: Use::Build,
        what: "Python 3.8 or newer, with venv and pip",
        package: "python3-venv",
        probe: "python3 -c 'import sys, venv, ensurepip, pyexpat; sys.exit(sys.version_info < (3, 8))'",
    },
];

/// Makes sure that all of `uses` is there. Where something is missing, `yes` installs it.
///
/// # Errors
/// A [`Failure`] that lists all that is missing, and the one line that installs it.
pub fn ensure(events: &Events, uses: &[Use], yes: bool) -> Result<()> {
    events.step("prerequisites", "what the system must have", "", |step| {
        let wanted = || NEEDS.iter().filter(|need| uses.contains(&need.of));
        let missing: Vec<&Need> = wanted().filter(|need| !is_there(need)).collect();
        if !missing.is_empty() {
            install(step, &missing, yes)?;
        }
        Ok(((), Outcome::new(format!("{} looked for, all there", wanted().count()))))
    })
}

/// Something that a run may need of the system, and whether it is there.
#[derive(Debug)]
pub struct Found {
    /// The part of a run that needs it.
    pub of: Use,
    /// What it is.
    pub what: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// Whether it is there.
    pub there: bool,
    /// What it says of its version, where it was asked for that.
    pub version: Option<String>,
}

/// Looks for everything that any part of a run needs here: what only source packages need is left
/// out where there is no apt to fetch them with.
pub fn survey() -> Vec<Found> {
    let apt = has("apt-get");
    let needs = NEEDS.iter().filter(|need| apt || need.of != Use::SourcePackage);
    let look = |need: &Need| {
        let Need { of, what, package, probe } = *need;
        let said = Command::new("sh").args(["-c", probe]).output();
        let said = said.ok().filter(|output| output.status.success());
        let text = said.as_ref().map(|output| String::from_utf8_lossy(&output.stdout));
        let first = text.and_then(|text| text.lines().next().map(str::to_owned));
        let version = first.filter(|line| probe.contains("version") && !line.is_empty());
        Found { of, what, package, there: said.is_some(), version }
    };
    needs.map(look).collect()
}

/// What is missing, and the line that installs it; `None` where nothing is.
pub fn how_to_install(missing: &[&Found]) -> Option<String> {
    let listed: Vec<_> = missing.iter().map(|found| found.what).collect();
    let packages: Vec<_> = missing.iter().map(|found| found.package).collect();
    let root = rustix::process::geteuid().is_root();
    let how = match has("apt-get") {
        true => format!("this installs what is missing:\n  {}", command_line(&packages, root)),
        false => format!("on Debian, {} have them", packages.join(" ")),
    };
    (!missing.is_empty()).then(|| format!("the system lacks {}; {how}", listed.join(", ")))
}

fn is_there(need: &Need) -> bool {
    let probe = Command::new("sh").args(["-c", need.probe]).output();
    probe.is_ok_and(|output| output.status.success())
}

fn install(step: &Step, missing: &[&Need], yes: bool) -> Result<()> {
    let listed: Vec<_> = missing.iter().map(|need| need.what).collect();
    let listed = listed.join(", ");
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    let line = command_line(&packages, rustix::process::geteuid().is_root());
    if !has("apt-get") {
        return Err(Failure::missing(format!(
            "the system lacks {listed}; on Debian, {} have them",
            packages.join(" ")
        ))
        .into());
    }
    if !yes {
        return Err(Failure::missing(format!(
            "the system lacks {listed}; this installs what is missing, and --yes does it for \
             you:\n  {line}"
        ))
        .into());
    }
    step.note(format!("installing {}", packages.join(" ")));
    // The user's terminal stays with it: sudo may ask for a password.
    let update = line.split(" install ").next().unwrap_or_default().to_owned() + " update";
    let script = format!("export DEBIAN_FRONTEND=noninteractive; {update} >&2 && {line} >&2");
    let status = Command::new("sh").args(["-c", &script]).status().context("running sh")?;
    let still: Vec<_> =
        missing.iter().filter(|need| !is_there(need)).map(|need| need.what).collect();
    if !status.success() || !still.is_empty() {
        return Err(Failure::missing(format!(
            "after `{line}` ({status}) the system still lacks {}",
            still.join(", ")
        ))
        .into());
    }
    Ok(())
}

fn command_line(packages: &[&str], root: bool) -> String {
    let sudo = if root { "" } else { "sudo " };
    format!("{sudo}apt-get install --yes --no-install-recommends {}", packages.join(" "))
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::a_step;
    use crate::failure::Exit;

    const ABSENT: Need =
        Need { of: Use::Build, what: "a thing", package: "thing-dev", probe: "no-such-program" };

    #[test]
    fn a_probe_asks_the_system() {
        assert!(!is_there(&ABSENT));
        assert!(is_there(&Need { probe: "sh -c true", ..ABSENT }));
        assert!(!is_there(&Need { probe: "pkg-config --exists no-such-library", ..ABSENT }));
    }

    #[test]
    fn everything_that_is_missing_is_listed_with_one_line_that_installs_it() {
        let other = Need { what: "another", package: "another-dev", ..ABSENT };
        let error = a_step(|step| install(step, &[&ABSENT, &other], false)).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
        let text = error.to_string();
        assert!(text.contains("a thing, another"), "{text}");
        assert!(text.contains("thing-dev another-dev"), "{text}");
    }

    #[test]
    fn a_survey_tells_what_is_there_and_how_to_get_the_rest() {
        let found = survey();
        let git = found.iter().find(|found| found.package == "git").unwrap();
        assert!(git.there && git.version.as_ref().unwrap().starts_with("git version "), "{git:?}");
        assert_eq!(how_to_install(&[]), None);
        let absent =
            Found { there: false, what: "a thing", package: "thing-dev", ..survey().remove(0) };
        let text = how_to_install(&[&absent]).unwrap();
        assert!(text.contains("lacks a thing") && text.contains("thing-dev"), "{text}");
    }

    #[test]
    fn users_other_than_root_install_through_sudo() {
        let line = "apt-get install --yes --no-install-recommends a b";
        assert_eq!(command_line(&["a", "b"], true), line);
        assert_eq!(command_line(&["a", "b"], false), format!("sudo {line}"));
    }

    #[test]
    fn each_package_stands_once_and_each_use_has_a_need() {
        for (at, need) in NEEDS.iter().enumerate() {
            assert!(NEEDS[..at].iter().all(|other| other.package != need.package), "{need:?}");
        }
        for of in [Use::Trees, Use::SourcePackage, Use::Build] {
            assert!(NEEDS.iter().any(|need| need.of == of), "{of:?}");
        }
    }
}
