//! Where the patched QEMU comes from: the series, the tree that it made, and what was built of it
//! beyond the pair that is compared.

use crate::build::beyond::Beyond;
use crate::cache::Cache;
use crate::series::{Applied, Series};
use anyhow::{Context, Result};
use git2::{ErrorCode, Oid};
use std::path::Path;

/// All that is known of a QEMU that this tool built itself.
pub struct Provenance<'a> {
    /// The cache that holds the tree.
    pub cache: &'a Cache,
    /// The series.
    pub series: Series,
    /// What it made of the source.
    pub applied: Applied,
    /// The tree that was compiled, in hex: the patched one, with what has it build at all.
    pub compiled: String,
    /// What was built beyond the pair, where it was.
    pub beyond: Option<Beyond>,
}

impl Provenance<'_> {
    /// The text of a file in the tree that was compiled; `None` where the tree does not have it.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        let store = self.cache.store()?;
        let tree = store.find_tree(Oid::from_str(&self.compiled)?)?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => {
                let blob =
                    store.find_blob(entry.id()).with_context(|| format!("reading {path}"))?;
                Ok(Some(String::from_utf8_lossy(blob.content()).into_owned()))
            }
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("looking for {path}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::cache;
    use std::fs;

    #[test]
    fn a_file_of_the_compiled_tree_is_read_and_what_it_lacks_is_told_from_what_is_broken() {
        let (_guard, cache) = cache();
        let store = cache.store().unwrap();
        let blob = store.blob(b"text").unwrap();
        let mut builder = store.treebuilder(None).unwrap();
        builder.insert("file", blob, 0o100_644).unwrap();
        let folder = builder.write().unwrap();
        builder.insert("folder", folder, 0o040_000).unwrap();
        let tree = builder.write().unwrap().to_string();
        let series = Series { dir: "".into(), patches: Vec::new(), id: String::new() };
        let applied = Applied { tree: String::new(), patches: Vec::new() };
        let provenance =
            Provenance { cache: &cache, series, applied, compiled: tree, beyond: None };
        assert_eq!(provenance.text("file").unwrap().as_deref(), Some("text"));
        assert_eq!(provenance.text("folder/file").unwrap().as_deref(), Some("text"));
        assert_eq!(provenance.text("other").unwrap(), None);
        let name = folder.to_string();
        let object = store.path().join("objects").join(&name[..2]).join(&name[2..]);
        fs::remove_file(&object).unwrap();
        fs::write(&object, "no object").unwrap();
        let error = provenance.text("folder/file").unwrap_err();
        assert_eq!(error.to_string(), "looking for folder/file");
    }
}
