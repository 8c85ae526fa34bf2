//! `apply`: the series onto the source, and the patched tree or the series as it went on where the
//! user wants it.

use super::{Global, Revision, aim, steps, stop};
use crate::failure::Exit;
use crate::series::{Series, expect_vacant};
use std::path::PathBuf;
use std::process::ExitCode;

/// The options of `apply`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    /// Write the patched tree to DIR, a folder that is new or empty; where a patch stops, the work
    /// tree to go on in
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Write the series as it went on, each hunk at its line, to DIR, a folder that is new or empty
    #[arg(long, value_name = "DIR")]
    write_series: Option<PathBuf>,
}

/// Runs `apply`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, to, write_series } = args;
    super::run(global, revision.label(), |run| {
        [&to, &write_series].into_iter().flatten().try_for_each(|dir| expect_vacant(dir))?;
        let aim = aim::aim(run, &revision, run.global.offline)?;
        let series = Series::load(&aim.series)?;
        let source = steps::source(run, &revision, &aim)?;
        let applied = match (steps::try_apply(run, &revision, &aim, &source, &series), &to) {
            (Ok(applied), _) => applied,
            (Err(error), None) => return Err(stop::advise(run, &revision, &aim, error)),
            (Err(error), Some(dir)) => {
                return Err(stop::leave(run, &revision, &aim, &source, &series, dir, error)?);
            }
        };
        if let Some(dir) = to {
            steps::export(run, &revision, &applied, &dir)?;
        }
        if let Some(dir) = write_series {
            steps::write_series(run, &revision, &source, &series, &applied, &dir)?;
        }
        Ok(Exit::AllHeld)
    })
}
