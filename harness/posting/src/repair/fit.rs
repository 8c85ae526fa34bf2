//! One file's diff: its readings, and the one that is proved.

use std::collections::HashSet;

use super::prove::{blob_id, is_none};
use super::reading::{Base, ReadLine, Reading, readings};
use super::space::{Space, squashed};
use super::ways::{
    Added, Combined, JOINS, added, added_lines, changed, combinations, has_joins, joined, pick,
    product, ways,
};
use super::{Proof, Refusal, Repair, Repaired, Why};
use crate::diff::{FileDiff, Hunk, HunkLine, Sign, lines_of, text_of};
use crate::found::{Found, FoundHunk};

/// How many results are held against the promised id at most.
const TRIES: usize = 6000;

/// How many bytes of a line git takes as a hunk's heading (xdiff/xemit.c).
const HEADING: usize = 80;

/// Makes of a diff as it came the diff as it was sent. `base` is the file before, where it is known;
/// `last` says whether other text may follow the diff.
///
/// # Errors
/// The line at which it cannot be, and why.
pub fn repair(found: &Found, base: Option<&[u8]>, last: bool) -> Result<Repaired, Refusal> {
    let new_file = found.old.is_none() || found.old_id.as_deref().is_some_and(is_none);
    let base = if new_file { Some(&b""[..]) } else { base };
    let file = File { found, base, lines: base.map(lines_of) };
    let mut choices = Vec::new();
    for (at, hunk) in found.hunks.iter().enumerate() {
        choices.push(file.readings(hunk, last && at + 1 == found.hunks.len())?);
    }
    let combined = combinations(&choices).ok_or(Refusal { line: found.at, why: Why::TooMany })?;
    match (&found.new_id, base) {
        (Some(id), Some(_)) => file.proved(&combined, id),
        (None, Some(_)) => file.unproved(&combined, Proof::Fits),
        (_, None) => file.unproved(&combined, Proof::CountsOnly),
    }
}

struct File<'a> {
    found: &'a Found,
    base: Option<&'a [u8]>,
    lines: Option<(Vec<&'a [u8]>, bool)>,
}

impl<'a> File<'a> {
    fn readings(&self, hunk: &FoundHunk, last: bool) -> Result<Vec<Reading>, Refusal> {
        let refuse = |why| Err(Refusal { line: hunk.at, why });
        let base = match &self.lines {
            None => None,
            Some((lines, unfinished)) => {
                let from =
                    if hunk.old.count == 0 { hunk.old.start } else { hunk.old.start.max(1) - 1 };
                let Some(about) = lines.get(from..from + hunk.old.count) else {
                    return refuse(Why::Base {
                        expected: format!("{} lines", lines.len()),
                        found: format!("a hunk of the lines {}", hunk.old),
                    });
                };
                let unfinished = *unfinished && from + hunk.old.count == lines.len();
                Some(Base { lines: about, unfinished })
            }
        };
        let looked = readings(hunk, base, last);
        if looked.cut && looked.all.is_empty() {
            return refuse(Why::TooMany);
        }
        if looked.all.is_empty() {
            let (line, old) = looked.furthest;
            let came = hunk.lines.get(line);
            let found = came.map_or("the end".into(), |it| lossy(&it.text));
            let why = match base.and_then(|base| base.lines.get(old)) {
                Some(expected) => Why::Base { expected: lossy(expected), found },
                None => Why::Counts(format!(
                    "-{} +{}, and {found:?} stands where it fails",
                    hunk.old, hunk.new
                )),
            };
            return Err(Refusal { line: came.map_or(hunk.at, |line| line.number), why });
        }
        Ok(looked.all)
    }

    /// The one reading that makes the blob `id`.
    fn proved(&self, combined: &[Combined], id: &str) -> Result<Repaired, Refusal> {
        let mut tried = HashSet::new();
        let mut seen = HashSet::new();
        let mut is_it = |number: usize, readings: &Combined, added: &Added| {
            if tried.len() == TRIES || !seen.insert((number, added.clone())) {
                return false;
            }
            let after = self.after(readings, added).unwrap_or_default();
            let found = blob_id(&after);
            let same = match is_none(id) {
                true => after.is_empty() && self.found.new.is_none(),
                false => found.starts_with(id),
            };
            tried.insert(found);
            same
        };
        // First what no further change of white space is needed for, then one for all lines alike,
        // then each line in its own way.
        for space in Space::ALL {
            for (at, readings) in combined.iter().enumerate() {
                if space != Space::AsCame && at >= 8 {
                    break;
                }
                for join in JOINS {
                    for cr in [false, true] {
                        let added = added(readings, |line| changed(line, join, space, cr));
                        if is_it(at, readings, &added) {
                            return Ok(self.repaired(readings, &added, Proof::Proved));
                        }
                        if !self.ends_lines_with_cr() {
                            break;
                        }
                    }
                    if !has_joins(readings) {
                        break;
                    }
                }
            }
        }
        for (at, readings) in combined.iter().enumerate().take(2) {
            let choices: Vec<Vec<Vec<u8>>> = added_lines(readings).map(ways).collect();
            let Some(count) = product(choices.iter().map(Vec::len)) else { continue };
            for number in 0..count {
                let added = pick(&choices, number);
                if is_it(at, readings, &added) {
                    return Ok(self.repaired(readings, &added, Proof::Proved));
                }
            }
        }
        let best = added(&combined[0], |line| changed(line, JOINS[0], Space::AsCame, false));
        let best = blob_id(&self.after(&combined[0], &best).unwrap_or_default());
        let why = Why::OtherBlob {
            promised: id.to_owned(),
            best: best[..id.len().min(best.len())].to_owned(),
            tried: tried.len(),
        };
        Err(Refusal { line: self.found.at, why })
    }

    /// The one reading that fits, where no id tells the result.
    fn unproved(&self, combined: &[Combined], proof: Proof) -> Result<Repaired, Refusal> {
        let natural = combined.iter().find(|readings| {
            readings.iter().all(|it| is_natural(it)) && self.ends_clearly(readings)
        });
        let readings = natural.unwrap_or(&combined[0]);
        let made = |readings: &Combined, join, space| {
            let added = added(readings, |line| changed(line, join, space, false));
            self.repaired(readings, &added, proof)
        };
        let one = made(readings, JOINS[0], Space::AsCame);
        let others = combined
            .iter()
            .filter(|_| natural.is_none())
            .map(|readings| made(readings, JOINS[0], Space::AsCame))
            .chain(has_joins(readings).then(|| made(readings, JOINS[1], Space::AsCame)))
            .chain(
                self.lost_tabs(readings)
                    .then(|| Space::ALL.map(|space| made(readings, JOINS[0], space)))
                    .into_iter()
                    .flatten(),
            );
        for other in others {
            if let Some((line, a, b)) = first_difference(self.found, &one.diff, &other.diff) {
                return Err(Refusal { line, why: Why::TwoReadings(a, b) });
            }
        }
        // What is made up of several lines, or began with no sign, is no more than likely.
        if proof == Proof::CountsOnly
            && let Some(line) = readings.iter().flat_map(|it| &it.lines).find(|it| is_doubtful(it))
        {
            let parts: Vec<_> = line.parts.iter().map(|(_, part)| lossy(part)).collect();
            let why = Why::TwoReadings(parts.join(" "), parts.concat());
            return Err(Refusal { line: line.parts[0].0, why });
        }
        Ok(one)
    }

    /// Whether what stands behind the last hunk cannot be a part of its last line.
    fn ends_clearly(&self, readings: &Combined) -> bool {
        let last = self.found.hunks.last().zip(readings.last());
        let next = last.and_then(|(hunk, reading)| hunk.lines.get(reading.taken));
        next.is_none_or(|next| next.text.is_empty() || next.text.trim_ascii_end() == b"--")
    }

    fn ends_lines_with_cr(&self) -> bool {
        self.lines
            .as_ref()
            .is_some_and(|(lines, _)| lines.first().is_some_and(|line| line.ends_with(b"\r")))
    }

    /// Whether the base shows that mail made blanks of tabs.
    fn lost_tabs(&self, readings: &Combined) -> bool {
        let lines = readings.iter().flat_map(|reading| &reading.lines);
        lines.filter_map(|line| Some((line, line.base.as_ref()?))).any(|(line, base)| {
            base.text.contains(&b'\t') && !line.parts.iter().any(|(_, part)| part.contains(&b'\t'))
        })
    }

    /// The file with the change; `None` where there is no base.
    fn after(&self, readings: &Combined, added: &Added) -> Option<Vec<u8>> {
        let (lines, unfinished) = self.lines.as_ref()?;
        let mut after: Vec<(&[u8], bool)> = Vec::new();
        let mut at = 0;
        let mut added = added.iter();
        let base = |at: usize| (lines[at], *unfinished && at + 1 == lines.len());
        for (hunk, reading) in self.found.hunks.iter().zip(readings) {
            let from = if hunk.old.count == 0 { hunk.old.start } else { hunk.old.start.max(1) - 1 };
            if from < at {
                return None;
            }
            after.extend((at..from).map(base));
            at = from;
            for line in &reading.lines {
                match line.sign {
                    Sign::Added => after.push((added.next()?, line.unfinished)),
                    Sign::Context => {
                        after.push(base(at));
                        at += 1;
                    }
                    Sign::Removed => at += 1,
                }
            }
        }
        after.extend((at..lines.len()).map(base));
        Some(text_of(after))
    }

    fn repaired(&self, readings: &Combined, added: &Added, proof: Proof) -> Repaired {
        let mut repairs = self.found.repairs.clone();
        let mut added_texts = added.iter();
        let mut hunks = Vec::new();
        for (hunk, reading) in self.found.hunks.iter().zip(readings) {
            let heading = self.heading(hunk, reading, &mut repairs);
            let lines = reading.lines.iter().map(|line| {
                let sent = match (&line.base, line.sign) {
                    (_, Sign::Added) => HunkLine {
                        sign: line.sign,
                        text: added_texts.next().cloned().unwrap_or_default(),
                        unfinished: line.unfinished,
                    },
                    (Some(base), _) => base.clone(),
                    (None, sign) => {
                        HunkLine { sign, text: joined(line, JOINS[0]), unfinished: line.unfinished }
                    }
                };
                repairs.extend(mended(line, &sent));
                sent
            });
            let lines = lines.collect();
            hunks.push(Hunk { old: hunk.old.clone(), new: hunk.new.clone(), heading, lines });
        }
        repairs.sort_by_key(|repair| repair.line);
        let Found { header, old, new, old_id, new_id, .. } = self.found.clone();
        let after = new.as_ref().and_then(|_| self.after(readings, added));
        let diff = FileDiff { header, old, new, old_id, new_id, hunks };
        Repaired { diff, repairs, proof, after }
    }

    /// The heading, as git would have taken it from the base.
    fn heading(&self, hunk: &FoundHunk, reading: &Reading, repairs: &mut Vec<Repair>) -> Vec<u8> {
        let mut came = hunk.heading.trim_ascii().to_vec();
        for part in &reading.heading {
            came.push(b' ');
            // A line of its own, it may have been escaped as mboxes do it.
            let part = part.trim_ascii();
            let escaped = part.starts_with(b">From ") && self.base.is_some();
            came.extend_from_slice(if escaped { &part[1..] } else { part });
        }
        let wanted = squashed(&came);
        let above = match &self.lines {
            Some((lines, _)) if self.base.is_some() => &lines[..hunk.old.start.min(lines.len())],
            _ => &[],
        };
        let cut = |line: &&[u8]| line[..line.len().min(HEADING)].trim_ascii_end().to_vec();
        let alike: Vec<_> =
            above.iter().rev().map(cut).filter(|cut| squashed(cut) == wanted).collect();
        // Where nobody says otherwise, git takes a line that begins with a letter (def_ff there).
        let usual = |line: &Vec<u8>| {
            line.first().is_some_and(|it| it.is_ascii_alphabetic() || matches!(it, b'_' | b'$'))
        };
        let as_came = alike.iter().find(|line| **line == came);
        let of_base = as_came.or(alike.iter().find(|line| usual(line))).or(alike.first()).cloned();
        let heading = match wanted.is_empty() {
            true => Vec::new(),
            false => of_base.unwrap_or(came),
        };
        if !reading.heading.is_empty() {
            repairs.push(Repair::new(
                hunk.at,
                "the hunk's header, which was wrapped, is one line again",
            ));
        } else if hunk.heading != [&b" "[..], &heading].concat() && !hunk.heading.is_empty() {
            repairs.push(Repair::new(hunk.at, "the blanks of the hunk's header are git's again"));
        }
        heading
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Whether the lines are as they were sent, but for empty ones.
fn is_natural(reading: &Reading) -> bool {
    reading.heading.is_empty() && !reading.lines.iter().any(is_doubtful)
}

fn is_doubtful(line: &ReadLine) -> bool {
    line.parts.len() > 1 || line.lost_blank && !line.parts[0].1.is_empty()
}

/// What was put right in a line.
fn mended(came: &ReadLine, sent: &HunkLine) -> Option<Repair> {
    let (line, first) = &came.parts[0];
    let what = match () {
        () if came.parts.len() > 1 => {
            format!("{} lines are one again, which mail had wrapped", came.parts.len())
        }
        () if came.lost_blank && first.is_empty() && sent.text.is_empty() => {
            "an empty line of context has its blank again".to_owned()
        }
        () if came.lost_blank => "a line of context has the blank again that it began with".into(),
        () if *first == sent.text => return None,
        () if sent.text.contains(&b'\t') && !first.contains(&b'\t') => {
            "blanks are tabs again".to_owned()
        }
        () => "the white space is as it was".to_owned(),
    };
    Some(Repair::new(*line, what))
}

/// The first line in which two diffs differ, and both lines.
fn first_difference(
    found: &Found,
    one: &FileDiff,
    other: &FileDiff,
) -> Option<(usize, String, String)> {
    let hunks = one.hunks.iter().zip(&other.hunks).zip(&found.hunks);
    for ((one, other), found) in hunks {
        let pairs = one.lines.iter().zip(&other.lines).find(|(a, b)| a != b);
        let print =
            |line: &HunkLine| format!("{}{}", char::from(line.sign.byte()), lossy(&line.text));
        if let Some((a, b)) = pairs {
            return Some((found.at, print(a), print(b)));
        }
        if one != other {
            return Some((found.at, lossy(&one.to_bytes()), lossy(&other.to_bytes())));
        }
    }
    None
}
