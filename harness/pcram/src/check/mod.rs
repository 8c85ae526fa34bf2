//! Checks: each tries one thing on real QEMUs and says what it found, in figures.
//!
//! What is checked is data ([`catalogue`]); how it is done is a file per procedure. A check
//! returns a [`Finding`]; an error means that it could not be tried to its end.

pub mod board;
pub mod cannot;
pub mod catalogue;
pub mod judge;
pub mod need;
pub mod omission;
pub mod procedure;
pub mod provenance;
pub mod ram_file;
pub mod streams;
pub mod trial;
pub mod untouched;
pub mod visible;
pub mod watched;

mod accounting;
mod backend;
mod both_set;
mod capability_refused;
mod convergence;
mod cpr_transfer;
mod crossing;
mod cut_short;
mod descriptor;
mod dirty_rate;
mod each_patch;
mod foretold;
mod halves;
mod held;
mod instead;
mod lanes;
mod layout;
mod linux;
mod linux_moves;
mod live;
mod mem_path;
mod mismatch;
mod moved;
mod once;
mod option;
mod other_targets;
mod own_test;
mod party;
mod prefilled;
mod refusal;
mod reset;
mod restore;
mod sampled;
mod snapshot_warning;
mod speed;
mod style;
mod unchanged;
mod vhost_user;
mod waiting;

use crate::cache::{begin_in, end_in};
use crate::event::{Figure, Row, Verdict};
use crate::images::Images;
use crate::machine::binary::Binary;
use crate::machine::kvm;
use crate::machine::mounts;
use crate::process;
use anyhow::{Context, Result};
use board::Board;
use catalogue::{Catalogue, Check, FileOn};
use need::Need;
use provenance::Provenance;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use trial::{Place, TMPFS, Trial, has_tmpfs};

/// What all checks of a run share.
pub struct Bench<'a> {
    /// What is promised and checked.
    pub catalogue: &'a Catalogue,
    /// The revision, as the user named it.
    pub revision: &'a str,
    /// The unpatched QEMU, where there is one.
    pub stock: Option<&'a Binary>,
    /// The patched QEMU.
    pub patched: &'a Binary,
    /// The qemu-img that makes disks, where there is one.
    pub qemu_img: Option<&'a Path>,
    /// Where the patched QEMU comes from, where that is at hand.
    pub provenance: Option<&'a Provenance<'a>>,
    /// Firmware and a kernel for guests, fetched where that is allowed.
    pub images: &'a (dyn Fn() -> Result<Images> + Sync),
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

    /// What an error means that ended a check early.
    fn of_error(error: &anyhow::Error) -> Finding {
        let not_tried = error.chain().find_map(|cause| cause.downcast_ref::<NotTried>());
        let (verdict, summary) = match not_tried {
            Some(NotTried(reason)) => (Verdict::NotTried, reason.clone()),
            None => (Verdict::Broken, format!("{error:#}")),
        };
        Finding { verdict, summary, evidence: Vec::new() }
    }

    /// Adds a figure.
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Finding {
        self.evidence.push(Figure::new(name, value));
        self
    }
}

/// Why a check was not tried: the host or the QEMU under test lacks what it needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTried(pub String);

/// The folders of the check under way.
static AT_WORK: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn under_way() -> MutexGuard<'static, Vec<PathBuf>> {
    AT_WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the folders of the check under way, where a signal ends the run in its middle.
pub fn abandon() {
    mounts::detach_all();
    for folder in under_way().drain(..) {
        end_in(&folder, false);
    }
}

/// Has `folder`, which the check under way made, removed where a signal ends the run.
pub(crate) fn leave_nothing_in(folder: &Path) {
    under_way().push(folder.to_owned());
}

impl Bench<'_> {
    /// Tries one check and tells what came of it.
    pub fn try_check(&self, check: &Check, repeat: String) -> Row {
        let folder = self.folder.join(&check.id);
        let start = Instant::now();
        leave_nothing_in(&folder);
        let found = begin_in(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))
            .and_then(|()| self.run(check, &folder));
        // What a signal has ended under this check is no finding, and its folder is to go.
        process::stay_if_ending();
        let finding = found.unwrap_or_else(|error| Finding::of_error(&error));
        let cannot = self.catalogue.cannot.iter().find(|cannot| cannot.check == check.id);
        let finding = match cannot {
            Some(cannot) => cannot.judge(finding),
            None => finding,
        };
        under_way().retain(|each| *each != folder);
        let telling = matches!(finding.verdict, Verdict::Failed | Verdict::Broken);
        let kept = self.keep || telling;
        end_in(&folder, kept);
        Row {
            id: check.id.clone(),
            promise: check.promise.clone(),
            title: check.title.clone(),
            revision: self.revision.to_owned(),
            machine: if check.procedure.runs_a_machine() {
                self.board(check).to_string()
            } else {
                String::new()
            },
            verdict: finding.verdict,
            summary: finding.summary,
            evidence: finding.evidence,
            seconds: start.elapsed().as_secs_f64(),
            folder: kept.then_some(folder),
            repeat,
        }
    }

    /// The first thing that a check needs, and that is not there.
    ///
    /// # Errors
    /// Where it cannot be looked for.
    pub fn unmet(&self, check: &Check) -> Result<Option<String>> {
        if check.file_on == FileOn::Tmpfs && !has_tmpfs() {
            return Ok(Some(format!("{TMPFS} is no tmpfs")));
        }
        // Not every QEMU has the machine type that the check runs on.
        let machine = check.procedure.runs_a_machine().then(|| self.board(check).machine);
        let machine = machine.map(Need::Machine);
        let mut unmet = check.needs.iter().chain(&machine).map(|need| need.unmet(self));
        unmet.find_map(Result::transpose).transpose()
    }

    /// The QEMU that is asked what a QEMU of this revision can do: stock, where there is one.
    fn reference(&self) -> &Binary {
        self.stock.unwrap_or(self.patched)
    }

    fn run(&self, check: &Check, folder: &Path) -> Result<Finding> {
        if check.procedure.runs_a_machine()
            && let Some(option) = self.option_lacking()
        {
            return Ok(Finding::new(vec![format!("this QEMU does not offer {option}")], ""));
        }
        if let Some(reason) = self.unmet(check)? {
            return Err(NotTried(reason).into());
        }
        let place = match check.file_on {
            FileOn::Folder => Place::Folder,
            FileOn::Tmpfs => Place::tmpfs()?,
        };
        let done =
            check.procedure.run(&Trial { bench: self, board: self.board(check), place, folder });
        match done {
            Err(error) if check.needs.contains(&Need::Kvm) => Err(self.kvms_fault(error, folder)),
            done => done,
        }
    }

    /// The option that gives a QEMU its RAM file, where this one does not offer it: nothing that
    /// is promised of it can hold then.
    fn option_lacking(&self) -> Option<&str> {
        let option = self.catalogue.ram_file.first()?;
        self.patched.option_help(option).is_none().then_some(option)
    }

    /// An error under KVM is a reason to skip where stock runs no guest there any more, either.
    fn kvms_fault(&self, error: anyhow::Error, folder: &Path) -> anyhow::Error {
        let Some(stock) = self.stock else { return error };
        match kvm::usable(stock, &folder.join("stock-under-kvm")) {
            Ok(_) => error,
            Err(why) => NotTried(format!("{error:#}; with stock: {why}")).into(),
        }
    }

    fn board(&self, check: &Check) -> Board {
        self.catalogue.board.with(&check.on)
    }
}

#[cfg(test)]
mod tests;
