//! What a git lacks: subprojects that upstream keeps elsewhere, filled in from a package's tree.

use anyhow::{Context, Result};
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository};
use std::path::Path;

use super::Source;
use super::record::Filled;
use crate::cache::Cache;
use crate::failure::Failure;

/// A folder that upstream's git has only the address of.
struct Part {
    folder: &'static str,
    wanted: fn(&Repository, Oid) -> bool,
}

/// keycodemapdb is all that the targets that are built here want: a wrap since 8.1, a submodule
/// before.
const PARTS: [Part; 2] = [
    Part {
        folder: "subprojects/keycodemapdb",
        wanted: |store, tree| entry(store, tree, "subprojects/keycodemapdb.wrap").is_some(),
    },
    Part {
        folder: "ui/keycodemapdb",
        wanted: |store, tree| {
            entry(store, tree, ".gitmodules")
                .and_then(|(id, _)| store.find_blob(id).ok())
                .is_some_and(|text| {
                    String::from_utf8_lossy(text.content()).contains("ui/keycodemapdb")
                })
        },
    },
];

/// Whether `path` is, or is in, a folder that a git does not track but a build wants.
pub(super) fn is_part(path: &Path) -> bool {
    PARTS.iter().any(|part| path.starts_with(part.folder))
}

/// The folders that the tree `tree` lacks.
pub(super) fn lacking(store: &Repository, tree: Oid) -> Vec<&'static str> {
    let lacks = |part: &&Part| {
        let there = entry(store, tree, part.folder);
        (part.wanted)(store, tree) && there.is_none_or(|(_, kind)| kind != ObjectType::Tree)
    };
    PARTS.iter().filter(lacks).map(|part| part.folder).collect()
}

/// Puts the folders that `source` lacks into its tree, from the tree of `package`.
pub(super) fn fill(cache: &Cache, source: &mut Source, package: &Source) -> Result<()> {
    let store = cache.store()?;
    let donor = package.tree_id()?;
    for folder in lacking(&store, source.tree_id()?) {
        let Some((id, ObjectType::Tree)) = entry(&store, donor, folder) else {
            return Err(Failure::missing(format!(
                "the tree lacks {folder}, and so does the {}",
                package.description()
            ))
            .into());
        };
        let tree = store.find_tree(source.tree_id()?)?;
        let filled = TreeUpdateBuilder::new()
            .upsert(folder, id, FileMode::Tree)
            .create_updated(&store, &tree)
            .with_context(|| format!("filling in {folder}"))?;
        source.tree = filled.to_string();
        source.filled.push(Filled { folder: folder.into(), from: package.origin.description() });
    }
    Ok(())
}

fn entry(store: &Repository, tree: Oid, path: &str) -> Option<(Oid, ObjectType)> {
    let tree = store.find_tree(tree).ok()?;
    let entry = tree.get_path(Path::new(path)).ok()?;
    Some((entry.id(), entry.kind()?))
}
