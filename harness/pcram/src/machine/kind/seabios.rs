//! SeaBIOS on its own: a firmware that sets up the board, finds nothing to boot, and says so.

use super::{Kind, Sockets};
use crate::machine::deadline::Deadline;
use crate::machine::wire::Lines;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long SeaBIOS may take. It needs 0.2 s under TCG, and 2.5 s under a KVM that has no hardware
/// under it; a host under load is given more.
const UP: Duration = Duration::from_secs(60);

/// SeaBIOS, from a folder of firmware files (`-L`).
#[derive(Clone, Debug)]
pub struct SeaBios {
    /// The folder that has `bios-256k.bin`, and what else QEMU looks for by name.
    pub firmware: PathBuf,
}

/// SeaBIOS at work, as far as its debug console tells.
pub struct Firmware {
    console: Lines,
    _serial: Lines,
}

impl Kind for SeaBios {
    type Guest = Firmware;

    fn debug_port(&self) -> u16 {
        0x402
    }

    fn args(&self, _: &str, _: &Path) -> Result<Vec<String>> {
        Ok(vec!["-L".into(), self.firmware.display().to_string()])
    }

    fn meet(&self, sockets: Sockets, folder: &Path) -> Result<Firmware> {
        let console = Lines::new(sockets.debug, &folder.join("console.log"), "debug console")?;
        let serial = Lines::new(sockets.serial, &folder.join("serial.log"), "serial port")?;
        Ok(Firmware { console, _serial: serial })
    }
}

impl Firmware {
    /// Waits until SeaBIOS has found that there is nothing to boot: from then on it waits for a
    /// minute, and tries again. Gives the lines that it wrote.
    pub fn ready(&mut self) -> Result<Vec<String>> {
        let deadline = Deadline::after(UP, "SeaBIOS to find no bootable device");
        let mut lines = Vec::new();
        loop {
            let line = self.console.next(&deadline)?;
            let is_up = line.starts_with("No bootable device");
            lines.push(line);
            if is_up {
                return Ok(lines);
            }
        }
    }
}
