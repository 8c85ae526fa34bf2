//! `cache`: what it holds, how large that is, and how to get rid of it.

use super::{Global, Run};
use crate::cache::{Entry, Kind, Which};
use crate::event::Outcome;
use crate::failure::Exit;
use anyhow::Result;
use indicatif::{BinaryBytes, HumanDuration};
use std::process::ExitCode;
use std::time::Duration;

/// The options of `cache`.
#[derive(clap::Args)]
pub struct Args {
    /// Remove entries of KIND, or all of them
    #[arg(long, value_name = "KIND", value_enum)]
    prune: Option<Prune>,
    /// Remove only what was not used for so many days
    #[arg(long, value_name = "DAYS", requires = "prune")]
    older_than: Option<u64>,
}

/// What to prune.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Prune {
    /// Everything that no run is using
    All,
    /// The fetched sources
    Source,
    /// Work trees with their build folders; finished builds stay
    Tree,
    /// Finished builds
    Build,
    /// Private Python environments
    Python,
    /// What guests boot that comes from packages
    Guest,
    /// The folders that runs left
    Run,
}

impl Prune {
    fn kind(self) -> Option<Kind> {
        match self {
            Prune::All => None,
            Prune::Source => Some(Kind::Source),
            Prune::Tree => Some(Kind::Tree),
            Prune::Build => Some(Kind::Build),
            Prune::Python => Some(Kind::Python),
            Prune::Guest => Some(Kind::Guest),
            Prune::Run => Some(Kind::Run),
        }
    }
}

/// Runs `cache`.
pub fn run(global: Global, args: Args) -> ExitCode {
    super::run(global, "", |run| {
        match args.prune {
            None => show(run)?,
            Some(prune) => remove(run, prune, args.older_than)?,
        }
        Ok(Exit::AllHeld)
    })
}

fn show(run: &Run) -> Result<()> {
    run.events.step("cache", run.cache.root().display().to_string(), "", |step| {
        let entries = run.cache.entries()?;
        for entry in &entries {
            step.note(line(entry));
        }
        Ok(((), Outcome::new(sum(&entries))))
    })
}

fn remove(run: &Run, prune: Prune, days: Option<u64>) -> Result<()> {
    let what = format!("pruning {}", run.cache.root().display());
    run.events.step("cache", what, "", |step| {
        let older_than = days.map(|days| Duration::from_secs(days * 24 * 60 * 60));
        let pruned = run.cache.prune(Which { kind: prune.kind(), older_than })?;
        for entry in &pruned.removed {
            step.note(format!("removed {}", line(entry)));
        }
        for entry in &pruned.in_use {
            step.note(format!("left, since a run is using it: {}", line(entry)));
        }
        Ok(((), Outcome::new(format!("removed {}", sum(&pruned.removed)))))
    })
}

fn line(entry: &Entry) -> String {
    let age = HumanDuration(entry.used.elapsed().unwrap_or_default());
    let size = BinaryBytes(entry.bytes).to_string();
    format!("{:<7} {size:>11}  {}, used {age} ago", entry.kind.word(), entry.name)
}

fn sum(entries: &[Entry]) -> String {
    let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    format!("{} entries, {}", entries.len(), BinaryBytes(bytes))
}
