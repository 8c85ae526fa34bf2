//! Patches that do not apply, merged with trees that went another way.

use super::super::apply::tests::{onto, text};
use super::super::upstream::{Upstream, ask, numbers};
use super::super::{Applied, How, Onto, Series, Stopped, apply};
use super::*;
use crate::cache::tests::cache;
use crate::event::Events;
use crate::failure::Exit;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const FILE: &str = "hw/pc.c";

/// `line 1` to `line 20`, some of them replaced.
fn lines(replaced: &[(u32, &str)]) -> String {
    replaced.iter().fold(numbers(1..=20), |text, (line, by)| {
        text.replace(&format!("line {line}\n"), &format!("{by}\n"))
    })
}

/// An upstream with one file.
fn upstream() -> Upstream {
    Upstream::new(&[(FILE, &numbers(1..=20))])
}

fn stopped(done: Result<Applied>) -> (Stopped, String) {
    let error = done.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::DidNotApply);
    (error.downcast_ref::<Stopped>().unwrap().clone(), format!("{error:#}"))
}

/// Which way each patch went.
fn ways(applied: &Applied) -> Vec<String> {
    applied.patches.iter().map(|patch| patch.how.to_string()).collect()
}

#[test]
fn a_change_beside_another_is_merged_and_told() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("ten", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series();
    // In the hunk's context, which `patch` would overlook with fuzz.
    upstream.write(&[(FILE, &format!("new\n{}", lines(&[(8, "eight")])))]);
    let done = onto(&cache, &upstream.import(&cache), &series).unwrap();
    let told = "hw/pc.c: merged; changes at line 11".to_owned();
    assert_eq!(done.patches[0].how, How::ThreeWay(vec![told]));
    let merged = format!("new\n{}", lines(&[(8, "eight"), (10, "TEN")]));
    assert_eq!(text(&cache, &done.tree, FILE).unwrap(), merged);
}

#[test]
fn what_earlier_patches_made_is_made_again() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    for (line, word) in [(5, "five"), (10, "ten"), (15, "fifteen")] {
        let text = fs::read_to_string(upstream.path().join(FILE)).unwrap();
        let text = text.replace(&format!("line {line}\n"), &format!("{word}\n"));
        upstream.commit(word, &[(FILE, &text)]);
    }
    let (_dir, series) = upstream.series();
    // The first and the last are to be merged; no tree ever had what the last was made on.
    upstream.write(&[(FILE, &lines(&[(3, "THREE"), (17, "SEVENTEEN")]))]);
    let done = onto(&cache, &upstream.import(&cache), &series).unwrap();
    assert_eq!(ways(&done), ["three-way", "exact", "three-way"]);
    let merged = [(3, "THREE"), (5, "five"), (10, "ten"), (15, "fifteen"), (17, "SEVENTEEN")];
    assert_eq!(text(&cache, &done.tree, FILE).unwrap(), lines(&merged));
}

#[test]
fn two_changes_of_one_place_stop_the_series() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("five", &[(FILE, &lines(&[(5, "five")]))]);
    upstream.commit("fifteen", &[(FILE, &lines(&[(5, "five"), (15, "fifteen")]))]);
    let (_dir, series) = upstream.series();
    upstream.write(&[(FILE, &lines(&[(15, "FIFTEEN")]))]);
    let (stopped, told) = stopped(onto(&cache, &upstream.import(&cache), &series));
    assert_eq!((stopped.at, stopped.count, stopped.applied.len()), (1, 2, 1));
    assert_eq!(stopped.tree, stopped.applied[0].tree);
    let Obstacle::Conflict { files, messages } = &stopped.obstacle else { panic!("{told}") };
    assert_eq!(files, &[FILE]);
    assert_eq!(messages.len(), 1);
    for part in [
        "stopped at patch 2 of 2: 0002-fifteen.patch",
        "hw/pc.c, hunk 1:",
        "line 15: expected: line 15",
        "line 15: found:    FIFTEEN",
        "CONFLICT (content): Merge conflict in hw/pc.c",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_blob_that_is_not_at_hand_is_named_and_taken_from_the_sources_git() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    let blob = ask(upstream.path(), &["rev-parse", &format!("HEAD:{FILE}")]);
    upstream.commit("ten", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series();
    upstream.write(&[(FILE, &lines(&[(8, "eight")]))]);
    let tree = upstream.import(&cache);
    let (stopped, told) = stopped(onto(&cache, &tree, &series));
    let missing = Missing { path: FILE.into(), id: Some(blob[..12].to_owned()) };
    assert_eq!(stopped.obstacle, Obstacle::NoBase { missing: vec![missing] });
    assert!(told.contains(&format!("blob {}, is not at hand", &blob[..12])), "{told}");
    assert!(told.contains("line 8: found:    eight"), "{told}");

    let with_git = Onto { tree, gits: vec![upstream.path().to_owned()] };
    let done = apply(&cache, &Events::default(), &with_git, &series, "").unwrap();
    assert_eq!(ways(&done), ["three-way"]);
}

#[test]
fn an_abbreviated_index_line_names_the_blob_too() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("ten", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series_as(&["--abbrev=7"]);
    upstream.write(&[(FILE, &lines(&[(8, "eight")]))]);
    let done = onto(&cache, &upstream.import(&cache), &series).unwrap();
    assert_eq!(ways(&done), ["three-way"]);
}

#[test]
fn a_patch_that_was_edited_is_not_merged() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("ten", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (dir, series) = upstream.series();
    let file = dir.path().join(&series.patches[0].file);
    let edited = fs::read_to_string(&file).unwrap().replace(" line 8\n", " line acht\n");
    fs::write(&file, edited).unwrap();
    let series = Series::load(dir.path()).unwrap();
    let (stopped, told) = stopped(onto(&cache, &upstream.import(&cache), &series));
    assert!(matches!(stopped.obstacle, Obstacle::Unfit { .. }), "{told}");
    assert!(told.contains("does not fit the blobs that its `index` lines name"), "{told}");
}

#[test]
fn a_file_that_was_renamed_is_followed_and_one_that_is_gone_is_a_conflict() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("ten", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series();
    let base = text(&cache, &upstream.import(&cache), FILE).unwrap();
    fs::remove_file(upstream.path().join(FILE)).unwrap();
    upstream.write(&[("other.c", "int other;\n")]);
    let gone = upstream.import(&cache);
    upstream.write(&[("hw/i386/pc.c", &base)]);
    let renamed = upstream.import(&cache);

    let done = onto(&cache, &renamed, &series).unwrap();
    let told = [
        "hw/pc.c: not there under this name".to_owned(),
        "hw/i386/pc.c: merged, since it was renamed; changes at line 10".to_owned(),
    ];
    assert_eq!(done.patches[0].how, How::ThreeWay(told.into()));
    assert_eq!(text(&cache, &done.tree, "hw/i386/pc.c").unwrap(), lines(&[(10, "TEN")]));
    assert_eq!(text(&cache, &done.tree, FILE), None);

    let (stopped, told) = stopped(onto(&cache, &gone, &series));
    let Obstacle::Conflict { files, .. } = &stopped.obstacle else { panic!("{told}") };
    assert_eq!(files, &[FILE]);
    assert!(told.contains("hw/pc.c: does not exist in index"), "{told}");
    assert!(told.contains("CONFLICT (modify/delete): hw/pc.c deleted in tree"), "{told}");
}

#[test]
fn a_new_file_that_is_there_already_is_taken_only_where_it_is_the_same() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("new", &[("new.c", "int new;\n"), (FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series();
    upstream.write(&[("new.c", "int new;\n")]);
    let done = onto(&cache, &upstream.import(&cache), &series).unwrap();
    assert_eq!(ways(&done), ["three-way"], "half of it was there");
    assert_eq!(text(&cache, &done.tree, FILE).unwrap(), lines(&[(10, "TEN")]));

    upstream.write(&[("new.c", "int another;\n")]);
    let (stopped, told) = stopped(onto(&cache, &upstream.import(&cache), &series));
    let Obstacle::Conflict { files, .. } = &stopped.obstacle else { panic!("{told}") };
    assert_eq!(files, &["new.c"]);
    assert!(told.contains("new.c: already exists in index"), "{told}");
    assert!(told.contains("CONFLICT (add/add)"), "{told}");
}

#[test]
fn what_merging_finds_to_be_there_is_there_already() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    upstream.commit("ten", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series();
    // Neither the hunk nor its outcome stands whole: there is another change in its context.
    upstream.write(&[(FILE, &lines(&[(8, "eight"), (10, "TEN")]))]);
    let tree = upstream.import(&cache);
    let done = onto(&cache, &tree, &series).unwrap();
    assert_eq!((done.patches[0].how.clone(), done.tree), (How::AlreadyThere(vec![]), tree));
}

#[test]
fn a_hunk_that_fits_elsewhere_but_is_there_is_not_put_in_twice() {
    let block = |word: &str| format!("begin\n  a\n  b\n{word}  c\n  d\nend\n");
    let (old, new) = (block(""), block("  word\n"));
    let (head, more) = (numbers(1..=9), numbers(10..=20));
    let upstream = Upstream::new(&[(FILE, &format!("{head}{old}{more}"))]);
    let (_guard, cache) = cache();
    upstream.import(&cache);
    upstream.commit("word", &[(FILE, &format!("{head}{new}{more}"))]);
    let (_dir, series) = upstream.series();
    // The change is there, and behind it a block as the one that it was made on.
    let there = format!("{head}{new}{more}{old}");
    let (_guard, bare) = crate::cache::tests::cache();
    upstream.write(&[(FILE, &there)]);
    let done = onto(&bare, &upstream.import(&bare), &series).unwrap();
    assert_eq!(done.patches[0].how, How::AlreadyThere(vec![]), "it is at its very line");
    upstream.write(&[(FILE, &format!("new\n{there}"))]);
    let tree = upstream.import(&cache);
    let done = onto(&cache, &tree, &series).unwrap();
    assert_eq!((done.patches[0].how.clone(), done.tree), (How::AlreadyThere(vec![]), tree.clone()));

    // Without what it was made on nobody can tell, and nothing is guessed.
    let tree = upstream.import(&bare);
    let (_, told) = stopped(onto(&bare, &tree, &series));
    assert!(told.contains("seems to be there already"), "{told}");
}

#[test]
fn each_patch_of_a_stack_that_is_there_is_recognised() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    // Each changes what the one before it made.
    let all = ["one", "two", "three"].map(|word| lines(&[(10, word)]));
    for text in &all {
        upstream.commit("change", &[(FILE, text)]);
    }
    upstream.commit("last", &[(FILE, &lines(&[(10, "three"), (18, "EIGHTEEN")]))]);
    let (_dir, series) = upstream.series();
    let moved = |text: &str| format!("new\n{text}");
    for (there, ways_expected) in [
        (all[2].clone(), ["already there", "already there", "already there", "exact"]),
        (moved(&all[2]), ["already there", "already there", "already there", "with an offset"]),
        (moved(&all[1]), ["already there", "already there", "with an offset", "with an offset"]),
    ] {
        upstream.write(&[(FILE, &there)]);
        let done = onto(&cache, &upstream.import(&cache), &series).unwrap();
        assert_eq!(ways(&done), ways_expected);
        let all = text(&cache, &done.tree, FILE).unwrap();
        assert!(all.ends_with(&lines(&[(10, "three"), (18, "EIGHTEEN")])), "{all}");
    }
}

#[test]
fn changes_of_mode_are_merged() {
    let (_guard, cache) = cache();
    let upstream = upstream();
    upstream.import(&cache);
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(upstream.path().join(FILE), executable).unwrap();
    upstream.commit("ten, executable", &[(FILE, &lines(&[(10, "TEN")]))]);
    let (_dir, series) = upstream.series();
    upstream.write(&[(FILE, &lines(&[(8, "eight")]))]);
    let done = onto(&cache, &upstream.import(&cache), &series).unwrap();
    assert_eq!(ways(&done), ["three-way"]);
    let store = cache.store().unwrap();
    let tree = store.find_tree(Oid::from_str(&done.tree).unwrap()).unwrap();
    assert_eq!(tree.get_path(Path::new(FILE)).unwrap().filemode(), 0o100755);
}
