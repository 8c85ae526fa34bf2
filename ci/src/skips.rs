//! The skips that happened, and the list of those that may.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Names of skipped tests and rows, each with its reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skips(BTreeMap<String, String>);

/// One skipped test.
pub struct Skip<'a> {
    name: &'a str,
    reason: &'a str,
}

impl fmt::Display for Skip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl Skips {
    /// The committed list: `name: reason` on each line; `#` begins a comment.
    pub fn listed(path: &Path) -> Result<Skips> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the list of skips {}", path.display()))?;
        Skips::parse(&text)
    }

    /// The file in which the tests left theirs; none where no test was skipped.
    pub fn happened(path: &Path) -> Result<Skips> {
        match fs::read_to_string(path) {
            Ok(text) => Skips::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Skips::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Skips> {
        let lines = text.lines().map(str::trim);
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let split = entries.map(|line| {
            let (name, reason) = line
                .split_once(": ")
                .with_context(|| format!("a skip is `name: reason`, not {line:?}"))?;
            Ok((name.to_owned(), reason.to_owned()))
        });
        Ok(Skips(split.collect::<Result<_>>()?))
    }

    /// Adds one.
    pub fn add(&mut self, name: String, reason: String) {
        self.0.insert(name, reason);
    }

    /// Adds all of `more`.
    pub fn extend(&mut self, more: Skips) {
        self.0.extend(more.0);
    }

    /// Those that do not stand in `listed`, whatever their reason. There, `*/ROW` is the row of
    /// every line.
    pub fn without(&self, listed: &Skips) -> Skips {
        let is_listed = |name: &str| {
            let row = name.split_once('/').map(|(_, row)| format!("*/{row}"));
            listed.0.contains_key(name) || row.is_some_and(|row| listed.0.contains_key(&row))
        };
        let unlisted = self.0.iter().filter(|(name, _)| !is_listed(name));
        Skips(unlisted.map(|(name, reason)| (name.clone(), reason.clone())).collect())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = Skip<'_>> {
        self.0.iter().map(|(name, reason)| Skip { name, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_that_is_not_listed_is_found() {
        let listed = Skips::parse("# why\n\nkvm: needs /dev/kvm\n").unwrap();
        let happened = Skips::parse("kvm: no /dev/kvm here\nfuse: no /dev/fuse\n").unwrap();
        let unlisted = happened.without(&listed);
        assert_eq!(unlisted.count(), 1);
        assert_eq!(unlisted.iter().next().unwrap().to_string(), "fuse: no /dev/fuse");
        assert!(Skips::parse("no reason given").is_err());

        let listed = Skips::parse("*/p2.kvm: no KVM\n5.2/p4.new: not yet\n").unwrap();
        let happened = "10.0/p2.kvm: x\n5.2/p4.new: x\n7.2/p4.new: x\n";
        let unlisted = Skips::parse(happened).unwrap().without(&listed);
        assert_eq!(unlisted.iter().map(|it| it.to_string()).collect::<Vec<_>>(), ["7.2/p4.new: x"]);
    }
}
