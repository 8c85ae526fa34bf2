//! What is tried of a posting without a QEMU: its own statistics, and what it applies to.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use git2::Repository;
use regex::Regex;

use super::base::{Named, Range, tagged};
use super::mend::{Mended, MendedPatch, Stat};
use crate::check::Finding;
use crate::event::Verdict;

/// The rows that this file tries.
pub const OWN: [&str; 3] = ["posting.statistics", "posting.applies", "posting.applies-elsewhere"];

/// Tries the row of this name; returns what it checks, and what it found.
///
/// # Errors
/// Where it cannot be tried, or no row has this name.
pub fn try_own(
    name: &str,
    git: &Repository,
    mended: &Mended,
    range: &Range,
) -> Result<(&'static str, Finding)> {
    Ok(match name {
        "posting.statistics" => ("the diff's own statistics", statistics(mended)),
        "posting.applies" => ("it applies to the tree of its day", applies(git, mended, range)?),
        "posting.applies-elsewhere" => {
            ("the tags of the year around it, as they are", elsewhere(git, mended, range)?)
        }
        _ => bail!("there is no row {name}"),
    })
}

/// What the letters say of their diffs, against the diffs.
fn statistics(mended: &Mended) -> Finding {
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for patch in &mended.patches {
        let is = patch.stat();
        match told(patch) {
            None => wrong.push(format!("{:?} tells none", patch.message.title)),
            Some(told) if told == is => found.push(is.to_string()),
            Some(told) => wrong.push(format!("it tells {told}, and has {is}")),
        }
    }
    Finding::new(wrong, format!("told and counted: {}", found.join("; ")))
}

/// The last line of a letter's statistics.
fn told(patch: &MendedPatch) -> Option<Stat> {
    let shape = Regex::new(
        r"^ ?(\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?",
    );
    let shape = shape.expect("is one");
    let parts = patch.message.stat.iter().find_map(|line| shape.captures(line))?;
    let number = |at| parts.get(at).map_or(0, |it: regex::Match| it.as_str().parse().unwrap_or(0));
    Some(Stat { files: number(1), added: number(2), removed: number(3) })
}

fn applies(git: &Repository, mended: &Mended, range: &Range) -> Result<Finding> {
    let mut wrong = Vec::new();
    for commit in [&range.oldest, &range.base, &range.newest] {
        if let Some(said) = refused(git, mended, commit)? {
            wrong.push(format!("{}: {said}", commit.shown()));
        }
    }
    let summary = format!(
        "it applies exactly to {}, and to all {} commits from {} to {}, which have the blobs that it \
         was made on",
        range.base.shown(),
        range.count,
        range.oldest.shown(),
        range.newest.shown()
    );
    Ok(Finding::new(wrong, summary))
}

/// Which tags of the year around it take it; it is shown, and nothing of it can be wrong but that
/// the base does not.
fn elsewhere(git: &Repository, mended: &Mended, range: &Range) -> Result<Finding> {
    let mut takes = Vec::new();
    let mut refuses = Vec::new();
    let tags = tagged(git, range.base.time)?;
    if tags.is_empty() {
        let summary = "this git has no tag of the year around it; a clone with tags tells".into();
        return Ok(Finding { verdict: Verdict::NotTried, summary, evidence: Vec::new() });
    }
    for tag in tags {
        let name = tag.tag.clone().unwrap_or_default();
        match refused(git, mended, &tag)? {
            None => takes.push(name),
            Some(_) => refuses.push(name),
        }
    }
    let wrong = match takes.is_empty() {
        true => vec!["no tag takes it".to_owned()],
        false => Vec::new(),
    };
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    Ok(Finding::new(wrong, format!("it applies to {}", list(&takes)))
        .with("takes it, with offsets where need be", list(&takes))
        .with("does not take it", list(&refuses)))
}

/// Why the system's git does not apply the patches to a commit, if it does not. Nothing is written
/// but an index of its own.
fn refused(git: &Repository, mended: &Mended, commit: &Named) -> Result<Option<String>> {
    let scratch = tempfile::tempdir()?;
    let command = |args: &[&str]| {
        let mut command = Command::new("git");
        command.env("GIT_DIR", git.path()).env("GIT_INDEX_FILE", scratch.path().join("index"));
        command.env("GIT_OBJECT_DIRECTORY", scratch.path().join("objects"));
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", git.path().join("objects"));
        command.env("LC_ALL", "C").args(args).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    std::fs::create_dir(scratch.path().join("objects"))?;
    let read = command(&["read-tree", &commit.id]).stdin(Stdio::null()).output()?;
    if !read.status.success() {
        bail!("git read-tree {}: {}", commit.id, String::from_utf8_lossy(&read.stderr).trim());
    }
    for patch in &mended.patches {
        let mut apply = command(&["apply", "--cached", "--whitespace=nowarn", "-"]).spawn()?;
        let mut stdin = apply.stdin.take().context("no standard input")?;
        stdin.write_all(&patch.diff())?;
        drop(stdin);
        let done = apply.wait_with_output()?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            return Ok(Some(said.lines().next().unwrap_or("git apply fails").to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posting::mend::mend;
    use pcram_posting::letter::read;
    use pcram_posting::series::posting;

    fn mended(stat: &str) -> Mended {
        let mail = format!(
            "From: A <a@example.org>\nSubject: [PATCH] x\n\nWhy.\n---\n{stat}\n\
             diff --git a/new b/new\nnew file mode 100644\nindex 0000000..7898192\n--- /dev/null\n\
             +++ b/new\n@@ -0,0 +1 @@\n+a\n"
        );
        let (_, letters) = read(mail.as_bytes()).unwrap();
        mend(&posting(letters).unwrap(), &[]).unwrap()
    }

    #[test]
    fn statistics_are_held_against_the_diff() {
        let judged = |stat| statistics(&mended(stat));
        let right = judged(" 1 files changed, 1 insertions(+), 0 deletions(-)");
        assert_eq!(right.verdict, Verdict::Held);
        assert_eq!(right.summary, "told and counted: 1 files, 1 insertions, 0 deletions");
        assert_eq!(judged(" 1 file changed, 1 insertion(+)").verdict, Verdict::Held);
        assert_eq!(judged(" 1 file changed, 2 insertions(+)").verdict, Verdict::Failed);
        assert_eq!(judged("").verdict, Verdict::Failed);
    }

    #[test]
    fn a_git_without_tags_tells_nothing_of_other_trees() {
        let dir = tempfile::tempdir().unwrap();
        let git = Repository::init(dir.path()).unwrap();
        let named = || Named { id: String::new(), tag: None, time: 1_323_000_000 };
        let range = Range {
            oldest: named(),
            base: named(),
            newest: named(),
            tags: Vec::new(),
            count: 1,
            looked_at: 1,
        };
        let found = elsewhere(&git, &mended(""), &range).unwrap();
        assert_eq!(found.verdict, Verdict::NotTried);
    }
}
