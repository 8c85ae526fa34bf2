//! `fetch`: the source of a revision, into the cache.

use super::{Global, Revision, aim, steps};
use crate::failure::Exit;
use std::process::ExitCode;

/// The options of `fetch`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    /// Ask the source again, even where the cache has an answer
    #[arg(long)]
    refresh: bool,
}

/// Runs `fetch`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, refresh } = args;
    super::run(global, revision.label(), |run| {
        let wanted = aim::wanted(&revision)?;
        steps::fetch(run, &revision, &wanted, refresh, run.global.offline)?;
        Ok(Exit::AllHeld)
    })
}
