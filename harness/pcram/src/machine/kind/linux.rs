//! A Linux guest: a distribution's kernel, and an init of ours that stamps pages of its memory.
//! guest-images/README.md describes it.

use super::{Kind, Sockets};
use crate::failure::{Exit, Failure};
use crate::images::Images;
use crate::machine::Machine;
use crate::machine::deadline::Deadline;
use crate::machine::guest::Found;
use crate::machine::launch::opt_value;
use crate::machine::wire::Lines;
use anyhow::{Context, Result, bail, ensure};
use pcram_guests::LINUX_INIT;
use pcram_guests::cpio::Archive;
use pcram_guests::linux::{Command, DEBUG_PORT, Report};
use pcram_guests::stamp::PAGE_SIZE;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the kernel may take to boot. It needs 3 s of processor time under TCG; a host under
/// load is given more.
const BOOT: Duration = Duration::from_secs(180);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// How often the balloon is asked for its size. Its event comes at most once a second.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// What the kernel is told: where its messages go, and that it is to reboot when it panics, which
/// ends QEMU (`-no-reboot`), and so every wait.
/// It is not to check whether its timer interrupts arrive in time, which on a busy host they do not.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 no_timer_check";
/// The initramfs, in the run folder.
const INITRD: &str = "initrd";

/// A Linux guest from these images. It wants 128 MiB of RAM or more.
#[derive(Clone, Copy, Debug)]
pub struct Linux<'a> {
    /// Firmware, kernel and modules.
    pub images: &'a Images,
}

impl Kind for Linux<'_> {
    type Guest = LinuxGuest;

    fn debug_port(&self) -> u16 {
        DEBUG_PORT
    }

    fn args(&self, _: &str, folder: &Path) -> Result<Vec<String>> {
        let initrd = folder.join(INITRD);
        fs::write(&initrd, initramfs(self.images)?)
            .with_context(|| format!("cannot write {}", initrd.display()))?;
        let words = [
            "-L".to_owned(),
            self.images.firmware().display().to_string(),
            "-kernel".into(),
            opt_value(&self.images.kernel()),
            "-initrd".into(),
            INITRD.into(),
            "-append".into(),
            COMMAND_LINE.into(),
            "-no-reboot".into(),
        ];
        Ok(words.into())
    }

    fn meet(&self, sockets: Sockets, folder: &Path) -> Result<LinuxGuest> {
        let commands = sockets.serial.try_clone()?;
        let reports = Lines::new(sockets.debug, &folder.join("console.log"), "debug console")?;
        let kernel = Lines::new(sockets.serial, &folder.join("kernel.log"), "serial port")?;
        Ok(LinuxGuest { reports, commands, spoken: false, _kernel: kernel })
    }
}

/// The init's file system. It is made afresh for every guest, so it is never of another init.
fn initramfs(images: &Images) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "modules"] {
        archive = archive.folder(folder);
    }
    // The kernel opens the first for the init, whose library wants the second.
    archive = archive.device("dev/console", 5, 1).device("dev/null", 1, 3).file("init", LINUX_INIT);
    for module in images.modules()? {
        let content = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive = archive.file(&format!("modules/{name}"), &content);
    }
    Ok(archive.finish())
}

/// The init of a Linux guest, as a check speaks with it: one question, one answer.
pub struct LinuxGuest {
    reports: Lines,
    commands: UnixStream,
    /// Whether a report was read. A guest that was migrated in the middle of a line begins with
    /// the rest of it.
    spoken: bool,
    _kernel: Lines,
}

/// Where the pages lie that the init has stamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The guest-physical address of each, in the order in which the init has them.
    pub pages: Vec<u64>,
    /// How many the kernel has moved since they were stamped. A page's stamp is that of the
    /// address at which it was stamped first.
    pub moved: u64,
}

/// The kernel's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it has to give away. What a balloon took is not part of it.
    pub total: u64,
    /// What nobody uses.
    pub free: u64,
}

impl LinuxGuest {
    /// Waits until the init is up, and gives the kernel's release.
    pub fn ready(&mut self) -> Result<String> {
        self.answer("the Linux guest to be up", BOOT, |report| match report {
            Report::Ready { kernel, .. } => Some(kernel),
            _ => None,
        })
    }

    /// Has the init take so many pages, in place of those that it had, and stamp them.
    pub fn stamp(&mut self, seed: u64, generation: u64, pages: u64) -> Result<()> {
        self.tell(Command::Stamp { seed, generation, pages })?;
        let stamped = self.answer("the init to stamp pages", ANSWER, |report| match report {
            Report::Stamped { pages, .. } => Some(pages),
            _ => None,
        })?;
        ensure!(stamped == pages, "the init stamped {stamped} pages, not {pages}");
        Ok(())
    }

    /// Where the stamped pages lie.
    pub fn addresses(&mut self) -> Result<Addresses> {
        self.tell(Command::Addresses)?;
        let mut pages = Vec::new();
        let (told, moved) =
            self.answer("the init to tell where its pages lie", ANSWER, |report| match report {
                Report::Run { first, pages: count } => {
                    pages.extend((0..count).map(|at| first + at * PAGE_SIZE as u64));
                    None
                }
                Report::Addresses { pages, moved } => Some((pages, moved)),
                _ => None,
            })?;
        ensure!(told == pages.len() as u64, "of {told} pages, {} were told", pages.len());
        Ok(Addresses { pages, moved })
    }

    /// Has the stamped pages compared with their stamps.
    pub fn find(&mut self) -> Result<Found> {
        self.tell(Command::Find)?;
        self.answer("the init to look at its pages", ANSWER, |report| match report {
            Report::Found { pages, matching, first } => {
                Some(Found { pages, matching, first_bad: first })
            }
            _ => None,
        })
    }

    /// Has the init stamp its pages over and over, until [`LinuxGuest::halt`].
    pub fn dirty(&mut self) -> Result<()> {
        self.tell(Command::Dirty)
    }

    /// Waits until a dirtying init has finished so many more sweeps, and gives the generation of
    /// the last of them; 0 where none was waited for.
    pub fn sweeps(&mut self, count: u64) -> Result<u64> {
        let mut last = 0;
        for _ in 0..count {
            last = self.answer("the init to finish a sweep", ANSWER, |report| match report {
                Report::Swept { generation } => Some(generation),
                _ => None,
            })?;
        }
        Ok(last)
    }

    /// Ends what [`LinuxGuest::dirty`] began, and gives the generation that all pages are left in.
    pub fn halt(&mut self) -> Result<u64> {
        self.tell(Command::Stop)?;
        self.answer("the init to end its last sweep", ANSWER, |report| match report {
            Report::Stopped { generation } => Some(generation),
            _ => None,
        })
    }

    /// Has the init give its pages back to the kernel.
    pub fn free(&mut self) -> Result<()> {
        self.tell(Command::Free)?;
        self.answer("the init to free its pages", ANSWER, |report| match report {
            Report::Freed { .. } => Some(()),
            _ => None,
        })
    }

    /// The kernel's memory.
    pub fn memory(&mut self) -> Result<Memory> {
        self.tell(Command::Memory)?;
        self.answer("the init to tell of the kernel's memory", ANSWER, |report| match report {
            Report::Memory { total, free } => Some(Memory { total, free }),
            _ => None,
        })
    }

    fn tell(&mut self, command: Command) -> Result<()> {
        self.reports.log(&format!("-> {command}"));
        writeln!(self.commands, "{command}")
            .with_context(|| format!("cannot send `{command}` to the Linux guest"))
    }

    fn answer<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(Report) -> Option<T>,
    ) -> Result<T> {
        let deadline = Deadline::after(limit, what);
        loop {
            let line = self.reports.next(&deadline)?;
            let report = Report::parse(&line);
            let is_rest = report.is_none() && !self.spoken;
            self.spoken = true;
            match report {
                Some(Report::Failed { reason }) => {
                    let text = format!("the init could not go on: {reason}");
                    bail!(Failure::new(Exit::DidNotBoot, text));
                }
                Some(report) => {
                    if let Some(found) = wanted(report) {
                        return Ok(found);
                    }
                }
                None if is_rest => {}
                None => bail!("the init wrote a line that is no report: {line:?}"),
            }
        }
    }
}

impl Machine<LinuxGuest> {
    /// Has the guest's balloon leave it so many bytes of RAM, and waits until it does. The machine
    /// needs the device `virtio-balloon-pci`.
    pub fn balloon(&mut self, bytes: u64) -> Result<()> {
        self.qmp.execute("balloon", json!({ "value": bytes }))?;
        let deadline = Deadline::after(ANSWER, format!("the balloon to leave {bytes} bytes"));
        while self.qmp.execute("query-balloon", json!({}))?["actual"] != bytes {
            std::thread::sleep(deadline.left()?.min(ASK_AGAIN));
        }
        Ok(())
    }
}
