//! A Debian source package: the newest version of its line that downloads.

use std::cmp::Ordering;
use std::path::PathBuf;

use anyhow::{Result, bail};
use git2::Oid;
use xshell::{Shell, cmd};

use super::apt::{Apt, Version};
use super::releases::Package;
use super::{Origin, import};
use crate::cache::Cache;
use crate::event::Step;
use crate::failure::Failure;

/// Fetches the newest version of the package's line that downloads.
pub(super) fn fetch(cache: &Cache, step: &Step, package: &Package) -> Result<(Oid, Origin)> {
    step.progress(0, 4, format!("reading the index of {}", package.suite));
    let apt = Apt::new(cache, &package.suite)?;
    let (version, dsc) = download(step, &apt, package)?;
    compare(step, package, &version, &apt.unread)?;

    step.progress(2, 4, format!("unpacking {} {}", package.name, version.number));
    let tree = import::directory(cache, step, &apt.unpack(&dsc)?, &mut |_, _| Ok(false))?;
    if version.number == package.version && tree.to_string() != package.base {
        step.note(format!(
            "this version unpacks to the tree {tree} here, and to {} where the series was made",
            package.base
        ));
    }
    let origin = Origin::Package {
        name: package.name.clone(),
        version: version.number,
        suite: package.suite.clone(),
        dsc_sha256: version.dsc_sha256,
    };
    Ok((tree, origin))
}

/// Downloads the newest version that can be had: an index may list what its site has no more.
fn download(step: &Step, apt: &Apt, package: &Package) -> Result<(Version, PathBuf)> {
    let mut versions = apt.versions(package)?;
    versions.sort_by(|a, b| newest_first(&a.number, &b.number));
    let mut failed: Vec<String> = Vec::new();
    for version in versions {
        step.progress(1, 4, format!("downloading {} {}", package.name, version.number));
        match apt.download(package, &version) {
            Ok(dsc) => {
                for text in failed {
                    step.note(text);
                }
                return Ok((version, dsc));
            }
            Err(error) => failed.push(format!("{} does not download: {error:#}", version.number)),
        }
    }
    let Package { name, line, suite, .. } = package;
    let mut text = format!("there is no {name} {line} to be had in {suite}");
    for reason in failed.iter().chain(&apt.unread) {
        text += &format!("; {reason}");
    }
    Err(Failure::missing(text).into())
}

/// Says where the version is another than the series was made on, and refuses one that only
/// claims to be the same.
fn compare(step: &Step, package: &Package, version: &Version, unread: &[String]) -> Result<()> {
    if version.number != package.version {
        step.note(format!(
            "the series was made on {}; the newest that downloads is {}",
            package.version, version.number
        ));
        for line in unread {
            step.note(format!("apt: {line}"));
        }
    } else if version.dsc_sha256 != package.dsc_sha256 {
        bail!(Failure::missing(format!(
            "the .dsc of {} {} has the SHA-256 {}, and releases.toml knows it as {}",
            package.name, version.number, version.dsc_sha256, package.dsc_sha256
        )));
    }
    Ok(())
}

/// Whether a version, with or without an epoch, is of a line: `1:10.0.13+ds-1` is of `10.0`.
pub(super) fn is_of_line(version: &str, line: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream
        .strip_prefix(line)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+', '-', '~']))
}

/// Debian's order of versions, which dpkg knows.
fn newest_first(a: &str, b: &str) -> Ordering {
    let later = |a: &str, b: &str| {
        Shell::new().is_ok_and(|shell| {
            cmd!(shell, "dpkg --compare-versions {a} gt {b}").quiet().run().is_ok()
        })
    };
    later(b, a).cmp(&later(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_no_mere_prefix() {
        for version in ["10.0", "10.0.13", "1:10.0.13+ds-0+deb13u1", "1:10.0~rc1+ds-1", "10.0-1"] {
            assert!(is_of_line(version, "10.0"), "{version}");
        }
        for version in ["10.01", "1:10.1.0", "1:110.0.1", "9:1.10.0", "10.0x"] {
            assert!(!is_of_line(version, "10.0"), "{version}");
        }
    }

    #[test]
    fn versions_are_ordered_as_debian_orders_them() {
        let mut versions = ["1:10.0.2+ds-1", "1:10.0.13+ds-1", "1:10.0.13~rc1+ds-1"];
        versions.sort_by(|a, b| newest_first(a, b));
        assert_eq!(versions, ["1:10.0.13+ds-1", "1:10.0.13~rc1+ds-1", "1:10.0.2+ds-1"]);
    }

    #[test]
    fn a_version_that_is_another_thing_than_it_says_is_refused() {
        use crate::cache::tests::a_step;
        let package = crate::source::apt::tests::package();
        let hash = package.dsc_sha256.clone();
        let version = |number: &str, hash: &str| Version {
            number: number.into(),
            dsc: "qemu.dsc".into(),
            dsc_sha256: hash.into(),
        };
        let tried = |version: Version| a_step(|step| compare(step, &package, &version, &[]));
        assert!(tried(version(&package.version, &hash)).is_ok());
        assert!(tried(version("1:10.0.14+ds-1", &"0".repeat(64))).is_ok());
        let error = tried(version(&package.version, &"0".repeat(64))).unwrap_err();
        assert!(error.to_string().contains("releases.toml"), "{error}");
    }
}
