//! What it is to drive a tree's functions and their mirror through the same steps; and what functions of a
//! kind have to offer for it.

use crate::extract::ExtractError;
use pcram_mirror::v1_0::{Property, Variant};
use proptest::strategy::Strategy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Bytes that a stream may have: many times what the largest case writes.
pub(crate) const STREAM: usize = 8 << 20;

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

/// Functions that belong together in QEMU, and are taken out of its trees together.
pub trait Kind {
    /// What they are called, in a word.
    const NAME: &'static str;
    /// The same, as it is told.
    const TITLE: &'static str;
    /// The properties that are watched.
    const WATCHED: &'static [Property];

    /// What the mirror has to know of the tree that they come from.
    type Tree: Copy + Debug + Serialize + DeserializeOwned;
    /// The functions, compiled and loaded.
    type Functions: Load;
    /// What they are driven through.
    type Case: Case;
    /// What both sides need beside it, and what goes from case to case.
    type Room: Room;

    /// Those of a tree; `file` gives what a file has, where the tree has it. None where the tree has
    /// functions of other kinds.
    ///
    /// # Errors
    ///
    /// Where a function is not found, or where the parser was not sure of it.
    fn unit(
        file: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Unit<Self::Tree>>, ExtractError>;

    /// Whose code it is.
    fn variant(tree: Self::Tree) -> Variant;

    /// The case in words, a line each.
    fn tell(tree: Self::Tree, case: &Self::Case) -> Vec<String>;

    /// Drives both through a case.
    ///
    /// # Errors
    ///
    /// Where the two sides differ.
    fn run(
        tree: Self::Tree,
        functions: Option<&mut Self::Functions>,
        room: &mut Self::Room,
        case: &Self::Case,
    ) -> Result<Outcome, Difference>;
}

/// What functions are driven through.
pub trait Case: Clone + Debug + Serialize + DeserializeOwned {
    /// Cases of all kinds.
    fn cases() -> impl Strategy<Value = Self>;

    /// Whether it is one that can be run, from wherever it comes.
    ///
    /// # Errors
    ///
    /// Why it is none.
    fn check(&self) -> Result<(), &'static str>;

    /// The case with one thing less, or simpler, in every way.
    fn smaller(&self) -> Vec<Self>;
}

/// Copies of a case, each with one change.
pub(crate) struct Changes<'a, C> {
    of: &'a C,
    all: Vec<C>,
}

impl<'a, C: Clone + PartialEq> Changes<'a, C> {
    pub(crate) fn of(case: &'a C) -> Changes<'a, C> {
        Changes { of: case, all: Vec::new() }
    }

    /// One more, where the change makes it another case.
    pub(crate) fn add(&mut self, change: impl Fn(&mut C)) {
        let mut changed = self.of.clone();
        change(&mut changed);
        if changed != *self.of {
            self.all.push(changed);
        }
    }

    pub(crate) fn all(self) -> Vec<C> {
        self.all
    }
}

/// Functions that were compiled.
pub trait Load: Sized {
    /// Loads the shared object that came of a unit.
    ///
    /// # Errors
    ///
    /// Where it cannot be loaded, or lacks a function.
    fn load(object: &Path) -> Result<Self, libloading::Error>;
}

/// What goes from case to case.
pub trait Room: Sized {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// Where the host has no room.
    fn new() -> io::Result<Self>;
}

impl Room for () {
    fn new() -> io::Result<()> {
        Ok(())
    }
}

/// C of a tree that compiles alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit<T> {
    /// What the tree has.
    pub tree: T,
    /// The text.
    pub text: String,
}

/// The functions of one tree, and their mirror.
pub struct Subject<K: Kind> {
    tree: K::Tree,
    functions: Option<K::Functions>,
    room: K::Room,
}

impl<K: Kind> Subject<K> {
    /// The functions, where they are at hand, beside their mirror.
    ///
    /// # Errors
    ///
    /// Where there is no room for cases.
    pub fn new(tree: K::Tree, functions: Option<K::Functions>) -> io::Result<Subject<K>> {
        Ok(Subject { tree, functions, room: K::Room::new()? })
    }
}

impl<K: Kind> Lockstep for Subject<K> {
    type Case = K::Case;

    const WATCHED: &'static [Property] = K::WATCHED;

    fn cases() -> impl Strategy<Value = K::Case> {
        K::Case::cases()
    }

    fn smaller(case: &K::Case) -> Vec<K::Case> {
        case.smaller()
    }

    fn tell(&self, case: &K::Case) -> Vec<String> {
        K::tell(self.tree, case)
    }

    fn run(&mut self, case: &K::Case, functions: bool) -> Result<Outcome, Difference> {
        let functions = self.functions.as_mut().filter(|_| functions);
        K::run(self.tree, functions, &mut self.room, case)
    }
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
