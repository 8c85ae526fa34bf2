//! How a QEMU is started: a command line that every QEMU since 1.0 understands.

use std::path::{Path, PathBuf};

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The machine type, e.g. `pc`.
    pub machine: String,
    /// The accelerator, e.g. `tcg`.
    pub accel: String,
    /// RAM in MiB (`-m`).
    pub ram_mib: u64,
    /// A qcow2 for internal snapshots, relative to the run folder.
    pub disk: Option<PathBuf>,
    /// Whatever else the check wants on the command line.
    pub extra: Vec<String>,
}

impl Launch {
    /// The board alone: machine type, accelerator, RAM and no device that was not asked for.
    pub fn board_args(&self) -> Vec<String> {
        let machine = format!("{},accel={}", self.machine, self.accel);
        let ram = self.ram_mib.to_string();
        let words = ["-machine", &machine, "-m", &ram, "-nodefaults", "-display", "none", "-vga"];
        words.into_iter().chain(["none"]).map(str::to_owned).collect()
    }

    /// The whole command line. QEMU connects to the sockets `monitor`, `debug` and `serial` in
    /// `sockets`, in this order, so that nobody has to wait for a path to appear.
    pub fn args(&self, sockets: &Path) -> Vec<String> {
        let mut args = self.board_args();
        let mut add = |option: &str, value: String| args.extend([option.to_owned(), value]);
        let socket =
            |name: &str| format!("socket,id={name},path={}", opt_value(&sockets.join(name)));
        add("-chardev", socket("monitor"));
        add("-chardev", socket("debug"));
        add("-chardev", socket("serial"));
        add("-mon", "chardev=monitor,mode=control".into());
        add("-device", "isa-debugcon,iobase=0xe9,chardev=debug".into());
        add("-device", "isa-serial,chardev=serial".into());
        add("-bios", "bare.bin".into());
        if let Some(disk) = &self.disk {
            add("-drive", format!("file={},if=none,id=disk,format=qcow2", opt_value(disk)));
        }
        args.extend(self.extra.iter().cloned());
        args
    }
}

/// A path as a value in one of QEMU's option lists, where a comma is written twice.
pub fn opt_value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_a_path_are_doubled() {
        assert_eq!(opt_value(Path::new("/a,b/c,,d")), "/a,,b/c,,,,d");
    }
}
