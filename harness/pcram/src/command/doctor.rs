//! `doctor`: what this machine lacks, and what would not be tried on it. It changes nothing.

mod host;
mod revisions;

use super::{Global, look};
use crate::build::packages::{self, Found};
use crate::cache::Cache;
use crate::event::{Events, Outcome};
use crate::failure::{Exit, Failure};
use anyhow::Result;
use std::process::ExitCode;

/// The options of `doctor`.
#[derive(clap::Args)]
pub struct Args {
    /// Tell of the checks that only --thorough tries, too
    #[arg(long)]
    thorough: bool,
}

/// Runs `doctor`.
pub fn run(global: Global, Args { thorough }: Args) -> ExitCode {
    look(&global, |events| {
        let mut missing = Vec::new();
        missing.extend(system(events)?);
        missing.extend(cache(events, &global)?);
        host(events)?;
        // What is wrong with the cache was told.
        let cache = Cache::look(global.cache.as_deref()).ok().flatten();
        events.step(
            "revisions",
            "what the cache holds, and what would not be tried",
            "",
            |step| revisions::tell(step, cache.as_ref(), thorough),
        )?;
        match missing[..] {
            [] => Ok(Exit::AllHeld),
            _ => Err(Failure::missing(missing.join("\n")).into()),
        }
    })
}

/// The system packages; the text of what is missing.
fn system(events: &Events) -> Result<Option<String>> {
    events.step("system", "what a run needs of it", "", |step| {
        let found = packages::survey();
        for Found { what, package, version, there, .. } in &found {
            let known = version.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            match there {
                true => step.note(format!("there      {what}{known}")),
                false => step.note(format!("MISSING    {what}: package {package}")),
            }
        }
        let missing: Vec<_> = found.iter().filter(|found| !found.there).collect();
        let result = format!("{} of {} there", found.len() - missing.len(), found.len());
        Ok((packages::how_to_install(&missing), Outcome::new(result)))
    })
}

/// Whether the cache can be used; the text of why not.
fn cache(events: &Events, global: &Global) -> Result<Option<String>> {
    let place = Cache::place(global.cache.as_deref())?;
    events.step("cache", place.display().to_string(), "", |step| {
        let sound = Cache::look(global.cache.as_deref()).map(drop);
        let found = sound.map_err(|error| format!("{error:#}")).and_then(|()| host::cache(&place));
        Ok(match found {
            Ok(found) => (None, Outcome::new(found)),
            Err(why) => {
                step.note(&why);
                (Some(why), Outcome::new("it cannot be used"))
            }
        })
    })
}

/// What checks need of the host. None of it is missing: without it, they are not tried.
fn host(events: &Events) -> Result<()> {
    events.step("host", "what some checks need of it", "", |step| {
        let found = [host::device("/dev/kvm"), host::device("/dev/fuse"), host::tmpfs()];
        let usable = found.iter().filter(|found| found.is_ok()).count();
        for text in &found {
            let (Ok(text) | Err(text)) = text;
            step.note(text);
        }
        Ok(((), Outcome::new(format!("{usable} of {} usable", found.len()))))
    })
}
