//! One of the two parties to a migration or a snapshot: a QEMU, with or without a RAM file.

use super::ram_file;
pub use super::trial::DISK;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::binary::Binary;
use crate::machine::launch::Launch;
use anyhow::{Context, Result, ensure};
use pcram_mirror::address::RamLayout;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of the internal snapshot.
pub const SNAPSHOT: &str = "pcram";

/// Which QEMU, and on what RAM.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The patched QEMU on a RAM file.
    With,
    /// The patched QEMU without one.
    Without,
    /// The unpatched QEMU.
    Stock,
}

/// One party, in a folder of its own.
pub struct Party<'a> {
    trial: &'a Trial<'a>,
    side: Side,
    ram_mib: u64,
    args: Vec<String>,
    /// Where it runs, and what it leaves.
    pub folder: PathBuf,
    /// Its RAM file, where it has one.
    pub ram_file: Option<PathBuf>,
}

impl<'a> Party<'a> {
    /// A party called `name`, with so many MiB of RAM; with a fresh RAM file where its side has one.
    pub fn new(trial: &'a Trial, side: Side, name: &str, ram_mib: u64) -> Result<Party<'a>> {
        let mut party = Party::bare(trial, side, name, ram_mib)?;
        if side == Side::With {
            let path = party.folder.join(ram_file::NAME);
            ram_file::create(&path, ram_mib << 20)?;
            party.ram_file = Some(path);
        }
        Ok(party)
    }

    /// The patched QEMU, called `name`, on a RAM file that somebody else made.
    pub fn on(trial: &'a Trial, ram_file: PathBuf, name: &str) -> Result<Party<'a>> {
        let ram_file = Some(ram_file);
        Ok(Party { ram_file, ..Party::bare(trial, Side::With, name, trial.board.ram_mib)? })
    }

    fn bare(trial: &'a Trial, side: Side, name: &str, ram_mib: u64) -> Result<Party<'a>> {
        let folder = trial.folder.join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Party { trial, side, ram_mib, args: Vec::new(), folder, ram_file: None })
    }

    /// The same, started with these words every time.
    pub fn with(mut self, args: &[String]) -> Party<'a> {
        self.args.extend_from_slice(args);
        self
    }

    /// The QEMU.
    pub fn binary(&self) -> Result<&Binary> {
        match self.side {
            Side::With | Side::Without => Ok(self.trial.patched()),
            Side::Stock => self.trial.stock(),
        }
    }

    /// Where its RAM lies.
    pub fn layout(&self) -> Result<RamLayout> {
        self.trial.layout_of(&self.trial.board.with_ram(self.ram_mib))
    }

    /// Its machine, and `extra` words beside it.
    pub fn launch(&self, extra: &[&str]) -> Launch {
        let mut launch = self.trial.board.with_ram(self.ram_mib).launch();
        let words = self.ram_file.as_deref().map(|path| self.trial.ram_file_args(path));
        launch.extra.extend(words.into_iter().flatten());
        launch.extra.extend(self.args.iter().cloned());
        launch.extra.extend(extra.iter().map(|&word| word.to_owned()));
        launch
    }

    /// Starts it, and waits until its guest is up.
    pub fn start(&self, launch: &Launch) -> Result<Machine> {
        let mut machine = Machine::start(self.binary()?, launch, &self.folder)?;
        let (found, foretold) = (machine.guest.ready()?, self.layout()?);
        ensure!(found == foretold, "the guest found {found:?} as its RAM, not {foretold:?}");
        Ok(machine)
    }

    /// Starts it with a guest that has stamped its RAM, and is heard of many times a second: at a
    /// destination that takes it, it is heard of there. `disk` is relative to its folder.
    pub fn start_counting(&self, seed: u64, disk: Option<&Path>) -> Result<Machine> {
        let mut launch = self.launch(&[]);
        launch.disk = disk.map(Path::to_owned);
        let mut machine = self.start(&launch)?;
        machine.guest.seed(seed, 0)?;
        machine.guest.stamp()?;
        machine.guest.count()?;
        machine.guest.counting()?;
        Ok(machine)
    }

    /// Starts it waiting for a stream that it is told of later.
    pub fn start_waiting(&self, extra: &[&str]) -> Result<Machine> {
        let words = [&["-incoming", "defer"], extra].concat();
        Machine::start(self.binary()?, &self.launch(&words), &self.folder)
    }

    /// Creates a disk for snapshots, and gives its path.
    pub fn create_disk(&self) -> Result<PathBuf> {
        self.trial.create_disk(&self.folder)
    }
}

/// Takes a snapshot of a machine that has a disk, and gives what the monitor said.
///
/// # Errors
/// Where there is none afterwards.
pub fn savevm<G>(machine: &mut Machine<G>) -> Result<String> {
    let said = machine.qmp.human(&format!("savevm {SNAPSHOT}"))?;
    let list = machine.qmp.human("info snapshots")?;
    ensure!(lists_it(&list), "savevm made no snapshot; it said: {said}");
    Ok(said)
}

/// What a guest reported, whose QEMU has ended and left `folder`; half a line counts.
pub fn guest_reports(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join("console.log");
    let log = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect::<Vec<_>>();
    Ok(lines.into_iter().filter(|line| !line.starts_with("-> ")).collect())
}

/// Whether `info snapshots` lists the snapshot.
fn lists_it(list: &str) -> bool {
    list.split_whitespace().any(|word| word == SNAPSHOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_to_a_guest_is_not_what_it_reported() {
        let folder = tempfile::tempdir().unwrap();
        assert!(guest_reports(folder.path()).is_err());
        fs::write(folder.path().join("console.log"), "-> k\nready\ntick 1\n-> d\nti").unwrap();
        assert_eq!(guest_reports(folder.path()).unwrap(), ["ready", "tick 1", "ti"]);
    }

    #[test]
    fn a_snapshot_is_there_where_it_is_listed_by_its_name() {
        assert!(lists_it("ID  TAG    VM SIZE\n1   pcram  3 MiB\n"));
        assert!(!lists_it("ID  TAG    VM SIZE\n1   pcram2 3 MiB\n") && !lists_it(""));
    }
}
