//! The one stream of typed events that every report consumes.
//!
//! A run is told as a sequence of [`Event`]s, sent through an [`Events`] handle. Reports
//! (terminal, JSON) implement [`Report`] and know nothing that is not in an event. The JSON form
//! carries [`SCHEMA`]; a reader that meets a higher number than it knows should refuse.

use crate::posting::claims::Tried;
use crate::process;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Version of the events' JSON form. Raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// One figure of evidence: a name, a value and, where it has one, a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What was counted or found, e.g. `pc.ram pages, patched`.
    pub name: String,
    /// The value as it is shown.
    pub value: String,
}

impl Figure {
    /// A figure from anything that prints.
    pub fn new(name: impl Into<String>, value: impl fmt::Display) -> Figure {
        Figure { name: name.into(), value: value.to_string() }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

/// What came of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was tried and holds.
    Held,
    /// It was tried and does not hold.
    Failed,
    /// It could not be tried to its end: a QEMU did not boot, a wait timed out.
    Broken,
    /// It was tried and does not hold, as was foretold of this QEMU line's machinery.
    Cannot,
    /// It was not tried; the evidence says why.
    NotTried,
}

/// One row of a report: a check that was run, or was not.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The row's stable name, a free string such as `p4.migrate-exec.stopped`.
    pub id: String,
    /// The promise it speaks of, e.g. `P4`.
    pub promise: String,
    /// What it checks, in words.
    pub title: String,
    /// The revision under test, as the user named it.
    pub revision: String,
    /// The machine it ran on, e.g. `pc, tcg, 64 MiB`; empty where no guest was involved.
    pub machine: String,
    /// What came of it.
    pub verdict: Verdict,
    /// One sentence that carries the decisive figures.
    pub summary: String,
    /// All figures.
    pub evidence: Vec<Figure>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Where console, monitor traffic, command line and stream were left, if they were kept.
    pub folder: Option<PathBuf>,
    /// The command line that repeats just this row.
    pub repeat: String,
}

/// One promise, judged from its rows.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The promise's name, e.g. `P4`.
    pub promise: String,
    /// Its title.
    pub title: String,
    /// `Held` only where at least one row was tried and all tried rows hold.
    pub verdict: Verdict,
    /// How many rows hold, and how many were tried.
    pub held: usize,
    /// How many rows were tried.
    pub tried: usize,
    /// The decisive sentence of each row, or of the failing ones.
    pub evidence: Vec<String>,
    /// What was not tried, each with its reason.
    pub not_tried: Vec<String>,
}

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first event of every run.
    RunStarted {
        /// [`SCHEMA`].
        schema: u32,
        /// The run's id, also the name of its folder; empty where it has none.
        run: String,
        /// This tool's version.
        tool: String,
        /// The command line, without the program's name.
        command: Vec<String>,
        /// The revision under test, as the user named it; empty where there is none.
        revision: String,
        /// The host: kernel, architecture, processors.
        host: String,
    },
    /// A step begins.
    StepStarted {
        /// The step's name, e.g. `build`.
        step: String,
        /// What it does, on what.
        what: String,
    },
    /// A step got further. Not part of the JSON form.
    #[serde(skip)]
    Progress {
        /// The step's name.
        step: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// What is being done now.
        now: String,
    },
    /// Something worth knowing that is no result: which source was taken, a wait for a lock.
    Note {
        /// The step's name.
        step: String,
        /// The sentence.
        text: String,
    },
    /// A step ended well.
    StepFinished {
        /// The step's name.
        step: String,
        /// Wall time in seconds.
        seconds: f64,
        /// What came of it, in one sentence.
        result: String,
        /// All figures.
        evidence: Vec<Figure>,
        /// The command line that repeats it alone.
        repeat: String,
    },
    /// A step failed; the error's text, outermost cause first.
    StepFailed {
        /// The step's name.
        step: String,
        /// The error.
        error: String,
    },
    /// A check ended.
    Row(Row),
    /// A promise was judged from its rows.
    Judged(Judgement),
    /// A claim of a thread was judged from its rows.
    Claimed(Tried),
    /// The last event of every run.
    RunFinished {
        /// The process exit code.
        exit: u8,
        /// What it means.
        meaning: String,
        /// The error that ended it, outermost cause first, where one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Wall time in seconds.
        seconds: f64,
    },
}

/// A consumer of the stream.
pub trait Report: Send {
    /// Takes the next event.
    fn take(&mut self, event: &Event);
}

/// The sending end of the stream; clones send into the same one.
#[derive(Clone, Default)]
pub struct Events {
    reports: Arc<Mutex<Vec<Box<dyn Report>>>>,
}

impl Events {
    /// A stream into the given reports, each of which sees every event in order.
    pub fn new(reports: Vec<Box<dyn Report>>) -> Events {
        Events { reports: Arc::new(Mutex::new(reports)) }
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        process::stay_if_ending();
        // A report that panicked has said so already; the others still want the event.
        let mut reports = self.reports.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for report in reports.iter_mut() {
            report.take(&event);
        }
    }

    /// Runs `work` as the step `name`: announces it, and tells how it ended.
    pub fn step<T>(
        &self,
        name: &str,
        what: impl Into<String>,
        repeat: impl Into<String>,
        work: impl FnOnce(&Step) -> anyhow::Result<(T, Outcome)>,
    ) -> anyhow::Result<T> {
        let step = Step { events: self.clone(), name: name.to_owned() };
        self.send(Event::StepStarted { step: step.name.clone(), what: what.into() });
        let start = Instant::now();
        match work(&step) {
            Ok((value, outcome)) => {
                self.send(Event::StepFinished {
                    step: step.name,
                    seconds: start.elapsed().as_secs_f64(),
                    result: outcome.result,
                    evidence: outcome.evidence,
                    repeat: repeat.into(),
                });
                Ok(value)
            }
            Err(error) => {
                self.send(Event::StepFailed { step: step.name, error: format!("{error:#}") });
                Err(error)
            }
        }
    }
}

/// How a step ended: one sentence, and the figures behind it.
#[derive(Default)]
pub struct Outcome {
    result: String,
    evidence: Vec<Figure>,
}

impl Outcome {
    /// An outcome told in one sentence.
    pub fn new(result: impl Into<String>) -> Outcome {
        Outcome { result: result.into(), evidence: Vec::new() }
    }

    /// Adds a figure.
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Outcome {
        self.evidence.push(Figure::new(name, value));
        self
    }
}

/// The step under way, to report its progress.
pub struct Step {
    events: Events,
    name: String,
}

impl Step {
    /// Tells how far the step has come.
    pub fn progress(&self, done: u64, total: u64, now: impl Into<String>) {
        self.events.send(Event::Progress { step: self.name.clone(), done, total, now: now.into() });
    }

    /// Tells something worth knowing.
    pub fn note(&self, text: impl Into<String>) {
        self.events.send(Event::Note { step: self.name.clone(), text: text.into() });
    }
}
