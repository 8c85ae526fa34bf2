//! What the bare guest runs: code in RAM, or a count without RAM.

use super::Guest;
use anyhow::Result;
use pcram_guests::protocol::{Command, Report};

/// How often code in RAM ran, and what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Runs.
    pub runs: u64,
    /// What the last one left in rax. Code of [`pcram_guests::code::adds`] leaves the sum of the
    /// steps of all runs.
    pub value: u64,
}

impl Guest {
    /// Writes eight bytes at a guest-physical address, little-endian.
    pub fn poke(&mut self, address: u64, value: u64) -> Result<()> {
        self.tell(Command::Poke { address, value })?;
        self.answer("the guest to write eight bytes", |report| match report {
            Report::Poked { .. } => Some(()),
            _ => None,
        })
    }

    /// Reads eight bytes at a guest-physical address, little-endian.
    pub fn peek(&mut self, address: u64) -> Result<u64> {
        self.tell(Command::Peek { address })?;
        self.answer("the guest to read eight bytes", |report| match report {
            Report::Peeked { value, .. } => Some(value),
            _ => None,
        })
    }

    /// Runs the code at a guest-physical address so many times. [`pcram_guests::code`] says what
    /// the guest asks of it.
    pub fn run(&mut self, address: u64, runs: u64) -> Result<Ran> {
        self.tell(Command::Run { address, runs })?;
        self.ran()
    }

    /// Has the guest run the code at an address over and over, until [`Guest::end_loop`].
    pub fn loop_at(&mut self, address: u64) -> Result<()> {
        self.tell(Command::Loop { address })
    }

    /// Waits until a guest that [`Guest::loop_at`] set to work reports once more.
    pub fn looping(&mut self) -> Result<Ran> {
        self.answer("the guest to run code in RAM", |report| match report {
            Report::Running { runs, value } => Some(Ran { runs, value }),
            _ => None,
        })
    }

    /// Ends what [`Guest::loop_at`] began.
    pub fn end_loop(&mut self) -> Result<Ran> {
        self.tell(Command::Stop)?;
        self.ran()
    }

    fn ran(&mut self) -> Result<Ran> {
        self.answer("the guest to have run code in RAM", |report| match report {
            Report::Ran { runs, value, .. } => Some(Ran { runs, value }),
            _ => None,
        })
    }

    /// Has the guest count without touching RAM, until [`Guest::counted`].
    pub fn count(&mut self) -> Result<()> {
        self.tell(Command::Count)
    }

    /// Waits until a guest that counts reports once more, and gives its count.
    pub fn counting(&mut self) -> Result<u64> {
        self.answer("the guest to count", |report| match report {
            Report::Tick { count } => Some(count),
            _ => None,
        })
    }

    /// Ends what [`Guest::count`] began, and gives the last count.
    pub fn counted(&mut self) -> Result<u64> {
        self.tell(Command::Stop)?;
        self.answer("the guest to end its count", |report| match report {
            Report::Counted { count } => Some(count),
            _ => None,
        })
    }
}
