//! What it is to drive a tree's functions and their mirror through the same steps.

use pcram_mirror::v1_0::Property;
use proptest::strategy::Strategy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use thiserror::Error;

/// Functions, or none, and their mirror.
pub trait Lockstep {
    /// What they are driven through.
    type Case: Clone + Debug + Serialize + DeserializeOwned;

    /// The properties that are watched.
    const WATCHED: &'static [Property];

    /// Cases of all kinds.
    fn cases() -> impl Strategy<Value = Self::Case>;

    /// A case with one thing less, in every way.
    fn smaller(case: &Self::Case) -> Vec<Self::Case>;

    /// The case in words, a line each.
    fn tell(&self, case: &Self::Case) -> Vec<String>;

    /// Drives both through a case; where the functions are not at hand, or not wanted, the mirror
    /// alone.
    ///
    /// # Errors
    ///
    /// Where the two sides differ.
    fn run(&mut self, case: &Self::Case, functions: bool) -> Result<Outcome, Difference>;
}

/// The functions and the mirror differ.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("step {}: {what}: the C has {c}, the mirror {mirror}", step + 1)]
pub struct Difference {
    /// The index of the step.
    pub step: usize,
    /// In what.
    pub what: &'static str,
    /// What the C has.
    pub c: String,
    /// What the mirror has.
    pub mirror: String,
}

/// Characters of what each side has that are told.
const TOLD: usize = 600;

/// Nothing, where both sides have the same.
///
/// # Errors
///
/// Where they do not.
pub(crate) fn same<T: PartialEq + Debug>(
    step: usize,
    what: &'static str,
    c: &T,
    mirror: &T,
) -> Result<(), Difference> {
    if c == mirror {
        return Ok(());
    }
    let told = |it: &T| format!("{it:?}").chars().take(TOLD).collect();
    Err(Difference { step, what, c: told(c), mirror: told(mirror) })
}

/// What came of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Calls that were made on each side.
    pub calls: u64,
    /// How often the loop that sends a page was called, by these or by what they call.
    pub loops: u64,
    /// The step at which the C would do what it does not define, or ends QEMU, and what that is; the
    /// case ends there.
    pub ended: Option<(usize, String)>,
    /// Properties that were broken, each once, in the order of the steps.
    pub broken: Vec<Broken>,
}

/// A property that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub property: Property,
    /// The index of the step at which it showed.
    pub step: usize,
    /// What was seen.
    pub seen: String,
}
