//! The one folder that everything lasting is kept in: sources, work trees, builds, runs.
//!
//! ```text
//! layout             the version of this layout
//! objects.git/       every source tree and patched tree, as git objects; in `applied`, the trees
//!                    that each series made of one
//! sources/           one TOML record for each source that was fetched
//! trees/KEY/         a work tree (src) and its build folder (build)
//! builds/KEY/        finished binaries, and what they were made of
//! python/KEY/        private Python environments
//! guests/KEY/        firmware, kernel and modules from a distribution's packages
//! runs/ID/           what a run of this tool leaves behind
//! locks/             one file for each thing that two runs must not touch at once
//! ```
//!
//! Nothing is ever seen half-written: it is made under a temporary name beside its place, and
//! renamed. What a run that was killed left behind is removed by the next one that is alone.

mod entry;
mod lock;
pub(crate) mod store;

pub use entry::{Entry, Kind, Pruned, Which};
pub use lock::Lock;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::event::Step;
use crate::failure::Failure;

/// The version of the layout above. Raised when an older tool could not use the folder any more.
const LAYOUT: &str = "1";

/// What the name of a file begins with that tells of the folder beside it, named by the rest, that
/// its run is still at work in it.
const UNDER_WAY: &str = ".under-way-";

/// What every temporary name begins with.
const TEMPORARY: &str = ".pcram-tmp-";

/// The cache, open for use. While one lives, no other run removes sources or temporary files.
pub struct Cache {
    root: PathBuf,
    in_use: Lock,
}

/// The folder of one run of the tool, which no other run prunes while this value lives.
pub struct Run {
    /// The run's id, also the folder's name: seconds since 1970, and the process id.
    pub id: String,
    /// The folder.
    pub dir: PathBuf,
    _lock: Lock,
}

impl Cache {
    /// Opens the cache in `dir`, else in `$PCRAM_CACHE`, `$XDG_CACHE_HOME/pcram` or
    /// `~/.cache/pcram`, and makes it where there is none.
    ///
    /// # Errors
    /// A [`Failure`] where it cannot be written to, is of another layout, or is no cache.
    pub fn open(dir: Option<&Path>) -> Result<Cache> {
        let root = root(dir)?;
        let unwritable = |error: io::Error| {
            Failure::missing(format!(
                "the cache {} cannot be written to: {error}; name another folder in \
                 $PCRAM_CACHE",
                root.display()
            ))
        };
        fs::create_dir_all(&root).map_err(unwritable)?;
        if !has_layout(&root)? {
            write_atomically(&root.join("layout"), LAYOUT).map_err(unwritable)?;
        }
        for name in ["locks"].into_iter().chain(Kind::ALL.map(Kind::folder)) {
            fs::create_dir_all(root.join(name)).map_err(unwritable)?;
        }
        let in_use = Lock::open(&root.join("locks/in-use"))?;
        if in_use.try_exclusive()? {
            remove_leftovers(&root).map_err(unwritable)?;
        }
        in_use.shared()?;
        Ok(Cache { root, in_use })
    }

    /// Where the cache is, or would be made: `dir`, else as [`Cache::open`] says.
    ///
    /// # Errors
    /// A [`Failure`] where there is no place for it.
    pub fn place(dir: Option<&Path>) -> Result<PathBuf> {
        root(dir)
    }

    /// Opens a cache that is there, to look into it: nothing is made and nothing cleaned. `None`
    /// where there is none yet.
    ///
    /// # Errors
    /// A [`Failure`] where it cannot be read, is of another layout, or is no cache.
    pub fn look(dir: Option<&Path>) -> Result<Option<Cache>> {
        let root = root(dir)?;
        if !root.exists() || !has_layout(&root)? {
            return Ok(None);
        }
        let in_use = Lock::open(&root.join("locks/in-use"))?;
        in_use.shared()?;
        Ok(Some(Cache { root, in_use }))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the things of one kind are kept.
    pub fn folder(&self, kind: Kind) -> PathBuf {
        self.root.join(kind.folder())
    }

    /// A temporary folder inside `parent`, which is in the cache; removed when dropped, or by a
    /// later run where this one is killed.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn scratch(&self, parent: &Path) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(parent)
            .with_context(|| format!("making a temporary folder in {}", parent.display()))
    }

    /// Waits until no other run holds `name`, and holds it.
    ///
    /// # Errors
    /// A [`Failure`] where another run holds it for longer than any build takes.
    pub fn lock(&self, name: &str, step: &Step) -> Result<Lock> {
        let lock = Lock::open(&self.root.join("locks").join(name))?;
        lock.wait(name, step)
    }

    /// A lock that keeps others from pruning `name`, while it can be held by any number of runs.
    ///
    /// # Errors
    /// Where the lock file cannot be used.
    pub fn share(&self, name: &str) -> Result<Lock> {
        let lock = Lock::open(&self.root.join("locks").join(name))?;
        lock.shared()?;
        Ok(lock)
    }

    /// The lock that keeps the whole cache from being cleaned, to be lent to children that write
    /// into temporary folders.
    pub(crate) fn in_use(&self) -> &Lock {
        &self.in_use
    }

    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new_run(&self) -> Result<Run> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = format!("{}-{}", now.as_secs(), std::process::id());
        let lock = self.share(&Kind::Run.lock(&id))?;
        let dir = self.folder(Kind::Run).join(&id);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Run { id, dir, _lock: lock })
    }
}

/// Writes `text` to `path`, so that nobody ever sees half of it.
pub(crate) fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// Marks `path` as used now, for pruning by age.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.set_modified(SystemTime::now())
}

fn root(dir: Option<&Path>) -> Result<PathBuf> {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = match dir {
        Some(dir) => dir.to_owned(),
        None => from("PCRAM_CACHE")
            .or_else(|| from("XDG_CACHE_HOME").map(|dir| dir.join("pcram")))
            .or_else(|| from("HOME").map(|dir| dir.join(".cache/pcram")))
            .ok_or_else(|| {
                Failure::missing(
                    "there is no place for the cache: neither $PCRAM_CACHE nor \
                     $XDG_CACHE_HOME nor $HOME is set; set the first",
                )
            })?,
    };
    std::path::absolute(&root).with_context(|| format!("finding the cache {}", root.display()))
}

/// Whether the folder is a cache of our layout already; it may become one where it is empty.
fn has_layout(root: &Path) -> Result<bool> {
    let unreadable = |error: io::Error| {
        Failure::missing(format!(
            "the cache {} cannot be read: {error}; name another folder in $PCRAM_CACHE",
            root.display()
        ))
    };
    let found = match fs::read_to_string(root.join("layout")) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(root).map_err(unreadable)? {
                let name = entry.map_err(unreadable)?.file_name();
                if !name.to_string_lossy().starts_with(TEMPORARY) {
                    return Err(Failure::usage(format!(
                        "{} is no cache of this tool: it has no file `layout`, and is not \
                         empty ({name:?} is in it); name an empty or a new folder",
                        root.display()
                    ))
                    .into());
                }
            }
            return Ok(false);
        }
        Err(error) => return Err(unreadable(error).into()),
    };
    if found.trim() != LAYOUT {
        return Err(Failure::missing(format!(
            "the cache {} has layout version {:?}, and this tool wants {LAYOUT}: remove the \
             folder, or name another one in $PCRAM_CACHE",
            root.display(),
            found.trim()
        ))
        .into());
    }
    Ok(true)
}

/// Removes what runs that were killed left under temporary names. To be called alone.
fn remove_leftovers(root: &Path) -> io::Result<()> {
    let folders = Kind::ALL.map(|kind| root.join(kind.folder()));
    let applied = Some(root.join("objects.git/applied")).filter(|folder| folder.is_dir());
    for folder in [root.to_owned()].iter().chain(&folders).chain(&applied) {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                remove(&entry.path())?;
            }
        }
    }
    remove_interrupted(&root.join(Kind::Run.folder()))?;
    // git's own, of packs that were being written.
    if let Ok(packs) = fs::read_dir(root.join("objects.git/objects/pack")) {
        for pack in packs {
            let pack = pack?;
            if pack.file_name().to_string_lossy().starts_with("tmp_") {
                remove(&pack.path())?;
            }
        }
    }
    Ok(())
}

/// The file beside a folder of a run that tells that the run works in it.
fn mark_of(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!("{UNDER_WAY}{name}"))
}

/// Makes a folder of a run to work in. Where the run is killed before [`end_in`], at whatever moment,
/// the next run removes the folder.
pub(crate) fn begin_in(folder: &Path) -> io::Result<()> {
    if let Some(run) = folder.parent() {
        fs::create_dir_all(run)?;
    }
    fs::write(mark_of(folder), "")?;
    fs::create_dir_all(folder)
}

/// Ends the work in such a folder, which stays where it is to be kept. What cannot be removed now is
/// pruned with its run.
pub(crate) fn end_in(folder: &Path, keep: bool) {
    if !keep {
        let _ = fs::remove_dir_all(folder);
    }
    let _ = fs::remove_file(mark_of(folder));
}

/// Removes from the folders of runs what a killed run was in the middle of; what its checks had
/// come to before stays.
fn remove_interrupted(runs: &Path) -> io::Result<()> {
    for run in fs::read_dir(runs)? {
        let run = run?.path();
        if !run.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&run)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_prefix(UNDER_WAY) {
                end_in(&run.join(name), false);
            }
        }
        // One that still has something in it stays.
        let _ = fs::remove_dir(&run);
    }
    Ok(())
}

/// Removes a file, or a folder with all that is in it.
fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
pub(crate) mod tests;
