//! QEMU 1.0's functions and their mirror, driven through the same steps.

pub mod case;
pub mod ffi;
pub mod guest;
pub mod lockstep;
pub mod properties;
pub mod search;
pub mod story;

pub use case::{Case, Step};
pub use ffi::Functions;
pub use lockstep::{Difference, Outcome, run};
