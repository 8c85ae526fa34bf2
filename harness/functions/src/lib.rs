//! The functions of a QEMU tree beside their mirror, call by call.
//!
//! [`extract`] takes functions out of C files as they stand there. Each kind of functions ([`kinds`]) has a
//! folder of its own, which makes a unit of them that compiles alone, calls what was compiled, and drives
//! it and the mirror through cases ([`lockstep`]); [`search`] runs many, and makes the one that shows
//! something small. A unit is compiled by whoever has a compiler: this crate only loads what came of it.

pub mod around;
pub mod dirty;
pub mod extract;
pub mod kinds;
pub mod loader;
pub mod lockstep;
pub mod option;
mod pool;
pub mod ram;
pub mod readable;
pub mod search;
pub mod v1_0;
