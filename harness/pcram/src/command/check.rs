//! `check`: the checks, on QEMUs that were built before.

use super::{Global, Revision, aim, steps};
use std::process::ExitCode;

/// The options of checks.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "check options")]
pub struct Options {
    /// Try only the check ID; `*` stands for any characters; may be given more than once
    #[arg(long = "row", value_name = "ID")]
    pub rows: Vec<String>,
    /// Try every check, not only those of the default set
    #[arg(long)]
    pub thorough: bool,
    /// Keep the folder of every check, not only of those that do not hold
    #[arg(long)]
    pub keep: bool,
}

/// The options of `check`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    check: Options,
}

/// Runs `check`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, check } = args;
    super::run(global, revision.label(), |run| {
        let aim = aim::aim(run, &revision, true)?;
        let catalogue = steps::catalogue(&aim.series, &check)?;
        let built = steps::built(run, &revision, &aim)?;
        steps::check(run, &revision, aim.wanted.name(), &catalogue, &built, &check)
    })
}
