//! The kinds of guests: each says how it is booted, and who then speaks with it.

pub mod bare;
pub mod linux;
pub mod seabios;

use anyhow::Result;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A kind of guest.
pub trait Kind {
    /// Who speaks with it.
    type Guest;

    /// The I/O port at which it has its debug console.
    fn debug_port(&self) -> u16;

    /// The words that have a machine of the type `machine` boot it. QEMU will run in `folder`,
    /// where this may leave files for it.
    fn args(&self, machine: &str, folder: &Path) -> Result<Vec<String>>;

    /// Whoever speaks with it, over these sockets; logs go to `folder`.
    fn meet(&self, sockets: Sockets, folder: &Path) -> Result<Self::Guest>;
}

/// The two sockets between a guest and this process.
pub struct Sockets {
    /// What the guest writes to its debug console can be read here.
    pub debug: UnixStream,
    /// Its serial port, both ways.
    pub serial: UnixStream,
}
