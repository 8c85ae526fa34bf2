//! The base of a posting: the commits in which all blobs are those that its `index` lines name.

use std::collections::HashMap;

use anyhow::{Context, Result};
use git2::{Commit, ObjectType, Oid, Repository, Sort};

use super::mend::{Mended, made_on};

/// How long before a posting its base may have been committed, in seconds.
const BEFORE: i64 = 400 * 86_400;

/// How long after it commits are looked at: what was not changed yet is its base as well.
const AFTER: i64 = 60 * 86_400;

/// The commits that a posting fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// How many.
    pub count: usize,
    /// The oldest.
    pub oldest: Named,
    /// The newest.
    pub newest: Named,
    /// Those that have a tag, from the oldest on.
    pub tags: Vec<Named>,
    /// The one to apply it to: the newest tag before the posting, else the newest commit before it.
    pub base: Named,
    /// How many commits were looked at.
    pub looked_at: usize,
}

/// A commit, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id, in hex.
    pub id: String,
    /// Its tag, if it has one.
    pub tag: Option<String>,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
}

impl Named {
    /// Its tag, or a short id; and the day.
    pub fn shown(&self) -> String {
        let name = self.tag.clone().unwrap_or_else(|| self.id[..12].to_owned());
        format!("{name} of {}", super::date::day(self.time))
    }
}

/// The commits of `git` that have all blobs that the first patch of a posting was made on, and that
/// later ones do not get from it. `posted` is when it was sent, in seconds since 1970, where that is
/// known: commits long before and after are left out then, but for those with a tag.
///
/// # Errors
/// Where the git cannot be read.
pub fn guess(git: &Repository, mended: &Mended, posted: Option<i64>) -> Result<Option<Range>> {
    let wanted = wanted(mended);
    if wanted.is_empty() {
        return Ok(None);
    }
    let tags = tags(git)?;
    let mut walk = git.revwalk().context("walking the git's history")?;
    walk.set_sorting(Sort::TIME)?;
    walk.push_glob("refs/*")?;
    // A bare copy may have a head that no ref names.
    let _ = walk.push_head();
    let mut looked_at = 0;
    let mut fits = Vec::new();
    let mut known = HashMap::new();
    for id in walk {
        let id = id.context("walking the git's history")?;
        let commit = git.find_commit(id)?;
        let time = commit.time().seconds();
        let near = posted.is_none_or(|posted| (posted - BEFORE..posted + AFTER).contains(&time));
        if !near && !tags.contains_key(&id) {
            continue;
        }
        looked_at += 1;
        let tree = commit.tree_id();
        let has_all = *known.entry(tree).or_insert_with(|| has(&commit, &wanted));
        if has_all {
            fits.push(Named { id: id.to_string(), tag: tags.get(&id).cloned(), time });
        }
    }
    fits.sort_by_key(|it| it.time);
    let (Some(oldest), Some(newest)) = (fits.first(), fits.last()) else { return Ok(None) };
    let tags: Vec<_> = fits.iter().filter(|it| it.tag.is_some()).cloned().collect();
    let before = |it: &&Named| posted.is_none_or(|posted| it.time <= posted);
    let base = tags.iter().rev().find(before).or_else(|| fits.iter().rev().find(before));
    let base = base.unwrap_or(oldest).clone();
    let (oldest, newest) = (oldest.clone(), newest.clone());
    Ok(Some(Range { count: fits.len(), oldest, newest, tags, base, looked_at }))
}

/// The blobs that were there before: of each path, the first that a patch names.
fn wanted(mended: &Mended) -> Vec<(String, String)> {
    let mut wanted: Vec<(String, String)> = Vec::new();
    let mut made: Vec<String> = Vec::new();
    for patch in &mended.patches {
        let files: Vec<_> = patch.files.iter().map(|file| file.diff.clone()).collect();
        for (path, id) in made_on(&files) {
            if !wanted.iter().any(|(known, _)| *known == path) && !made.contains(&path) {
                wanted.push((path, id));
            }
        }
        made.extend(files.iter().filter(|file| file.old.is_none()).map(|it| it.path().to_owned()));
    }
    wanted
}

/// The tags within a year of `time`, from the oldest on.
///
/// # Errors
/// Where the git cannot be read.
pub(super) fn tagged(git: &Repository, time: i64) -> Result<Vec<Named>> {
    let mut near = Vec::new();
    for (id, tag) in tags(git)? {
        let at = git.find_commit(id)?.time().seconds();
        if (at - time).abs() < 365 * 86_400 {
            near.push(Named { id: id.to_string(), tag: Some(tag), time: at });
        }
    }
    near.sort_by_key(|it| it.time);
    Ok(near)
}

/// Whether a commit's tree has the blobs.
fn has(commit: &Commit, wanted: &[(String, String)]) -> bool {
    let Ok(tree) = commit.tree() else { return false };
    wanted.iter().all(|(path, id)| {
        let entry = match path.contains('/') {
            false => tree.get_name(path).map(|entry| entry.id()),
            true => tree.get_path(path.as_ref()).ok().map(|entry| entry.id()),
        };
        entry.is_some_and(|entry| entry.to_string().starts_with(id))
    })
}

/// The tags of a git, by the commits that they name.
fn tags(git: &Repository) -> Result<HashMap<Oid, String>> {
    let mut tags = HashMap::new();
    for reference in git.references_glob("refs/tags/*").context("reading the git's tags")? {
        let reference = reference.context("reading the git's tags")?;
        let name = String::from_utf8_lossy(reference.shorthand_bytes()).into_owned();
        if let Ok(commit) = reference.peel(ObjectType::Commit) {
            // Where two tags name one commit, the first by name is as good.
            let known = tags.entry(commit.id()).or_insert_with(|| name.clone());
            if name < *known {
                *known = name;
            }
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posting::mend::mend;
    use git2::{Signature, Time};
    use pcram_posting::blob_id;
    use pcram_posting::letter::read;
    use pcram_posting::series::posting;

    /// A git with five commits a day apart; the file is changed in the second and in the fifth, a
    /// tag stands on the third.
    fn git() -> (tempfile::TempDir, Repository, Vec<Oid>) {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repository::init_bare(dir.path()).unwrap();
        let mut commits = Vec::new();
        for (day, text) in ["1\n", "2\n", "2\n", "2\n", "5\n"].iter().enumerate() {
            let author = Signature::new("A", "a@example.org", &Time::new(day as i64 * 86_400, 0));
            let author = author.unwrap();
            let blob = repo.blob(text.as_bytes()).unwrap();
            let other = repo.blob(day.to_string().as_bytes()).unwrap();
            let mut sub = repo.treebuilder(None).unwrap();
            sub.insert("pc.c", blob, 0o100_644).unwrap();
            let sub = sub.write().unwrap();
            let mut root = repo.treebuilder(None).unwrap();
            root.insert("hw", sub, 0o040_000).unwrap();
            root.insert("other", other, 0o100_644).unwrap();
            let tree = repo.find_tree(root.write().unwrap()).unwrap();
            let parents: Vec<_> =
                commits.last().map(|&it| repo.find_commit(it).unwrap()).into_iter().collect();
            let parents: Vec<_> = parents.iter().collect();
            let commit = repo.commit(Some("HEAD"), &author, &author, "x", &tree, &parents).unwrap();
            commits.push(commit);
        }
        repo.reference("refs/tags/v1-rc1", commits[2], false, "").unwrap();
        (dir, repo, commits)
    }

    fn mended(repo: &Repository, old: &str) -> Mended {
        let diff = format!(
            "diff --git a/hw/pc.c b/hw/pc.c\nindex {}..0123456 100644\n--- a/hw/pc.c\n+++ b/hw/pc.c\n\
             @@ -1 +1 @@\n-{old}\n+x\n",
            &blob_id(format!("{old}\n").as_bytes())[..7]
        );
        let diff = diff.replace("0123456", &blob_id(b"x\n")[..7]);
        let (_, letters) = read(diff.as_bytes()).unwrap();
        mend(&posting(letters).unwrap(), &[repo]).unwrap()
    }

    #[test]
    fn the_base_is_a_range_with_the_tag_inside() {
        let (_dir, repo, commits) = git();
        let repo_again = Repository::open_bare(repo.path()).unwrap();
        let mended = mended(&repo_again, "2");
        let range = guess(&repo, &mended, Some(3 * 86_400)).unwrap().unwrap();
        assert_eq!(range.count, 3);
        assert_eq!(range.oldest.id, commits[1].to_string());
        assert_eq!(range.newest.id, commits[3].to_string());
        assert_eq!(range.base.tag.as_deref(), Some("v1-rc1"));
        assert_eq!(range.base.shown(), "v1-rc1 of 1970-01-03");
        // Before the tag, what is there is a commit.
        let early = guess(&repo, &mended, Some(86_400)).unwrap().unwrap();
        assert_eq!(early.base.id, commits[1].to_string());
        // Long after it, the tag alone is looked at.
        let late = guess(&repo, &mended, Some(1_000 * 86_400)).unwrap().unwrap();
        assert_eq!((late.count, late.looked_at), (1, 1));
    }

    #[test]
    fn where_nothing_fits_there_is_no_base() {
        let (_dir, repo, _) = git();
        let other = Repository::open_bare(repo.path()).unwrap();
        let mut mended = mended(&other, "5");
        mended.patches[0].files[0].diff.old_id = Some("0123456".to_owned());
        assert_eq!(guess(&repo, &mended, None).unwrap(), None);
    }
}
