//! How a QEMU is started: a command line that every QEMU since 1.0 understands.

use super::binary;
use crate::process::inherit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// What a machine is made of. What it boots is its [`super::kind::Kind`].
#[derive(Clone, Debug)]
pub struct Launch {
    /// The machine type, e.g. `pc`.
    pub machine: String,
    /// The accelerator, e.g. `tcg`.
    pub accel: String,
    /// RAM in MiB (`-m`).
    pub ram_mib: u64,
    /// RAM beyond those, in KiB. QEMU rounds RAM up to 8 KiB.
    pub ram_kib: u64,
    /// Processors (`-smp`).
    pub cpus: u32,
    /// A qcow2 for internal snapshots, relative to the run folder.
    pub disk: Option<PathBuf>,
    /// Files that QEMU inherits open.
    pub inherited: Vec<Inherited>,
    /// Whatever else the check wants on the command line.
    pub extra: Vec<String>,
}

impl Default for Launch {
    /// A `pc` with one processor and 64 MiB, under TCG.
    fn default() -> Launch {
        Launch {
            machine: "pc".into(),
            accel: "tcg".into(),
            ram_mib: 64,
            ram_kib: 0,
            cpus: 1,
            disk: None,
            inherited: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl Launch {
    /// The same machine with so many bytes of RAM, whole KiB.
    pub fn with_ram(self, bytes: u64) -> Launch {
        let (ram_mib, ram_kib) = (bytes >> 20, (bytes % (1 << 20)) >> 10);
        Launch { ram_mib, ram_kib, ..self }
    }

    /// RAM in bytes.
    pub fn ram(&self) -> u64 {
        (self.ram_mib << 20) + (self.ram_kib << 10)
    }

    /// The board alone: machine type, accelerator, RAM, processors, and no device that was not
    /// asked for.
    pub fn board_args(&self) -> Vec<String> {
        let machine = format!("{},accel={}", self.machine, self.accel);
        let ram = match self.ram_kib {
            0 => self.ram_mib.to_string(),
            _ => format!("{}k", self.ram() >> 10),
        };
        let words = ["-machine", &machine, "-m", &ram, "-nodefaults", "-display", "none", "-vga"];
        let mut args: Vec<_> = words.into_iter().chain(["none"]).map(str::to_owned).collect();
        if self.cpus != 1 {
            args.extend(["-smp".to_owned(), self.cpus.to_string()]);
        }
        args
    }

    /// The whole command line of a machine whose guest has its debug console at the I/O port
    /// `debug_port`, and is booted by the words `boot`. QEMU connects to the sockets `monitor`,
    /// `debug` and `serial` in `sockets`, in this order, so that nobody has to wait for a path to
    /// appear.
    pub fn args(&self, sockets: &Path, debug_port: u16, boot: &[String]) -> Vec<String> {
        let mut args = self.board_args();
        let mut add = |option: &str, value: String| args.extend([option.to_owned(), value]);
        let socket =
            |name: &str| format!("socket,id={name},path={}", opt_value(&sockets.join(name)));
        add("-chardev", socket("monitor"));
        add("-chardev", socket("debug"));
        add("-chardev", socket("serial"));
        add("-mon", "chardev=monitor,mode=control".into());
        add("-device", format!("isa-debugcon,iobase={debug_port:#x},chardev=debug"));
        add("-device", "isa-serial,chardev=serial".into());
        if let Some(disk) = &self.disk {
            add("-drive", format!("file={},if=none,id=disk,format=qcow2", opt_value(disk)));
        }
        args.extend(boot.iter().chain(&self.extra).cloned());
        args
    }

    /// Has `command`, which runs a QEMU, keep what it is to inherit, and no right that would hide
    /// a refusal.
    pub(super) fn prepare(&self, command: &mut Command) {
        binary::without_override(command);
        for Inherited(file) in &self.inherited {
            inherit(command, Arc::clone(file));
        }
    }
}

/// An open file that a QEMU inherits under the number that it has here.
#[derive(Clone, Debug)]
pub struct Inherited(Arc<OwnedFd>);

impl Inherited {
    /// To be inherited: a memfd, or any other open file.
    pub fn new(file: impl Into<OwnedFd>) -> Inherited {
        Inherited(Arc::new(file.into()))
    }

    /// Its number, here and in QEMU: for `-add-fd fd=N,set=M`, or `fd:N`.
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// A path that QEMU can open it by once more.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.number()).into()
    }

    /// The file itself.
    pub fn file(&self) -> &OwnedFd {
        &self.0
    }
}

/// A path as a value in one of QEMU's option lists, where a comma is written twice.
pub fn opt_value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn commas_in_a_path_are_doubled() {
        assert_eq!(opt_value(Path::new("/a,b/c,,d")), "/a,,b/c,,,,d");
    }

    #[test]
    fn ram_and_processors_are_told_as_every_qemu_reads_them() {
        let words = |launch: Launch| launch.board_args().join(" ");
        let rest = "-nodefaults -display none -vga none";
        assert_eq!(words(Launch::default()), format!("-machine pc,accel=tcg -m 64 {rest}"));
        let odd = Launch { cpus: 4, ..Launch::default() }.with_ram((63 << 20) + (8 << 10));
        assert_eq!((odd.ram_mib, odd.ram_kib, odd.ram()), (63, 8, 66_068_480));
        assert_eq!(words(odd), format!("-machine pc,accel=tcg -m 64520k {rest} -smp 4"));
    }

    #[test]
    fn an_inherited_file_is_open_in_the_child_under_its_number() {
        let file = Inherited::new(File::open("/proc/self/status").unwrap());
        let launch = Launch { inherited: vec![file.clone()], ..Launch::default() };
        let target = |launch: &Launch| {
            let mut command = Command::new("readlink");
            launch.prepare(command.arg(file.path()));
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        assert!(target(&launch).trim_end().ends_with("/status"));
        assert!(!target(&Launch::default()).trim_end().ends_with("/status"));
    }
}
