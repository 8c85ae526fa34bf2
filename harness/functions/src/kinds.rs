//! Every kind of functions, by what it is called in files.

use serde::{Deserialize, Serialize};

/// A [`Kind`](crate::lockstep::Kind), where which one is known only as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Of {
    /// The save and load path of QEMU 1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// The save loop of migration/ram.c.
    #[serde(rename = "migration/ram.c")]
    Ram,
    /// What migration does with RAM blocks around the save loop.
    #[serde(rename = "around")]
    Around,
    /// What writes into RAM at a reset.
    #[serde(rename = "loader")]
    Loader,
    /// What takes over the pages that a guest has written.
    #[serde(rename = "dirty")]
    Dirty,
    /// The option `-pcram-file`.
    #[serde(rename = "option")]
    Option,
}

impl Of {
    /// All of them; a loop that saves pages comes first.
    pub const ALL: [Of; 6] = [Of::V1_0, Of::Ram, Of::Around, Of::Loader, Of::Dirty, Of::Option];
}

/// Does something with the kind that an [`Of`] is: `with_kind!(of, K => K::NAME)`.
#[macro_export]
macro_rules! with_kind {
    ($of:expr, $kind:ident => $does:expr) => {
        match $of {
            $crate::kinds::Of::V1_0 => {
                type $kind = $crate::v1_0::Migration;
                $does
            }
            $crate::kinds::Of::Ram => {
                type $kind = $crate::ram::Loop;
                $does
            }
            $crate::kinds::Of::Around => {
                type $kind = $crate::around::Around;
                $does
            }
            $crate::kinds::Of::Loader => {
                type $kind = $crate::loader::Resets;
                $does
            }
            $crate::kinds::Of::Dirty => {
                type $kind = $crate::dirty::Sync;
                $does
            }
            $crate::kinds::Of::Option => {
                type $kind = $crate::option::PcramFile;
                $does
            }
        }
    };
}
