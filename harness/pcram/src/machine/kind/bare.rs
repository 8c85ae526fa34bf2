//! The bare guest: its own firmware, for most checks. guest-images/README.md describes it.

use super::{Kind, Sockets};
use crate::machine::guest::Guest;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Its image, in the run folder.
pub const ROM: &str = "bare.bin";

/// The bare guest.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Kind for Bare {
    type Guest = Guest;

    fn debug_port(&self) -> u16 {
        0xe9
    }

    fn args(&self, machine: &str, folder: &Path) -> Result<Vec<String>> {
        let rom = folder.join(ROM);
        fs::write(&rom, pcram_guests::BARE)
            .with_context(|| format!("cannot write {}", rom.display()))?;
        // With a slash in it, a QEMU of 2011 takes it as a path.
        let mut args = vec!["-bios".to_owned(), format!("./{ROM}")];
        if machine == "isapc" {
            // Its own CPU, a 486, has no long mode.
            args.extend(["-cpu", "qemu64"].map(str::to_owned));
        }
        Ok(args)
    }

    fn meet(&self, sockets: Sockets, folder: &Path) -> Result<Guest> {
        Guest::new(sockets.debug, sockets.serial, &folder.join("console.log"))
    }
}
