//! What is done with RAM blocks around the save loop and its mirror, driven through the same steps.

pub mod case;
pub mod ffi;
mod file;
mod header;
mod memory;
pub mod rig;
pub mod sent;
pub mod story;
mod strategy;
pub mod stream;
pub mod unit;
mod view;

pub use case::{Case, Step};
pub use ffi::Functions;

use crate::extract::ExtractError;
use crate::lockstep::{Difference, Kind, Outcome, Unit};
use pcram_mirror::around::Tree;
use pcram_mirror::v1_0::{Property, Variant};

/// What migration does with RAM blocks around the save loop.
pub enum Around {}

impl Kind for Around {
    const NAME: &'static str = "around";
    const TITLE: &'static str = "what is around the save loop";
    const WATCHED: &'static [Property] = &[Property::LeftOut];

    type Tree = Tree;
    type Functions = Functions;
    type Case = Case;
    type Room = ();

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Tree>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(tree: Tree) -> Variant {
        if tree.ram.external { Variant::Carried } else { Variant::Stock }
    }

    fn tell(_: Tree, case: &Case) -> Vec<String> {
        story::tell(case)
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
