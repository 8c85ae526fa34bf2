//! Patches of the tests' own making, and what mail does to them.

pub mod damage;
pub mod patch;
