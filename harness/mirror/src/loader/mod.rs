//! Who writes into RAM when a machine is reset, in 5.2 and later: a [`Machine`], whose handlers run in the
//! order in which they were registered, as hw/core/reset.c has them. [`rom`] has the images of
//! hw/core/loader.c, [`generic`] the device of hw/core/generic-loader.c, [`snapshot`] who loads a snapshot.

pub mod generic;
pub mod rom;
pub mod snapshot;

pub use generic::{CPU_NONE, FILE, File, Format, GenericLoader, Options};
pub use rom::{Region, Rom};
pub use snapshot::{Call, Disk, Incoming, Start};

use serde::{Deserialize, Serialize};

/// What a tree has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Nothing but ROM is written where state is yet to come: the series.
    pub waits: bool,
    /// A reset within loadvm leaves images and devices out: the series (7.2 and later).
    pub left_out: bool,
    /// What an image does not fill is zeroed (7.2 and later).
    pub fills: bool,
    /// All overlaps of images are told, and not the first alone (7.2 and later).
    pub tells_all: bool,
    /// The device does not take the eight bytes for which it has room (5.2).
    pub refuses_eight: bool,
    /// It says why a file was not loaded (10.2).
    pub tells_why: bool,
    /// QEMU's start ends with `qmp_x_exit_preconfig` (7.2 and later).
    pub starts: bool,
    /// That asks whether the machine could be made (10.0 and later).
    pub may_fail: bool,
    /// It resumes the guest of a snapshot (10.0 and later).
    pub resumes: bool,
}

/// A reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// A migration is yet to come (`RUN_STATE_INMIGRATE`).
    pub incoming: bool,
    /// It is within loadvm (`SHUTDOWN_CAUSE_SNAPSHOT_LOAD`, from 9.1 on `RESET_TYPE_SNAPSHOT_LOAD`).
    pub within_loadvm: bool,
}

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// So many bytes of an image go to an address.
    Write(u64, u64),
    /// So many are zeroed there.
    Zero(u64, u64),
    /// What was translated of so many is forgotten.
    Flush(u64, u64),
    /// A processor is reset, and begins at an address.
    Begin(u32, u64),
    /// By a processor's address space, bytes go to an address.
    Store {
        /// Which processor.
        cpu: u32,
        /// The address.
        addr: u64,
        /// How many bytes.
        length: u64,
        /// The bytes, the first lowest.
        data: u64,
    },
    /// A file is tried.
    Load {
        /// As what.
        format: Format,
        /// By which processor's address space.
        cpu: Option<u32>,
        /// To where, if that is not up to the file.
        addr: u64,
        /// The most bytes, likewise.
        most: u64,
    },
    /// A function is called.
    Call(Call),
}

/// What a reset calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handler {
    Roms,
    /// The index of a device.
    Loader(usize),
}

/// A machine, as far as resets write into its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What its tree has.
    pub tree: Tree,
    /// The images, in the order of the list (`roms`).
    pub roms: Vec<Rom>,
    /// The images were checked (`roms_loaded`).
    pub roms_loaded: bool,
    /// The memory of their regions.
    pub memory: Vec<u8>,
    /// How many processors it has.
    pub cpus: u32,
    /// How much RAM.
    pub ram_size: u64,
    /// A snapshot is yet to be loaded (vl.c `qemu_loadvm_is_pending`, in 5.2 migration/savevm.c
    /// `load_snapshot_is_pending`).
    pub pending: bool,
    /// The machine was made (`PHASE_MACHINE_INITIALIZED`).
    pub initialized: bool,
    /// What was done.
    pub did: Vec<Did>,
    /// What was said.
    pub said: String,
    /// Each with whether a reset within loadvm leaves it out.
    handlers: Vec<(Handler, bool)>,
    loaders: Vec<GenericLoader>,
}

/// Where QEMU ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ends {
    /// The C asserts that the device writes fewer bytes than it has.
    #[error("QEMU aborts: the loader asserts that it has fewer than eight bytes")]
    Asserts,
    /// Nobody took back the reset of a device that was refused, and whose memory was given back.
    #[error("a loader that was refused is reset, and is gone")]
    Gone,
    /// A device is to write by the address space of a processor, and there is none. One that waits would
    /// not ask for it.
    #[error("a loader that has no processor is reset")]
    NoProcessor,
    /// A migration cannot be waited for.
    #[error("QEMU exits: no migration can come")]
    Exits,
}

impl Machine {
    /// One of which nothing was checked, and that does nothing when it is reset.
    pub fn new(tree: Tree, roms: Vec<Rom>, memory: Vec<u8>, cpus: u32, ram_size: u64) -> Machine {
        Machine { tree, roms, memory, cpus, ram_size, ..Machine::default() }
    }

    /// Announces a snapshot, as `-loadvm` does (in 5.2 migration/savevm.c `load_snapshot_announce`: the
    /// series).
    pub fn announce(&mut self) {
        self.pending = self.tree.starts || self.tree.waits;
    }

    /// Resets the machine: each handler, unless it is to be left out (hw/core/reset.c
    /// `qemu_devices_reset`, from 9.1 on by `legacy_reset_hold`).
    ///
    /// # Errors
    ///
    /// Where QEMU ends.
    pub fn qemu_devices_reset(&mut self, reset: Reset) -> Result<(), Ends> {
        for (handler, left_out) in self.handlers.clone() {
            if reset.within_loadvm && left_out {
                continue;
            }
            match handler {
                Handler::Roms => self.rom_reset(reset.incoming),
                Handler::Loader(at) => self.generic_loader_reset(at, reset.incoming)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
