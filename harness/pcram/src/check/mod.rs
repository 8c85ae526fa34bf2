//! Checks: each tries one thing on real QEMUs and says what it found, in figures.
//!
//! What is checked is data ([`catalogue`]); how it is done is a file per procedure. A check
//! returns a [`Finding`]; an error means that it could not be tried to its end.

pub mod catalogue;
pub mod judge;
pub mod omission;
pub mod ram_file;
pub mod untouched;
pub mod visible;

mod capability_refused;
mod content;
mod option;
mod prefilled;
mod refusal;

use crate::event::{Figure, Row, Verdict};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::machine::binary::Binary;
use crate::machine::launch::{Launch, opt_value};
use anyhow::{Context, Result, ensure};
use catalogue::{Board, Catalogue, Check, Procedure};
use pcram_mirror::address::{self as mirror, RamLayout};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What all checks of a run share.
pub struct Bench<'a> {
    /// What is promised and checked.
    pub catalogue: &'a Catalogue,
    /// The revision, as the user named it.
    pub revision: &'a str,
    /// The unpatched QEMU.
    pub stock: &'a Binary,
    /// The patched QEMU.
    pub patched: &'a Binary,
    /// The patched tree's qemu-img.
    pub qemu_img: &'a Path,
    /// Where each row gets a folder of its own.
    pub folder: &'a Path,
    /// Whether the folder of a row that holds is kept, too.
    pub keep: bool,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it holds.
    pub verdict: Verdict,
    /// One sentence that carries the decisive figures.
    pub summary: String,
    /// All figures.
    pub evidence: Vec<Figure>,
}

impl Finding {
    /// A finding that holds where nothing is in `wrong`; where something is, that is the summary.
    pub fn new(wrong: Vec<String>, summary: impl Into<String>) -> Finding {
        let (verdict, summary) = if wrong.is_empty() {
            (Verdict::Held, summary.into())
        } else {
            (Verdict::Failed, wrong.join("; "))
        };
        Finding { verdict, summary, evidence: Vec::new() }
    }

    /// Adds a figure.
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Finding {
        self.evidence.push(Figure::new(name, value));
        self
    }
}

/// The folder of the check under way.
static UNDER_WAY: Mutex<Option<PathBuf>> = Mutex::new(None);

fn under_way() -> MutexGuard<'static, Option<PathBuf>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the folder of the check under way, where a signal ends the run in its middle.
pub fn abandon() {
    if let Some(folder) = under_way().take() {
        let _ = fs::remove_dir_all(folder);
    }
}

impl Bench<'_> {
    /// Tries one check and tells what came of it.
    pub fn try_check(&self, check: &Check, repeat: String) -> Row {
        let folder = self.folder.join(&check.id);
        let start = Instant::now();
        *under_way() = Some(folder.clone());
        let found = fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))
            .and_then(|()| self.run(&check.procedure, &folder));
        let finding = found.unwrap_or_else(|error| Finding {
            verdict: Verdict::Broken,
            summary: format!("{error:#}"),
            evidence: Vec::new(),
        });
        *under_way() = None;
        let kept = self.keep || finding.verdict != Verdict::Held;
        if !kept {
            // What cannot be removed now is pruned with its run.
            let _ = fs::remove_dir_all(&folder);
        }
        Row {
            id: check.id.clone(),
            promise: check.promise.clone(),
            title: check.title.clone(),
            revision: self.revision.to_owned(),
            machine: self.machine_of(&check.procedure),
            verdict: finding.verdict,
            summary: finding.summary,
            evidence: finding.evidence,
            seconds: start.elapsed().as_secs_f64(),
            folder: kept.then_some(folder),
            repeat,
        }
    }

    fn run(&self, procedure: &Procedure, folder: &Path) -> Result<Finding> {
        match procedure {
            Procedure::Option { option } => option::check(self, option, folder),
            Procedure::Prefilled => prefilled::check(self, folder),
            Procedure::Visible { when } => visible::check(self, *when, folder),
            Procedure::Refusal { .. } => refusal::check(self, procedure, folder),
            Procedure::CapabilityRefused { capability, message } => {
                capability_refused::check(self, capability, message, folder)
            }
            Procedure::Omission { via, guest } => omission::check(self, *via, *guest, folder),
        }
    }

    fn machine_of(&self, procedure: &Procedure) -> String {
        let Board { machine, accel, ram_mib } = &self.catalogue.board;
        match procedure {
            Procedure::Option { .. } => String::new(),
            Procedure::Refusal { machine: Some(machine), .. } => format!("{machine}, {accel}"),
            _ => format!("{machine}, {accel}, {ram_mib} MiB"),
        }
    }

    /// The machine that checks run on, with nothing asked for beside it.
    fn launch(&self) -> Launch {
        let Board { machine, accel, ram_mib } = self.catalogue.board.clone();
        Launch { machine, accel, ram_mib, ..Launch::default() }
    }

    /// The RAM of that machine in bytes.
    fn ram(&self) -> u64 {
        self.catalogue.board.ram_mib << 20
    }

    /// The words that give a QEMU the RAM file at `path`.
    fn ram_file_args(&self, path: &Path) -> Vec<String> {
        let words = self.catalogue.ram_file.iter();
        words.map(|word| word.replace("{opt-path}", &opt_value(path))).collect()
    }

    /// A fresh RAM file in `folder`.
    fn ram_file(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(ram_file::NAME);
        ram_file::create(&path, self.ram())?;
        Ok(path)
    }

    /// Where that machine's RAM lies, as the mirror foretells it.
    fn layout(&self) -> Result<RamLayout> {
        let machine = &self.catalogue.board.machine;
        let board = mirror::Board::of_machine(machine).ok_or_else(|| {
            Failure::usage(format!("nobody knows how the machine type {machine} splits its RAM"))
        })?;
        Ok(board.layout(self.ram()))
    }

    /// Starts the patched QEMU on the RAM file at `path`, and waits until its guest is up.
    fn start_patched(&self, path: &Path, folder: &Path) -> Result<Machine> {
        let launch = Launch { extra: self.ram_file_args(path), ..self.launch() };
        let mut machine = Machine::start(self.patched, &launch, folder)?;
        let (found, foretold) = (machine.guest.ready()?, self.layout()?);
        ensure!(found == foretold, "the guest found {found:?} as its RAM, not {foretold:?}");
        Ok(machine)
    }
}
