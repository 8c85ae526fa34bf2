//! QEMUs that somebody else built: found where the user says, and asked what they are.

use crate::failure::Failure;
use crate::machine::binary::Binary;
use anyhow::{Context, Result};
use rustix::fs::{Access, access};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The disk tool's name.
const QEMU_IMG: &str = "qemu-img";

/// The system emulator at `path`.
///
/// # Errors
/// A [`Failure`] that says what is there instead.
pub(super) fn qemu(path: &Path) -> Result<Binary> {
    let path = program(path)?;
    let binary = Binary::probe(&path).map_err(|error| not_a_qemu(&path, &format!("{error:#}")))?;
    if !binary.is_system_emulator() {
        let first = binary.help.lines().next().unwrap_or("nothing");
        return Err(not_a_qemu(&path, &format!("-help says {first:?}")));
    }
    Ok(binary)
}

fn not_a_qemu(path: &Path, why: &str) -> anyhow::Error {
    Failure::usage(format!("{} is no QEMU system emulator: {why}", path.display())).into()
}

/// The qemu-img that the user names, else the one beside QEMU, else the first in `$PATH`.
///
/// # Errors
/// A [`Failure`] where the one that the user names cannot be run.
pub(super) fn qemu_img(named: Option<&Path>, qemu: &Path) -> Result<Option<PathBuf>> {
    match named {
        Some(named) => program(named).map(Some),
        None => Ok(find_qemu_img(qemu, env::var_os("PATH"))),
    }
}

fn find_qemu_img(qemu: &Path, search: Option<OsString>) -> Option<PathBuf> {
    let beside = qemu.with_file_name(QEMU_IMG);
    let search = search.unwrap_or_default();
    let elsewhere = env::split_paths(&search).map(|folder| folder.join(QEMU_IMG));
    let mut candidates = std::iter::once(beside).chain(elsewhere);
    candidates.find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())
}

/// The path of a program, which is run from other folders than this one.
fn program(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("{}", path.display()))?;
    let why = match path.metadata() {
        Err(error) => error.to_string(),
        Ok(meta) if !meta.is_file() => "it is no file".into(),
        Ok(_) if access(&path, Access::EXEC_OK).is_err() => "it is not executable".into(),
        Ok(_) => return Ok(path),
    };
    Err(Failure::usage(format!("{} cannot be run: {why}", path.display())).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use std::fs;
    use std::process::Command;

    /// An executable script, written by a process of its own: a file that this one had open for
    /// writing might still be so in a child that another test is just starting ("text file busy").
    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let written = Command::new("sh").args(["-c", write]).arg(&path).arg(text).status();
        assert!(written.unwrap().success());
        path
    }

    fn refusal(path: &Path) -> String {
        let error = qemu(path).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
        format!("{error:#}")
    }

    #[test]
    fn what_is_no_qemu_is_refused_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| refusal(&script(folder.path(), name, text));
        assert!(refusal(folder.path()).ends_with("cannot be run: it is no file"));
        let none = refusal(&folder.path().join("none"));
        assert!(none.contains("none cannot be run: No such file"), "{none}");
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        assert!(refusal(&plain).ends_with("cannot be run: it is not executable"));

        let image = at("image", "echo qemu-img version 10.0.2");
        assert!(image.ends_with("no QEMU system emulator: -help says \"qemu-img version 10.0.2\""));
        let broken = at("broken", "echo libfoo.so.1: cannot open >&2; exit 127");
        assert!(broken.ends_with("exit status: 127, saying: libfoo.so.1: cannot open"), "{broken}");
        assert!(at("silent", "").ends_with("-help says \"nothing\""));

        let text = "echo QEMU emulator version 0.1, Copyright";
        let found = qemu(&script(folder.path(), "qemu", text)).unwrap();
        assert_eq!(found.version(), "QEMU emulator version 0.1");
    }

    #[test]
    fn qemu_img_is_the_one_beside_qemu_then_the_one_in_path() {
        let [near, far] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let qemu = near.path().join("qemu-system-x86_64");
        let search = || Some(far.path().as_os_str().to_owned());
        assert_eq!(find_qemu_img(&qemu, search()), None);
        assert_eq!(find_qemu_img(&qemu, None), None);
        fs::write(near.path().join(QEMU_IMG), "not executable").unwrap();
        let elsewhere = script(far.path(), QEMU_IMG, "");
        assert_eq!(find_qemu_img(&qemu, search()), Some(elsewhere));
        let beside = script(near.path(), QEMU_IMG, "");
        assert_eq!(find_qemu_img(&qemu, search()), Some(beside));
        assert!(qemu_img(Some(&near.path().join("none")), &qemu).is_err());
    }
}
