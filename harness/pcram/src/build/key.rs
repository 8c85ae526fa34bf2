//! What a build was made of, and the key that follows from it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The file in a build's folder that has its [`Record`].
const FILE: &str = "build.toml";

/// Everything that a build is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    /// The source's tree, in hex.
    pub source: String,
    /// The id of the series on it; empty for stock.
    pub series: String,
    /// The id of the series that makes the tree build at all; empty where it needs none.
    pub toolchain: String,
    /// The tree that is compiled, in hex.
    pub tree: String,
    /// What was built of it, ninja's names, separated by blanks.
    pub products: String,
    /// The arguments of configure.
    pub flags: String,
    /// The compiler's identity.
    pub compiler: String,
}

/// A finished build's own account of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// What it was made of.
    pub parts: Parts,
    /// How many steps of ninja's or make's it took.
    pub compiled: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Parts {
    /// The key of the build.
    pub(super) fn key(&self) -> String {
        hash(&[
            &self.source,
            &self.series,
            &self.toolchain,
            &self.tree,
            &self.products,
            &self.flags,
            &self.compiler,
        ])
    }

    /// The key of the work tree: all that a build depends on but the series, so that stock and
    /// patched are built in one, and the second compiles only what differs.
    pub(super) fn tree_key(&self) -> String {
        hash(&[&self.source, &self.toolchain, &self.flags, &self.compiler])
    }
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        // Lengths keep apart what runs together alike.
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..20].to_owned()
}

impl Record {
    /// Writes the record into a build's folder.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let text = toml::to_string(self).context("writing a build's record")?;
        let path = dir.join(FILE);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// The record in a build's folder, if there is a sound one. Marks the build as used.
    pub(super) fn read(dir: &Path) -> Option<Record> {
        let record = Record::peek(dir)?;
        crate::cache::touch(&dir.join(FILE)).ok()?;
        Some(record)
    }

    /// The same, without marking the build.
    pub(super) fn peek(dir: &Path) -> Option<Record> {
        toml::from_str(&fs::read_to_string(dir.join(FILE)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        let text = |text: &str| text.to_owned();
        Parts {
            source: text("s"),
            series: text("p"),
            toolchain: text(""),
            tree: text("t"),
            products: text("qemu-img"),
            flags: text("--enable-tcg"),
            compiler: text("cc 12"),
        }
    }

    #[test]
    fn the_key_follows_every_part_and_the_trees_key_not_the_series() {
        let base = parts();
        let other = || "x".to_owned();
        let changed = [
            (Parts { source: other(), ..parts() }, false),
            (Parts { series: other(), ..parts() }, true),
            (Parts { toolchain: other(), ..parts() }, false),
            (Parts { tree: other(), ..parts() }, true),
            (Parts { products: other(), ..parts() }, true),
            (Parts { flags: other(), ..parts() }, false),
            (Parts { compiler: other(), ..parts() }, false),
        ];
        for (parts, same_tree) in changed {
            assert_ne!(parts.key(), base.key(), "{parts:?}");
            assert_eq!(parts.tree_key() == base.tree_key(), same_tree, "{parts:?}");
        }
    }

    #[test]
    fn a_record_is_read_back_and_a_broken_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path()), None);
        let record = Record { parts: parts(), compiled: 1542, seconds: 134.5 };
        record.write(dir.path()).unwrap();
        assert_eq!(Record::read(dir.path()), Some(record));
        fs::write(dir.path().join(FILE), "[parts]\nsource = 1").unwrap();
        assert_eq!(Record::read(dir.path()), None);
    }
}
