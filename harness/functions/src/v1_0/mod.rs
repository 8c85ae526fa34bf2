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

use crate::extract::ExtractError;
use crate::lockstep::{Difference, Kind, Outcome, Unit};
use pcram_mirror::v1_0::{Property, Variant};

/// The save and load path of QEMU 1.0.
pub enum Migration {}

impl Kind for Migration {
    const NAME: &'static str = "functions";
    const TITLE: &'static str = "the functions";
    const WATCHED: &'static [Property] = &Property::ALL;

    type Tree = Variant;
    type Functions = Functions;
    type Case = Case;
    type Room = ();

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Variant>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(variant: Variant) -> Variant {
        variant
    }

    fn tell(variant: Variant, case: &Case) -> Vec<String> {
        story::tell(variant, case)
    }

    fn run(
        variant: Variant,
        functions: Option<&mut Functions>,
        _: &mut (),
        case: &Case,
    ) -> Result<Outcome, Difference> {
        rig::run(variant, functions, case)
    }
}
