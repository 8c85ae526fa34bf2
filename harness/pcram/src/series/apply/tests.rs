//! A series onto trees that it was made on, and onto others.

use super::*;
use crate::cache::store::{Mode, blob, files};
use crate::cache::tests::cache;
use crate::failure::Exit;
use crate::source::import::Import;
use git2::Oid;
use std::path::Path;

use super::super::upstream::numbers;

/// A tree of files, each a path, a mode and a text.
pub(crate) fn tree(cache: &Cache, files: &[(&str, Mode, &str)]) -> String {
    let mut import = Import::begin(cache).unwrap();
    for (path, mode, text) in files {
        import.add(Path::new(path), *mode, text.as_bytes()).unwrap();
    }
    import.finish().unwrap().to_string()
}

pub(crate) fn series(patches: &[&str]) -> Series {
    let id = blake3::hash(patches.join("\n").as_bytes()).to_string();
    let patches = patches.iter().enumerate().map(|(at, text)| Patch {
        file: format!("{at}.patch"),
        subject: format!("patch {at}"),
        text: text.as_bytes().to_vec(),
    });
    Series { dir: PathBuf::from("patches"), patches: patches.collect(), id }
}

fn applied(cache: &Cache, base: &str, patches: &[&str]) -> Result<Applied> {
    onto(cache, base, &series(patches))
}

/// `series` onto `base`, whose git is not at hand.
pub(crate) fn onto(cache: &Cache, base: &str, series: &Series) -> Result<Applied> {
    let onto = Onto { tree: base.to_owned(), gits: vec![] };
    apply(cache, &Events::default(), &onto, series, "")
}

/// The text of a file of `tree`; none where there is no such file.
pub(crate) fn text(cache: &Cache, tree: &str, path: &str) -> Option<String> {
    let store = cache.store().unwrap();
    let files = files(&store, Oid::from_str(tree).unwrap()).unwrap();
    let file = files.into_iter().find(|file| file.path == Path::new(path))?;
    Some(String::from_utf8(blob(&store, file.id).unwrap().unwrap()).unwrap())
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

/// What an error says that is told of a series that stopped.
pub(crate) fn refusal(cache: &Cache, base: &str, patches: &[&str]) -> String {
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
        "not merged three ways: the patch has no `index` line for f",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("line 9:"), "what is right is not listed: {text}");
}

#[test]
fn what_stands_everywhere_does_not_tell_where_a_hunk_belongs() {
    let (_guard, cache) = cache();
    let code = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,4 +1,5 @@\n {\n     call();\n+    \
                more();\n }\n \n";
    let near = "int a;\n{\n}\n\n{\n    call();\n    other();\n}\n\n";
    let base = tree(&cache, &[("f", Mode::File, near)]);
    let text = refusal(&cache, &base, &[code]);
    assert!(text.contains("line 7: expected: }") && !text.contains("line 6:"), "{text}");
    let base = tree(&cache, &[("f", Mode::File, "int a;\n{\n}\n\n")]);
    let text = refusal(&cache, &base, &[code]);
    assert!(text.contains("f, hunk 1: @@ -1,4 +1,5 @@"), "{text}");
    assert!(text.contains("no line that it expects stands in the file"), "{text}");
}

#[test]
fn the_patch_that_does_not_apply_is_named_with_its_place() {
    let (_guard, cache) = cache();
    let base = tree(&cache, &[("f", Mode::File, &numbers(1..=20))]);
    let twice = CHANGE.replace("LINE 10", "line ten");
    let text = refusal(&cache, &base, &[CHANGE, &twice]);
    assert!(text.contains("stopped at patch 2 of 2: 1.patch"), "{text}");
    assert!(text.contains("line 10: found:    LINE 10"), "{text}");
    let text = refusal(&cache, &base, &[RENAME]);
    assert!(text.contains("0.patch") && text.contains("old: does not exist"), "{text}");
    let another = NEW.replace("/bin/sh", "/bin/false");
    let text = refusal(&cache, &base, &[NEW, &another]);
    assert!(text.contains("new/tool: already exists"), "{text}");
    let old = tree(&cache, &[("old", Mode::File, "another\n")]);
    let text = refusal(&cache, &old, &[DELETE]);
    assert!(text.contains("line 1: found:    another"), "{text}");
    let text = refusal(&cache, &base, &["no patch at all\n"]);
    assert!(text.contains("No valid patches"), "{text}");
}

#[test]
fn what_is_there_already_is_recognised() {
    let (_guard, cache) = cache();
    let f = numbers(1..=20);
    let base = tree(&cache, &[("f", Mode::File, &f), ("old", Mode::File, "old\n")]);
    let once = applied(&cache, &base, &[CHANGE, NEW, DELETE]).unwrap();
    let twice = applied(&cache, &once.tree, &[CHANGE, NEW, DELETE]).unwrap();
    assert_eq!(twice.tree, once.tree);
    for patch in &twice.patches {
        assert_eq!(patch.how, How::AlreadyThere(vec![]), "{}", patch.file);
    }

    let moved = format!("new\n{}", f.replace("line 10\n", "LINE 10\n"));
    let moved = tree(&cache, &[("f", Mode::File, &moved)]);
    let done = applied(&cache, &moved, &[CHANGE]).unwrap();
    let told = "f: Hunk #1 stands at 9".to_owned();
    assert_eq!(done.patches[0].how, How::AlreadyThere(vec![told]));
    assert_eq!(done.tree, moved);
    let done = applied(&cache, &moved, &[DELETE]).unwrap();
    assert_eq!(done.patches[0].how, How::AlreadyThere(vec![]), "there is nothing to delete");
}

#[test]
fn a_mode_that_differs_is_told_and_left() {
    let (_guard, cache) = cache();
    let mode = "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n";
    let text = numbers(1..=20);
    let plain = tree(&cache, &[("f", Mode::File, &text)]);
    let executable = tree(&cache, &[("f", Mode::Executable, &text)]);
    let done = applied(&cache, &plain, &[mode]).unwrap();
    assert_eq!((done.patches[0].how.clone(), &done.tree), (How::Exact, &executable));
    let told = "f has type 100755, expected 100644".to_owned();
    let done = applied(&cache, &executable, &[mode]).unwrap();
    assert_eq!(done.patches[0].how, How::AlreadyThere(vec![told.clone()]));
    assert_eq!(done.tree, executable);

    let change = CHANGE.replace("--- a/f", "index 0123456..1234567 100644\n--- a/f");
    let done = applied(&cache, &executable, &[&change]).unwrap();
    assert_eq!(done.patches[0].how, How::Offset(vec![told]));
    let changed = text.replace("line 10\n", "LINE 10\n");
    assert_eq!(done.tree, tree(&cache, &[("f", Mode::Executable, &changed)]));
}

#[test]
fn the_summary_counts_each_way() {
    let patch = |how| AppliedPatch {
        file: String::new(),
        subject: String::new(),
        how,
        tree: String::new(),
    };
    let exact = || patch(How::Exact);
    assert_eq!(summary(&[exact(), exact()]), "2 patches apply exactly");
    let all = [exact(), patch(How::ThreeWay(vec![])), exact(), patch(How::Offset(vec![]))];
    assert_eq!(summary(&all), "4 patches: 2 exact, 1 with an offset, 1 three-way");
}
