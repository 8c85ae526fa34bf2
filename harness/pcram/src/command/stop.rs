//! A series that stopped: what the user is told to do, and the work tree that is left to them.

use super::aim::Aim;
use super::{Revision, Run, program, steps};
use crate::event::Outcome;
use crate::failure::{Exit, Failure};
use crate::machine::shell_word;
use crate::series::{HandedOver, Obstacle, Series, Stopped, hand_over};
use crate::source::Source;
use anyhow::{Error, Result};
use std::path::Path;

/// The error, and how to go on where a patch stopped and nothing was written.
pub(super) fn advise(run: &Run, revision: &Revision, aim: &Aim, error: Error) -> Error {
    let Some(stopped) = error.downcast_ref::<Stopped>() else { return error };
    let text = format!(
        "{error:#}{}\nNothing was changed. To go on by hand, `{} --to DIR` leaves a work tree of \
         this state in DIR, a new folder. Or name another source (--source, --tree, --git-url), \
         or a series that was made for this one (--series DIR).",
        base_advice(run, aim, stopped),
        run.repeat("apply", revision)
    );
    Failure::new(Exit::DidNotApply, text).into()
}

/// Leaves the work tree at which a series stopped in `dir`, and returns the error with how to go
/// on there. Any other error is returned as it is.
pub(super) fn leave(
    run: &Run,
    revision: &Revision,
    aim: &Aim,
    source: &Source,
    series: &Series,
    dir: &Path,
    error: Error,
) -> Result<Error> {
    let Some(stopped) = error.downcast_ref::<Stopped>() else { return Ok(error) };
    let repeat = steps::writing_to(run, revision, dir);
    let what = format!("the work tree at which it stopped to {}", dir.display());
    let handed = run.events.step("write", what, repeat, |step| {
        let what = format!("QEMU: {}", source.description());
        let onto = steps::onto(revision, source);
        let handed = hand_over(&run.cache, step, &onto, &what, series, stopped, dir)?;
        let HandedOver { conflicts, commits, .. } = &handed;
        let (at, count) = (stopped.at + 1, stopped.count);
        let file = &series.patches[stopped.at].file;
        let outcome = Outcome::new(format!("`git am` stopped at patch {at} of {count}, {file}"))
            .with("commits", commits)
            .with("conflicts", conflicts.join(" "));
        Ok((handed, outcome))
    })?;
    let text = format!("{error:#}{}\n{}", base_advice(run, aim, stopped), way_on(dir, &handed));
    Ok(Failure::new(Exit::DidNotApply, text).into())
}

/// Where blobs that a merge would need can be had.
fn base_advice(run: &Run, aim: &Aim, stopped: &Stopped) -> String {
    let Obstacle::NoBase { .. } = stopped.obstacle else { return String::new() };
    let fetch = match &aim.made_for {
        Some(release) if !steps::has_package(run, release) => format!(
            "`{} fetch {} --source package` fetches the source that the series was made on; or ",
            program(),
            release.name
        ),
        _ => String::new(),
    };
    format!("\nTo have it merged: {fetch}name a complete clone that has the blob (--git-url PATH).")
}

/// How to go on in the work tree `dir`, and to a refreshed series.
fn way_on(dir: &Path, handed: &HandedOver) -> String {
    let place = shell_word(&dir.to_string_lossy());
    let files: Vec<_> = handed.conflicts.iter().map(|file| shell_word(file)).collect();
    let left = match handed.left {
        0 => "this was the last patch".to_owned(),
        left => format!("it goes on with the {left} that are left"),
    };
    let edit = if files.is_empty() {
        "No file has conflict markers. In that folder:\n  \
         git am --show-current-patch=diff | git apply --reject\n                          \
         # puts in what fits; the rest is in files *.rej\n  \
         git add FILE...         # once it is right"
            .to_owned()
    } else {
        format!("Edit the conflicts, and then, in that folder:\n  git add {}", files.join(" "))
    };
    format!(
        "The work tree {place} is left to you, stopped in `git am`.\n{edit}\n  \
         git am --continue       # {left}; --skip leaves this one out\n\
         When all are in, write the refreshed series to a new folder, and try it:\n  \
         {} refresh {place} --to SERIES",
        program()
    )
}
