//! What writes into RAM at a reset and its mirror, driven through the same steps.

pub mod case;
pub mod ffi;
pub mod rig;
pub mod unit;

pub use case::{Case, Step};
pub use ffi::Functions;

use crate::extract::ExtractError;
use crate::lockstep::{Difference, Kind, Outcome, Unit};
use pcram_mirror::loader::Tree;
use pcram_mirror::v1_0::{Property, Variant};

/// What writes into RAM at a reset.
pub enum Resets {}

impl Kind for Resets {
    const NAME: &'static str = "loader";
    const TITLE: &'static str = "what a reset writes";
    /// No migration begins here.
    const WATCHED: &'static [Property] = &[];

    type Tree = Tree;
    type Functions = Functions;
    type Case = Case;
    type Room = ();

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Tree>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(tree: Tree) -> Variant {
        if tree.waits { Variant::Carried } else { Variant::Stock }
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
