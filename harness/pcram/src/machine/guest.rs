//! The bare guest, as a check speaks with it: one question, one answer.
//!
//! Here is what it does with all its RAM; [`span`] is about some pages of it or of other blocks,
//! [`code`] about what it runs there, [`pci`] about the devices beside it.

pub mod code;
pub mod pci;
pub mod span;

use super::deadline::Deadline;
use super::wire::Lines;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result, bail};
use pcram_guests::protocol::{Command, Report};
use pcram_mirror::address::RamLayout;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the guest may take for one answer. It needs well under a second for 64 MiB; a host
/// under load is given more.
const ANSWER: Duration = Duration::from_secs(30);

/// The guest behind a debug port, which it writes, and a serial port, which it reads.
pub struct Guest {
    reports: Lines,
    serial: UnixStream,
    generation: u64,
    swept: u64,
    runs: u64,
    /// Whether a report was read. A guest that was migrated in the middle of a line begins with
    /// the rest of it.
    spoken: bool,
}

/// What the guest found of the stamps that it looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Pages that it looked at.
    pub pages: u64,
    /// Pages that carry their stamp.
    pub matching: u64,
    /// The guest-physical address of the first page that does not.
    pub first_bad: Option<u64>,
}

impl Found {
    /// Whether every page that it looked at carries its stamp.
    pub fn all(&self) -> bool {
        self.pages > 0 && self.matching == self.pages
    }
}

impl Guest {
    /// The guest behind these two sockets; its reports are logged to `log`.
    pub fn new(debug: UnixStream, serial: UnixStream, log: &Path) -> Result<Guest> {
        let reports = Lines::new(debug, log, "debug port")?;
        Ok(Guest { reports, serial, generation: 0, swept: 0, runs: 0, spoken: false })
    }

    /// Waits until the guest is up, and gives the RAM that it found.
    pub fn ready(&mut self) -> Result<RamLayout> {
        self.answer("the guest to be up", |report| match report {
            Report::Ready { below, above, .. } => {
                Some(RamLayout { below_4g: below, above_4g: above })
            }
            _ => None,
        })
    }

    /// Sets the seed and the generation of the stamps that follow.
    pub fn seed(&mut self, seed: u64, generation: u64) -> Result<()> {
        self.tell(Command::Set { seed, generation })?;
        self.generation = generation;
        self.answer("the guest to take its seed", |report| match report {
            Report::Set { .. } => Some(()),
            _ => None,
        })
    }

    /// Has every page of RAM stamped once, and gives the generation.
    pub fn stamp(&mut self) -> Result<u64> {
        self.tell(Command::Stamp)?;
        self.answer("the guest to stamp its RAM", |report| match report {
            Report::Stamped { generation, .. } => Some(generation),
            _ => None,
        })
    }

    /// Has every page of RAM compared with its stamp of the current generation.
    pub fn find(&mut self) -> Result<Found> {
        self.tell(Command::Find)?;
        self.answer("the guest to look at its RAM", |report| match report {
            Report::Found { pages, matching, first } => {
                Some(Found { pages, matching, first_bad: first })
            }
            _ => None,
        })
    }

    /// Has the guest stamp its RAM over and over, until [`Guest::halt`].
    pub fn dirty(&mut self) -> Result<()> {
        self.tell(Command::Dirty)
    }

    /// Ends what [`Guest::dirty`] or [`Guest::dirty_span`] began, and gives the generation that the
    /// pages are left in.
    pub fn halt(&mut self) -> Result<u64> {
        self.halt_at_next()?;
        self.halted()
    }

    /// Tells the guest what [`Guest::halt`] does, without waiting: it may stand still.
    pub fn halt_at_next(&mut self) -> Result<()> {
        self.tell(Command::Stop)
    }

    /// Waits for the end of the sweep that [`Guest::halt_at_next`] asked for.
    pub fn halted(&mut self) -> Result<u64> {
        self.answer("the guest to end its last sweep", |report| match report {
            Report::Stopped { generation } => Some(generation),
            _ => None,
        })
    }

    /// Waits until a dirtying guest has finished so many more sweeps.
    pub fn sweeps(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            self.answer("the guest to finish a sweep over its RAM", |report| match report {
                Report::Swept { .. } => Some(()),
                _ => None,
            })?;
        }
        Ok(())
    }

    /// How many sweeps a dirtying guest has reported so far.
    pub fn swept(&mut self) -> u64 {
        self.catch_up();
        self.swept
    }

    /// How many runs a guest that [`Guest::loop_at`] set to work has reported so far.
    pub fn runs(&mut self) -> u64 {
        self.catch_up();
        self.runs
    }

    /// The newest generation that the guest has reported.
    pub fn generation(&mut self) -> u64 {
        self.catch_up();
        self.generation
    }

    /// Reads what is left of a guest whose QEMU has ended.
    pub fn hear_out(&mut self) {
        while let Some(line) = self.reports.last_words() {
            if let Ok(report) = line.parse() {
                self.note(&report);
            }
        }
    }

    fn tell(&mut self, command: Command) -> Result<()> {
        self.reports.log(&format!("-> {command:?}"));
        self.serial
            .write_all(&command.bytes())
            .with_context(|| format!("cannot send {command:?} to the guest"))
    }

    fn answer<T>(&mut self, what: &str, wanted: impl Fn(Report) -> Option<T>) -> Result<T> {
        let deadline = Deadline::after(ANSWER, what);
        loop {
            let report = match self.reports.next(&deadline)?.parse::<Report>() {
                Err(_) if !self.spoken => continue,
                parsed => parsed?,
            };
            self.spoken = true;
            if let Report::Failed { reason } = &report {
                let text = format!("the guest cannot run on this machine: {reason}");
                return Err(Failure::new(Exit::DidNotBoot, text).into());
            }
            self.note(&report);
            if let Report::Unmapped { address } = report {
                bail!("the guest has no page at {address:#x}, where it was to work");
            }
            if let Some(found) = wanted(report) {
                return Ok(found);
            }
        }
    }

    fn catch_up(&mut self) {
        while let Some(line) = self.reports.try_next() {
            // A line that was cut off by the end of QEMU is no report.
            if let Ok(report) = line.parse() {
                self.note(&report);
            }
        }
    }

    fn note(&mut self, report: &Report) {
        match report {
            Report::Swept { generation } => {
                self.swept += 1;
                self.generation = *generation;
            }
            Report::Running { runs, .. } => self.runs = *runs,
            Report::Stamped { generation, .. } | Report::Stopped { generation } => {
                self.generation = *generation;
            }
            _ => {}
        }
    }
}
