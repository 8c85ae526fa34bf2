//! The functions of a QEMU tree beside their mirror, call by call.
//!
//! [`extract`] takes functions out of C files as they stand there; [`v1_0`], [`ram`] and [`around`] make a
//! unit of them that compiles alone, call what was compiled, and drive it and the mirror through cases
//! ([`lockstep`]); [`search`] runs many, and makes the one that shows something small. A unit is
//! compiled by whoever has a compiler: this crate only loads what came of it.

pub mod around;
pub mod dirty;
pub mod extract;
pub mod loader;
pub mod lockstep;
pub mod option;
mod pool;
pub mod ram;
pub mod readable;
pub mod search;
pub mod v1_0;
