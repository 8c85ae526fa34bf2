//! What can be wrong with a stream or an image, and where.

use std::{fmt, io};

/// Where in the input something was found or missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A byte offset from the start of the migration stream.
    Stream(u64),
    /// A byte offset in the file of a qcow2 image.
    Image(u64),
}

impl Place {
    /// The byte offset, in whichever input it is.
    pub fn offset(self) -> u64 {
        match self {
            Place::Stream(offset) | Place::Image(offset) => offset,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Stream(offset) => write!(f, "byte {offset:#x} of the stream"),
            Place::Image(offset) => write!(f, "byte {offset:#x} of the qcow2 image"),
        }
    }
}

/// Why a stream or an image could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The input itself failed.
    #[error("{place}: reading failed: {source}")]
    Io {
        /// The first byte that was not read.
        place: Place,
        /// What the input said.
        source: io::Error,
    },
    /// The input ends too early.
    #[error("{place}: expected {expected} ({wanted} bytes), but only {left} bytes are left")]
    Truncated {
        /// Where the missing thing begins.
        place: Place,
        /// What should have stood there.
        expected: String,
        /// How long that is, in bytes.
        wanted: u64,
        /// How many bytes of it there are.
        left: u64,
    },
    /// Something stands there that QEMU would not have written.
    #[error("{place}: expected {expected}, found {found}")]
    Malformed {
        /// Where it stands.
        place: Place,
        /// What should have stood there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// QEMU may have written it, but this crate does not read it.
    #[error("{place}: {what}: this reader does not support it")]
    Unsupported {
        /// Where it stands.
        place: Place,
        /// What it is.
        what: String,
    },
}

impl StreamError {
    pub(crate) fn malformed(
        place: Place,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        StreamError::Malformed { place, expected: expected.into(), found: found.into() }
    }

    pub(crate) fn unsupported(place: Place, what: impl Into<String>) -> Self {
        StreamError::Unsupported { place, what: what.into() }
    }

    /// Where reading stopped.
    pub fn place(&self) -> Place {
        match self {
            StreamError::Io { place, .. }
            | StreamError::Truncated { place, .. }
            | StreamError::Malformed { place, .. }
            | StreamError::Unsupported { place, .. } => *place,
        }
    }
}
