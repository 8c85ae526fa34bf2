//! The save loop of migration/ram.c and its mirror, driven through the same steps.

pub mod case;
pub mod ffi;
pub mod rig;
pub mod unit;

pub use case::{Case, Step};
pub use ffi::Functions;

use crate::extract::ExtractError;
use crate::lockstep::{Difference, Kind, Outcome, Unit};
use pcram_mirror::ram::Tree;
use pcram_mirror::v1_0::{Property, Variant};

/// The save loop of migration/ram.c.
pub enum Loop {}

impl Kind for Loop {
    const NAME: &'static str = "functions";
    const TITLE: &'static str = "the functions";
    /// Where a page lies in its block is not asked: the bitmap has no bit for any other.
    const WATCHED: &'static [Property] =
        &[Property::LeftOut, Property::Complete, Property::Ends, Property::Accounting];

    type Tree = Tree;
    type Functions = Functions;
    type Case = Case;
    type Room = ();

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Tree>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(tree: Tree) -> Variant {
        if tree.external { Variant::Carried } else { Variant::Stock }
    }

    fn tell(_: Tree, case: &Case) -> Vec<String> {
        case.tell()
    }

    fn run(
        tree: Tree,
        functions: Option<&mut Functions>,
        _: &mut (),
        case: &Case,
    ) -> Result<Outcome, Difference> {
        rig::run(tree, functions, case)
    }
}
