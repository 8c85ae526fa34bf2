//! The table of releases that a series is carried for: `patches/releases.toml`.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;

use super::Version;
use crate::failure::Failure;

/// The table, in the file's order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    release: Vec<Release>,
}

/// One release line of QEMU's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The release's name, e.g. `10.0`.
    pub name: String,
    /// The folder of its series, beside the table.
    pub series: String,
    /// The source package that the series was made on; none where no distribution has one.
    pub package: Option<Box<Package>>,
    /// What the upstream git calls it.
    pub git: Option<GitName>,
    /// The folder of the series that has it build on a machine of today, beside the table; none
    /// where it builds as it is.
    pub toolchain: Option<String>,
}

/// A source package of a distribution.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Package {
    /// The source package's name.
    pub name: String,
    /// The distribution's suite that has it.
    pub suite: String,
    /// The version line: the newest version that is this, or begins with this and a dot.
    pub line: String,
    /// The version that the series was made on.
    pub version: String,
    /// The SHA-256 of that version's .dsc file, in hex.
    pub dsc_sha256: String,
    /// The git tree that that version unpacks to, in hex.
    pub base: String,
}

/// What the upstream git calls a release.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitName {
    /// The tag.
    pub tag: String,
    /// The commit that the series was made on, in hex, where it was made on the git's tree.
    pub commit: Option<String>,
}

impl Releases {
    /// Reads the table.
    ///
    /// # Errors
    /// A [`Failure`] that names what is wrong with it.
    pub fn read(path: &Path) -> Result<Releases> {
        let context = || format!("reading {}", path.display());
        let text = fs::read_to_string(path).with_context(context)?;
        Releases::parse(&text).with_context(context)
    }

    fn parse(text: &str) -> Result<Releases> {
        let releases: Releases =
            toml::from_str(text).map_err(|error| Failure::usage(error.to_string()))?;
        if releases.release.is_empty() {
            return Err(Failure::usage("it has no release").into());
        }
        for (at, release) in releases.release.iter().enumerate() {
            release.check().with_context(|| format!("in release {:?}", release.name))?;
            if releases.release[..at].iter().any(|other| other.name == release.name) {
                return Err(
                    Failure::usage(format!("release {:?} is there twice", release.name)).into()
                );
            }
        }
        Ok(releases)
    }

    /// Every release, in the table's order.
    pub fn all(&self) -> &[Release] {
        &self.release
    }

    /// The first release, which is the default.
    pub fn first(&self) -> &Release {
        &self.release[0]
    }

    /// The release whose version is nearest to `version`, of two as near the newer; the first
    /// where there is nothing to compare.
    pub fn nearest(&self, version: Option<Version>) -> &Release {
        self.nearest_of(version, |_| true).unwrap_or(self.first())
    }

    /// The same, of those that have a source package.
    pub fn nearest_package(&self, version: Option<Version>) -> Option<&Release> {
        self.nearest_of(version, |release| release.package.is_some())
    }

    fn nearest_of(
        &self,
        version: Option<Version>,
        eligible: impl Fn(&Release) -> bool,
    ) -> Option<&Release> {
        let distance = |release: &&Release| {
            let own = Version::parse(&release.name);
            let distance = version.zip(own).map(|(version, own)| version.distance(own));
            (distance.unwrap_or(u32::MAX), Reverse(own))
        };
        self.release.iter().filter(|release| eligible(release)).min_by_key(distance)
    }

    /// The release called `name`.
    ///
    /// # Errors
    /// A [`Failure`] that lists the releases there are.
    pub fn find(&self, name: &str) -> Result<&Release> {
        self.release.iter().find(|release| release.name == name).ok_or_else(|| {
            let names: Vec<_> = self.release.iter().map(|release| release.name.as_str()).collect();
            let names = names.join(", ");
            Failure::usage(format!(
                "there is no release {name:?}; there is {names}. For another revision, name a \
                 source that has it: a git (--git-url URL; and --git-rev REV, where it calls the \
                 revision otherwise), or a source tree (--tree DIR). The nearest series is tried \
                 on it, or the one that --series names"
            ))
            .into()
        })
    }
}

impl Release {
    /// The revision that a git is asked for where the user names none.
    pub fn default_revision(&self) -> String {
        self.git.as_ref().map_or_else(|| format!("v{}.0", self.name), |git| git.tag.clone())
    }

    /// Names become parts of paths and of command lines, and hashes are compared: each must look
    /// like what it is.
    fn check(&self) -> Result<()> {
        let mut fields = vec![
            ("name", &self.name, r"^[0-9A-Za-z][0-9A-Za-z._-]*$"),
            ("series", &self.series, r"^[0-9A-Za-z][0-9A-Za-z._-]*$"),
        ];
        if let Some(toolchain) = &self.toolchain {
            fields.push((
                "toolchain",
                toolchain,
                r"^[0-9A-Za-z][0-9A-Za-z._-]*(/[0-9A-Za-z][0-9A-Za-z._-]*)*$",
            ));
        }
        let commit = self.git.as_ref().and_then(|git| git.commit.as_ref());
        if let Some(commit) = commit {
            fields.push(("git.commit", commit, r"^[0-9a-f]{40}$"));
        }
        match &self.package {
            Some(package) => fields.extend([
                ("package.name", &package.name, r"^[a-z0-9][a-z0-9+.-]+$"),
                ("package.suite", &package.suite, r"^[a-z][a-z0-9-]*$"),
                ("package.line", &package.line, r"^[0-9]+(\.[0-9]+)*$"),
                ("package.version", &package.version, r"^([0-9]+:)?[0-9][0-9A-Za-z.+~-]*$"),
                ("package.dsc-sha256", &package.dsc_sha256, r"^[0-9a-f]{64}$"),
                ("package.base", &package.base, r"^[0-9a-f]{40}$"),
            ]),
            None if commit.is_none() => {
                let text = "it has no package, and no git.commit either, to say what it is";
                return Err(Failure::usage(text).into());
            }
            None => {}
        }
        for (field, value, shape) in fields {
            if !Regex::new(shape)?.is_match(value) {
                return Err(Failure::usage(format!("{field} is {value:?}, not {shape}")).into());
            }
        }
        Ok(())
    }

    /// What its series was made on, in words.
    pub fn made_on(&self) -> String {
        match (self.package.as_deref(), &self.git) {
            (Some(Package { name, version, .. }), _) => format!("{name} {version}"),
            (None, Some(GitName { tag, commit: Some(commit) })) => {
                format!("{tag} of upstream's git, commit {}", &commit[..12])
            }
            (None, _) => "nothing that is known".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn patches() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patches")
    }

    #[test]
    fn the_table_is_sound_and_its_series_are_there() {
        let releases = Releases::read(&patches().join("releases.toml")).unwrap();
        for release in releases.all() {
            let series = patches().join(&release.series).join("series");
            assert!(series.is_file(), "no folder {}", release.series);
            let of_the_line = crate::source::package::is_of_line;
            if let Some(package) = &release.package {
                assert!(of_the_line(&package.version, &package.line));
            }
            if let Some(toolchain) = &release.toolchain {
                assert!(patches().join(toolchain).join("series").is_file(), "no {toolchain}");
            }
        }
        assert_eq!(releases.find("10.0").unwrap().name, "10.0");
    }

    #[test]
    fn a_release_that_no_distribution_has_stands_behind_those_that_one_has() {
        let releases = Releases::read(&patches().join("releases.toml")).unwrap();
        assert!(releases.all().is_sorted_by_key(|release| release.package.is_none()));
        assert!(releases.first().package.is_some());
        let old = releases.find("1.0").unwrap();
        assert_eq!(old.default_revision(), "v1.0");
        assert_eq!(old.made_on(), "v1.0 of upstream's git, commit 1c8a881daaca");
        let near = Version::parse("1.0");
        assert_eq!(releases.nearest(near).name, "1.0");
        assert_eq!(releases.nearest_package(near).unwrap().name, "5.2");
    }

    #[test]
    fn an_unknown_release_is_answered_with_those_there_are() {
        let releases = Releases::read(&patches().join("releases.toml")).unwrap();
        let error = releases.find("0.9").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
        assert!(error.to_string().contains("there is 10.0"), "{error}");
    }

    #[test]
    fn a_table_that_is_not_sound_is_refused_by_name() {
        let good = fs::read_to_string(patches().join("releases.toml")).unwrap();
        let hash = &Releases::parse(&good).unwrap().first().package.clone().unwrap().dsc_sha256;
        for (from, to, names) in [
            ("name = \"10.0\"", "name = \"../10.0\"", "name is"),
            ("line = \"10.0\"", "line = \"ten\"", "package.line is"),
            (hash, "0123", "package.dsc-sha256 is"),
            ("suite =", "sweet =", "sweet"),
            ("toolchain = \"", "toolchain = \"../", "toolchain is"),
            ("commit = \"", "commit = \"x", "git.commit is"),
            ("commit = ", "# ", "no package, and no git.commit"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let error = Releases::parse(&bad).unwrap_err();
            assert_eq!(Exit::of(&error), Exit::BadUsage);
            assert!(format!("{error:#}").contains(names), "{error:#}");
        }
        let twice = format!("{good}[[release]]{}", good.split("[[release]]").last().unwrap());
        let error = Releases::parse(&twice).unwrap_err();
        assert!(format!("{error:#}").contains("is there twice"), "{error:#}");
    }
}
