//! pcram: carries an out-of-tree patch series for QEMU and proves what it does.
//!
//! The way of one run: [`source`] (a QEMU tree) → [`series`] (the patched tree) → [`build`]
//! (stock and patched binaries) → [`machine`] (a running QEMU) → [`check`] (rows of evidence)
//! → [`report`]. Every step speaks through one stream of typed [`event`]s.

pub mod build;
pub mod cache;
pub mod check;
pub mod command;
pub mod event;
pub mod failure;
pub mod functions;
pub mod images;
pub mod machine;
pub mod posting;
pub mod process;
pub mod report;
pub mod series;
pub mod source;
