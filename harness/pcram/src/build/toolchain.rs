//! What has a QEMU of long ago build on a machine of today: a series of its own, and arguments of
//! configure. patches/toolchain/README.md says what is in them.
//!
//! It goes on last, on top of the series that is tried. So that one applies to the tree as upstream
//! left it, and both of the QEMUs that are compared have this one.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::event::Events;
use crate::series::{Onto, Series, apply};

/// The file with the arguments of configure, one a line; `#` begins a comment.
const FLAGS: &str = "flags";

/// A toolchain series.
#[derive(Clone, Debug)]
pub struct Toolchain {
    series: Series,
    flags: Vec<String>,
}

impl Toolchain {
    /// Reads the one in the folder `dir`.
    ///
    /// # Errors
    /// A `Failure` that names the file that cannot be read.
    pub fn load(dir: &Path) -> Result<Toolchain> {
        let series = Series::load(dir)?;
        let path = dir.join(FLAGS);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("reading {}", path.display()))?,
        };
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let flags = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Ok(Toolchain { series, flags })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.series.dir
    }

    /// The id of its series, in hex. Its arguments of configure stand in a build's key with the
    /// others.
    pub fn id(&self) -> &str {
        &self.series.id
    }

    /// Its arguments of configure.
    pub fn flags(&self) -> &[String] {
        &self.flags
    }

    /// The tree `tree` (an id in hex) with the series on it.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn onto(&self, cache: &Cache, tree: &str) -> Result<String> {
        let onto = Onto { tree: tree.to_owned(), gits: Vec::new() };
        let applied = apply(cache, &Events::default(), &onto, &self.series, "");
        let dir = self.dir().display();
        Ok(applied.with_context(|| format!("putting {dir} on the tree {tree}"))?.tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carried_ones_are_read_with_their_arguments() {
        let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patches");
        let found = Toolchain::load(&patches.join("toolchain/1.0")).unwrap();
        let is_flag = |flag: &String| {
            flag.starts_with("--disable-") || flag.starts_with("--target-list=x86_64-softmmu,")
        };
        assert!(found.flags().iter().all(is_flag), "{found:?}");
        assert!(found.flags().contains(&"--disable-attr".to_owned()));
        let series = Series::load(&patches.join("toolchain/1.0")).unwrap();
        assert_eq!(found.id(), series.id);
    }

    #[test]
    fn one_without_arguments_has_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("series"), "a.patch\n").unwrap();
        fs::write(dir.path().join("a.patch"), "diff\n").unwrap();
        assert!(Toolchain::load(dir.path()).unwrap().flags().is_empty());
    }
}
