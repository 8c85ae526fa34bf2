//! `build`: QEMU without and with the series.

use super::{Global, Revision, aim, steps};
use crate::check::catalogue::{Catalogue, reach};
use crate::failure::Exit;
use std::num::NonZeroUsize;
use std::process::ExitCode;

/// The options of a build.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "build options")]
pub struct Options {
    /// Compile on N processors [default: all]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Install missing system packages without asking
    #[arg(long)]
    pub yes: bool,
}

/// The options of `build`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    build: Options,
    /// Build each patch alone, the programs of other targets, and the series' own tests, too
    #[arg(long)]
    thorough: bool,
}

/// Runs `build`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, build, thorough } = args;
    super::run(global, revision.label(), |run| {
        let aim = aim::aim(run, &revision, run.global.offline)?;
        let catalogue = thorough.then(|| Catalogue::of_series(&aim.series)).transpose()?;
        let reach = catalogue.map(|catalogue| reach(&catalogue.checks));
        steps::build(run, &revision, &aim, &build, reach.as_ref())?;
        Ok(Exit::AllHeld)
    })
}
