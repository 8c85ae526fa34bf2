//! What is done with RAM blocks around the save loop and its mirror, driven through the same steps.

pub mod case;
pub mod ffi;
mod memory;
pub mod rig;
pub mod story;
mod strategy;
pub mod stream;
pub mod unit;
mod view;

pub use case::{Case, Step};
pub use ffi::Functions;

use crate::lockstep::{Difference, Lockstep, Outcome};
use pcram_mirror::around::Tree;
use pcram_mirror::v1_0::Property;
use proptest::strategy::Strategy;

/// The functions of one tree, and their mirror.
pub struct Subject {
    /// What the tree has.
    pub tree: Tree,
    /// The functions, where they are at hand.
    pub functions: Option<Functions>,
}

impl Lockstep for Subject {
    type Case = Case;

    const WATCHED: &'static [Property] = &[Property::LeftOut];

    fn cases() -> impl Strategy<Value = Case> {
        strategy::cases()
    }

    fn smaller(case: &Case) -> Vec<Case> {
        case.smaller()
    }

    fn tell(&self, case: &Case) -> Vec<String> {
        story::tell(case)
    }

    fn run(&mut self, case: &Case, functions: bool) -> Result<Outcome, Difference> {
        rig::run(self.tree, self.functions.as_mut().filter(|_| functions), case)
    }
}
