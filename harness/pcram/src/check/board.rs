//! The machine that a check runs on.

use crate::failure::Failure;
use crate::machine::launch::Launch;
use anyhow::Result;
use pcram_mirror::address::{self as mirror, RamLayout};
use serde::Deserialize;
use std::fmt;

/// A machine type with its accelerator, RAM and processors.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Board {
    /// The machine type, e.g. `pc`.
    pub machine: String,
    /// The accelerator, e.g. `tcg`.
    pub accel: String,
    /// RAM in MiB.
    pub ram_mib: u64,
    /// RAM beyond those in KiB.
    #[serde(default)]
    pub ram_kib: u64,
    /// Virtual processors.
    #[serde(default = "one")]
    pub cpus: u32,
    /// The CPU model, where it is not the machine's own.
    #[serde(default)]
    pub cpu: Option<String>,
}

/// Where a check's machine differs from that of the catalogue.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Differences {
    machine: Option<String>,
    accel: Option<String>,
    ram_mib: Option<u64>,
    ram_kib: Option<u64>,
    cpus: Option<u32>,
    cpu: Option<String>,
}

impl Differences {
    /// These, but for where `others` says something else.
    pub fn with(&self, others: &Differences) -> Differences {
        let Differences { machine, accel, ram_mib, ram_kib, cpus, cpu } = others.clone();
        Differences {
            machine: machine.or_else(|| self.machine.clone()),
            accel: accel.or_else(|| self.accel.clone()),
            ram_mib: ram_mib.or(self.ram_mib),
            ram_kib: ram_kib.or(self.ram_kib),
            cpus: cpus.or(self.cpus),
            cpu: cpu.or_else(|| self.cpu.clone()),
        }
    }
}

fn one() -> u32 {
    1
}

impl Board {
    /// This machine with `differences`.
    pub fn with(&self, differences: &Differences) -> Board {
        let Differences { machine, accel, ram_mib, ram_kib, cpus, cpu } = differences.clone();
        Board {
            machine: machine.unwrap_or_else(|| self.machine.clone()),
            accel: accel.unwrap_or_else(|| self.accel.clone()),
            ram_mib: ram_mib.unwrap_or(self.ram_mib),
            ram_kib: ram_kib.unwrap_or(self.ram_kib),
            cpus: cpus.unwrap_or(self.cpus),
            cpu: cpu.or_else(|| self.cpu.clone()),
        }
    }

    /// This machine with another amount of RAM, in MiB.
    pub fn with_ram(&self, ram_mib: u64) -> Board {
        Board { ram_mib, ..self.clone() }
    }

    /// RAM in bytes.
    pub fn ram(&self) -> u64 {
        (self.ram_mib << 20) + (self.ram_kib << 10)
    }

    /// The machine, with nothing asked for beside it.
    pub fn launch(&self) -> Launch {
        let cpu = self.cpu.iter().flat_map(|cpu| ["-cpu".to_owned(), cpu.clone()]);
        let Board { machine, accel, ram_mib, ram_kib, cpus, .. } = self.clone();
        Launch { machine, accel, ram_mib, ram_kib, cpus, extra: cpu.collect(), ..Launch::default() }
    }

    /// Where its RAM lies, as the mirror foretells it.
    ///
    /// # Errors
    /// A [`Failure`] for a machine type that the mirror does not know.
    pub fn layout(&self) -> Result<RamLayout> {
        let machine = &self.machine;
        let board = mirror::Board::of_machine(machine).ok_or_else(|| {
            Failure::usage(format!("nobody knows how the machine type {machine} splits its RAM"))
        })?;
        Ok(board.layout(self.ram()))
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Board { machine, accel, ram_mib, ram_kib, cpus, .. } = self;
        write!(f, "{machine}, {accel}, {ram_mib} MiB")?;
        if *ram_kib > 0 {
            write!(f, " {ram_kib} KiB")?;
        }
        if *cpus > 1 { write!(f, ", {cpus} processors") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_changes_what_it_names_and_nothing_else() {
        let board = |text: &str| toml::from_str::<Board>(text).unwrap();
        let pc = board("machine = 'pc'\naccel = 'tcg'\nram-mib = 64");
        let changed = pc.with(&toml::from_str("machine = 'q35'\ncpus = 4").unwrap());
        let expected = "machine = 'q35'\naccel = 'tcg'\nram-mib = 64\ncpus = 4";
        assert_eq!(changed, board(expected));
        assert_eq!(changed.to_string(), "q35, tcg, 64 MiB, 4 processors");
        assert_eq!(changed.launch().cpus, 4);
        assert_eq!(pc.with(&Differences::default()), pc);
        assert_eq!((pc.cpus, pc.ram()), (1, 64 << 20));
        assert_eq!(pc.to_string(), "pc, tcg, 64 MiB");
        assert_eq!(pc.with_ram(65), board("machine = 'pc'\naccel = 'tcg'\nram-mib = 65"));
    }

    #[test]
    fn it_is_started_as_it_is_described() {
        let text = "machine = 'isapc'\naccel = 'kvm'\nram-mib = 63\nram-kib = 520\ncpu = 'qemu64'";
        let board: Board = toml::from_str(text).unwrap();
        assert_eq!(board.to_string(), "isapc, kvm, 63 MiB 520 KiB");
        assert_eq!(board.ram(), (63 << 20) + (520 << 10));
        let Launch { machine, accel, ram_mib, ram_kib, cpus, extra, .. } = board.launch();
        assert_eq!((machine.as_str(), accel.as_str()), ("isapc", "kvm"));
        assert_eq!((ram_mib, ram_kib, cpus), (63, 520, 1));
        assert_eq!(extra, ["-cpu", "qemu64"]);
    }
}
