//! The store of all trees: one bare git repository, and the system's git on it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::Cache;

impl Cache {
    /// The store of all trees, made where there is none.
    ///
    /// # Errors
    /// Where it cannot be made or opened.
    pub fn store(&self) -> Result<Repository> {
        let dir = self.store_dir();
        if !dir.exists() {
            let scratch = self.scratch(&self.root)?;
            let new = scratch.path().join("objects.git");
            Repository::init_bare(&new).context("making the object store")?;
            // Where another run was quicker, its store is as good.
            if let Err(error) = fs::rename(&new, &dir)
                && !dir.exists()
            {
                return Err(error).with_context(|| format!("making {}", dir.display()));
            }
        }
        Repository::open_bare(&dir)
            .with_context(|| format!("opening the object store {}", dir.display()))
    }

    pub(super) fn store_dir(&self) -> PathBuf {
        self.root.join("objects.git")
    }

    /// The folder of what is known of series that were applied; it goes with the store.
    pub(crate) fn applied_dir(&self) -> PathBuf {
        self.store_dir().join("applied")
    }

    /// The system's git on the store, out of reach of the user's settings and environment.
    ///
    /// # Errors
    /// Where the store cannot be made.
    pub(crate) fn git(&self) -> Result<Command> {
        self.store()?;
        let mut git = Command::new("git");
        for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")) {
            git.env_remove(name);
        }
        git.env("GIT_DIR", self.store_dir());
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.env("LC_ALL", "C");
        self.in_use.lend(&mut git)?;
        Ok(git)
    }
}

/// The modes that git has for what stands in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// A plain file.
    File,
    /// An executable file.
    Executable,
    /// A symbolic link.
    Link,
    /// A submodule: a commit that is not in this store.
    Submodule,
}

impl Mode {
    /// The mode as git writes it.
    pub(crate) fn octal(self) -> &'static str {
        match self {
            Mode::File => "100644",
            Mode::Executable => "100755",
            Mode::Link => "120000",
            Mode::Submodule => "160000",
        }
    }

    fn from_bits(bits: i32) -> Option<Mode> {
        match bits {
            0o120000 => Some(Mode::Link),
            0o160000 => Some(Mode::Submodule),
            // Old trees have group-writable files, which git takes for plain ones.
            _ if bits & 0o170000 == 0o100000 && bits & 0o100 != 0 => Some(Mode::Executable),
            _ if bits & 0o170000 == 0o100000 => Some(Mode::File),
            _ => None,
        }
    }
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeFile {
    /// Its path from the tree's root; every part of it is a plain name.
    pub path: PathBuf,
    /// Its mode.
    pub mode: Mode,
    /// The blob that it is; of a submodule, the commit.
    pub id: Oid,
}

/// Every file of the tree `id`, sorted by path within each folder.
///
/// # Errors
/// Where an object is missing, or a name could lead out of the tree.
pub(crate) fn files(store: &Repository, id: Oid) -> Result<Vec<TreeFile>> {
    let mut found = Vec::new();
    collect(store, id, Path::new(""), &mut found)?;
    Ok(found)
}

fn collect(store: &Repository, id: Oid, at: &Path, found: &mut Vec<TreeFile>) -> Result<()> {
    let tree = store
        .find_tree(id)
        .with_context(|| format!("reading the folder `{}` of a tree", at.display()))?;
    for entry in &tree {
        let name = OsStr::from_bytes(entry.name_bytes());
        let path = at.join(name);
        let plain = ![OsStr::new(""), OsStr::new("."), OsStr::new("..")].contains(&name);
        if !plain || entry.name_bytes().contains(&b'/') {
            bail!("the tree {id} has an entry named {name:?}");
        }
        if entry.kind() == Some(ObjectType::Tree) {
            collect(store, entry.id(), &path, found)?;
        } else {
            let mode = Mode::from_bits(entry.filemode_raw());
            let mode = mode.with_context(|| format!("`{}` is of no known mode", path.display()))?;
            found.push(TreeFile { path, mode, id: entry.id() });
        }
    }
    Ok(())
}

/// The bytes of the blob `id`, or `None` where the store does not have it.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn blob(store: &Repository, id: Oid) -> Result<Option<Vec<u8>>> {
    match store.find_blob(id) {
        Ok(blob) => Ok(Some(blob.content().to_vec())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading the blob {id}")),
    }
}
