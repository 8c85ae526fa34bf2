//! A case in a file, and run again from there.

use super::super::{Revision, Run, aim, steps};
use crate::cache::write_atomically;
use crate::event::{Event, Outcome};
use crate::failure::{Exit, Failure};
use crate::functions::{Optimized, Unit, subject};
use anyhow::{Context, Result};
use pcram_functions::kinds::Of;
use pcram_functions::lockstep::{Case, Kind, Lockstep};
use pcram_functions::with_kind;
use pcram_mirror::v1_0::Variant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A case, and what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The kind of functions.
    of: Of,
    /// What their tree has, as [`Kind::Tree`] of that kind.
    tree: Value,
    /// The case, as [`Kind::Case`].
    case: Value,
}

impl Kept {
    /// A case of a unit's functions.
    pub(super) fn new<K: Kind>(unit: &Unit, case: &K::Case) -> Result<Kept> {
        Ok(Kept { of: unit.of, tree: unit.tree.clone(), case: serde_json::to_value(case)? })
    }

    /// Writes it into `folder`; gives the file.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let (file, text) = (folder.join("case.json"), serde_json::to_string_pretty(self)?);
        write_atomically(&file, &(text + "\n"))
            .with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    fn read(file: &Path) -> Result<Kept> {
        let what = || reading(file);
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::usage(error.to_string()))
            .with_context(what)?;
        let kept: Kept = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{error}; `mirror` writes such files")))
            .with_context(what)?;
        Ok(kept)
    }

    /// The tree and the case, where they are of a kind and sound.
    fn parts<K: Kind>(&self, file: &Path) -> Result<(K::Tree, K::Case)> {
        let read = || {
            let case = K::Case::deserialize(&self.case)?;
            Ok((K::Tree::deserialize(&self.tree)?, case))
        };
        let (tree, case) = read()
            .map_err(|error: serde_json::Error| {
                Failure::usage(format!("{error}; `mirror` writes such files"))
            })
            .with_context(|| reading(file))?;
        case.check().map_err(Failure::usage).with_context(|| reading(file))?;
        Ok((tree, case))
    }
}

fn reading(file: &Path) -> String {
    format!("reading the case {}", file.display())
}

/// Runs a case again: through the mirror, and through a tree's functions where one was named.
pub(super) fn replay(run: &Run, file: &Path, revision: &Revision) -> Result<Exit> {
    let kept = Kept::read(file)?;
    let repeat = run.repeat_words(&["mirror", "replay", &file.to_string_lossy()], revision);
    with_kind!(kept.of, K => {
        let (tree, case) = kept.parts::<K>(file)?;
        replay_of::<K>(run, revision, &kept, (tree, &case), &repeat)
    })
}

fn replay_of<K: Kind>(
    run: &Run,
    revision: &Revision,
    kept: &Kept,
    (tree, case): (K::Tree, &K::Case),
    repeat: &str,
) -> Result<Exit> {
    let named = revision.name.is_some() || revision.git_url.is_some() || revision.tree.is_some();
    if !named {
        return again(run, subject::<K>(tree, None)?, case, false, repeat);
    }
    let folder = run.folder.dir.join("functions");
    let object = object(run, revision, kept, K::variant(tree), &folder)?;
    let exit = again(run, subject::<K>(tree, Some(&object))?, case, true, repeat)?;
    fs::remove_dir_all(&folder).context("removing what was compiled")?;
    Ok(exit)
}

fn again<L: Lockstep>(
    run: &Run,
    mut subject: L,
    case: &L::Case,
    functions: bool,
    repeat: &str,
) -> Result<Exit> {
    let with = if functions { "the functions and the mirror" } else { "the mirror alone" };
    run.events.step("replay", with, repeat, |step| {
        run.tell_story(&subject.tell(case));
        let came = match subject.run(case, functions) {
            Ok(outcome) => outcome,
            Err(difference) => {
                return Ok((Exit::PromiseFailed, Outcome::new(difference.to_string())));
            }
        };
        for broken in &came.broken {
            step.note(format!("step {}: {}: {}", broken.step + 1, broken.property, broken.seen));
        }
        if let Some((at, ended)) = came.ended {
            step.note(format!("step {}: {ended}", at + 1));
        }
        let differ = if functions { ", and the two do not differ" } else { "" };
        Ok(match came.broken.len() {
            0 => (Exit::AllHeld, Outcome::new(format!("no property is broken{differ}"))),
            1 => (Exit::PromiseFailed, Outcome::new(format!("1 property is broken{differ}"))),
            n => (Exit::PromiseFailed, Outcome::new(format!("{n} properties are broken{differ}"))),
        })
    })
}

/// The functions of the tree that was named, compiled: without the series where the case is about
/// stock.
fn object(
    run: &Run,
    revision: &Revision,
    kept: &Kept,
    variant: Variant,
    folder: &Path,
) -> Result<PathBuf> {
    let aim = aim::aim(run, revision, run.global.offline)?;
    let source = steps::source(run, revision, &aim)?;
    let tree = match variant {
        Variant::Stock => source.tree.clone(),
        _ => steps::apply(run, revision, &aim, &source)?.1.tree,
    };
    let fits = |unit: &Unit| unit.of == kept.of && unit.tree == kept.tree;
    let Some(unit) = Unit::of_tree(&run.cache, &tree)?.into_iter().find(fits) else {
        let text = "the case is about other code than that of this tree; with no revision behind it, \
                    the mirror alone is run";
        return Err(Failure::usage(text).into());
    };
    unit.compile(folder, Optimized::No)
}

impl Run {
    /// Tells a case in words.
    pub(super) fn tell_story(&self, story: &[String]) {
        for line in story {
            let step = "mirror".to_owned();
            self.events.send(Event::Note { step, text: format!("          {line}") });
        }
    }
}
