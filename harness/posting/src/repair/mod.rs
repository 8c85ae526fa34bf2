//! Undoing what mail did to a diff.
//!
//! Nothing is guessed. Which line is what follows from the hunk's own counts and from the text that
//! it changes, the base; the id of the blob after, which the line `index` tells, proves the result.
//! Where two readings fit and nothing decides, both are shown.

mod fit;
mod prove;
mod reading;
mod space;
mod ways;

pub use fit::repair;
pub use prove::blob_id;

use std::fmt;

use crate::diff::FileDiff;

/// Something that was put right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repair {
    /// The number of the line, in the text that was read.
    pub line: usize,
    /// What was put right there.
    pub what: String,
}

impl Repair {
    /// One at `line`.
    pub fn new(line: usize, what: impl Into<String>) -> Repair {
        Repair { line, what: what.into() }
    }
}

/// How far a file's diff is known to be what its author made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// There is no base to hold it against: its counts add up, no more.
    CountsOnly,
    /// It fits the base, and no id tells the result.
    Fits,
    /// It makes, of the blob that it says it was made on, the blob that it says it makes.
    Proved,
}

/// A file's diff as its author made it, as far as `proof` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The diff.
    pub diff: FileDiff,
    /// What was put right, in the order of lines.
    pub repairs: Vec<Repair>,
    /// How far that is known.
    pub proof: Proof,
    /// What the file becomes, where the base is known; `None` where it is removed, too.
    pub after: Option<Vec<u8>>,
}

/// Why a diff is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number of the line that it shows at, in the text that was read.
    pub line: usize,
    /// The reason.
    pub why: Why,
}

/// A reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A header that cannot be read.
    Header(String),
    /// A binary patch.
    Binary,
    /// A path that leads out of the tree.
    LeadsOut(String),
    /// A path in git's own folder.
    GitFolder(String),
    /// A mode of something else than a regular file.
    Mode(String),
    /// No reading of the hunk's lines comes to its counts; the best that was found.
    Counts(String),
    /// No reading of the hunk's lines fits the base: what was wanted there, and what stands there.
    Base {
        /// The base's line.
        expected: String,
        /// The line as it came.
        found: String,
    },
    /// Two readings fit, and nothing tells which one it was.
    TwoReadings(String, String),
    /// What fits does not come to the blob that was promised.
    OtherBlob {
        /// The id that was promised, as far as it was told.
        promised: String,
        /// The id of the most natural reading, as long.
        best: String,
        /// How many results were held against it.
        tried: usize,
    },
    /// There are too many ways to read it.
    TooMany,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Header(text) => write!(f, "this header of a diff cannot be read: {text:?}"),
            Why::Binary => f.write_str("a binary patch, which this tool does not take"),
            Why::LeadsOut(path) => write!(f, "the path {path:?} leads out of the tree"),
            Why::GitFolder(path) => write!(f, "the path {path:?} leads into git's own folder"),
            Why::Mode(mode) => {
                write!(
                    f,
                    "mode {mode}: a patch may touch regular files alone, no links and the like"
                )
            }
            Why::Counts(found) => write!(f, "no reading comes to the hunk's counts: {found}"),
            Why::Base { expected, found } => {
                write!(
                    f,
                    "the base has {expected:?} here, and no reading of {found:?} comes to that"
                )
            }
            Why::TwoReadings(one, other) => write!(
                f,
                "two readings fit, and neither the hunk's counts nor the base nor a blob's id tells \
                 which one was sent:\n  {one}\n  {other}"
            ),
            Why::OtherBlob { promised, best, tried } => write!(
                f,
                "it fits the base, but none of {tried} ways to undo what mail may have done makes the \
                 blob {promised} that its line `index` promises; as it stands it makes {best}"
            ),
            Why::TooMany => f.write_str("there are too many ways to read this"),
        }
    }
}
