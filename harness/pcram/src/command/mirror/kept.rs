//! A case in a file, and run again from there.

use super::super::{Revision, Run, aim, steps};
use super::story;
use crate::cache::write_atomically;
use crate::event::Outcome;
use crate::failure::{Exit, Failure};
use crate::functions::{compile, unit};
use crate::machine::shell_word;
use anyhow::{Context, Result};
use pcram_functions::v1_0::{Case, Functions, run as run_case};
use pcram_mirror::v1_0::Variant;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A case, and whose code it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Whose code.
    pub variant: Variant,
    /// The case.
    pub case: Case,
}

impl Kept {
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
        let what = || format!("reading the case {}", file.display());
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::usage(error.to_string()))
            .with_context(what)?;
        let kept: Kept = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{error}; `mirror` writes such files")))
            .with_context(what)?;
        kept.case.check().map_err(|why| Failure::usage(why.to_owned())).with_context(what)?;
        Ok(kept)
    }
}

/// Runs a case again: through the mirror, and through a tree's functions where one was named.
pub(super) fn replay(run: &Run, file: &Path, revision: &Revision) -> Result<Exit> {
    let kept = Kept::read(file)?;
    let Kept { variant, case } = &kept;
    let mut functions = functions(run, revision, *variant)?;
    let with = if functions.is_some() { "functions and mirror" } else { "the mirror alone" };
    let repeat =
        run.repeat(&format!("mirror replay {}", shell_word(&file.to_string_lossy())), revision);
    run.events.step("replay", format!("{with}, as {variant}"), repeat, |step| {
        story(run, &kept);
        let came = match run_case(*variant, functions.as_mut(), case) {
            Ok(outcome) => outcome,
            Err(difference) => {
                return Ok((Exit::PromiseFailed, Outcome::new(difference.to_string())));
            }
        };
        for broken in &came.broken {
            step.note(format!("step {}: {}: {}", broken.step + 1, broken.property, broken.seen));
        }
        if let Some((at, undefined)) = came.ended {
            step.note(format!("step {}: {undefined}", at + 1));
        }
        let differ = if functions.is_some() { ", and the two do not differ" } else { "" };
        Ok(match came.broken.len() {
            0 => (Exit::AllHeld, Outcome::new(format!("no property is broken{differ}"))),
            1 => (Exit::PromiseFailed, Outcome::new(format!("1 property is broken{differ}"))),
            n => (Exit::PromiseFailed, Outcome::new(format!("{n} properties are broken{differ}"))),
        })
    })
}

/// The functions of the tree that was named: without the series where the case is about stock.
fn functions(run: &Run, revision: &Revision, variant: Variant) -> Result<Option<Functions>> {
    if revision.name.is_none() && revision.git_url.is_none() && revision.tree.is_none() {
        return Ok(None);
    }
    let aim = aim::aim(run, revision, run.global.offline)?;
    let source = steps::source(run, revision, &aim)?;
    let tree = match variant {
        Variant::Stock => source.tree.clone(),
        _ => steps::apply(run, revision, &aim, &source)?.1.tree,
    };
    let unit = unit(&run.cache, &tree)?;
    if unit.variant != variant {
        let text =
            format!("the case is about code as {variant}, the tree has it as {}", unit.variant);
        return Err(Failure::usage(text).into());
    }
    let folder = run.folder.dir.join("functions");
    let functions = compile(&unit, &folder)?;
    fs::remove_dir_all(&folder).context("removing what was compiled")?;
    Ok(Some(functions))
}
