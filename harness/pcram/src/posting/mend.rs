//! Each patch of a posting, mended against the blobs that its `index` lines name.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use git2::{ObjectType, Oid, Repository};
use pcram_posting::diff::FileDiff;
use pcram_posting::found::{Found, find};
use pcram_posting::letter::Letter;
use pcram_posting::repair::{Proof, Repair, Repaired, blob_id, repair};
use pcram_posting::series::{Message, Posting, message};

use crate::failure::Failure;

/// A posting whose patches are as they were sent.
#[derive(Clone, Debug)]
pub struct Mended {
    /// The patches, in order.
    pub patches: Vec<MendedPatch>,
}

/// One patch.
#[derive(Clone, Debug)]
pub struct MendedPatch {
    /// Its letter.
    pub letter: Letter,
    /// What the letter says beside the diff.
    pub message: Message,
    /// The files.
    pub files: Vec<Repaired>,
}

impl MendedPatch {
    /// All that was put right, in the order of lines.
    pub fn repairs(&self) -> impl Iterator<Item = &Repair> {
        self.files.iter().flat_map(|file| &file.repairs)
    }

    /// The diff of all files.
    pub fn diff(&self) -> Vec<u8> {
        self.files.iter().flat_map(|file| file.diff.to_bytes()).collect()
    }

    /// How far it is known that this is what was sent.
    pub fn proof(&self) -> Option<Proof> {
        self.files.iter().map(|file| file.proof).min()
    }

    /// Its statistics: files, lines that come, lines that go.
    pub fn stat(&self) -> Stat {
        let counts = self.files.iter().map(|file| file.diff.counts());
        counts.fold(Stat { files: self.files.len(), ..Stat::default() }, |sum, (come, go)| Stat {
            added: sum.added + come,
            removed: sum.removed + go,
            ..sum
        })
    }
}

/// A diff's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Files that are touched.
    pub files: usize,
    /// Lines that come.
    pub added: usize,
    /// Lines that go.
    pub removed: usize,
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stat { files, added, removed } = self;
        write!(f, "{files} files, {added} insertions, {removed} deletions")
    }
}

/// Mends the patches of a posting. Blobs are looked for in `gits`, and among those that the patches
/// before make.
///
/// # Errors
/// A [`Failure`] that names the patch, the line, and why it cannot be told what was sent.
pub fn mend(posting: &Posting, gits: &[&Repository]) -> Result<Mended> {
    let mut made = BTreeMap::new();
    let mut patches = Vec::new();
    for letter in &posting.patches {
        let message = message(letter);
        let refuse = |why: String| Failure::usage(format!("the patch {:?}, {why}", message.title));
        let found = find(&letter.lines).map_err(|refusal| refuse(refusal.to_string()))?;
        let count = found.len();
        let mut files = Vec::new();
        for (at, found) in found.iter().enumerate() {
            let base = base(found, gits, &made);
            let repaired = repair(found, base.as_deref(), at + 1 == count).map_err(|refusal| {
                let lacks = match (&base, &found.old_id) {
                    (None, Some(id)) => format!(
                        "; no git at hand has the blob {id} of {}, which may decide it: name one by \
                         --git-url",
                        found.old.as_deref().unwrap_or_default()
                    ),
                    _ => String::new(),
                };
                refuse(format!("{refusal}{lacks}"))
            })?;
            if let Some(after) = &repaired.after {
                made.insert(blob_id(after), after.clone());
            }
            files.push(repaired);
        }
        patches.push(MendedPatch { letter: letter.clone(), message, files });
    }
    Ok(Mended { patches })
}

/// The file that a diff was made on.
fn base(found: &Found, gits: &[&Repository], made: &BTreeMap<String, Vec<u8>>) -> Option<Vec<u8>> {
    let id = found.old_id.as_deref()?;
    let mine = made.range(id.to_owned()..).next().filter(|(known, _)| known.starts_with(id));
    if let Some((_, text)) = mine {
        return Some(text.clone());
    }
    gits.iter().find_map(|git| blob(git, id))
}

/// The blob whose id begins with `id`.
fn blob(git: &Repository, id: &str) -> Option<Vec<u8>> {
    let odb = git.odb().ok()?;
    let short = Oid::from_str(id).ok()?;
    let id = odb.exists_prefix(short, id.len()).ok()?;
    let object = odb.read(id).ok()?;
    (object.kind() == ObjectType::Blob).then(|| object.data().to_vec())
}

/// The blobs that the files of a patch were made on: paths, and their ids as far as they are told.
pub fn made_on(files: &[FileDiff]) -> Vec<(String, String)> {
    let wanted = files.iter().filter_map(|file| {
        let (path, id) = (file.old.clone()?, file.old_id.clone()?);
        Some((path, id)).filter(|(_, id)| !id.bytes().all(|byte| byte == b'0'))
    });
    wanted.collect()
}
