//! What the init of the Linux guest is told on its serial port, and what it reports.
//!
//! Both directions are lines: commands end in a newline, as the terminal wants it. The init is
//! compiled from this very file.

use crate::line::{Fields, number_of, page};
use std::fmt;

/// The I/O port of the debug console that reports are written to.
pub const DEBUG_PORT: u16 = 0xe9;

/// A command: one line, which [`Command::parse`] reads and [`fmt::Display`] writes, without its
/// newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Take so many pages of memory in place of those that were taken before, and stamp each;
    /// answers [`Report::Stamped`].
    Stamp {
        /// The seed of the stamps.
        seed: u64,
        /// Their generation.
        generation: u64,
        /// How many pages to take.
        pages: u64,
    },
    /// Compare the pages that were taken with their stamps; answers [`Report::Found`].
    Find,
    /// Tell where the pages lie; answers [`Report::Run`] for each contiguous run, and then
    /// [`Report::Addresses`].
    Addresses,
    /// Stamp the pages over and over, each sweep at the next generation, with [`Report::Swept`]
    /// after each, until [`Command::Stop`].
    Dirty,
    /// End [`Command::Dirty`], with [`Report::Stopped`].
    Stop,
    /// Give the pages back to the kernel; answers [`Report::Freed`].
    Free,
    /// Answer [`Report::Memory`].
    Memory,
}

impl Command {
    /// The command on a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, mut fields) = Fields::of(line);
        let command = match word {
            "stamp" => Self::Stamp {
                seed: fields.number("seed")?,
                generation: fields.number("generation")?,
                pages: fields.number("pages")?,
            },
            "find" => Self::Find,
            "addresses" => Self::Addresses,
            "dirty" => Self::Dirty,
            "stop" => Self::Stop,
            "free" => Self::Free,
            "memory" => Self::Memory,
            _ => return None,
        };
        fields.ended(command)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stamp { seed, generation, pages } => {
                write!(f, "stamp seed={seed:016x} generation={generation:016x} pages={pages:016x}")
            }
            Self::Find => write!(f, "find"),
            Self::Addresses => write!(f, "addresses"),
            Self::Dirty => write!(f, "dirty"),
            Self::Stop => write!(f, "stop"),
            Self::Free => write!(f, "free"),
            Self::Memory => write!(f, "memory"),
        }
    }
}

/// A report: one line, which [`Report::parse`] reads and [`fmt::Display`] writes, without its
/// newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The init is up and waits for a command.
    Ready {
        /// The kernel's release, as `uname -r` prints it.
        kernel: String,
        /// Modules that were loaded.
        modules: u64,
    },
    /// Answers [`Command::Stamp`].
    Stamped {
        /// The generation of the stamps.
        generation: u64,
        /// Pages taken and stamped.
        pages: u64,
    },
    /// Answers [`Command::Find`].
    Found {
        /// Pages looked at.
        pages: u64,
        /// Pages that are wholly as stamped.
        matching: u64,
        /// Guest-physical address, at the time of the stamp, of the first page that is not.
        first: Option<u64>,
    },
    /// Pages that were taken and lie side by side.
    Run {
        /// Guest-physical address of the first.
        first: u64,
        /// How many.
        pages: u64,
    },
    /// Answers [`Command::Addresses`], after the runs.
    Addresses {
        /// Pages in all runs.
        pages: u64,
        /// Those that no longer lie where they were stamped.
        moved: u64,
    },
    /// [`Command::Dirty`] has stamped its pages once more.
    Swept {
        /// What they were stamped with.
        generation: u64,
    },
    /// [`Command::Dirty`] has ended.
    Stopped {
        /// What all pages were stamped with at last.
        generation: u64,
    },
    /// Answers [`Command::Free`].
    Freed {
        /// Pages given back.
        pages: u64,
    },
    /// Answers [`Command::Memory`], in bytes, from `/proc/meminfo`.
    Memory {
        /// What the kernel has to give away; a balloon takes from it.
        total: u64,
        /// What nobody uses.
        free: u64,
    },
    /// Something that was to be done could not be.
    Failed {
        /// What, and why not.
        reason: String,
    },
}

impl Report {
    /// The report on a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if let Some(reason) = line.strip_prefix("fail ") {
            return Some(Self::Failed { reason: reason.to_owned() });
        }
        let (word, mut fields) = Fields::of(line);
        let report = match word {
            "ready" => Self::Ready {
                kernel: fields.text("kernel")?.to_owned(),
                modules: fields.number("modules")?,
            },
            "stamped" => Self::Stamped {
                generation: fields.number("generation")?,
                pages: fields.number("pages")?,
            },
            "found" => Self::Found {
                pages: fields.number("pages")?,
                matching: fields.number("matching")?,
                first: page(fields.number("first")?),
            },
            "run" => Self::Run { first: fields.number("first")?, pages: fields.number("pages")? },
            "addresses" => {
                Self::Addresses { pages: fields.number("pages")?, moved: fields.number("moved")? }
            }
            "swept" => Self::Swept { generation: fields.number("generation")? },
            "stopped" => Self::Stopped { generation: fields.number("generation")? },
            "freed" => Self::Freed { pages: fields.number("pages")? },
            "memory" => {
                Self::Memory { total: fields.number("total")?, free: fields.number("free")? }
            }
            _ => return None,
        };
        fields.ended(report)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { kernel, modules } => {
                write!(f, "ready kernel={kernel} modules={modules:016x}")
            }
            Self::Stamped { generation, pages } => {
                write!(f, "stamped generation={generation:016x} pages={pages:016x}")
            }
            Self::Found { pages, matching, first } => {
                let first = number_of(*first);
                write!(f, "found pages={pages:016x} matching={matching:016x} first={first:016x}")
            }
            Self::Run { first, pages } => write!(f, "run first={first:016x} pages={pages:016x}"),
            Self::Addresses { pages, moved } => {
                write!(f, "addresses pages={pages:016x} moved={moved:016x}")
            }
            Self::Swept { generation } => write!(f, "swept generation={generation:016x}"),
            Self::Stopped { generation } => write!(f, "stopped generation={generation:016x}"),
            Self::Freed { pages } => write!(f, "freed pages={pages:016x}"),
            Self::Memory { total, free } => {
                write!(f, "memory total={total:016x} free={free:016x}")
            }
            Self::Failed { reason } => write!(f, "fail {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_another_shape_is_none_of_ours() {
        for line in ["", "find ", "found", "ready kernel=6.1", "run first=0 pages=1", "dirtyx"] {
            assert_eq!((Command::parse(line), Report::parse(line)), (None, None), "{line}");
        }
    }

    proptest! {
        #[test]
        fn commands_and_reports_survive_their_lines(a: u64, b: u64, c: u64) {
            for command in [
                Command::Stamp { seed: a, generation: b, pages: c },
                Command::Find,
                Command::Addresses,
                Command::Dirty,
                Command::Stop,
                Command::Free,
                Command::Memory,
            ] {
                prop_assert_eq!(Command::parse(&command.to_string()), Some(command));
            }
            for report in [
                Report::Ready { kernel: "6.1.0-9-cloud-amd64".into(), modules: a },
                Report::Stamped { generation: a, pages: b },
                Report::Found { pages: a, matching: b, first: page(c) },
                Report::Found { pages: a, matching: b, first: None },
                Report::Run { first: a, pages: b },
                Report::Addresses { pages: a, moved: b },
                Report::Swept { generation: a },
                Report::Stopped { generation: a },
                Report::Freed { pages: a },
                Report::Memory { total: a, free: b },
                Report::Failed { reason: "no memory: 12".into() },
            ] {
                prop_assert_eq!(Report::parse(&report.to_string()), Some(report));
            }
        }
    }
}
