//! A case in a file, and run again from there.

use super::super::{Revision, Run, aim, steps};
use crate::cache::write_atomically;
use crate::event::{Event, Outcome};
use crate::failure::{Exit, Failure};
use crate::functions;
use crate::functions::{Unit, load_around, load_dirty, load_loader, load_ram, load_v1_0};
use anyhow::{Context, Result};
use pcram_functions::lockstep::Lockstep;
use pcram_functions::{around, dirty, loader, option, ram, v1_0};
use pcram_mirror::dirty::Tlb;
use pcram_mirror::option::Code;
use pcram_mirror::ram::Tree;
use pcram_mirror::v1_0::Variant;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A case, and whose code it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", deny_unknown_fields)]
pub(super) enum Kept {
    /// The save and load path of QEMU 1.0.
    #[serde(rename = "1.0")]
    V1_0 { variant: Variant, case: v1_0::Case },
    /// The save loop of migration/ram.c.
    #[serde(rename = "migration/ram.c")]
    Ram { tree: Tree, case: ram::Case },
    /// The option `-pcram-file`.
    #[serde(rename = "option")]
    Option { code: Code, case: option::Case },
    /// What migration does with RAM blocks around the save loop.
    #[serde(rename = "around")]
    Around { tree: pcram_mirror::around::Tree, case: around::Case },
    /// What writes into RAM at a reset.
    #[serde(rename = "loader")]
    Loader { tree: pcram_mirror::loader::Tree, case: loader::Case },
    /// What takes over the pages that a guest has written.
    #[serde(rename = "dirty")]
    Dirty { tree: pcram_mirror::dirty::Tree, case: dirty::Case },
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
        let sound = match &kept {
            Kept::V1_0 { case, .. } => case.check(),
            Kept::Ram { case, .. } => case.check(),
            Kept::Option { case, .. } => case.check(),
            Kept::Around { case, .. } => case.check(),
            Kept::Loader { case, .. } => case.check(),
            Kept::Dirty { case, .. } => case.check(),
        };
        sound.map_err(Failure::usage).with_context(what)?;
        Ok(kept)
    }
}

/// Runs a case again: through the mirror, and through a tree's functions where one was named.
pub(super) fn replay(run: &Run, file: &Path, revision: &Revision) -> Result<Exit> {
    let kept = Kept::read(file)?;
    let named = revision.name.is_some() || revision.git_url.is_some() || revision.tree.is_some();
    let folder = run.folder.dir.join("functions");
    let object = match named {
        true => Some(object(run, revision, &kept, &folder)?),
        false => None,
    };
    let object = object.as_deref();
    let repeat = run.repeat_words(&["mirror", "replay", &file.to_string_lossy()], revision);
    let exit = match &kept {
        Kept::V1_0 { variant, case } => {
            let functions = object.map(load_v1_0).transpose()?;
            again(run, v1_0::Subject { variant: *variant, functions }, case, named, &repeat)?
        }
        Kept::Ram { tree, case } => {
            let functions = object.map(load_ram).transpose()?;
            again(run, ram::Subject { tree: *tree, functions }, case, named, &repeat)?
        }
        Kept::Around { tree, case } => {
            let functions = object.map(load_around).transpose()?;
            again(run, around::Subject { tree: *tree, functions }, case, named, &repeat)?
        }
        Kept::Loader { tree, case } => {
            let functions = object.map(load_loader).transpose()?;
            again(run, loader::Subject { tree: *tree, functions }, case, named, &repeat)?
        }
        Kept::Dirty { tree, case } => {
            let functions = object.map(load_dirty).transpose()?;
            again(run, dirty::Subject { tree: *tree, functions }, case, named, &repeat)?
        }
        Kept::Option { code, case } => {
            again(run, functions::option(*code, object)?, case, named, &repeat)?
        }
    };
    if named {
        fs::remove_dir_all(&folder).context("removing what was compiled")?;
    }
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
fn object(run: &Run, revision: &Revision, kept: &Kept, folder: &Path) -> Result<PathBuf> {
    let aim = aim::aim(run, revision, run.global.offline)?;
    let source = steps::source(run, revision, &aim)?;
    let stock = match kept {
        Kept::V1_0 { variant, .. } => *variant == Variant::Stock,
        Kept::Ram { tree, .. } => !tree.external,
        Kept::Around { tree, .. } => !tree.ram.external,
        Kept::Loader { tree, .. } => !tree.waits,
        Kept::Dirty { tree, .. } => tree.tlb != Tlb::Reset,
        Kept::Option { .. } => false,
    };
    let tree = match stock {
        true => source.tree.clone(),
        false => steps::apply(run, revision, &aim, &source)?.1.tree,
    };
    let fits = |unit: &Unit| match (unit, kept) {
        (Unit::V1_0(unit), Kept::V1_0 { variant, .. }) => unit.variant == *variant,
        (Unit::Ram(unit), Kept::Ram { tree, .. }) => unit.tree == *tree,
        (Unit::Around(unit), Kept::Around { tree, .. }) => unit.tree == *tree,
        (Unit::Loader(unit), Kept::Loader { tree, .. }) => unit.tree == *tree,
        (Unit::Dirty(unit), Kept::Dirty { tree, .. }) => unit.tree == *tree,
        (Unit::Option(unit), Kept::Option { code, .. }) => unit.code == *code,
        _ => false,
    };
    let Some(unit) = Unit::of_tree(&run.cache, &tree)?.into_iter().find(fits) else {
        let text = "the case is about other code than that of this tree; with no revision behind it, \
                    the mirror alone is run";
        return Err(Failure::usage(text).into());
    };
    unit.compile(folder)
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
