//! The option `-pcram-file` and its mirror, started in the same ways.

pub mod case;
pub mod ffi;
pub mod rig;
pub mod unit;

pub use case::Case;
pub use ffi::Functions;

use crate::extract::ExtractError;
use crate::lockstep::{Difference, Kind, Outcome, Unit};
use pcram_mirror::option::Code;
use pcram_mirror::v1_0::{Property, Variant};
use rig::Rig;

/// The option `-pcram-file`.
pub enum PcramFile {}

impl Kind for PcramFile {
    const NAME: &'static str = "option";
    const TITLE: &'static str = "the option";
    /// No migration begins here.
    const WATCHED: &'static [Property] = &[];

    type Tree = Code;
    type Functions = Functions;
    type Case = Case;
    type Room = Rig;

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Code>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(code: Code) -> Variant {
        if code == Code::Posted { Variant::Posted } else { Variant::Carried }
    }

    fn tell(_: Code, case: &Case) -> Vec<String> {
        case.tell()
    }

    fn run(
        code: Code,
        functions: Option<&mut Functions>,
        rig: &mut Rig,
        case: &Case,
    ) -> Result<Outcome, Difference> {
        rig.run(code, functions, case)
    }
}
