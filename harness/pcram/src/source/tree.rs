//! A source tree of the user's: read as it is, and never written to.

use std::path::Path;

use anyhow::{Context, Result};
use git2::{ErrorCode, Index, Oid, Repository};

use super::{fill, import};
use crate::cache::Cache;
use crate::event::Step;
use crate::failure::Failure;

/// Reads the folder `dir` into the store. Of a git work tree, what git ignores is left out;
/// changes that were not committed are part of it, as are subprojects that were put there.
pub(super) fn fetch(cache: &Cache, step: &Step, dir: &Path) -> Result<Oid> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("{} is no folder", dir.display())).into());
    }
    let git = match Repository::open(dir) {
        Ok(repo) => {
            let index =
                repo.index().with_context(|| format!("reading the index of {}", dir.display()))?;
            Some((repo, index))
        }
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => return Err(super::git::cannot_open(&dir.to_string_lossy(), &error)),
    };
    import::directory(cache, step, dir, &mut |path, is_folder| {
        if path.file_name().is_some_and(|name| name == ".git") {
            return Ok(true);
        }
        match &git {
            Some((repo, index)) if !fill::is_part(path) => {
                let ignored = is_ignored(repo, path, is_folder)?;
                Ok(ignored && !is_tracked(index, path, is_folder))
            }
            _ => Ok(false),
        }
    })
}

fn is_ignored(repo: &Repository, path: &Path, is_folder: bool) -> Result<bool> {
    // A trailing slash says that it is a folder, which rules such as `build/` are only for.
    let path = if is_folder { path.join("") } else { path.to_owned() };
    repo.is_path_ignored(&path)
        .with_context(|| format!("asking whether git ignores {}", path.display()))
}

/// Whether git tracks the file, or anything in the folder, in spite of the rules.
fn is_tracked(index: &Index, path: &Path, is_folder: bool) -> bool {
    if is_folder {
        index.find_prefix(path.join("")).is_ok()
    } else {
        index.get_path(path, 0).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::files;
    use crate::cache::tests::{a_step, cache};
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    fn fetched(dir: &Path) -> Vec<String> {
        let (_guard, cache) = cache();
        let tree = a_step(|step| fetch(&cache, step, dir)).unwrap();
        let found = files(&cache.store().unwrap(), tree).unwrap();
        found.iter().map(|file| file.path.display().to_string()).collect()
    }

    fn write(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    /// Every file's and folder's bytes and times.
    fn state(dir: &Path, into: &mut BTreeMap<String, (i64, i64, Vec<u8>)>) {
        let meta = dir.symlink_metadata().unwrap();
        let bytes = if meta.is_file() { fs::read(dir).unwrap() } else { Vec::new() };
        let times = (meta.mtime_nsec(), meta.ctime_nsec());
        into.insert(dir.display().to_string(), (times.0, times.1, bytes));
        if meta.is_dir() {
            fs::read_dir(dir).unwrap().for_each(|entry| state(&entry.unwrap().path(), into));
        }
    }

    #[test]
    fn a_plain_folder_is_taken_whole() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[".gitignore", "a.o", "b/c"]);
        fs::write(dir.path().join(".gitignore"), "*.o").unwrap();
        assert_eq!(fetched(dir.path()), [".gitignore", "a.o", "b/c"]);
    }

    #[test]
    fn of_a_git_work_tree_what_git_ignores_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            &[
                "a.c",
                "a.o",
                "build/x",
                "kept/tracked.o",
                "kept/y.o",
                "sub/.git/config",
                "sub/s.c",
                "subprojects/keycodemapdb/meson.build",
                "subprojects/other/meson.build",
            ],
        );
        fs::write(dir.path().join(".gitignore"), "*.o\nbuild/\n/subprojects/*/\nkept/\n").unwrap();
        let repo = Repository::init(dir.path()).unwrap();
        let mut index = repo.index().unwrap();
        index.add_path(Path::new("kept/tracked.o")).unwrap();
        index.write().unwrap();
        let expected = [
            ".gitignore",
            "a.c",
            "kept/tracked.o",
            "sub/s.c",
            "subprojects/keycodemapdb/meson.build",
        ];
        assert_eq!(fetched(dir.path()), expected);
    }

    #[test]
    fn it_is_never_written_to() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["a.c", "b/c"]);
        Repository::init(dir.path()).unwrap();
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        state(dir.path(), &mut before);
        fetched(dir.path());
        state(dir.path(), &mut after);
        assert_eq!(before, after);
        assert!(before.len() > 10, "the git is looked at too");
    }
}
