//! A series onto a tree, in the store alone: no file is written.
//!
//! git applies each patch to an index of its own. A hunk that is not at its line is looked for,
//! but its context must match whole: fuzz would put code where nobody has looked. (libgit2 does
//! not look for a hunk, but lets a patch make a file that is there already.) What does not apply
//! may be in the tree already, which shows when it is taken back; else it is merged three ways.

use std::cell::OnceCell;
use std::fmt;
use std::mem::discriminant;
use std::path::PathBuf;

use anyhow::Result;

use super::git::{Git, Index, Way};
use super::three_way::{Merged, Obstacle, merge};
use super::{Patch, Series, conflict, remembered};
use crate::cache::Cache;
use crate::event::{Events, Outcome, Step};
use crate::failure::{Exit, Failure};

/// What a series is applied to.
#[derive(Clone, Debug)]
pub struct Onto {
    /// The id of the tree, in hex.
    pub tree: String,
    /// Gits here that may have blobs which patches were made on; what is no git has none.
    pub gits: Vec<PathBuf>,
}

/// A tree with a series applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The id of the tree with all patches, in hex.
    pub tree: String,
    /// Each patch, in order.
    pub patches: Vec<AppliedPatch>,
}

/// One patch that was applied.
#[derive(Clone, Debug)]
pub struct AppliedPatch {
    /// Its path in the series' folder.
    pub file: String,
    /// Its subject.
    pub subject: String,
    /// How it went on.
    pub how: How,
    /// The id of the tree up to and with it, in hex.
    pub tree: String,
}

/// How a patch was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Every hunk at its line.
    Exact,
    /// Some hunks elsewhere, each told in a sentence.
    Offset(Vec<String>),
    /// Not at all: its change is in the tree already; what of it stands elsewhere.
    AlreadyThere(Vec<String>),
    /// Merged with the tree; where the change went, in sentences.
    ThreeWay(Vec<String>),
}

impl How {
    fn remarks(&self) -> &[String] {
        match self {
            How::Exact => &[],
            How::Offset(remarks) | How::AlreadyThere(remarks) | How::ThreeWay(remarks) => remarks,
        }
    }

    /// The way in words, and then what there is to say of it.
    fn sentence(&self) -> String {
        [self.to_string()].iter().chain(self.remarks()).cloned().collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Exact => "exact",
            How::Offset(_) => "with an offset",
            How::AlreadyThere(_) => "already there",
            How::ThreeWay(_) => "three-way",
        })
    }
}

/// Where a series stopped; found in an error of [`apply`] by `downcast_ref`.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The patches before it, which went on.
    pub applied: Vec<AppliedPatch>,
    /// The number of the patch that did not, from 0.
    pub at: usize,
    /// How many there are in all.
    pub count: usize,
    /// The id of the tree up to it, in hex.
    pub tree: String,
    /// What kept it from being merged.
    pub obstacle: Obstacle,
    /// Whether it could be applied, but elsewhere, while it seems to be there already.
    pub unclear: bool,
    /// The numbers of the patches that are to follow it: those that are not there already.
    pub rest: Vec<usize>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped at patch {} of {}", self.at + 1, self.count)
    }
}

/// Applies `series`. `repeat` is the command line that repeats this step alone.
///
/// # Errors
/// A `Failure` that names the first patch that does not apply, the file, the hunk, and what
/// stands there instead; with [`Stopped`] as its context.
pub fn apply(
    cache: &Cache,
    events: &Events,
    onto: &Onto,
    series: &Series,
    repeat: &str,
) -> Result<Applied> {
    let what = format!("{} patches of {}", series.patches.len(), series.dir.display());
    events.step("apply", what, repeat, |step| {
        let applied = match remembered::recall(cache, &onto.tree, series)? {
            Some(applied) => applied,
            None => {
                let git = Git::new(cache)?;
                let walk = Walk { cache, git: &git, onto, series, there: OnceCell::new() };
                let applied = walk.all(step)?;
                remembered::keep(cache, &onto.tree, series, &applied)?;
                applied
            }
        };
        let mut outcome = Outcome::new(summary(&applied.patches))
            .with("series", &series.id)
            .with("source tree", &onto.tree)
            .with("patched tree", &applied.tree);
        for patch in applied.patches.iter().filter(|patch| patch.how != How::Exact) {
            outcome = outcome.with(&patch.file, patch.how.sentence());
        }
        Ok((applied, outcome))
    })
}

/// How many patches went on in which way.
fn summary(patches: &[AppliedPatch]) -> String {
    let ways = [
        How::Exact,
        How::Offset(Vec::new()),
        How::ThreeWay(Vec::new()),
        How::AlreadyThere(Vec::new()),
    ];
    let counted: Vec<_> = ways
        .iter()
        .map(|way| {
            let alike = |patch: &&AppliedPatch| discriminant(&patch.how) == discriminant(way);
            (way, patches.iter().filter(alike).count())
        })
        .filter(|(_, count)| *count > 0)
        .map(|(way, count)| format!("{count} {way}"))
        .collect();
    let count = patches.len();
    match patches.iter().all(|patch| patch.how == How::Exact) {
        true => format!("{count} patches apply exactly"),
        false => format!("{count} patches: {}", counted.join(", ")),
    }
}

/// One series on its way onto one tree.
struct Walk<'a> {
    cache: &'a Cache,
    git: &'a Git<'a>,
    onto: &'a Onto,
    series: &'a Series,
    /// For each patch that is in the tree already, what of it stands elsewhere; found when it is
    /// first asked for.
    there: OnceCell<Vec<Option<Vec<String>>>>,
}

/// A patch that did not apply: what `git apply` said, and what merging met.
struct Refused {
    said: String,
    obstacle: Obstacle,
    unclear: bool,
}

impl Walk<'_> {
    fn all(&self, step: &Step) -> Result<Applied> {
        let count = self.series.patches.len();
        let index = self.git.index("index");
        index.read(&self.onto.tree)?;
        let mut tree = self.onto.tree.clone();
        let mut applied = Vec::new();
        for (at, patch) in self.series.patches.iter().enumerate() {
            step.progress(at as u64, count as u64, patch.subject.clone());
            let (how, after) = match self.one(&index, at, &tree)? {
                Ok(done) => done,
                Err(Refused { said, obstacle, unclear }) => {
                    let failure = self.failure(patch, &tree, &said, &obstacle)?;
                    let there = self.there()?;
                    let rest = (at + 1..count).filter(|&at| there[at].is_none()).collect();
                    let stopped = Stopped { applied, at, count, tree, obstacle, unclear, rest };
                    return Err(anyhow::Error::from(failure).context(stopped));
                }
            };
            if how != How::Exact {
                step.note(format!("{}: {how}", patch.file));
                how.remarks().iter().for_each(|remark| step.note(format!("  {remark}")));
            }
            tree = after;
            let Patch { file, subject, .. } = patch.clone();
            applied.push(AppliedPatch { file, subject, how, tree: tree.clone() });
        }
        Ok(Applied { tree, patches: applied })
    }

    /// The patch number `at` onto `before`, which is what `index` has, before and after.
    fn one(
        &self,
        index: &Index,
        at: usize,
        before: &str,
    ) -> Result<std::result::Result<(How, String), Refused>> {
        let patch = &self.series.patches[at];
        let forward = index.apply(patch, Way::Forward)?;
        if forward.fits {
            let after = index.write()?;
            if after == before {
                return Ok(Ok((How::AlreadyThere(forward.remarks), after)));
            }
            if forward.remarks.is_empty() {
                return Ok(Ok((How::Exact, after)));
            }
            if self.there()?[at].is_none() {
                return Ok(Ok((How::Offset(forward.remarks), after)));
            }
            index.read(before)?;
        }
        // Where it fits at another place, and its outcome is found at another place, too, only
        // what it was made on can tell which is meant.
        if let Some(remarks) = &self.there()?[at]
            && (!forward.fits || remarks.is_empty())
        {
            return Ok(Ok((How::AlreadyThere(remarks.clone()), before.to_owned())));
        }
        let store = self.cache.store()?;
        Ok(match merge(self.git, &store, self.series, at, before, &self.onto.gits)? {
            Merged::Clean { tree, .. } if tree == before => Ok((How::AlreadyThere(vec![]), tree)),
            Merged::Clean { tree, moved } => {
                index.read(&tree)?;
                Ok((How::ThreeWay(moved), tree))
            }
            Merged::Stopped(obstacle) => {
                Err(Refused { said: forward.said, obstacle, unclear: forward.fits })
            }
        })
    }

    /// Which patches are in the tree already. They are taken back from the last to the first, as
    /// far as they can be: the outcome of one may stand whole only without those after it.
    fn there(&self) -> Result<&Vec<Option<Vec<String>>>> {
        if let Some(found) = self.there.get() {
            return Ok(found);
        }
        let index = self.git.index("backward");
        index.read(&self.onto.tree)?;
        let backward = self.series.patches.iter().rev().map(|patch| {
            let tried = index.apply(patch, Way::Reverse)?;
            anyhow::Ok(tried.fits.then_some(tried.remarks))
        });
        let mut found = backward.collect::<Result<Vec<_>>>()?;
        found.reverse();
        Ok(self.there.get_or_init(|| found))
    }

    fn failure(
        &self,
        patch: &Patch,
        tree: &str,
        said: &str,
        obstacle: &Obstacle,
    ) -> Result<Failure> {
        let facts = conflict::facts(&self.cache.store()?, tree, patch, said, obstacle)?;
        let Patch { file, subject, .. } = patch;
        let text = format!("{file} (\"{subject}\") does not apply:{facts}");
        Ok(Failure::new(Exit::DidNotApply, text))
    }
}

#[cfg(test)]
pub(super) mod tests;
