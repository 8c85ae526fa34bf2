//! Reads patches as mailing lists have them, and undoes what mail did to them.
//!
//! The crate does no I/O. [`letter::read`] takes the bytes of an mbox, a mail, or a page of a
//! patchwork, and gives the letters in it; [`found::find`] finds the diffs in a letter's text; and
//! [`repair::repair`] makes of one file's diff, and the file that it was made on, what its author
//! sent, or says why that cannot be told.

pub mod diff;
pub mod found;
pub mod letter;
mod page;
pub mod repair;
pub mod series;

pub use repair::blob_id;
