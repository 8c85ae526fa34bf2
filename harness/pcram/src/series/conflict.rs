//! Why a patch does not apply: the hunk, what it expects, and what stands there instead; and what
//! keeps it from being merged.

use std::cmp::Reverse;
use std::path::Path;

use anyhow::Result;
use git2::{Diff, Oid, Repository};

use super::Patch;
use super::three_way::{Missing, Obstacle};

/// How many differing lines are shown.
const SHOWN: usize = 6;

/// A hunk of a patch, as far as it speaks of the file before it.
struct Hunk {
    header: String,
    /// The line that it says it begins at, from 1.
    start: usize,
    /// The lines that it expects, without their line feeds.
    expected: Vec<String>,
}

/// What keeps `patch` from the tree `before`, line by line: what `git apply` refused, having said
/// `said`, and what merging met.
///
/// # Errors
/// Where the tree cannot be read.
pub(super) fn facts(
    store: &Repository,
    before: &str,
    patch: &Patch,
    said: &str,
    obstacle: &Obstacle,
) -> Result<String> {
    let tree = store.find_tree(Oid::from_str(before)?)?;
    let text = |file: &str| {
        let entry = tree.get_path(Path::new(file)).ok()?;
        let blob = store.find_blob(entry.id()).ok()?;
        Some(String::from_utf8_lossy(blob.content()).into_owned())
    };
    let mut shown = String::new();
    for line in said.lines().filter_map(|line| line.strip_prefix("error: ")) {
        if let Some((file, at)) = place(line)
            && let Some(told) = text(file).and_then(|text| explain(patch, file, at, &text))
        {
            shown += &told;
        } else if !line.starts_with("while searching for") && !line.ends_with("does not apply") {
            // What is no matter of a hunk, such as a file that is not there, git says well itself.
            shown += &format!("\n  {line}");
        }
    }
    if shown.is_empty() {
        shown += "\n  each hunk fits at another line, but all of it seems to be there already";
    }
    Ok(shown + &merging(obstacle))
}

/// The file and the line of `patch failed: FILE:LINE`.
fn place(complaint: &str) -> Option<(&str, usize)> {
    let (file, line) = complaint.strip_prefix("patch failed: ")?.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

/// What merging met.
fn merging(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Conflict { messages, .. } => {
            messages.iter().map(|message| format!("\n  merged three ways: {message}")).collect()
        }
        Obstacle::NoBase { missing } => missing
            .iter()
            .map(|Missing { path, id }| match id {
                Some(id) => format!(
                    "\n  not merged three ways: {} that the patch was made on, blob {id}, is not \
                     at hand",
                    path.display()
                ),
                None => format!(
                    "\n  not merged three ways: the patch has no `index` line for {}",
                    path.display()
                ),
            })
            .collect(),
        Obstacle::Unfit { said } if said.is_empty() => String::new(),
        Obstacle::Unfit { said } => {
            let said = said.lines().filter_map(|line| line.strip_prefix("error: "));
            let said: Vec<_> = said.filter(|line| !line.starts_with("while searching")).collect();
            format!(
                "\n  not merged three ways: it does not fit the blobs that its `index` lines \
                 name: {}",
                said.join("; ")
            )
        }
    }
}

/// The hunk of `patch` for `file` that is to begin at `line`, and how the file's text differs.
fn explain(patch: &Patch, file: &str, line: usize, text: &str) -> Option<String> {
    let hunks = hunks(patch, file);
    let number = hunks.iter().position(|hunk| hunk.start == line)?;
    let hunk = &hunks[number];
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = format!("\n  {file}, hunk {}: {}", number + 1, hunk.header);
    let at = nearest(&lines, hunk).unwrap_or_else(|| {
        shown += "\n  no line that it expects stands in the file; where it says, there is:";
        hunk.start.saturating_sub(1)
    });
    let differing: Vec<_> = hunk
        .expected
        .iter()
        .enumerate()
        .map(|(offset, expected)| (at + offset, expected.as_str(), lines.get(at + offset).copied()))
        .filter(|(_, expected, found)| *found != Some(expected))
        .collect();
    for (at, expected, found) in differing.iter().take(SHOWN) {
        let line = at + 1;
        let found = found.unwrap_or("(the end of the file)");
        shown += &format!("\n  line {line}: expected: {expected}");
        shown += &format!("\n  line {line}: found:    {found}");
    }
    if differing.len() > SHOWN {
        shown += &format!("\n  and {} more lines that differ", differing.len() - SHOWN);
    }
    Some(shown)
}

/// Where in the file most of the hunk's lines stand; of places that are as good, the one nearest
/// to where it says. None where no line of it stands in line with another: blank lines and lone
/// braces stand everywhere.
fn nearest(lines: &[&str], hunk: &Hunk) -> Option<usize> {
    let said = hunk.start.saturating_sub(1);
    let says_something = |line: &str| line.contains(char::is_alphanumeric);
    let equal = |at: usize| {
        let pairs = lines[at..].iter().zip(&hunk.expected);
        let equal = pairs.filter(|(found, expected)| **found == expected.as_str());
        equal.filter(|(found, _)| says_something(found)).count()
    };
    let places = (0..lines.len()).map(|at| (equal(at), Reverse(at.abs_diff(said)), at));
    places.max().filter(|(equal, ..)| *equal > 0).map(|(.., at)| at)
}

/// The hunks of `patch` for `file`.
fn hunks(patch: &Patch, file: &str) -> Vec<Hunk> {
    let Ok(diff) = Diff::from_buffer(&patch.text) else { return Vec::new() };
    let mut hunks: Vec<Hunk> = Vec::new();
    // An error ends the walk early, with what was found so far.
    let _ = diff.foreach(
        &mut |_, _| true,
        None,
        None,
        Some(&mut |delta, hunk, line| {
            let Some(hunk) = hunk else { return true };
            if delta.old_file().path() != Some(Path::new(file)) {
                return true;
            }
            let header = String::from_utf8_lossy(hunk.header()).trim_end().to_owned();
            let start = hunk.old_start() as usize;
            if hunks.last().is_none_or(|last| last.start != start) {
                hunks.push(Hunk { header, start, expected: Vec::new() });
            }
            if let (' ' | '-', Some(last)) = (line.origin(), hunks.last_mut()) {
                let text = String::from_utf8_lossy(line.content());
                last.expected.push(text.trim_end_matches('\n').to_owned());
            }
            true
        }),
    );
    hunks
}
