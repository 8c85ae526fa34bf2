//! Where a series stopped: the work tree, the way on in it, and the series that comes of it.

use super::super::apply::tests::{onto, text};
use super::super::refresh::FORMAT;
use super::super::upstream::{Upstream, ask, git as run_git, numbers};
use super::super::{How, apply, refresh, write_applied};
use super::*;
use crate::cache::tests::{a_step, cache};
use crate::event::Events;
use crate::failure::Exit;
use tempfile::TempDir;

const FILE: &str = "hw/pc.c";
const OTHER: &str = "vl.c";

/// Three patches: a line of one file, two more of it, a line of another file.
fn upstream() -> Upstream {
    Upstream::new(&[(FILE, &numbers(1..=20)), (OTHER, &numbers(101..=120))])
}

fn series(upstream: &Upstream) -> (TempDir, Series) {
    change(upstream);
    upstream.series()
}

fn change(upstream: &Upstream) {
    let one = numbers(1..=20).replace("line 3\n", "THREE\n");
    let two = one.replace("line 10\n", "TEN\n").replace("line 18\n", "EIGHTEEN\n");
    upstream.commit("one", &[(FILE, &one)]);
    upstream.commit("two", &[(FILE, &two)]);
    upstream.commit("three", &[(OTHER, &numbers(101..=120).replace("line 107\n", "SEVEN\n"))]);
}

/// A tree that went another way, in the place of the second patch and beside the third; with
/// files that git would change on their way, if it were let.
fn other_way(upstream: &Upstream) {
    upstream.write(&[
        (FILE, &numbers(1..=20).replace("line 10\n", "ten\n")),
        (OTHER, &numbers(101..=120).replace("line 105\n", "five\n")),
        (".gitattributes", "*.c text eol=crlf\n*.txt text\n"),
        ("dos.txt", "a\r\nb\n"),
    ]);
}

/// Applies `series` to what `upstream` has now, and hands over where it stops.
fn handed(cache: &Cache, upstream: &Upstream, series: &Series, dir: &Path) -> Result<HandedOver> {
    let onto = Onto { tree: upstream.import(cache), gits: vec![] };
    let error = apply(cache, &Events::default(), &onto, series, "").unwrap_err();
    let stopped = error.downcast_ref::<Stopped>().unwrap();
    a_step(|step| hand_over(cache, step, &onto, "a tree", series, stopped, dir))
}

#[test]
fn what_was_resolved_becomes_a_series_that_applies_exactly() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    let (_series, series) = series(&upstream);
    other_way(&upstream);
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("qemu");
    let handed = handed(&cache, &upstream, &series, &tree).unwrap();
    assert_eq!((handed.commits, handed.left), (1, 1));
    assert_eq!(handed.conflicts, [FILE]);

    let log = ask(&tree, &["log", "--format=%an %ae %s", "pcram-base..pcram"]);
    assert_eq!(log, "A Developer a@example.org one");
    let marked = fs::read_to_string(tree.join(FILE)).unwrap();
    assert!(marked.contains("<<<<<<< HEAD\nten\n=======\nTEN\n>>>>>>> two\n"), "{marked}");
    assert!(marked.contains("EIGHTEEN"), "what fits is in: {marked}");
    assert_eq!(fs::read(tree.join("dos.txt")).unwrap(), b"a\r\nb\n");
    let status = ask(&tree, &["status", "--porcelain"]);
    assert_eq!(status, format!("UU {FILE}"), "nothing else differs");
    let error = refresh(&cache, &tree, &dir.path().join("early")).unwrap_err();
    assert!(error.to_string().contains("`git am` or its like is still under way"), "{error}");
    assert_eq!(Exit::of(&error), Exit::BadUsage);

    let before = ["<<<<<<< HEAD\n", "=======\nTEN\n>>>>>>> two\n"];
    let resolved = before.iter().fold(marked, |text, part| text.replace(part, ""));
    fs::write(tree.join(FILE), resolved.replace("ten\n", "Ten\n")).unwrap();
    ask(&tree, &["add", FILE]);
    // The third is merged as it goes on, from a blob that came with the tree.
    ask(&tree, &["am", "--continue"]);
    assert_eq!(ask(&tree, &["status", "--porcelain"]), "");

    let refreshed = dir.path().join("refreshed");
    assert_eq!(refresh(&cache, &tree, &refreshed).unwrap(), 3);
    let refreshed = Series::load(&refreshed).unwrap();
    let subjects: Vec<_> = refreshed.patches.iter().map(|patch| &*patch.subject).collect();
    assert_eq!(subjects, ["one", "two", "three"]);
    let done = onto(&cache, &upstream.import(&cache), &refreshed).unwrap();
    assert!(done.patches.iter().all(|patch| patch.how == How::Exact), "{:?}", done.patches);
    let found = text(&cache, &done.tree, FILE).unwrap();
    for part in ["THREE", "\nTen\n", "EIGHTEEN"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    assert!(text(&cache, &done.tree, OTHER).unwrap().contains("five\nline 106\nSEVEN\n"));
}

#[test]
fn without_what_a_patch_was_made_on_there_are_no_markers_but_the_way_on_is_open() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    let (_series, series) = series(&upstream);
    upstream.write(&[(FILE, &numbers(1..=20).replace("line 12\n", "twelve\n"))]);
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("qemu");
    let handed = handed(&cache, &upstream, &series, &tree).unwrap();
    assert_eq!(handed.conflicts, [""; 0]);
    assert_eq!((handed.commits, handed.left), (1, 1));
    // What the message tells to do.
    let patch = run_git(&tree, &["am", "--show-current-patch=diff"]).stdout;
    fs::write(dir.path().join("patch"), patch).unwrap();
    let rejects = run_git(&tree, &["apply", "--reject", "../patch"]);
    assert!(!rejects.status.success());
    let text = fs::read_to_string(tree.join(FILE)).unwrap();
    assert!(text.contains("EIGHTEEN") && !text.contains("TEN\n"), "{text}");
    fs::write(tree.join(FILE), text.replace("line 10\n", "TEN\n")).unwrap();
    fs::remove_file(tree.join(format!("{FILE}.rej"))).unwrap();
    ask(&tree, &["add", FILE]);
    ask(&tree, &["am", "--continue"]);
    assert_eq!(refresh(&cache, &tree, &dir.path().join("refreshed")).unwrap(), 3);
}

#[test]
fn a_patch_of_which_nobody_can_tell_whether_it_is_there_is_not_put_in() {
    let block = |word: &str| format!("begin\n  a\n  b\n{word}  c\n  d\nend\n");
    let around = |block: &str| format!("{}{block}{}", numbers(1..=9), numbers(10..=20));
    let (_guard, cache) = cache();
    let upstream = Upstream::new(&[(FILE, &around(&block("")))]);
    upstream.commit("word", &[(FILE, &around(&block("  word\n")))]);
    let (_series, series) = upstream.series();
    let unclear = format!("new\n{}{}", around(&block("  word\n")), block(""));
    upstream.write(&[(FILE, &unclear)]);
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("qemu");
    let handed = handed(&cache, &upstream, &series, &tree).unwrap();
    assert_eq!((handed.conflicts.len(), handed.commits, handed.left), (0, 0, 0));
    assert_eq!(fs::read_to_string(tree.join(FILE)).unwrap(), unclear);
    ask(&tree, &["am", "--skip"]);
    assert_eq!(ask(&tree, &["status", "--porcelain"]), "");
}

#[test]
fn a_folder_of_the_users_is_left_alone_where_it_has_anything_in_it() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    let (_series, series) = series(&upstream);
    let base = onto(&cache, &upstream.import(&cache), &series).unwrap();
    other_way(&upstream);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), "dear").unwrap();
    let error = handed(&cache, &upstream, &series, dir.path()).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::BadUsage);
    let onto = Onto { tree: base.tree.clone(), gits: vec![] };
    let error = write_applied(&cache, &onto, &series, &base, dir.path()).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::BadUsage);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_later_patch_that_is_there_already_is_not_to_follow() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    let (_series, series) = series(&upstream);
    other_way(&upstream);
    upstream.write(&[(OTHER, &numbers(101..=120).replace("line 107\n", "SEVEN\n"))]);
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("qemu");
    let handed = handed(&cache, &upstream, &series, &tree).unwrap();
    assert_eq!((handed.commits, handed.left), (1, 0));
    ask(&tree, &["checkout", "--quiet", "--theirs", FILE]);
    ask(&tree, &["add", FILE]);
    ask(&tree, &["am", "--continue"]);
    assert_eq!(refresh(&cache, &tree, &dir.path().join("refreshed")).unwrap(), 2);
}

#[test]
fn a_plain_diff_is_handed_over_too() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    let (_series, mut series) = series(&upstream);
    for patch in &mut series.patches {
        let text = String::from_utf8(patch.text.clone()).unwrap();
        patch.text = text[text.find("diff --git").unwrap()..].into();
    }
    other_way(&upstream);
    let dir = tempfile::tempdir().unwrap();
    let handed = handed(&cache, &upstream, &series, &dir.path().join("qemu")).unwrap();
    assert_eq!((handed.commits, handed.conflicts), (1, vec![FILE.to_owned()]));
    let log = ask(&dir.path().join("qemu"), &["log", "-1", "--format=%an %s"]);
    assert_eq!(log, "unknown one");
}

#[test]
fn a_series_that_went_on_is_written_as_it_went_on() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    let base = Onto { tree: upstream.import(&cache), gits: vec![] };
    change(&upstream);
    let (folder, series) = upstream.series_as(&FORMAT);
    let dir = tempfile::tempdir().unwrap();
    let write = |onto: &Onto, name| {
        let applied = apply(&cache, &Events::default(), onto, &series, "").unwrap();
        let into = dir.path().join(name);
        write_applied(&cache, onto, &series, &applied, &into).map(|_| into)
    };
    let same = write(&base, "same").unwrap();
    for file in series.patches.iter().map(|patch| &*patch.file).chain(["series"]) {
        let read = |dir: &Path| fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(read(folder.path()), read(&same), "on its own base it is the same");
    }

    let first = numbers(1..=20).replace("line 3\n", "THREE\n");
    upstream.write(&[(FILE, &first), (OTHER, &format!("new\n{}", numbers(101..=120)))]);
    let onto = Onto { tree: upstream.import(&cache), gits: vec![] };
    let refreshed = Series::load(&write(&onto, "refreshed").unwrap()).unwrap();
    let subjects: Vec<_> = refreshed.patches.iter().map(|patch| &*patch.subject).collect();
    assert_eq!(subjects, ["two", "three"], "the first was there already");
    let again = apply(&cache, &Events::default(), &onto, &refreshed, "").unwrap();
    assert!(again.patches.iter().all(|patch| patch.how == How::Exact));

    let all = Onto { tree: again.tree, gits: vec![] };
    let error = write(&all, "none").unwrap_err();
    assert!(error.to_string().contains("there is no commit"), "{error}");
}

#[test]
fn what_is_no_finished_work_tree_is_not_taken_for_a_series() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    let tree = upstream.path();
    let dir = tempfile::tempdir().unwrap();
    let refusal = |from: &Path| {
        let error = refresh(&cache, from, &dir.path().join("new")).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage, "{error:?}");
        format!("{error:#}")
    };
    assert!(refusal(dir.path()).contains("no git work tree"));
    assert!(refusal(tree).contains("no tag `pcram-base`"));
    ask(tree, &["tag", BASE]);
    assert!(refusal(tree).contains("no commit after the base"));
    upstream.write(&[(OTHER, "changed\n")]);
    assert!(refusal(tree).contains("vl.c has changes"));

    // Two ways that both change a file cannot stand one on the other.
    upstream.commit("here", &[(OTHER, "here\n")]);
    ask(tree, &["checkout", "--quiet", "-b", "there", BASE]);
    upstream.commit("there", &[(OTHER, "there\n")]);
    ask(tree, &["merge", "--quiet", "-s", "ours", "main"]);
    assert!(refusal(tree).contains("is there a merge among them?"));
    assert!(!dir.path().join("new").exists());
}
