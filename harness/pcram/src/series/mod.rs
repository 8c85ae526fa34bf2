//! A series: the patches that a folder's plain file `series` names, in its order.

mod apply;
mod checkout;
mod commits;
mod conflict;
mod git;
mod hand_over;
mod images;
mod nearest;
mod refresh;
mod remembered;
mod three_way;
#[cfg(test)]
pub(crate) mod upstream;

pub use apply::{Applied, AppliedPatch, How, Onto, Stopped, apply};
pub use checkout::{Changes, checkout, expect_vacant, export};
pub use hand_over::{HandedOver, hand_over};
pub use nearest::{Candidate, Nearest, nearest};
pub use refresh::{refresh, write_applied};
pub use three_way::{Missing, Obstacle};

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use crate::failure::Failure;

/// A series of patches.
#[derive(Clone, Debug)]
pub struct Series {
    /// The folder that it was read from.
    pub dir: PathBuf,
    /// The patches, in the order in which they apply.
    pub patches: Vec<Patch>,
    /// A hash of the patches' names, order and bytes, in hex.
    pub id: String,
}

/// One patch, as `git format-patch` writes it.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Its path in the series' folder.
    pub file: String,
    /// Its subject, without `[PATCH n/m]`.
    pub subject: String,
    /// All of it.
    pub text: Vec<u8>,
}

impl Series {
    /// Reads the series in `dir`. In the file `series`, `#` begins a comment, and empty lines do
    /// not count.
    ///
    /// # Errors
    /// A [`Failure`] that names the file and the line that is wrong.
    pub fn load(dir: &Path) -> Result<Series> {
        let list = dir.join("series");
        let lines = fs::read_to_string(&list).map_err(|error| unreadable(&list, &error))?;
        let mut patches = Vec::new();
        let mut id = blake3::Hasher::new();
        for (at, line) in lines.lines().enumerate() {
            let file = line.split('#').next().unwrap_or_default().trim();
            if file.is_empty() {
                continue;
            }
            let place = || format!("{}, line {}", list.display(), at + 1);
            if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
                let text = format!("{}: `{file}` leads out of the folder", place());
                return Err(Failure::usage(text).into());
            }
            let path = dir.join(file);
            let text =
                fs::read(&path).map_err(|error| unreadable(&path, &error)).with_context(place)?;
            // Lengths keep two series apart whose names and bytes run together alike.
            for part in [file.as_bytes(), &text] {
                id.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            let subject = subject(&text).unwrap_or_else(|| file.to_owned());
            patches.push(Patch { file: file.to_owned(), subject, text });
        }
        if patches.is_empty() {
            return Err(Failure::usage(format!("{} names no patch", list.display())).into());
        }
        Ok(Series { dir: dir.to_owned(), patches, id: id.finalize().to_hex().to_string() })
    }
}

impl Series {
    /// The files that the patches add to the tree, as the tree names them.
    pub fn added_files(&self) -> Vec<String> {
        let mut added = Vec::new();
        for patch in &self.patches {
            let text = String::from_utf8_lossy(&patch.text);
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                if line == "--- /dev/null"
                    && let Some(file) = lines.next().and_then(|line| line.strip_prefix("+++ b/"))
                {
                    added.push(file.to_owned());
                }
            }
        }
        added
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("the series cannot be read: {}: {error}", path.display()))
}

/// The subject of a mail, unfolded, and without what stands in brackets before it.
fn subject(mail: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(mail);
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let mut subject = lines.find_map(|line| line.strip_prefix("Subject: "))?.to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        subject = format!("{subject} {}", line.trim());
    }
    let bare = match subject.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest.trim(),
        None => subject.trim(),
    };
    Some(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use tempfile::TempDir;

    fn folder(series: &str, files: &[(&str, &str)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("series"), series).unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn refusal(dir: &Path) -> String {
        let error = Series::load(dir).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
        format!("{error:#}")
    }

    #[test]
    fn the_file_series_gives_the_order() {
        let mail = "From 0123 Mon Sep 17 00:00:00 2001\n\
                    Subject: [PATCH v2 1/9] system/physmem: keep\n one block out\n\
                    To: a@example.org\n\nSubject: not this\n";
        let dir = folder(
            "# the fixes first\n\nfix/b.patch # and why\na.patch\n",
            &[("a.patch", mail), ("fix/b.patch", "diff --git a/x b/x\n")],
        );
        let series = Series::load(dir.path()).unwrap();
        let found: Vec<_> =
            series.patches.iter().map(|patch| (&*patch.file, &*patch.subject)).collect();
        let kept = "system/physmem: keep one block out";
        assert_eq!(found, [("fix/b.patch", "fix/b.patch"), ("a.patch", kept)]);
    }

    #[test]
    fn files_that_a_patch_adds_are_named_and_those_that_it_changes_are_not() {
        let patch = "--- a/old.c\n+++ b/old.c\n--- /dev/null\n+++ b/tests/new.c\n";
        let series = Series::load(folder("a\n", &[("a", patch)]).path()).unwrap();
        assert_eq!(series.added_files(), ["tests/new.c"]);
    }

    #[test]
    fn the_id_follows_names_order_and_bytes() {
        let id = |series, files: &[_]| Series::load(folder(series, files).path()).unwrap().id;
        let first = id("a\nb\n", &[("a", "1"), ("b", "2")]);
        assert_eq!(first, id("# new\na\n\nb", &[("a", "1"), ("b", "2")]));
        assert_ne!(first, id("b\na\n", &[("a", "1"), ("b", "2")]));
        assert_ne!(first, id("a\nb\n", &[("a", "1"), ("b", "3")]));
        assert_ne!(first, id("a\nc\n", &[("a", "1"), ("c", "2")]));
    }

    #[test]
    fn what_is_wrong_with_a_series_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(refusal(dir.path()).contains("series: No such file"));
        assert!(refusal(folder("# nothing\n", &[]).path()).contains("names no patch"));
        let text = refusal(folder("a\nmissing.patch\n", &[("a", "")]).path());
        assert!(text.contains("line 2") && text.contains("missing.patch"), "{text}");
        for path in ["../a", "/etc/passwd", "x/../../a", "."] {
            let text = refusal(folder(path, &[]).path());
            assert!(text.contains("line 1") && text.contains("leads out"), "{text}");
        }
    }
}
