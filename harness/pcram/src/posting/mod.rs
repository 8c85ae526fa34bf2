//! A mailing-list posting: read from a file, mended against the blobs that it was made on, and its
//! base guessed.

pub mod base;
pub mod claims;
mod date;
mod input;
mod mend;
pub mod trials;
mod write;

pub use input::{Input, posted, read};
pub use mend::{Mended, MendedPatch, mend};
pub use write::write;
