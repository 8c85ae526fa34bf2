//! What the user gives: a file of letters, standard input, or a folder of patches.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use pcram_posting::letter::{self, Kind, LIMIT, Letter};
use pcram_posting::series::{Posting, posting};

use crate::failure::Failure;
use crate::series::Series;

/// A posting, and where it is from.
#[derive(Clone, Debug)]
pub struct Input {
    /// What the user called it.
    pub name: String,
    /// What it is, in words.
    pub kind: String,
    /// The letters.
    pub posting: Posting,
}

/// Reads the posting in `from`: a file, a folder, or `-` for standard input.
///
/// # Errors
/// A [`Failure`] that says what is wrong with it.
pub fn read(from: &Path) -> Result<Input> {
    let name = from.display().to_string();
    let wrong = |what: String| Failure::usage(format!("{name} is no posting: {what}"));
    let (kind, letters) = if from.is_dir() {
        folder(from)?
    } else {
        let bytes = bytes(from)?;
        let (kind, letters) = letter::read(&bytes).map_err(|error| wrong(error.to_string()))?;
        let kind = match kind {
            Kind::Mbox => "an mbox",
            Kind::Mail => "a mail",
            Kind::Page => "a patchwork page, as text",
            Kind::Html => "a patchwork page, as HTML",
            Kind::Diff => "a diff with no mail around it",
        };
        (kind.to_owned(), letters)
    };
    let posting = posting(letters).map_err(|error| wrong(error.to_string()))?;
    Ok(Input { name, kind, posting })
}

/// When the posting's first patch was sent, in seconds since 1970, where it tells that.
pub fn posted(input: &Input) -> Option<i64> {
    super::date::seconds(&input.posting.patches.first()?.date)
}

/// No more than a posting may have, and one byte, so that what is longer shows.
fn bytes(from: &Path) -> Result<Vec<u8>> {
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("cannot read the posting {}: {error}", from.display()))
    };
    let mut bytes = Vec::new();
    let limit = LIMIT as u64 + 1;
    match from.to_str() {
        Some("-") => std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(cannot)?,
        _ => {
            let file = fs::File::open(from).map_err(cannot)?;
            file.take(limit).read_to_end(&mut bytes).map_err(cannot)?
        }
    };
    Ok(bytes)
}

/// The patches of a folder: as its file `series` has them, or by their names.
fn folder(dir: &Path) -> Result<(String, Vec<Letter>)> {
    let files: Vec<(PathBuf, Vec<u8>)> = if dir.join("series").exists() {
        let series = Series::load(dir)?;
        series.patches.into_iter().map(|patch| (dir.join(patch.file), patch.text)).collect()
    } else {
        let cannot = |error: std::io::Error| {
            Failure::usage(format!("cannot read the folder {}: {error}", dir.display()))
        };
        let entries = fs::read_dir(dir).map_err(cannot)?.collect::<Result<Vec<_>, _>>();
        let mut paths: Vec<_> = entries.map_err(cannot)?.iter().map(|it| it.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|it| it == "patch" || it == "eml"));
        paths.sort();
        paths.into_iter().map(|path| Ok((path.clone(), bytes(&path)?))).collect::<Result<_>>()?
    };
    let mut letters = Vec::new();
    for (path, text) in &files {
        let (_, read) = letter::read(text)
            .map_err(|error| Failure::usage(format!("{} is no patch: {error}", path.display())))?;
        letters.extend(read);
    }
    Ok((format!("a folder of {} patches", files.len()), letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH N] x\n\n\
                         ---\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn a_folder_is_read_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.patch"), PATCH.replace('N', "1/2")).unwrap();
        fs::write(dir.path().join("a.patch"), PATCH.replace('N', "2/2")).unwrap();
        fs::write(dir.path().join("notes.txt"), "not this").unwrap();
        let input = read(dir.path()).unwrap();
        assert_eq!(input.kind, "a folder of 2 patches");
        assert_eq!(input.posting.patches[0].subject, "[PATCH 1/2] x");
        fs::write(dir.path().join("series"), "b.patch\n").unwrap();
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("patch 2 of 2 is not in it"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = read(&dir.path().join("no")).unwrap_err().to_string();
        assert!(missing.contains("/no") && missing.contains("No such file"), "{missing}");
        let prose = dir.path().join("prose");
        fs::write(&prose, "Hello.\n").unwrap();
        let error = read(&prose).unwrap_err().to_string();
        assert!(error.contains("no mail, no patchwork page and no diff"), "{error}");
        let long = dir.path().join("long");
        fs::File::create(&long).unwrap().set_len(100 << 20).unwrap();
        let error = read(&long).unwrap_err().to_string();
        assert!(error.contains("more than the 33554432"), "{error}");
    }
}
