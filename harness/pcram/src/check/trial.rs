//! One check under way: the shared bench, the machine that it runs on, and its folder.

use super::board::Board;
use super::provenance::Provenance;
use super::ram_file;
use super::{Bench, NotTried};
use crate::build::beyond::Beyond;
use crate::failure::Exit;
use crate::images::Images;
use crate::machine::binary::Binary;
use crate::machine::launch::Launch;
use crate::machine::offers::Offers;
use crate::machine::{Machine, sockets};
use crate::process::{Ending, run};
use anyhow::{Result, ensure};
use pcram_mirror::address::RamLayout;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What a procedure works with.
pub struct Trial<'a> {
    /// What all checks of a run share.
    pub bench: &'a Bench<'a>,
    /// The machine.
    pub board: Board,
    /// Where the RAM file lies.
    pub place: Place,
    /// The check's own folder.
    pub folder: &'a Path,
}

/// The file system that a RAM file lies on.
#[derive(Debug, Default)]
pub enum Place {
    /// That of the check's own folder.
    #[default]
    Folder,
    /// A tmpfs, in a folder that goes with this value.
    Tmpfs(TempDir),
}

/// The disk that takes snapshots, in a QEMU's folder.
pub const DISK: &str = "disk.qcow2";
/// How long qemu-img may take to create it.
const CREATE: Duration = Duration::from_secs(20);
/// Where Linux has a tmpfs for everybody.
pub const TMPFS: &str = "/dev/shm";
/// What statfs says of a tmpfs (`TMPFS_MAGIC` of linux/magic.h).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Whether there is one here.
pub fn has_tmpfs() -> bool {
    rustix::fs::statfs(TMPFS).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC)
}

impl Place {
    /// A fresh folder on the tmpfs, where there is one ([`has_tmpfs`]).
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn tmpfs() -> Result<Place> {
        let folder = sockets::folder_in(Path::new(TMPFS))?;
        super::leave_nothing_in(folder.path());
        Ok(Place::Tmpfs(folder))
    }
}

impl Trial<'_> {
    /// The patched QEMU.
    pub fn patched(&self) -> &Binary {
        self.bench.patched
    }

    /// The unpatched QEMU.
    ///
    /// # Errors
    /// [`NotTried`] where there is none.
    pub fn stock(&self) -> Result<&Binary> {
        let missing = || NotTried("there is no unpatched QEMU to compare with".into());
        Ok(self.bench.stock.ok_or_else(missing)?)
    }

    /// The qemu-img that makes disks.
    ///
    /// # Errors
    /// [`NotTried`] where there is none.
    pub fn qemu_img(&self) -> Result<&Path> {
        Ok(self.bench.qemu_img.ok_or_else(|| NotTried("there is no qemu-img".into()))?)
    }

    /// Creates a disk for snapshots in `folder`, called [`DISK`], and gives its path.
    ///
    /// # Errors
    /// [`NotTried`] where there is no qemu-img, and where it cannot.
    pub fn create_disk(&self, folder: &Path) -> Result<PathBuf> {
        let mut create = Command::new(self.qemu_img()?);
        create.args(["create", "-f", "qcow2", DISK, "1M"]).current_dir(folder);
        let mut said = String::new();
        let status = run(&mut create, Ending::Kill, CREATE, |line| said.push_str(line))?;
        ensure!(status.success(), "qemu-img cannot create a disk: {said}");
        Ok(folder.join(DISK))
    }

    /// Where the patched QEMU comes from.
    ///
    /// # Errors
    /// [`NotTried`] where somebody else built it.
    pub fn provenance(&self) -> Result<&Provenance<'_>> {
        let missing = || NotTried("the source and the series are not at hand".into());
        Ok(self.bench.provenance.ok_or_else(missing)?)
    }

    /// What was built of the series beyond the pair that is compared.
    ///
    /// # Errors
    /// [`NotTried`] where it was not.
    pub fn beyond(&self) -> Result<&Beyond> {
        let missing = || NotTried("it was not built; `verify --thorough` does".into());
        Ok(self.provenance()?.beyond.as_ref().ok_or_else(missing)?)
    }

    /// Firmware and a kernel for guests.
    ///
    /// # Errors
    /// [`NotTried`] where they are neither in the cache nor to be had.
    pub fn images(&self) -> Result<Images> {
        (self.bench.images)().map_err(|error| match Exit::of(&error) {
            Exit::PrerequisiteMissing => NotTried(format!("{error:#}")).into(),
            _ => error,
        })
    }

    /// The idstr of the block that the file backs.
    pub fn block(&self) -> &str {
        &self.bench.catalogue.block
    }

    /// The machine, with nothing asked for beside it.
    pub fn launch(&self) -> Launch {
        self.board.launch()
    }

    /// The machine's RAM in bytes.
    pub fn ram(&self) -> u64 {
        self.board.ram()
    }

    /// Where that RAM lies, as the mirror foretells it.
    pub fn layout(&self) -> Result<RamLayout> {
        self.layout_of(&self.board)
    }

    /// The same of another machine. What its type is called in full is asked of the QEMU: `pc` is
    /// not what it was.
    pub fn layout_of(&self, board: &Board) -> Result<RamLayout> {
        let offers = Offers::of(&self.bench.reference().path)?;
        let mut board = board.clone();
        board.machine = offers.in_full(&board.machine).to_owned();
        board.layout()
    }

    /// The words that give a QEMU the RAM file at `path`.
    pub fn ram_file_args(&self, path: &Path) -> Vec<String> {
        self.bench.catalogue.ram_file_args(path)
    }

    /// The folder that a RAM file lies in.
    pub fn place(&self) -> &Path {
        match &self.place {
            Place::Folder => self.folder,
            Place::Tmpfs(folder) => folder.path(),
        }
    }

    /// A fresh RAM file.
    pub fn ram_file(&self) -> Result<PathBuf> {
        let path = self.place().join(ram_file::NAME);
        ram_file::create(&path, self.ram())?;
        Ok(path)
    }

    /// Starts the patched QEMU on the RAM file at `path`, and waits until its guest is up.
    pub fn start_patched(&self, path: &Path) -> Result<Machine> {
        let mut launch = self.launch();
        launch.extra.extend(self.ram_file_args(path));
        self.start(self.patched(), &launch)
    }

    /// Starts a QEMU in the check's own folder, and waits until its guest is up and has found the
    /// RAM that is foretold.
    pub fn start(&self, binary: &Binary, launch: &Launch) -> Result<Machine> {
        let mut machine = Machine::start(binary, launch, self.folder)?;
        let (found, foretold) = (machine.guest.ready()?, self.layout()?);
        ensure!(found == foretold, "the guest found {found:?} as its RAM, not {foretold:?}");
        Ok(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_place_on_a_tmpfs_is_there_where_the_host_has_one() {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let there = mounts.lines().any(|line| line.contains(" /dev/shm tmpfs "));
        assert_eq!(has_tmpfs(), there);
        if there {
            let Place::Tmpfs(folder) = Place::tmpfs().unwrap() else {
                panic!("it lies in the check's own folder");
            };
            assert!(folder.path().starts_with(TMPFS));
        }
    }
}
