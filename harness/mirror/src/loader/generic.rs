//! The device `loader` of hw/core/generic-loader.c: what a reset writes of it.

use super::{Comes, Did, Ends, Handler, Machine};

/// What the device writes (`GenericLoaderState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericLoader {
    /// Its guest-physical address.
    pub addr: u64,
    /// How many bytes, 8 at most.
    pub data_len: u8,
    /// Whether the processor begins there.
    pub set_pc: bool,
}

impl Machine {
    /// Has resets write what a device has.
    pub fn add_loader(&mut self, loader: GenericLoader) {
        self.handlers.push((Handler::Loader(loader), false));
    }

    /// Resets the device (`generic_loader_reset`).
    pub(super) fn generic_loader_reset(
        &mut self,
        loader: GenericLoader,
        comes: Comes,
    ) -> Result<(), Ends> {
        if loader.set_pc {
            self.did.push(Did::Begin(loader.addr));
        }
        if loader.data_len > 0 && !(self.tree.waits && comes != Comes::Nothing) {
            if self.tree.refuses_eight && loader.data_len == 8 {
                return Err(Ends::Asserts);
            }
            self.did.push(Did::Write(loader.addr, loader.data_len.into()));
        }
        Ok(())
    }
}
