//! From trees to binaries.

pub mod packages;
