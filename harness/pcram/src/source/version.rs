//! QEMU's version numbers: how many releases lie between two of them.

use std::path::Path;

use git2::{Oid, Repository};

/// How many releases each major version had, before there were three a year: 0.0 to 0.15, 1.0 to
/// 1.7, 2.0 to 2.12, 3.0 and 3.1.
const MINORS: [u32; 4] = [16, 8, 13, 2];

/// How many there are since 4.0: one in spring, one in summer, one in winter.
const MINORS_SINCE: u32 = 3;

/// From this number on, the third one means development towards the next release, or a candidate
/// for it: 9.2.50, 9.2.91.
const DEVELOPMENT: u32 = 50;

/// A version of QEMU's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    micro: u32,
}

impl Version {
    /// The version at the start of `text`, e.g. `10.0.13` or `10.0`; none where there is none.
    pub fn parse(text: &str) -> Option<Version> {
        let mut parts = text.trim().trim_start_matches('v').split('.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        });
        let (major, minor) = (parts.next()??, parts.next()??);
        Some(Version { major, minor, micro: parts.next().flatten().unwrap_or_default() })
    }

    /// The version that the file `VERSION` of a source has.
    pub fn of_tree(store: &Repository, tree: &str) -> Option<Version> {
        let tree = store.find_tree(Oid::from_str(tree).ok()?).ok()?;
        let file = store.find_blob(tree.get_path(Path::new("VERSION")).ok()?.id()).ok()?;
        Version::parse(&String::from_utf8_lossy(file.content()))
    }

    /// The first two numbers.
    pub fn line(self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// How far it is to `other`, in half releases: development is half-way to the next one.
    pub fn distance(self, other: Version) -> u32 {
        self.place().abs_diff(other.place())
    }

    fn place(self) -> u32 {
        let major = self.major as usize;
        let known: u32 = MINORS.iter().take(major).sum();
        let since = major.saturating_sub(MINORS.len()) as u32 * MINORS_SINCE;
        2 * (known + since + self.minor) + u32::from(self.micro >= DEVELOPMENT)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn a_version_is_read_from_what_has_one_at_its_start() {
        assert_eq!(version("10.0.13\n").to_string(), "10.0.13");
        assert_eq!(version("v9.2.0-rc1"), version("9.2"));
        assert_eq!(version("0.15.92").micro, 92);
        for text in ["", "master", "10", "v", ".1", "a.b"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_distance_counts_releases() {
        for (from, to, halves) in [
            ("10.0.13", "10.0.0", 0),
            ("8.0.0", "7.2", 2),
            ("8.0.0", "8.2", 4),
            ("10.0", "9.2", 2),
            ("4.0", "3.1", 2),
            ("3.0", "2.12", 2),
            ("1.0", "0.15", 2),
            ("10.0.50", "10.0", 1),
            ("10.0.50", "10.1", 1),
            ("5.2", "10.2", 30),
        ] {
            assert_eq!(version(from).distance(version(to)), halves, "{from} {to}");
            assert_eq!(version(to).distance(version(from)), halves, "{to} {from}");
        }
    }
}
