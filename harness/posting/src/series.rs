//! The patches of a posting in their order, its cover letter, and the comments.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::found::{Line, begins};
use crate::letter::Letter;

/// A posting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posting {
    /// The letter before a series' first patch.
    pub cover: Option<Letter>,
    /// The letters with the patches.
    pub patches: Vec<Letter>,
    /// All others.
    pub comments: Vec<Letter>,
}

/// Why the letters of a file are no posting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPosting {
    /// None of them has a diff.
    #[error("there is no diff in any of the {0} letters")]
    NoDiff(usize),
    /// The subjects tell of a patch that is not there.
    #[error("patch {number} of {count} is not in it")]
    Missing {
        /// Its number.
        number: usize,
        /// How many there are to be.
        count: usize,
    },
    /// Two letters are the same patch.
    #[error("patch {0} is in it twice: {1:?} and {2:?}")]
    Twice(usize, String, String),
    /// More than one version of a series.
    #[error("it holds several versions: {0}; keep one of them")]
    Versions(String),
}

/// What the brackets of a subject say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    number: usize,
    count: usize,
    version: usize,
}

fn place(subject: &str) -> Option<Place> {
    static BRACKETS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)^\s*\[[^\]]*\bpatch\b[^\]]*\]").expect("is one"));
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(\d{1,4})/(\d{1,4})\b").expect("is one"));
    static VERSION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)\bv(\d{1,3})\b").expect("is one"));
    let brackets = BRACKETS.find(subject)?.as_str();
    let of = |captures: &regex::Captures, at: usize| captures[at].parse().unwrap_or(1);
    let (number, count) =
        NUMBER.captures(brackets).map_or((1, 1), |found| (of(&found, 1), of(&found, 2)));
    let version = VERSION.captures(brackets).map_or(1, |found| of(&found, 1));
    Some(Place { number, count, version })
}

fn has_diff(letter: &Letter) -> bool {
    (0..letter.lines.len()).any(|at| begins(&letter.lines, at))
}

/// Tells apart what the letters are.
///
/// # Errors
/// Where patches are missing, are there twice, or none is there.
pub fn posting(letters: Vec<Letter>) -> Result<Posting, NoPosting> {
    let count = letters.len();
    let mut posting = Posting::default();
    let mut numbered: BTreeMap<usize, Letter> = BTreeMap::new();
    let mut places = Vec::new();
    for letter in letters {
        let place = place(&letter.subject);
        match (has_diff(&letter), place) {
            (true, Some(place)) => {
                places.push(place);
                if let Some(other) = numbered.get(&place.number)
                    && places.iter().all(|it| it.version == place.version)
                {
                    let (one, two) = (other.subject.clone(), letter.subject);
                    return Err(NoPosting::Twice(place.number, one, two));
                }
                numbered.insert(place.number, letter);
            }
            // A reply that quotes a diff has it behind `>`, so this is a patch of its own.
            (true, None) => posting.patches.push(letter),
            (false, Some(Place { number: 0, .. })) if posting.cover.is_none() => {
                posting.cover = Some(letter);
            }
            _ => posting.comments.push(letter),
        }
    }
    let mut versions: Vec<_> = places.iter().map(|place| place.version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        let versions: Vec<_> = versions.iter().map(|version| format!("v{version}")).collect();
        return Err(NoPosting::Versions(versions.join(", ")));
    }
    if let Some(all) = places.iter().map(|place| place.count).max()
        && let Some(number) = (1..=all).find(|number| !numbered.contains_key(number))
    {
        return Err(NoPosting::Missing { number, count: all });
    }
    posting.patches.splice(..0, numbered.into_values());
    if posting.patches.is_empty() { Err(NoPosting::NoDiff(count)) } else { Ok(posting) }
}

/// A patch's letter, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The subject, without what stands in brackets before it.
    pub title: String,
    /// The commit message behind the subject.
    pub body: Vec<String>,
    /// What stands between the line `---` and the diff, without its statistics.
    pub notes: Vec<String>,
    /// The statistics that were sent, line by line.
    pub stat: Vec<String>,
}

/// What a patch's letter says beside its diff.
pub fn message(letter: &Letter) -> Message {
    static STAT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^ ?\S.* \| +(\d+ [+-]*|Bin .*)$|^ \d+ files? changed").expect("is one")
    });
    let lines = &letter.lines;
    let diff = (0..lines.len()).find(|&at| begins(lines, at)).unwrap_or(lines.len());
    let text = |line: &Line| String::from_utf8_lossy(&line.text).into_owned();
    let before: Vec<String> = lines[..diff].iter().map(text).collect();
    let cut = before.iter().position(|line| line.trim_end() == "---").unwrap_or(before.len());
    let (body, behind) = before.split_at(cut);
    let (stat, notes): (Vec<_>, Vec<_>) =
        behind.iter().skip(1).cloned().partition(|line| STAT.is_match(line));
    let title = match letter.subject.trim_start().strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(_, title)| title).trim(),
        None => letter.subject.trim(),
    };
    Message { title: title.to_owned(), body: trimmed(body), notes: trimmed(&notes), stat }
}

/// The lines without the empty ones around them.
fn trimmed(lines: &[String]) -> Vec<String> {
    let full = |line: &String| !line.trim().is_empty();
    let Some(first) = lines.iter().position(full) else { return Vec::new() };
    let last = lines.iter().rposition(full).unwrap_or(first);
    lines[first..=last].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::text_lines;

    fn letter(subject: &str, diff: bool) -> Letter {
        let diff =
            if diff { "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n" } else { "" };
        let text = format!(
            "Why.\n\nSigned-off-by: A\n\n---\n\nNote.\n x | 2 +-\n 1 files changed\n\n{diff}"
        );
        Letter {
            subject: subject.to_owned(),
            lines: text_lines(text.as_bytes()),
            ..Letter::default()
        }
    }

    #[test]
    fn a_series_is_put_in_order() {
        let posting = posting(vec![
            letter("[PATCH v2 2/2] b", true),
            letter("[RFC PATCH v2 0/2] all", false),
            letter("Re: [PATCH v2 1/2] a", false),
            letter("[PATCH v2 1/2] a", true),
        ])
        .unwrap();
        let subjects: Vec<_> = posting.patches.iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(subjects, ["[PATCH v2 1/2] a", "[PATCH v2 2/2] b"]);
        assert_eq!(posting.cover.unwrap().subject, "[RFC PATCH v2 0/2] all");
        assert_eq!(posting.comments.len(), 1);
    }

    #[test]
    fn what_is_missing_or_there_twice_is_told() {
        let refused = |letters| posting(letters).unwrap_err().to_string();
        let missing = refused(vec![letter("[PATCH 1/3] a", true), letter("[PATCH 3/3] c", true)]);
        assert_eq!(missing, "patch 2 of 3 is not in it");
        let twice = refused(vec![letter("[PATCH 1/1] a", true), letter("[PATCH 1/1] b", true)]);
        assert!(twice.contains("patch 1 is in it twice"), "{twice}");
        let versions = refused(vec![letter("[PATCH] a", true), letter("[PATCH v2] a", true)]);
        assert!(versions.contains("v1, v2"), "{versions}");
        assert_eq!(
            refused(vec![letter("Re: a", false)]),
            "there is no diff in any of the 1 letters"
        );
    }

    #[test]
    fn a_letter_is_taken_apart() {
        let message = message(&letter("[PATCH v3] pc: x", true));
        assert_eq!(message.title, "pc: x");
        assert_eq!(message.body, ["Why.", "", "Signed-off-by: A"]);
        assert_eq!(message.notes, ["Note."]);
        assert_eq!(message.stat.len(), 2);
    }
}
