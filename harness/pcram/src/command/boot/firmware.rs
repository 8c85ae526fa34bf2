//! What a booted machine begins with: SeaBIOS where there is one, else the bare guest.

use crate::machine::binary::Binary;
use anyhow::{Context, Result};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// SeaBIOS, as the PC machine types want it since QEMU 1.7.
const SEABIOS: &str = "bios-256k.bin";
/// Where distributions and `make install` put it.
const PLACES: [&str; 4] =
    ["/usr/share/seabios", "/usr/share/qemu", "/usr/share/qemu-kvm", "/usr/local/share/qemu"];

/// A machine's firmware.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Firmware {
    /// SeaBIOS and its like.
    SeaBios {
        /// The folder that has it.
        folder: PathBuf,
        /// Whether QEMU looks there by itself.
        found_by_qemu: bool,
    },
    /// The guest of the checks, in a file.
    Bare(PathBuf),
}

impl Firmware {
    /// The SeaBIOS that `qemu` finds by itself, else that of a package, else the one in `kept`.
    pub(super) fn seabios(qemu: &Binary, kept: Option<PathBuf>) -> Result<Option<Firmware>> {
        let places: Vec<_> = PLACES.map(PathBuf::from).into_iter().chain(kept).collect();
        Ok(find(&own_folders(&qemu.path)?, &places))
    }

    /// The bare guest, written into `folder`.
    pub(super) fn bare(folder: &Path) -> Result<Firmware> {
        let path = folder.join("bare.bin");
        fs::write(&path, pcram_guests::BARE)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Firmware::Bare(path))
    }

    /// The words for QEMU: the firmware, and the user's terminal where it speaks. SeaBIOS finds
    /// the serial port by itself; the bare guest reports to the debug port and reads the serial
    /// one.
    pub(super) fn args(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Firmware::SeaBios { found_by_qemu: true, .. } => words(&["-serial", "mon:stdio"]),
            Firmware::SeaBios { folder, .. } => {
                words(&["-L", &folder.to_string_lossy(), "-serial", "mon:stdio"])
            }
            Firmware::Bare(path) => {
                let terminal = "stdio,id=terminal,mux=on,signal=off";
                let debug = "isa-debugcon,iobase=0xe9,chardev=terminal";
                let serial = "isa-serial,chardev=terminal";
                let begin = words(&["-bios", &path.to_string_lossy(), "-chardev", terminal]);
                let monitor = words(&["-mon", "chardev=terminal"]);
                let ports: Vec<_> = words(&["-device", debug, "-device", serial]);
                [begin, monitor, ports].concat()
            }
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Firmware::SeaBios { folder, .. } => write!(f, "SeaBIOS of {}", folder.display()),
            Firmware::Bare(_) => write!(
                f,
                "the bare guest of the checks, which takes commands (try `p`; \
                 guest-images/README.md has them all); SeaBIOS is in Debian's package seabios"
            ),
        }
    }
}

/// Where `qemu` itself looks for firmware. A QEMU that does not know the question tells nothing.
fn own_folders(qemu: &Path) -> Result<Vec<PathBuf>> {
    let asked = Command::new(qemu).args(["-L", "help"]).output();
    let asked = asked.with_context(|| format!("cannot start {}", qemu.display()))?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    Ok(if asked.status.success() { said.lines().map(PathBuf::from).collect() } else { Vec::new() })
}

fn find(own: &[PathBuf], places: &[PathBuf]) -> Option<Firmware> {
    let has = |folder: &&PathBuf| folder.join(SEABIOS).is_file();
    let found = |folder: &PathBuf, found_by_qemu| Firmware::SeaBios {
        folder: folder.clone(),
        found_by_qemu,
    };
    let by_itself = own.iter().find(has).map(|folder| found(folder, true));
    by_itself.or_else(|| places.iter().find(has).map(|folder| found(folder, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemus_own_firmware_comes_before_a_packages() {
        let [own, package, empty] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [own, package, empty] = [&own, &package, &empty].map(|it| it.path().to_owned());
        let places = [empty.clone(), package.clone()];
        let owns = [own.clone()];
        assert_eq!(find(&owns, &places), None);
        fs::write(package.join(SEABIOS), "").unwrap();
        let packages = find(&owns, &places).unwrap();
        assert_eq!(packages.args()[..2], ["-L", package.to_str().unwrap()]);
        fs::write(own.join(SEABIOS), "").unwrap();
        let owns = find(&[empty, own.clone()], &places).unwrap();
        assert_eq!(owns, Firmware::SeaBios { folder: own, found_by_qemu: true });
        assert_eq!(owns.args(), ["-serial", "mon:stdio"]);
    }
}
