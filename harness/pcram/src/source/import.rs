//! Files into the store: a stream of them becomes a tree.
//!
//! git's own pack writer does it (`git fast-import`): ten thousands of loose objects would take
//! three times as long to write, and to read again.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use git2::Oid;

use crate::cache::Cache;
use crate::cache::store::Mode;
use crate::event::Step;
use crate::failure::Failure;
use crate::process::Group;

/// How long git may take to finish a pack whose every byte it has.
const LIMIT: Duration = Duration::from_secs(600);

/// How often the progress is told, in files.
const TELL_EVERY: usize = 500;

/// A tree that is being written into the store.
pub(crate) struct Import<'a> {
    cache: &'a Cache,
    git: Group,
    input: BufWriter<ChildStdin>,
    reference: String,
}

impl<'a> Import<'a> {
    /// Begins a tree.
    pub(crate) fn begin(cache: &'a Cache) -> Result<Import<'a>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let reference = format!("refs/imports/{}-{count}", std::process::id());

        let mut command = cache.git()?;
        command.args(["-c", "core.compression=1", "fast-import", "--quiet", "--force", "--done"]);
        command.args(["--depth=0"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut git = Group::spawn(&mut command).context("running `git fast-import`")?;
        let input = git.child().stdin.take().context("git has no input")?;
        let mut import = Import { cache, git, input: BufWriter::new(input), reference };
        import.send(|input, reference| {
            write!(input, "commit {reference}\ncommitter pcram <pcram> 0 +0000\ndata 0\n")
        })?;
        Ok(import)
    }

    /// Adds a file: its bytes, a link's target, or a submodule's commit id in hex.
    pub(crate) fn add(&mut self, path: &Path, mode: Mode, bytes: &[u8]) -> Result<()> {
        self.send(|input, _| {
            write!(input, "M {} ", mode.octal())?;
            if mode == Mode::Submodule {
                input.write_all(bytes)?;
            } else {
                write!(input, "inline")?;
            }
            write!(input, " \"")?;
            for &byte in path.as_os_str().as_bytes() {
                match byte {
                    b'"' | b'\\' => input.write_all(&[b'\\', byte])?,
                    b'\n' => input.write_all(b"\\n")?,
                    _ => input.write_all(&[byte])?,
                }
            }
            writeln!(input, "\"")?;
            if mode != Mode::Submodule {
                writeln!(input, "data {}", bytes.len())?;
                input.write_all(bytes)?;
                writeln!(input)?;
            }
            Ok(())
        })
    }

    /// Ends the tree, and returns its id.
    pub(crate) fn finish(mut self) -> Result<Oid> {
        self.send(|input, _| {
            writeln!(input, "done")?;
            input.flush()
        })?;
        let Some(status) = self.git.wait_timeout(LIMIT)? else {
            bail!("`git fast-import` did not end within {} s", LIMIT.as_secs());
        };
        if !status.success() {
            return Err(self.complaint());
        }
        let store = self.cache.store()?;
        let mut reference = store.find_reference(&self.reference)?;
        let tree = reference.peel_to_tree()?.id();
        reference.delete()?;
        Ok(tree)
    }

    fn send(
        &mut self,
        write: impl FnOnce(&mut BufWriter<ChildStdin>, &str) -> io::Result<()>,
    ) -> Result<()> {
        write(&mut self.input, &self.reference).map_err(|_| self.complaint())
    }

    /// What git said before it stopped taking input.
    fn complaint(&mut self) -> anyhow::Error {
        let mut said = String::new();
        if let Some(mut errors) = self.git.child().stderr.take() {
            // What cannot be read is not told; that it failed is.
            let _ = errors.read_to_string(&mut said);
        }
        let said = said.trim();
        Failure::missing(format!(
            "the tree could not be written into the cache {}: {said}",
            self.cache.root().display()
        ))
        .into()
    }
}

/// Writes the folder `dir` into the store as it is, byte for byte, and returns the tree's id.
/// `skip` is asked for each path below `dir`, a folder's before what is in it, and whether it is
/// a folder. git's own rules hold for the rest: empty folders leave no trace, and of a file's
/// mode only whether its owner may execute it.
pub(crate) fn directory(
    cache: &Cache,
    step: &Step,
    dir: &Path,
    skip: &mut dyn FnMut(&Path, bool) -> Result<bool>,
) -> Result<Oid> {
    let mut paths = Vec::new();
    walk(step, dir, Path::new(""), skip, &mut paths)?;
    let mut import = Import::begin(cache)?;
    for (at, path) in paths.iter().enumerate() {
        if at % TELL_EVERY == 0 {
            step.progress(at as u64, paths.len() as u64, path.display().to_string());
        }
        let context = || format!("reading {}", dir.join(path).display());
        let (mode, bytes) = read(&dir.join(path)).with_context(context)?;
        import.add(path, mode, &bytes)?;
    }
    import.finish()
}

fn read(path: &Path) -> io::Result<(Mode, Vec<u8>)> {
    let meta = path.symlink_metadata()?;
    if meta.is_symlink() {
        Ok((Mode::Link, fs::read_link(path)?.into_os_string().into_vec()))
    } else if meta.permissions().mode() & 0o100 != 0 {
        Ok((Mode::Executable, fs::read(path)?))
    } else {
        Ok((Mode::File, fs::read(path)?))
    }
}

fn walk(
    step: &Step,
    dir: &Path,
    at: &Path,
    skip: &mut dyn FnMut(&Path, bool) -> Result<bool>,
    paths: &mut Vec<PathBuf>,
) -> Result<()> {
    let context = || format!("reading {}", dir.join(at).display());
    let mut entries: Vec<_> = fs::read_dir(dir.join(at))
        .and_then(|entries| entries.collect::<io::Result<_>>())
        .with_context(context)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = at.join(entry.file_name());
        let kind = entry.file_type().with_context(context)?;
        if skip(&path, kind.is_dir())? {
            continue;
        }
        if kind.is_dir() {
            walk(step, dir, &path, skip, paths)?;
        } else if kind.is_file() || kind.is_symlink() {
            paths.push(path);
        } else {
            step.note(format!("left out {}, which is no file", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::{blob, files};
    use crate::cache::tests::{a_step, cache};
    use std::os::unix::fs::symlink;

    fn import(cache: &Cache, dir: &Path) -> Oid {
        a_step(|step| directory(cache, step, dir, &mut |_, _| Ok(false))).unwrap()
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"odd \"\\\n\xff");
        fs::create_dir_all(dir.path().join("sub/empty")).unwrap();
        fs::write(dir.path().join(".gitignore"), "*.o\n").unwrap();
        fs::write(dir.path().join("kept.o"), [0, 13, 10, 255]).unwrap();
        fs::write(dir.path().join("sub").join(odd), "").unwrap();
        fs::write(dir.path().join("sub/tool"), "#!/bin/sh\n").unwrap();
        let executable = fs::Permissions::from_mode(0o700);
        fs::set_permissions(dir.path().join("sub/tool"), executable).unwrap();
        symlink("../nowhere", dir.path().join("sub/link")).unwrap();

        let tree = import(&cache, dir.path());
        let store = cache.store().unwrap();
        let found: Vec<_> = files(&store, tree)
            .unwrap()
            .into_iter()
            .map(|file| (file.path, file.mode, blob(&store, file.id).unwrap().unwrap()))
            .collect();
        let file = |path: &str, mode, bytes: &[u8]| (PathBuf::from(path), mode, bytes.to_vec());
        assert_eq!(
            found,
            [
                file(".gitignore", Mode::File, b"*.o\n"),
                file("kept.o", Mode::File, &[0, 13, 10, 255]),
                file("sub/link", Mode::Link, b"../nowhere"),
                (Path::new("sub").join(odd), Mode::File, Vec::new()),
                file("sub/tool", Mode::Executable, b"#!/bin/sh\n"),
            ]
        );
        assert_eq!(import(&cache, dir.path()), tree, "the same folder is the same tree");
        assert_eq!(store.references().unwrap().count(), 0, "no reference is left behind");
    }

    #[test]
    fn the_tree_is_the_one_that_git_makes() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        // Names around a folder's, which git sorts as if it ended in a slash.
        for name in ["a.c", "a/b", "a0", "Z"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let tree = import(&cache, dir.path());
        let repo = git2::Repository::init(dir.path()).unwrap();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
        assert_eq!(tree, index.write_tree().unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let (_guard, cache) = cache();
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let error =
            a_step(|step| directory(&cache, step, &gone, &mut |_, _| Ok(false))).unwrap_err();
        assert!(format!("{error:#}").contains("gone"), "{error:#}");
    }
}
