//! A tree into a folder, touching only what differs.
//!
//! Every file is compared by content, not by a list of what was written last: so a folder in any
//! state, left by a run that was killed at any moment, becomes the tree; and a file that is right
//! keeps its time, for which ninja compiles only what changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use git2::{ObjectType, Oid, Repository};

use crate::cache::Cache;
use crate::cache::store::{self, Mode, TreeFile};
use crate::event::Step;
use crate::failure::Failure;

/// How often the progress is told, in files.
const TELL_EVERY: usize = 500;

/// What a checkout did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that were written, new or because they differed.
    pub written: usize,
    /// Files and folders that were removed, because the tree does not have them.
    pub removed: usize,
    /// Files that were right already, and were not touched.
    pub kept: usize,
}

/// Makes the folder `dir` equal to the tree `tree` (an id in hex): whatever else is in it is
/// removed. Nothing outside of it is touched.
///
/// # Errors
/// Where something cannot be read or written.
pub fn checkout(cache: &Cache, step: &Step, tree: &str, dir: &Path) -> Result<Changes> {
    let id = Oid::from_str(tree).with_context(|| format!("the tree id {tree:?}"))?;
    let (submodules, files): (Vec<TreeFile>, Vec<TreeFile>) = store::files(&cache.store()?, id)?
        .into_iter()
        .partition(|file| file.mode == Mode::Submodule);

    let writing = || format!("writing the tree into {}", dir.display());
    fs::create_dir_all(dir).with_context(writing)?;
    let removed = make_room(dir, &files, &submodules).with_context(writing)?;
    let written = bring_all(cache, step, &files, dir).with_context(writing)?;
    Ok(Changes { written, removed, kept: files.len() - written })
}

/// Writes the tree `tree` (an id in hex) into `dir`, a folder of the user's that is new or empty.
///
/// # Errors
/// A [`Failure`] where it is not; else as [`checkout`].
pub fn export(cache: &Cache, step: &Step, tree: &str, dir: &Path) -> Result<Changes> {
    expect_vacant(dir)?;
    fs::create_dir_all(dir).map_err(|error| {
        Failure::usage(format!("cannot make the folder {}: {error}", dir.display()))
    })?;
    checkout(cache, step, tree, dir)
}

/// Sees to it that `dir`, a folder of the user's, is new or empty.
///
/// # Errors
/// A [`Failure`] where it is not.
pub fn expect_vacant(dir: &Path) -> Result<()> {
    let occupied = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    if occupied {
        let text = format!("{} is no empty folder: name a new one", dir.display());
        return Err(Failure::usage(text).into());
    }
    Ok(())
}

/// What stands at a path of the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Folder,
}

/// Removes what is not in the tree or stands where a file, or a folder, is to be; and makes the
/// folders. Returns how much it removed.
fn make_room(dir: &Path, files: &[TreeFile], submodules: &[TreeFile]) -> io::Result<usize> {
    let mut places = BTreeMap::new();
    for file in files {
        places.insert(file.path.as_path(), Place::File);
    }
    // What a submodule has in it is elsewhere; git leaves an empty folder, too.
    for submodule in submodules {
        places.insert(submodule.path.as_path(), Place::Folder);
    }
    for file in files.iter().chain(submodules) {
        for parent in file.path.ancestors().skip(1) {
            if places.insert(parent, Place::Folder).is_some() {
                break;
            }
        }
    }
    let removed = clear(dir, Path::new(""), &places)?;
    // The map's order has each folder before what is in it.
    for (path, _) in places.iter().filter(|(_, place)| **place == Place::Folder) {
        match fs::create_dir(dir.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(removed)
}

fn clear(dir: &Path, at: &Path, places: &BTreeMap<&Path, Place>) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir.join(at))? {
        let entry = entry?;
        let path = at.join(entry.file_name());
        // A link to a folder is no folder: what is behind it is not ours.
        let is_folder = entry.file_type()?.is_dir();
        match (places.get(path.as_path()), is_folder) {
            (Some(Place::Folder), true) => removed += clear(dir, &path, places)?,
            (Some(Place::File), false) => {}
            (_, true) => {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
            (_, false) => {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Writes every file that is not right already, and returns how many those were.
fn bring_all(cache: &Cache, step: &Step, files: &[TreeFile], dir: &Path) -> Result<usize> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<usize> {
        let store = cache.store()?;
        let mut written = 0;
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(file) = files.get(at)
        {
            if at.is_multiple_of(TELL_EVERY) {
                step.progress(at as u64, files.len() as u64, file.path.display().to_string());
            }
            let path = dir.join(&file.path);
            let done = bring(&store, file, &path);
            written += usize::from(done.with_context(|| path.display().to_string())?);
        }
        Ok(written)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| {
            worker.join().map_err(|_| anyhow!("a thread that writes files has panicked"))?
        });
        joined.sum()
    })
}

/// Writes a file where it is not right already, and returns whether it was written.
fn bring(store: &Repository, file: &TreeFile, path: &Path) -> Result<bool> {
    let there = match path.symlink_metadata() {
        Ok(meta) if is_right(file, path, &meta)? => return Ok(false),
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    let bytes = store::blob(store, file.id)?.context("it is not in the cache's store")?;
    // Never through what stands there: it could be a link that leads elsewhere.
    if there {
        fs::remove_file(path)?;
    }
    if file.mode == Mode::Link {
        symlink(OsString::from_vec(bytes), path)?;
    } else {
        let mode = if file.mode == Mode::Executable { 0o777 } else { 0o666 };
        let mut new = File::options().write(true).create_new(true).mode(mode).open(path)?;
        new.write_all(&bytes)?;
        // The kernel stamps files by a clock that ticks a few hundred times a second. An object
        // that was compiled within the same tick must still look older.
        new.set_modified(SystemTime::now())?;
    }
    Ok(true)
}

/// Whether what stands at `path` is the file, in kind, mode and content.
fn is_right(file: &TreeFile, path: &Path, meta: &Metadata) -> Result<bool> {
    let executable = meta.permissions().mode() & 0o100 != 0;
    let bytes = match file.mode {
        Mode::Link if meta.is_symlink() => fs::read_link(path)?.into_os_string().into_vec(),
        Mode::File if meta.is_file() && !executable => fs::read(path)?,
        Mode::Executable if meta.is_file() && executable => fs::read(path)?,
        _ => return Ok(false),
    };
    Ok(Oid::hash_object(ObjectType::Blob, &bytes)? == file.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::{a_step, cache};
    use crate::failure::Exit;
    use crate::series::apply::tests::tree;
    use std::time::Duration;

    const BEFORE: &[(&str, Mode, &str)] = &[
        ("a.c", Mode::File, "int a;\n"),
        ("dir/b.c", Mode::File, "int b;\n"),
        ("dir/gone.c", Mode::File, "int gone;\n"),
        ("link", Mode::Link, "a.c"),
        ("tool", Mode::Executable, "#!/bin/sh\n"),
        ("was/folder", Mode::File, ""),
        ("was-file", Mode::File, ""),
    ];
    const AFTER: &[(&str, Mode, &str)] = &[
        ("a.c", Mode::File, "int a;\n"),
        ("dir/b.c", Mode::File, "int b2;\n"),
        ("link", Mode::Link, "tool"),
        ("new/deep/c.c", Mode::File, "int c;\n"),
        ("tool", Mode::File, "#!/bin/sh\n"),
        ("was", Mode::File, "now a file"),
        ("was-file/d.c", Mode::File, "in a folder"),
    ];

    fn into(cache: &Cache, tree: &str, dir: &Path) -> Changes {
        a_step(|step| checkout(cache, step, tree, dir)).unwrap()
    }

    fn standing(dir: &Path) -> Vec<(String, Mode, Vec<u8>)> {
        let (_guard, cache) = cache();
        let all = &mut |_: &Path, _| Ok(false);
        let tree = a_step(|step| crate::source::import::directory(&cache, step, dir, all)).unwrap();
        let store = cache.store().unwrap();
        let files = store::files(&store, tree).unwrap().into_iter();
        files
            .map(|file| {
                let bytes = store::blob(&store, file.id).unwrap().unwrap();
                (file.path.display().to_string(), file.mode, bytes)
            })
            .collect()
    }

    fn expected(files: &[(&str, Mode, &str)]) -> Vec<(String, Mode, Vec<u8>)> {
        let mut files: Vec<_> = files
            .iter()
            .map(|(path, mode, text)| (path.to_string(), *mode, text.as_bytes().to_vec()))
            .collect();
        files.sort();
        files
    }

    fn sorted(mut files: Vec<(String, Mode, Vec<u8>)>) -> Vec<(String, Mode, Vec<u8>)> {
        files.sort();
        files
    }

    /// Sets every file's time back by a day, so that one written anew stands out.
    fn age(dir: &Path, files: &[(&str, Mode, &str)]) -> SystemTime {
        let then = SystemTime::now() - Duration::from_secs(86_400);
        for (path, mode, _) in files {
            if *mode != Mode::Link {
                File::open(dir.join(path)).unwrap().set_modified(then).unwrap();
            }
        }
        then
    }

    fn modified(path: &Path) -> SystemTime {
        path.symlink_metadata().unwrap().modified().unwrap()
    }

    #[test]
    fn only_what_differs_is_touched() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        let before = tree(&cache, BEFORE);
        assert_eq!(into(&cache, &before, dir.path()).written, BEFORE.len());
        assert_eq!(sorted(standing(dir.path())), expected(BEFORE));

        let then = age(dir.path(), BEFORE);
        let changes = into(&cache, &tree(&cache, AFTER), dir.path());
        assert_eq!(sorted(standing(dir.path())), expected(AFTER));
        assert_eq!((changes.written, changes.kept), (6, 1));
        assert_eq!(modified(&dir.path().join("a.c")), then);
        for path in ["dir/b.c", "link", "tool", "was", "was-file/d.c"] {
            assert!(modified(&dir.path().join(path)) > then, "{path}");
        }

        let again = into(&cache, &tree(&cache, AFTER), dir.path());
        assert_eq!(again, Changes { written: 0, removed: 0, kept: AFTER.len() });
    }

    #[test]
    fn a_folder_in_any_state_is_mended() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        let before = tree(&cache, BEFORE);
        into(&cache, &before, dir.path());
        // As a run leaves it that was killed in the middle, and worse.
        fs::write(dir.path().join("a.c"), "int").unwrap();
        fs::write(dir.path().join("stray.pyc"), "").unwrap();
        fs::create_dir_all(dir.path().join("stray/deep")).unwrap();
        fs::remove_file(dir.path().join("tool")).unwrap();
        fs::remove_file(dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("link")).unwrap();
        fs::remove_dir_all(dir.path().join("was")).unwrap();
        let changes = into(&cache, &before, dir.path());
        assert_eq!(sorted(standing(dir.path())), expected(BEFORE));
        assert_eq!(changes, Changes { written: 4, removed: 3, kept: BEFORE.len() - 4 });
    }

    #[test]
    fn nothing_outside_is_written_to_through_a_link() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("b.c");
        fs::write(&victim, "precious").unwrap();
        symlink(outside.path(), dir.path().join("dir")).unwrap();
        symlink(&victim, dir.path().join("a.c")).unwrap();
        into(&cache, &tree(&cache, BEFORE), dir.path());
        assert_eq!(sorted(standing(dir.path())), expected(BEFORE));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_of_the_users_is_written_to_only_where_it_is_empty() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        let before = tree(&cache, BEFORE);
        let new = dir.path().join("new");
        a_step(|step| export(&cache, step, &before, &new)).unwrap();
        assert_eq!(sorted(standing(&new)), expected(BEFORE));
        let error = a_step(|step| export(&cache, step, &before, dir.path())).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
    }
}
