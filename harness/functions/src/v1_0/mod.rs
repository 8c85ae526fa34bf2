//! QEMU 1.0's functions and their mirror, driven through the same steps.

pub mod case;
pub mod ffi;
pub mod guest;
pub mod making;
pub mod properties;
pub mod rig;
pub mod story;
pub mod unit;

pub use case::{Case, Step};
pub use ffi::Functions;

use crate::lockstep::{Difference, Lockstep, Outcome};
use pcram_mirror::v1_0::{Property, Variant};
use proptest::strategy::Strategy;

/// The functions of one tree, and their mirror.
pub struct Subject {
    /// Whose code it is.
    pub variant: Variant,
    /// The functions, where they are at hand.
    pub functions: Option<Functions>,
}

impl Lockstep for Subject {
    type Case = Case;

    const WATCHED: &'static [Property] = &Property::ALL;

    fn cases() -> impl Strategy<Value = Case> {
        making::cases()
    }

    fn smaller(case: &Case) -> Vec<Case> {
        case.smaller()
    }

    fn tell(&self, case: &Case) -> Vec<String> {
        story::tell(self.variant, case)
    }

    fn run(&mut self, case: &Case, functions: bool) -> Result<Outcome, Difference> {
        rig::run(self.variant, self.functions.as_mut().filter(|_| functions), case)
    }
}
