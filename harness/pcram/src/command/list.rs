//! `list`: the revisions that a series is carried for, and what the cache holds of each.

use super::{Global, Run, patches};
use crate::event::{Outcome, Step};
use crate::failure::Exit;
use crate::series::Series;
use crate::source::{Release, Releases, cached};
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

/// The options of `list`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs `list`.
pub fn run(global: Global, Args {}: Args) -> ExitCode {
    super::run(global, "", |run| {
        let patches = patches()?;
        let table = patches.join("releases.toml");
        let what = format!("the revisions in {}", table.display());
        run.events.step("list", what, "", |step| {
            let releases = Releases::read(&table)?;
            for release in releases.all() {
                tell(run, step, &patches, release)?;
            }
            let count = releases.all().len();
            let result = format!("{count} revision{}", if count == 1 { "" } else { "s" });
            Ok((Exit::AllHeld, Outcome::new(result)))
        })
    })
}

fn tell(run: &Run, step: &Step, patches: &Path, release: &Release) -> Result<()> {
    let dir = patches.join(&release.series);
    let series = Series::load(&dir)?;
    let (name, count, made_on) = (&release.name, series.patches.len(), release.made_on());
    step.note(format!("{name}: {count} patches in {}, made on {made_on}", dir.display()));
    if release.package.is_none() {
        step.note("  no distribution has it; `--git-url URL` names a git that does");
    }
    if let Some(toolchain) = &release.toolchain {
        let dir = patches.join(toolchain);
        let count = Series::load(&dir)?.patches.len();
        let why = "so that it builds on a machine of today";
        step.note(format!("  and {count} patches in {} on top, {why}", dir.display()));
    }
    for source in cached(&run.cache, &release.name) {
        step.note(format!("  in the cache: {}", source.description()));
    }
    Ok(())
}
