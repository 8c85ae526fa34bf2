//! The blobs that a patch names in its `index` lines: each file before and after it.

use std::path::PathBuf;

use git2::{Delta, Diff, ObjectType, Oid, Repository, Tree};

use super::Patch;

/// One file of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Its path before the patch.
    pub path: PathBuf,
    /// Its path after the patch.
    pub to: PathBuf,
    /// Its blob before the patch; none where the patch makes the file, or does not say.
    pub before: Option<BlobName>,
    /// Its blob after the patch; none where the patch removes the file, or does not say.
    pub after: Option<BlobName>,
    /// Whether the patch makes the file.
    pub is_new: bool,
    /// Whether the patch changes lines of it.
    pub has_hunks: bool,
}

/// A blob's id in hex, or the beginning of it, as a patch has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlobName(String);

impl BlobName {
    /// libgit2 fills up what a patch abbreviates with zeros. A name that ends in zeros of its own
    /// loses them here, which is still a name.
    fn new(id: Oid) -> Option<BlobName> {
        let hex = id.to_string();
        Some(hex.trim_end_matches('0').to_owned()).filter(|name| !name.is_empty()).map(BlobName)
    }

    /// The name as it is shown.
    pub(super) fn short(&self) -> &str {
        &self.0[..self.0.len().min(12)]
    }

    /// The one blob of `git` that has this name, if there is one.
    pub(super) fn find(&self, git: &Repository) -> Option<Oid> {
        let object = git.find_object_by_prefix(&self.0, Some(ObjectType::Blob)).ok()?;
        Some(object.id())
    }

    fn names(&self, id: Oid) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl Image {
    /// Whether the file stands in `tree` as the patch expects it.
    pub(super) fn stands_in(&self, tree: &Tree) -> bool {
        let there = tree.get_path(&self.path).ok();
        self.before.as_ref().zip(there).is_some_and(|(name, entry)| name.names(entry.id()))
    }
}

/// The files of a patch, in its order; none where it is no patch.
pub(super) fn images(patch: &Patch) -> Vec<Image> {
    let Ok(diff) = Diff::from_buffer(&patch.text) else { return Vec::new() };
    let hunks =
        |at| git2::Patch::from_diff(&diff, at).ok().flatten().is_some_and(|it| it.num_hunks() > 0);
    diff.deltas()
        .enumerate()
        .filter_map(|(at, delta)| {
            let is_new = delta.status() == Delta::Added;
            let file = if is_new { delta.new_file() } else { delta.old_file() };
            Some(Image {
                path: file.path()?.to_owned(),
                to: delta.new_file().path().or(file.path())?.to_owned(),
                before: BlobName::new(delta.old_file().id()),
                after: BlobName::new(delta.new_file().id()),
                is_new,
                has_hunks: hunks(at),
            })
        })
        .collect()
}

/// The files of the tree that a series was made on, as far as it changes them: each by the first
/// patch that does.
pub(super) fn base_images(patches: &[Patch]) -> Vec<Image> {
    let mut touched: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    for image in patches.iter().flat_map(images) {
        let known = touched.contains(&image.path);
        touched.extend([image.path.clone(), image.to.clone()]);
        if !known && image.before.is_some() {
            found.push(image);
        }
    }
    found
}
