//! What the bare guest is told over COM1, and what it reports over the debug port.

use crate::line::{Fields, number_of, page};
use crate::stamp::Span;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A command; its bytes go to COM1, and nothing after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Answer [`Report::Pong`].
    Ping,
    /// Set the seed and the generation, both 0 at boot; answers [`Report::Set`].
    Set {
        /// The new seed.
        seed: u64,
        /// The new generation.
        generation: u64,
    },
    /// Add 1 to the generation and stamp all RAM with it; answers [`Report::Stamped`].
    Stamp,
    /// Compare all RAM with the stamps of the seed and generation; answers [`Report::Found`].
    Find,
    /// Stamp all RAM over and over, each sweep at the next generation, with [`Report::Swept`] after
    /// each, until [`Command::Stop`].
    Dirty,
    /// Count without touching RAM, with [`Report::Tick`] every few hundredths of a second, until
    /// [`Command::Stop`].
    Count,
    /// End [`Command::Dirty`] or [`Command::DirtySpan`] at the end of its sweep, with
    /// [`Report::Stopped`], [`Command::Count`] at its next tick, with [`Report::Counted`], or
    /// [`Command::Loop`] at its next tick, with [`Report::Ran`].
    Stop,
    /// Write eight bytes, little-endian; answers [`Report::Poked`] or [`Report::Unmapped`].
    Poke {
        /// Guest-physical address; any alignment.
        address: u64,
        /// What to write.
        value: u64,
    },
    /// Read eight bytes, little-endian; answers [`Report::Peeked`] or [`Report::Unmapped`].
    Peek {
        /// Guest-physical address; any alignment.
        address: u64,
    },
    /// Stamp the pages of a span, RAM or not, with the generation as it is; answers
    /// [`Report::Stamped`] or [`Report::Unmapped`].
    StampSpan(Span),
    /// Compare the pages of a span with their stamps; answers [`Report::Found`] or
    /// [`Report::Unmapped`].
    FindSpan(Span),
    /// [`Command::Dirty`], but of the pages of a span in place of RAM; or answers
    /// [`Report::Unmapped`].
    DirtySpan(Span),
    /// The same, but without emptying the TLB at the start of each sweep.
    DirtyCachedSpan(Span),
    /// Run the code at an address so many times, one run after the other; answers [`Report::Ran`]
    /// or [`Report::Unmapped`].
    Run {
        /// Guest-physical address of code that keeps to the rules in [`crate::code`].
        address: u64,
        /// How many times.
        runs: u64,
    },
    /// Run the code at an address over and over, with [`Report::Running`] every few hundredths of
    /// a second, until [`Command::Stop`], which answers [`Report::Ran`]; or answers
    /// [`Report::Unmapped`].
    Loop {
        /// Guest-physical address of code that keeps to the rules in [`crate::code`].
        address: u64,
    },
    /// Write 32 bits to an I/O port; answers [`Report::Sent`].
    Out {
        /// The port.
        port: u16,
        /// What to write.
        value: u32,
    },
    /// Read 32 bits from an I/O port; answers [`Report::Received`].
    In {
        /// The port.
        port: u16,
    },
}

impl Command {
    /// What to send: a letter, then each argument as 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Ping => "p".into(),
            Self::Set { seed, generation } => format!("g{seed:016x}{generation:016x}").into(),
            Self::Stamp => "s".into(),
            Self::Find => "f".into(),
            Self::Dirty => "d".into(),
            Self::Count => "c".into(),
            Self::Stop => ".".into(),
            Self::Poke { address, value } => format!("w{address:016x}{value:016x}").into(),
            Self::Peek { address } => format!("r{address:016x}").into(),
            Self::StampSpan(span) => on_span('S', span),
            Self::FindSpan(span) => on_span('F', span),
            Self::DirtySpan(span) => on_span('D', span),
            Self::DirtyCachedSpan(span) => on_span('K', span),
            Self::Run { address, runs } => format!("x{address:016x}{runs:016x}").into(),
            Self::Loop { address } => format!("l{address:016x}").into(),
            Self::Out { port, value } => format!("o{port:016x}{value:016x}").into(),
            Self::In { port } => format!("i{port:016x}").into(),
        }
    }
}

fn on_span(letter: char, span: &Span) -> Vec<u8> {
    let Span { first, end, stride } = span;
    format!("{letter}{first:016x}{end:016x}{stride:016x}").into()
}

/// A report: one line, which [`str::parse`] reads and [`fmt::Display`] writes, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The guest is up and waits for a command; also after every reset.
    Ready {
        /// Where RAM below 4 GiB ends: its size in bytes.
        below: u64,
        /// Bytes of RAM above 4 GiB.
        above: u64,
        /// Guest-physical addresses below 1 MiB that show something else than RAM, and which no
        /// command but poke touches: VGA memory, and ROMs where no chipset can hide them. Empty
        /// where there is none.
        hole: Range<u64>,
    },
    /// Answers [`Command::Ping`].
    Pong,
    /// Answers [`Command::Set`].
    Set {
        /// The seed from now on.
        seed: u64,
        /// The generation from now on.
        generation: u64,
    },
    /// Answers [`Command::Stamp`] and [`Command::StampSpan`].
    Stamped {
        /// What all RAM, or the span, is now stamped with.
        generation: u64,
        /// Pages stamped: all RAM but the hole, or the span.
        pages: u64,
    },
    /// [`Command::Dirty`] has stamped all RAM once more, or [`Command::DirtySpan`] its span.
    Swept {
        /// What it was stamped with.
        generation: u64,
    },
    /// [`Command::Dirty`] has ended, and all RAM is of one generation; or
    /// [`Command::DirtySpan`], and its span is.
    Stopped {
        /// That of the last sweep.
        generation: u64,
    },
    /// [`Command::Count`] is counting.
    Tick {
        /// Iterations up to now.
        count: u64,
    },
    /// [`Command::Count`] has ended.
    Counted {
        /// Iterations in all.
        count: u64,
    },
    /// Answers [`Command::Find`] and [`Command::FindSpan`].
    Found {
        /// Pages read: all RAM but the hole, or the span.
        pages: u64,
        /// Pages that are wholly as stamped.
        matching: u64,
        /// Guest-physical address of the first page that is not.
        first: Option<u64>,
    },
    /// Answers [`Command::Poke`].
    Poked {
        /// Guest-physical address.
        address: u64,
        /// What was written.
        value: u64,
    },
    /// Answers [`Command::Peek`].
    Peeked {
        /// Guest-physical address.
        address: u64,
        /// What was read.
        value: u64,
    },
    /// [`Command::Loop`] is running its code.
    Running {
        /// Runs up to now.
        runs: u64,
        /// What the last one left in rax.
        value: u64,
    },
    /// Answers [`Command::Run`], and ends [`Command::Loop`].
    Ran {
        /// Guest-physical address of the code.
        address: u64,
        /// How many times it ran.
        runs: u64,
        /// What the last run left in rax.
        value: u64,
    },
    /// Answers [`Command::Out`].
    Sent {
        /// The port.
        port: u16,
        /// What was written.
        value: u32,
    },
    /// Answers [`Command::In`].
    Received {
        /// The port.
        port: u16,
        /// What was read.
        value: u32,
    },
    /// The eight bytes to be poked, peeked or run do not lie in the first 12 GiB, or a span does
    /// not end there.
    Unmapped {
        /// Guest-physical address.
        address: u64,
    },
    /// A byte that starts no command, or is no digit where one was due; a command that it stands
    /// in is dropped.
    What {
        /// The byte.
        byte: u8,
    },
    /// The guest cannot run on this machine, and has halted.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { below, above, hole: Range { start, end } } => write!(
                f,
                "ready below={below:016x} above={above:016x} hole={start:016x} hole_end={end:016x}"
            ),
            Self::Pong => write!(f, "pong"),
            Self::Set { seed, generation } => {
                write!(f, "set seed={seed:016x} generation={generation:016x}")
            }
            Self::Stamped { generation, pages } => {
                write!(f, "stamped generation={generation:016x} pages={pages:016x}")
            }
            Self::Swept { generation } => write!(f, "swept generation={generation:016x}"),
            Self::Stopped { generation } => write!(f, "stopped generation={generation:016x}"),
            Self::Tick { count } => write!(f, "tick count={count:016x}"),
            Self::Counted { count } => write!(f, "counted count={count:016x}"),
            Self::Found { pages, matching, first } => {
                let first = number_of(*first);
                write!(f, "found pages={pages:016x} matching={matching:016x} first={first:016x}")
            }
            Self::Poked { address, value } => {
                write!(f, "poked address={address:016x} value={value:016x}")
            }
            Self::Peeked { address, value } => {
                write!(f, "peeked address={address:016x} value={value:016x}")
            }
            Self::Running { runs, value } => {
                write!(f, "running runs={runs:016x} value={value:016x}")
            }
            Self::Ran { address, runs, value } => {
                write!(f, "ran address={address:016x} runs={runs:016x} value={value:016x}")
            }
            Self::Sent { port, value } => write!(f, "sent port={port:016x} value={value:016x}"),
            Self::Received { port, value } => {
                write!(f, "received port={port:016x} value={value:016x}")
            }
            Self::Unmapped { address } => write!(f, "unmapped address={address:016x}"),
            Self::What { byte } => write!(f, "what byte={byte:016x}"),
            Self::Failed { reason } => write!(f, "fail {reason}"),
        }
    }
}

/// A line on the debug port that is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bare guest wrote a line that is no report: {line:?}")]
pub struct UnknownReport {
    /// The line as it came.
    pub line: String,
}

impl FromStr for Report {
    type Err = UnknownReport;

    fn from_str(line: &str) -> Result<Self, UnknownReport> {
        parse(line).ok_or_else(|| UnknownReport { line: line.to_owned() })
    }
}

fn parse(line: &str) -> Option<Report> {
    if let Some(reason) = line.strip_prefix("fail ") {
        return Some(Report::Failed { reason: reason.to_owned() });
    }
    let (word, mut fields) = Fields::of(line);
    let mut field = |name| fields.number(name);
    let report = match word {
        "ready" => Report::Ready {
            below: field("below")?,
            above: field("above")?,
            hole: field("hole")?..field("hole_end")?,
        },
        "pong" => Report::Pong,
        "set" => Report::Set { seed: field("seed")?, generation: field("generation")? },
        "stamped" => Report::Stamped { generation: field("generation")?, pages: field("pages")? },
        "swept" => Report::Swept { generation: field("generation")? },
        "stopped" => Report::Stopped { generation: field("generation")? },
        "tick" => Report::Tick { count: field("count")? },
        "counted" => Report::Counted { count: field("count")? },
        "found" => Report::Found {
            pages: field("pages")?,
            matching: field("matching")?,
            first: page(field("first")?),
        },
        "poked" => Report::Poked { address: field("address")?, value: field("value")? },
        "peeked" => Report::Peeked { address: field("address")?, value: field("value")? },
        "running" => Report::Running { runs: field("runs")?, value: field("value")? },
        "ran" => {
            Report::Ran { address: field("address")?, runs: field("runs")?, value: field("value")? }
        }
        "sent" => Report::Sent {
            port: field("port")?.try_into().ok()?,
            value: field("value")?.try_into().ok()?,
        },
        "received" => Report::Received {
            port: field("port")?.try_into().ok()?,
            value: field("value")?.try_into().ok()?,
        },
        "unmapped" => Report::Unmapped { address: field("address")? },
        "what" => Report::What { byte: field("byte")?.try_into().ok()? },
        _ => return None,
    };
    fields.ended(report)
}
