//! `boot`: a user in front of a running QEMU with its RAM file.

mod firmware;
mod terminal;

use super::{Global, Revision, Run, aim, given, steps};
use crate::cache::{begin_in, end_in};
use crate::check::catalogue::{Catalogue, reach};
use crate::check::leave_nothing_in;
use crate::event::{Outcome, Step};
use crate::failure::{Exit, Failure};
use crate::images::{self, Images};
use crate::machine::binary::Binary;
use crate::machine::{shell_line, shell_word};
use crate::process;
use anyhow::{Context, Result};
use firmware::Firmware;
use indicatif::BinaryBytes;
use rustix::process::Signal;
use std::fs::{self, File};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

pub(super) use terminal::give_back;

/// The options of `boot`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    /// Boot this QEMU, which somebody else built
    #[arg(long, value_name = "PATH", conflicts_with_all = ["source", "git_url", "tree"])]
    qemu: Option<PathBuf>,
    /// A RAM file: yours is used as it is, a new one is made and stays [default: a fresh one, which
    /// goes when QEMU ends]
    #[arg(long, value_name = "PATH")]
    ram_file: Option<PathBuf>,
    /// RAM in MiB [default: what the RAM file holds, else that of the checks]
    #[arg(long, value_name = "MIB")]
    ram_mib: Option<NonZeroU64>,
    /// Boot the bare guest even where SeaBIOS is found
    #[arg(long)]
    bare: bool,
    /// Keep what was made for this QEMU when it ends
    #[arg(long)]
    keep: bool,
    /// More arguments for QEMU
    #[arg(last = true, value_name = "QEMU-ARGS")]
    more: Vec<String>,
}

/// Runs `boot`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let label = args.revision.label().to_owned();
    super::run(global, &label, |run| match &args.qemu {
        Some(qemu) => {
            let catalogue = Catalogue::of_series(&aim::promised(&args.revision)?)?;
            boot(run, &args, &given::qemu(qemu)?, &catalogue)
        }
        None => {
            let aim = aim::aim(run, &args.revision, true)?;
            let catalogue = Catalogue::of_series(&aim.series)?;
            let built = steps::built(run, &args.revision, &aim, &reach(&catalogue.checks))?;
            boot(run, &args, &Binary::probe(built.patched())?, &catalogue)
        }
    })
}

fn boot(run: &Run, args: &Args, qemu: &Binary, catalogue: &Catalogue) -> Result<Exit> {
    let folder = run.folder.dir.join("boot");
    let made = if args.keep {
        fs::create_dir_all(&folder)
    } else {
        leave_nothing_in(&folder);
        begin_in(&folder)
    };
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    // Kept as long as QEMU runs, so that no other run prunes it.
    let images = images::cached(&run.cache)?;
    let kept = images.as_ref().map(Images::firmware);
    let booted = run.events.step("boot", qemu.version(), "", |step| {
        let seabios = || Firmware::seabios(qemu, kept);
        let firmware = if args.bare { None } else { seabios()? };
        let firmware = firmware.map_or_else(|| Firmware::bare(&folder), Ok)?;
        in_front(step, args, qemu, catalogue, &firmware, &folder)?;
        Ok((Exit::AllHeld, Outcome::new("QEMU has ended")))
    });
    end_in(&folder, args.keep);
    booted
}

/// Runs QEMU in front of the user, until it ends.
fn in_front(
    step: &Step,
    args: &Args,
    qemu: &Binary,
    catalogue: &Catalogue,
    firmware: &Firmware,
    folder: &Path,
) -> Result<()> {
    let ram = Ram::prepare(args, catalogue.board.ram_mib, folder)?;

    let mut command = Command::new(&qemu.path);
    command.args(["-machine", &catalogue.board.machine, "-m", &ram.option()]);
    command.args(["-nodefaults", "-nographic", "-vga", "none"]).args(firmware.args());
    command.args(catalogue.ram_file_args(&ram.path)).args(&args.more);

    step.note(format!("firmware: {firmware}"));
    let path = ram.path.display();
    step.note(format!("RAM file: {path}, {}{}", BinaryBytes(ram.bytes), ram.fate(args.keep)));
    let shown = shell_word(&ram.path.to_string_lossy());
    step.note(format!("look into it: strings -n 8 {shown} | less; od -A x -t x8z {shown} | less"));
    step.note("keys: Ctrl-A X ends QEMU, Ctrl-A C changes to its monitor and back");
    step.note(format!("the command line:\n{}", shell_line(&command)));

    process::die_with_owner(&mut command, Signal::KILL);
    terminal::lend();
    let ended = command.spawn().and_then(|mut child| child.wait());
    give_back();
    let program = qemu.path.display();
    let status = ended.map_err(|error| {
        Failure::new(Exit::DidNotBoot, format!("cannot start {program}: {error}"))
    })?;
    if !status.success() {
        let text = format!("{program} ended with {status}; what it said stands above");
        return Err(Failure::new(Exit::DidNotBoot, text).into());
    }
    Ok(())
}

/// The RAM file.
struct Ram {
    path: PathBuf,
    bytes: u64,
    whose: Whose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The user's, who had it before.
    Theirs,
    /// Made at a place that the user names.
    Named,
    /// Made for this QEMU alone.
    Fresh,
}

impl Ram {
    /// Finds the user's file, or makes one.
    fn prepare(args: &Args, default_mib: u64, folder: &Path) -> Result<Ram> {
        let ram_mib = args.ram_mib.map(NonZeroU64::get);
        let bytes = ram_mib.unwrap_or(default_mib) << 20;
        let Some(named) = &args.ram_file else {
            let path = folder.join("ram");
            create(&path, bytes)?;
            return Ok(Ram { path, bytes, whose: Whose::Fresh });
        };
        let path = std::path::absolute(named)?;
        match path.metadata() {
            Ok(meta) if meta.len() > 0 || !meta.is_file() => {
                let bytes = ram_mib.map_or(meta.len(), |mib| mib << 20);
                Ok(Ram { path, bytes, whose: Whose::Theirs })
            }
            Ok(_) => {
                let text = format!(
                    "{} is there and empty; it is left as it is: give it the size that the RAM \
                     is to have (truncate -s 64M), or name a file that is not there",
                    path.display()
                );
                Err(Failure::usage(text).into())
            }
            Err(_) => {
                create(&path, bytes)?;
                Ok(Ram { path, bytes, whose: Whose::Named })
            }
        }
    }

    /// The value of `-m`.
    fn option(&self) -> String {
        const MIB: u64 = 1 << 20;
        match self.bytes % MIB {
            0 => (self.bytes / MIB).to_string(),
            _ => format!("{}B", self.bytes),
        }
    }

    fn fate(&self, keep: bool) -> &'static str {
        match self.whose {
            Whose::Theirs => ", yours, and used as it is",
            Whose::Named => ", made just now; it stays",
            Whose::Fresh if keep => "; it stays",
            Whose::Fresh => "; it goes when QEMU ends, --keep keeps it",
        }
    }
}

/// Makes a sparse file of so many bytes at a place where there is none.
fn create(path: &Path, bytes: u64) -> Result<()> {
    let made = File::create_new(path).and_then(|file| file.set_len(bytes));
    made.map_err(|error| {
        let place = path.display();
        Failure::usage(format!("cannot make the RAM file {place}: {error}")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn prepare(words: &[&str], folder: &Path) -> Result<Ram> {
        let line = Line::parse_from(["boot"].iter().chain(words));
        Ram::prepare(&line.args, 64, folder)
    }

    #[test]
    fn a_file_of_the_users_decides_how_much_ram_there_is_and_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        let text = path.to_str().unwrap();
        for (bytes, option) in [(3 << 20, "3"), ((3 << 20) + 8192, "3153920B")] {
            fs::write(&path, vec![7; bytes]).unwrap();
            let ram = prepare(&["--ram-file", text], folder.path()).unwrap();
            assert!(ram.whose == Whose::Theirs && ram.option() == option, "{}", ram.option());
            assert_eq!(fs::read(&path).unwrap(), vec![7; bytes]);
        }
        fs::write(&path, "").unwrap();
        let error = prepare(&["--ram-file", text], folder.path()).map(drop).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_file_that_is_not_there_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let fresh = prepare(&[], folder.path()).unwrap();
        assert!(fresh.whose == Whose::Fresh && fresh.option() == "64");
        let path = folder.path().join("new");
        let words = ["--ram-mib", "8", "--ram-file", path.to_str().unwrap()];
        let named = prepare(&words, folder.path()).unwrap();
        assert!(named.whose == Whose::Named && named.option() == "8");
        assert_eq!(path.metadata().unwrap().len(), 8 << 20);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("gone", &link).unwrap();
        for place in [Path::new("/no/such/ram"), &link] {
            let words = ["--ram-file", place.to_str().unwrap()];
            let error = prepare(&words, folder.path()).map(drop).unwrap_err();
            assert_eq!(Exit::of(&error), Exit::BadUsage);
        }
    }
}
