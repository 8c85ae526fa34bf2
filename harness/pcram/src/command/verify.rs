//! `verify`: all of it, from a source to judged promises.

use super::steps::{self, Subject};
use super::{Global, Revision, aim, check};
use crate::check::catalogue::reach;
use std::process::ExitCode;

/// The options of `verify`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    build: super::build::Options,
    #[command(flatten)]
    check: check::Options,
}

/// Runs `verify`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, build, check } = args;
    super::run(global, revision.label(), |run| {
        let aim = aim::aim(run, &revision, run.global.offline)?;
        let catalogue = steps::catalogue(&aim.series, &check)?;
        let reach = check.thorough.then(|| reach(&catalogue.checks));
        let built = steps::build(run, &revision, &aim, &build, reach.as_ref())?;
        let subject = Subject::built(run, &revision, &aim, &built, run.global.offline)?;
        steps::check(run, &catalogue, &subject, &check)
    })
}
