//! The option `-pcram-file` and its mirror, started in the same ways.

pub mod case;
pub mod ffi;
mod rig;
pub mod unit;

pub use case::Case;
pub use ffi::Functions;

use crate::lockstep::{Difference, Lockstep, Outcome};
use pcram_mirror::option::Code;
use pcram_mirror::v1_0::Property;
use proptest::strategy::Strategy;
use rig::Rig;

/// The functions of one tree, and their mirror.
pub struct Subject {
    code: Code,
    functions: Option<Functions>,
    rig: Rig,
}

impl Subject {
    /// The functions, where they are at hand, beside their mirror.
    ///
    /// # Errors
    ///
    /// Where there is no room for the files of a case.
    pub fn new(code: Code, functions: Option<Functions>) -> std::io::Result<Subject> {
        Ok(Subject { code, functions, rig: Rig::new()? })
    }
}

impl Lockstep for Subject {
    type Case = Case;

    /// No migration begins here.
    const WATCHED: &'static [Property] = &[];

    fn cases() -> impl Strategy<Value = Case> {
        case::cases()
    }

    fn smaller(case: &Case) -> Vec<Case> {
        case.smaller()
    }

    fn tell(&self, case: &Case) -> Vec<String> {
        case.tell()
    }

    fn run(&mut self, case: &Case, functions: bool) -> Result<Outcome, Difference> {
        self.rig.run(self.code, self.functions.as_mut().filter(|_| functions), case)
    }
}
