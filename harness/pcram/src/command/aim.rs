//! What a command is about: a revision, and the series for it.

use super::{Revision, Run, patches, steps};
use crate::event::Outcome;
use crate::failure::Failure;
use crate::series::nearest;
use crate::source::{Choice, Release, Releases, Source, Wanted};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A revision, and the series for it.
pub(super) struct Aim {
    /// The revision.
    pub wanted: Wanted,
    /// The folder of the series.
    pub series: PathBuf,
    /// The release whose series that is, if it is one of the table's.
    pub made_for: Option<Release>,
    /// The source, where it was fetched to choose the series.
    pub source: Option<Source>,
}

/// The revision that the user named: one of the table's, or any that a git or a tree has.
///
/// # Errors
/// A `Failure` where it is in no table and no source is named.
pub(super) fn wanted(revision: &Revision) -> Result<Wanted> {
    let releases = Releases::read(&patches()?.join("releases.toml"))?;
    let Revision { name, source, git_url, git_rev, tree, .. } = revision;
    let has_source = match source {
        Choice::Auto => git_url.is_some() || tree.is_some(),
        Choice::Git => git_url.is_some(),
        Choice::Tree => tree.is_some(),
        Choice::Package => false,
    };
    let known = |name: &str| releases.all().iter().any(|release| release.name == name);
    let other = match (name, tree, git_rev) {
        _ if !has_source => None,
        (Some(name), ..) => Some(name.clone()).filter(|name| !known(name)),
        (None, Some(tree), _) => Some(tree.display().to_string()),
        (None, None, rev) => rev.clone(),
    };
    Ok(match (other, name) {
        (Some(name), _) => Wanted::Other { name, releases },
        (None, Some(name)) => Wanted::Release(releases.find(name)?.clone()),
        (None, None) => Wanted::Release(releases.first().clone()),
    })
}

/// The revision that the user named, and the series for it: the one that was named, the
/// revision's own, or the nearest, for which the source is fetched. `offline` keeps from fetching
/// what is not here.
pub(super) fn aim(run: &Run, revision: &Revision, offline: bool) -> Result<Aim> {
    let wanted = wanted(revision)?;
    let patches = patches()?;
    if let Some(series) = revision.series.clone() {
        let releases = Releases::read(&patches.join("releases.toml"))?;
        let made_for = releases.all().iter().find(|it| is_same(&patches.join(&it.series), &series));
        return Ok(Aim { wanted, series, made_for: made_for.cloned(), source: None });
    }
    match &wanted {
        Wanted::Release(release) => {
            let (series, made_for) = (patches.join(&release.series), Some(release.clone()));
            Ok(Aim { wanted, series, made_for, source: None })
        }
        Wanted::Other { name, releases } => {
            let source = steps::fetch(run, revision, &wanted, false, offline)?;
            let what = format!("the series for QEMU {name}");
            let nearest = run.events.step("choose", what, "", |step| {
                let store = run.cache.store()?;
                let nearest = nearest(&store, releases, &patches, &source.tree)?;
                for candidate in &nearest.candidates {
                    step.note(candidate.to_string());
                }
                let result = format!("the nearest is {}", nearest.dir.display());
                let outcome = Outcome::new(result).with("series made for", &nearest.release.name);
                Ok((nearest, outcome))
            })?;
            let (series, made_for) = (nearest.dir, Some(nearest.release));
            Ok(Aim { wanted, series, made_for, source: Some(source) })
        }
    }
}

/// The series that says what is promised, where no source is at hand to choose one for.
pub(super) fn promised(revision: &Revision) -> Result<PathBuf> {
    if let Some(series) = &revision.series {
        return Ok(series.clone());
    }
    match wanted(revision)? {
        Wanted::Release(release) => Ok(patches()?.join(release.series)),
        Wanted::Other { name, .. } => {
            let why = "--series DIR says what is promised of it";
            Err(Failure::usage(format!("{name} is no revision of the list; {why}")).into())
        }
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}
