//! `apply`: the series onto the source, and the patched tree where the user wants it.

use super::{Global, Revision, find, steps};
use crate::failure::Exit;
use std::path::PathBuf;
use std::process::ExitCode;

/// The options of `apply`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    /// Write the patched tree to DIR, a folder that is new or empty
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Runs `apply`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, to } = args;
    super::run(global, revision.label(), |run| {
        let (release, series) = find(&revision)?;
        let source = steps::fetch(run, &revision, &release, false)?;
        let (_, applied) = steps::apply(run, &revision, &source, &series)?;
        if let Some(dir) = to {
            steps::export(run, &revision, &applied, &dir)?;
        }
        Ok(Exit::AllHeld)
    })
}
