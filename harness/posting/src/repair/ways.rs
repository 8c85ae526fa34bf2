//! What the added lines of a diff may have been: of each way to read it, with each way to undo what
//! mail did to blanks.

use super::reading::{ReadLine, Reading};
use super::space::Space;
use crate::diff::Sign;

/// How many ways to read a file are told apart at most.
const COMBINED: usize = 6000;

/// Into how many lines that can be read in several ways a search goes one by one.
pub(super) const MIXED: usize = 1024;

/// What may have stood where mail broke a line.
pub(super) const JOINS: [&[u8]; 5] = [b" ", b"", b"  ", b"\t", b"   "];

/// One reading of each hunk.
pub(super) type Combined<'a> = Vec<&'a Reading>;

/// All combinations of one reading of each hunk, the most natural first; `None` where there are too
/// many.
pub(super) fn combinations(choices: &[Vec<Reading>]) -> Option<Vec<Combined<'_>>> {
    let mut all: Vec<Combined> = vec![Vec::new()];
    for choice in choices {
        if all.len() * choice.len() > COMBINED {
            return None;
        }
        all = all
            .iter()
            .flat_map(|so_far| {
                choice.iter().map(move |reading| [so_far.as_slice(), &[reading]].concat())
            })
            .collect();
    }
    Some(all)
}

/// The added lines' texts, in order.
pub(super) type Added = Vec<Vec<u8>>;

pub(super) fn has_joins(readings: &Combined) -> bool {
    added_lines(readings).any(|line| line.parts.len() > 1)
}

pub(super) fn added_lines<'a>(readings: &'a Combined) -> impl Iterator<Item = &'a ReadLine> {
    let lines = readings.iter().flat_map(|reading| &reading.lines);
    lines.filter(|line| line.sign == Sign::Added)
}

pub(super) fn added(readings: &Combined, change: impl Fn(&ReadLine) -> Vec<u8>) -> Added {
    added_lines(readings).map(change).collect()
}

pub(super) fn joined(line: &ReadLine, join: &[u8]) -> Vec<u8> {
    line.parts.iter().map(|(_, part)| part.as_slice()).collect::<Vec<_>>().join(join)
}

pub(super) fn changed(line: &ReadLine, join: &[u8], space: Space, cr: bool) -> Vec<u8> {
    let mut text = space.undone(&joined(line, join));
    if cr {
        text.push(b'\r');
    }
    text
}

/// All that a line may have been.
pub(super) fn ways(line: &ReadLine) -> Vec<Vec<u8>> {
    let joins = if line.parts.len() > 1 { &JOINS[..] } else { &JOINS[..1] };
    let mut ways: Vec<Vec<u8>> = Vec::new();
    for join in joins {
        for space in Space::ALL {
            let way = changed(line, join, space, false);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }
    ways
}

pub(super) fn product(mut counts: impl Iterator<Item = usize>) -> Option<usize> {
    counts.try_fold(1_usize, |product, count| {
        product.checked_mul(count).filter(|&product| product <= MIXED)
    })
}

pub(super) fn pick(choices: &[Vec<Vec<u8>>], mut number: usize) -> Added {
    let mut picked = Vec::with_capacity(choices.len());
    for ways in choices {
        picked.push(ways[number % ways.len()].clone());
        number /= ways.len();
    }
    picked
}
