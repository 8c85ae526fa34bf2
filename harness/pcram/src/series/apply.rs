//! A series onto a tree, in the store alone: no file is written.
//!
//! git applies each patch to an index of its own. A hunk that is not at its line is looked for,
//! but its context must match whole: fuzz would put code where nobody has looked. (libgit2 does
//! not look for a hunk, but lets a patch make a file that is there already.)

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Patch, Series, conflict};
use crate::cache::Cache;
use crate::event::{Events, Outcome};

/// A tree with a series applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The id of the tree with all patches, in hex.
    pub tree: String,
    /// Each patch, in order.
    pub patches: Vec<AppliedPatch>,
}

/// One patch that was applied.
#[derive(Clone, Debug)]
pub struct AppliedPatch {
    /// Its path in the series' folder.
    pub file: String,
    /// Its subject.
    pub subject: String,
    /// How it went on.
    pub how: How,
    /// The id of the tree up to and with it, in hex.
    pub tree: String,
}

/// How a patch was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Every hunk at its line.
    Exact,
    /// Some hunks elsewhere, each told in a sentence.
    Offset(Vec<String>),
}

/// Applies `series` to the tree `base` (an id in hex). `repeat` is the command line that repeats
/// this step alone.
///
/// # Errors
/// A `Failure` that names the first patch that does not apply, the file, the hunk, and what
/// stands there instead.
pub fn apply(
    cache: &Cache,
    events: &Events,
    base: &str,
    series: &Series,
    repeat: &str,
) -> Result<Applied> {
    let count = series.patches.len();
    let what = format!("{count} patches of {}", series.dir.display());
    events.step("apply", what, repeat, |step| {
        let index = Index::new(cache, base)?;
        let mut tree = base.to_owned();
        let mut patches = Vec::new();
        for (at, patch) in series.patches.iter().enumerate() {
            step.progress(at as u64, count as u64, patch.subject.clone());
            let how = index.apply(patch, &tree)?;
            if let How::Offset(moved) = &how {
                step.note(format!("{}: {}", patch.file, moved.join("; ")));
            }
            tree = index.write()?;
            let Patch { file, subject, .. } = patch.clone();
            patches.push(AppliedPatch { file, subject, how, tree: tree.clone() });
        }
        let moved = patches.iter().filter(|patch| patch.how != How::Exact).count();
        let result = match moved {
            0 => format!("{count} patches apply exactly"),
            _ => format!("{count} patches apply, {moved} of them with an offset"),
        };
        let outcome = Outcome::new(result)
            .with("series", &series.id)
            .with("source tree", base)
            .with("patched tree", &tree);
        Ok((Applied { tree, patches }, outcome))
    })
}

/// An index of git's, which patches are applied to.
struct Index<'a> {
    cache: &'a Cache,
    dir: TempDir,
}

impl<'a> Index<'a> {
    /// The index of the tree `base`.
    fn new(cache: &'a Cache, base: &str) -> Result<Index<'a>> {
        let index = Index { cache, dir: cache.scratch(cache.root())? };
        let read = index.git(&["read-tree", base], b"")?;
        ensure!(read.status.success(), "reading the tree {base}: {}", said(&read));
        Ok(index)
    }

    /// Applies `patch`; `before` is the tree that the index has.
    fn apply(&self, patch: &Patch, before: &str) -> Result<How> {
        let command = ["apply", "--cached", "--verbose", "--whitespace=nowarn"];
        let applied = self.git(&command, &patch.text)?;
        let said = said(&applied);
        if !applied.status.success() {
            return Err(conflict::failure(&self.cache.store()?, before, patch, &said)?.into());
        }
        let moved = offsets(&said);
        Ok(if moved.is_empty() { How::Exact } else { How::Offset(moved) })
    }

    /// Writes the tree that the index has, and returns its id.
    fn write(&self) -> Result<String> {
        let written = self.git(&["write-tree"], b"")?;
        ensure!(written.status.success(), "writing the patched tree: {}", said(&written));
        Ok(String::from_utf8_lossy(&written.stdout).trim().to_owned())
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut git = self.cache.git()?;
        git.env("GIT_INDEX_FILE", self.dir.path().join("index")).args(arguments);
        pipe(&mut git, input).with_context(|| format!("running `git {}`", arguments[0]))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// What `git apply --verbose` says of hunks that it found elsewhere, each with its file.
fn offsets(said: &str) -> Vec<String> {
    let mut file = "";
    let mut found = Vec::new();
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("Checking patch ") {
            file = name.trim_end_matches("...");
        } else if line.starts_with("Hunk #") {
            found.push(format!("{file}: {}", line.trim_end_matches('.')));
        }
    }
    found
}

/// Runs a command that reads all its input before it says much.
fn pipe(command: &mut Command, input: &[u8]) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read to the end has found a fault before it, and will say so.
        let _ = stdin.write_all(input);
    }
    Ok(child.wait_with_output()?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cache::store::{Mode, blob, files};
    use crate::cache::tests::cache;
    use crate::failure::Exit;
    use crate::source::import::Import;
    use git2::Oid;
    use std::path::{Path, PathBuf};

    /// A tree of files, each a path, a mode and a text.
    pub(crate) fn tree(cache: &Cache, files: &[(&str, Mode, &str)]) -> String {
        let mut import = Import::begin(cache).unwrap();
        for (path, mode, text) in files {
            import.add(Path::new(path), *mode, text.as_bytes()).unwrap();
        }
        import.finish().unwrap().to_string()
    }

    fn series(patches: &[&str]) -> Series {
        let patches = patches.iter().enumerate().map(|(at, text)| Patch {
            file: format!("{at}.patch"),
            subject: format!("patch {at}"),
            text: text.as_bytes().to_vec(),
        });
        Series { dir: PathBuf::from("patches"), patches: patches.collect(), id: "id".into() }
    }

    fn applied(cache: &Cache, base: &str, patches: &[&str]) -> Result<Applied> {
        apply(cache, &Events::default(), base, &series(patches), "")
    }

    fn text(cache: &Cache, tree: &str, path: &str) -> Option<String> {
        let store = cache.store().unwrap();
        let files = files(&store, Oid::from_str(tree).unwrap()).unwrap();
        let file = files.into_iter().find(|file| file.path == Path::new(path))?;
        Some(String::from_utf8(blob(&store, file.id).unwrap().unwrap()).unwrap())
    }

    fn numbers(lines: impl Iterator<Item = u32>) -> String {
        lines.map(|line| format!("line {line}\n")).collect()
    }

    /// Changes line 10 of 20.
    const CHANGE: &str = "\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: A <a@example.org>
Subject: [PATCH] change

Why.
---
 f | 2 +-

diff --git a/f b/f
--- a/f
+++ b/f
@@ -8,5 +8,5 @@ line 7
 line 8
 line 9
-line 10
+LINE 10
 line 11
 line 12
-- 
2.39.5

";

    const NEW: &str = "\
diff --git a/new/tool b/new/tool
new file mode 100755
--- /dev/null
+++ b/new/tool
@@ -0,0 +1 @@
+#!/bin/sh
";

    const DELETE: &str = "\
diff --git a/old b/old
deleted file mode 100644
--- a/old
+++ /dev/null
@@ -1 +0,0 @@
-old
";

    const RENAME: &str = "\
diff --git a/old b/renamed
similarity index 100%
rename from old
rename to renamed
";

    #[test]
    fn patches_apply_one_on_the_other() {
        let (_guard, cache) = cache();
        let f = numbers(1..=20);
        let base = tree(&cache, &[("f", Mode::File, &f), ("old", Mode::File, "old\n")]);
        let done = applied(&cache, &base, &[CHANGE, NEW, DELETE]).unwrap();
        assert!(done.patches.iter().all(|patch| patch.how == How::Exact), "{:?}", done.patches);
        assert_eq!(done.tree, done.patches[2].tree);
        let f = f.replace("line 10\n", "LINE 10\n");
        let tool = ("new/tool", Mode::Executable, "#!/bin/sh\n");
        assert_eq!(done.tree, tree(&cache, &[("f", Mode::File, &f), tool]));
        assert_eq!(text(&cache, &done.patches[0].tree, "old").unwrap(), "old\n");

        let done = applied(&cache, &base, &[RENAME]).unwrap();
        assert_eq!(text(&cache, &done.tree, "renamed").unwrap(), "old\n");
        assert_eq!(text(&cache, &done.tree, "old"), None);
    }

    #[test]
    fn a_hunk_that_moved_is_found_and_told() {
        let (_guard, cache) = cache();
        let moved = format!("new 1\nnew 2\n{}", numbers(1..=20));
        let base = tree(&cache, &[("f", Mode::File, &moved)]);
        let done = applied(&cache, &base, &[CHANGE]).unwrap();
        let told = "f: Hunk #1 succeeded at 10 (offset 2 lines)".to_owned();
        assert_eq!(done.patches[0].how, How::Offset(vec![told]));
        assert!(text(&cache, &done.tree, "f").unwrap().contains("line 9\nLINE 10\nline 11\n"));
    }

    fn refusal(cache: &Cache, base: &str, patches: &[&str]) -> String {
        let error = applied(cache, base, patches).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::DidNotApply);
        format!("{error:#}")
    }

    #[test]
    fn nothing_applies_with_fuzz() {
        let (_guard, cache) = cache();
        // The line at the hunk's edge differs, which `patch` would overlook.
        let changed = numbers(1..=20).replace("line 8\n", "line eight\n");
        let base = tree(&cache, &[("f", Mode::File, &changed)]);
        let text = refusal(&cache, &base, &[CHANGE]);
        for part in [
            "0.patch (\"patch 0\")",
            "f, hunk 1: @@ -8,5 +8,5 @@",
            "line 8: expected: line 8",
            "line 8: found:    line eight",
            "--series",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("line 9:"), "what is right is not listed: {text}");
    }

    #[test]
    fn the_patch_that_does_not_apply_is_named_with_its_place() {
        let (_guard, cache) = cache();
        let base = tree(&cache, &[("f", Mode::File, &numbers(1..=20))]);
        let text = refusal(&cache, &base, &[CHANGE, CHANGE]);
        assert!(text.contains("1.patch") && text.contains("line 10: found:    LINE 10"), "{text}");
        let text = refusal(&cache, &base, &[DELETE]);
        assert!(text.contains("0.patch") && text.contains("old: "), "{text}");
        let text = refusal(&cache, &base, &[NEW, NEW]);
        assert!(text.contains("new/tool: already exists"), "{text}");
        let old = tree(&cache, &[("old", Mode::File, "another\n")]);
        let text = refusal(&cache, &old, &[DELETE]);
        assert!(text.contains("line 1: found:    another"), "{text}");
        let text = refusal(&cache, &base, &["no patch at all\n"]);
        assert!(text.contains("No valid patches"), "{text}");
    }
}
