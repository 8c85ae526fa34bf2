//! The ways to read a hunk's lines: which of them is context, goes, comes, or carries on the line
//! before.

use std::collections::HashSet;

use crate::diff::{HunkLine, Sign};
use crate::found::{FoundHunk, Line};

use super::space::squashed;

/// How many readings of one hunk are looked at.
const READINGS: usize = 48;

/// How many lines one line may have been wrapped into.
const PARTS: usize = 12;

/// How many places in a hunk are remembered as leading nowhere, before it is given up.
const DEAD_ENDS: usize = 400_000;

/// One line of a hunk, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReadLine {
    pub sign: Sign,
    /// The parts that it came in, without the sign, and the numbers of their lines.
    pub parts: Vec<(usize, Vec<u8>)>,
    /// Where it is the base's, the base's text.
    pub base: Option<HunkLine>,
    pub unfinished: bool,
    /// Whether the sign, a blank, was not there.
    pub lost_blank: bool,
}

/// One way to read a hunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    /// The parts of the heading that stand on lines of their own.
    pub heading: Vec<Vec<u8>>,
    pub lines: Vec<ReadLine>,
    /// How many of the found lines it takes.
    pub taken: usize,
}

/// What the base has where a hunk begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base<'a> {
    /// The lines that the hunk is about.
    pub lines: &'a [&'a [u8]],
    /// Whether the last of them ends the file without a newline.
    pub unfinished: bool,
}

/// What came of looking.
pub(super) struct Readings {
    pub all: Vec<Reading>,
    /// Whether there may be more of them.
    pub cut: bool,
    /// How far the furthest reading came: the line in the hunk, and the base's line.
    pub furthest: (usize, usize),
}

/// The readings of a hunk that come to its counts and fit the base; the most natural comes first.
/// `last` says that other text may follow.
pub(super) fn readings(hunk: &FoundHunk, base: Option<Base>, last: bool) -> Readings {
    let mut walk = Walk {
        hunk,
        base,
        last,
        lines: Vec::new(),
        heading: Vec::new(),
        dead: HashSet::new(),
        found: Readings { all: Vec::new(), cut: false, furthest: (0, 0) },
    };
    for heading in 0..3 {
        let Some(parts) = hunk.lines.get(..heading) else { break };
        if heading > 0 && hunk.heading.is_empty() {
            break;
        }
        walk.heading = parts.iter().map(|line| line.text.clone()).collect();
        walk.dead.clear();
        walk.on(At { line: heading, old: 0, new: 0 });
    }
    walk.found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct At {
    /// The line in the hunk as it came.
    line: usize,
    /// How many lines of the base are behind.
    old: usize,
    /// How many lines of the result are.
    new: usize,
}

struct Walk<'a> {
    hunk: &'a FoundHunk,
    base: Option<Base<'a>>,
    last: bool,
    lines: Vec<ReadLine>,
    heading: Vec<Vec<u8>>,
    dead: HashSet<At>,
    found: Readings,
}

impl Walk<'_> {
    /// Reads on from `at`; whether any reading was found.
    fn on(&mut self, at: At) -> bool {
        if self.found.cut || self.dead.contains(&at) {
            return false;
        }
        if self.dead.len() > DEAD_ENDS {
            self.found.cut = true;
            return false;
        }
        if at.line > self.found.furthest.0 {
            self.found.furthest = (at.line, at.old);
        }
        if self.marker(at) {
            return self.with_marker(at);
        }
        let mut any = false;
        let full = at.old == self.hunk.old.count && at.new == self.hunk.new.count;
        if full {
            any |= self.end(at);
        }
        if !full && at.line < self.hunk.lines.len() {
            any |= self.steps(at);
        }
        if !any {
            self.dead.insert(at);
        }
        any
    }

    /// A reading ends here, if what follows is not the diff's.
    fn end(&mut self, at: At) -> bool {
        let rest = &self.hunk.lines[at.line..];
        if !self.last && rest.iter().any(|line| !line.text.is_empty()) {
            return false;
        }
        if self.found.all.len() == READINGS {
            self.found.cut = true;
            return false;
        }
        let (heading, lines) = (self.heading.clone(), self.lines.clone());
        self.found.all.push(Reading { heading, lines, taken: at.line });
        true
    }

    fn text(&self, line: usize) -> &[u8] {
        self.hunk.lines.get(line).map(|line| line.text.as_slice()).unwrap_or_default()
    }

    /// Whether git's remark on a missing newline stands here.
    fn marker(&self, at: At) -> bool {
        let open = self.lines.last().is_some_and(|line| !line.unfinished);
        open && self.text(at.line).starts_with(b"\\ No newline at end of")
    }

    fn with_marker(&mut self, at: At) -> bool {
        // Mail may have wrapped the remark.
        let mut line = at.line + 1;
        if self.text(at.line).trim_ascii_end() == b"\\ No newline at end of" {
            line += 1;
        }
        if let Some(last) = self.lines.last_mut() {
            last.unfinished = true;
        }
        let any = self.on(At { line, ..at });
        if let Some(last) = self.lines.last_mut() {
            last.unfinished = false;
        }
        any
    }

    fn steps(&mut self, at: At) -> bool {
        let first = self.text(at.line).first().copied();
        let more_new = at.new < self.hunk.new.count;
        let more_old = at.old < self.hunk.old.count;
        let mut any = false;
        match first {
            Some(b'+') if more_new => any |= self.added(at),
            Some(b'-') if more_old => any |= self.old(at, Sign::Removed, false),
            Some(b' ') | None if more_new && more_old => {
                any |= self.old(at, Sign::Context, first.is_none());
            }
            _ => {}
        }
        // A context line that lost its blank may begin with anything.
        if !matches!(first, Some(b' ') | None) && more_new && more_old {
            any |= self.old(at, Sign::Context, true);
        }
        any
    }

    fn added(&mut self, at: At) -> bool {
        let mut any = false;
        for parts in self.parts(at.line, true) {
            let line = at.line + parts.len();
            let read = ReadLine {
                sign: Sign::Added,
                parts,
                base: None,
                unfinished: false,
                lost_blank: false,
            };
            any |= self.take(read, At { line, new: at.new + 1, ..at });
        }
        any
    }

    /// A line of the base's, which stays or goes.
    fn old(&mut self, at: At, sign: Sign, lost_blank: bool) -> bool {
        let mut any = false;
        let next = |line| match sign {
            Sign::Context => At { line, old: at.old + 1, new: at.new + 1 },
            _ => At { line, old: at.old + 1, ..at },
        };
        let wanted = self.base.map(|base| squashed(base.lines[at.old]));
        for parts in self.parts(at.line, !lost_blank) {
            let line = at.line + parts.len();
            let base = match (&wanted, self.base) {
                (Some(wanted), Some(base)) => {
                    let came: Vec<u8> = parts.iter().flat_map(|(_, part)| squashed(part)).collect();
                    let escaped = lost_blank && came.starts_with(b">From");
                    if came != *wanted && !(escaped && came[1..] == wanted[..]) {
                        if came.len() > wanted.len() + 1 {
                            break;
                        }
                        continue;
                    }
                    let last = base.unfinished && at.old + 1 == base.lines.len();
                    let text = base.lines[at.old].to_vec();
                    Some(HunkLine { sign, text, unfinished: last })
                }
                _ => None,
            };
            let read = ReadLine { sign, parts, base, unfinished: false, lost_blank };
            any |= self.take(read, next(line));
        }
        any
    }

    fn take(&mut self, read: ReadLine, next: At) -> bool {
        self.lines.push(read);
        let any = self.on(next);
        self.lines.pop();
        any
    }

    /// The line `at` as a whole line, then with the next as a part of it, and so on.
    fn parts(&self, at: usize, signed: bool) -> Vec<Vec<(usize, Vec<u8>)>> {
        let lines: &[Line] = &self.hunk.lines[at..];
        let mut parts = Vec::new();
        let mut all = Vec::new();
        for (number, line) in lines.iter().take(PARTS).enumerate() {
            // An empty line carries nothing on.
            if number > 0 && line.text.is_empty() {
                break;
            }
            let text = match number {
                0 if signed => line.text.get(1..).unwrap_or_default(),
                _ => &line.text,
            };
            parts.push((line.number, text.to_vec()));
            all.push(parts.clone());
        }
        all
    }
}
