//! What is built of a series beyond the pair that is compared: each of its patches alone, the
//! programs of other targets, and the tests that the series adds to the tree's own.

use super::key::{Parts, Record};
use super::{Builder, PROGRAMS, Pair, Request, Variant, compiler, flat};
use crate::cache::{Cache, Kind, Lock};
use crate::event::{Events, Outcome, Step};
use crate::failure::Exit;
use crate::series::{Applied, Series};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is wanted of it. The tests that a series adds are always built with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Each patch alone.
    pub each_patch: bool,
    /// Programs of other targets, by their names.
    pub programs: Vec<String>,
}

/// One patch, built with those before it and none of those after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alone {
    /// Its path in the series' folder.
    pub file: String,
    /// The tree that was compiled, in hex.
    pub tree: String,
    /// How many steps it took, on top of the patch before it.
    pub compiled: u64,
    /// The first error, where it does not build.
    pub error: Option<String>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Beyond {
    /// Each patch, in the order of the series.
    pub alone: Vec<Alone>,
    /// The further programs, by their names: where each is, or why it was not built.
    pub programs: BTreeMap<String, Result<PathBuf, String>>,
    _in_use: Vec<Lock>,
}

/// Builds the pair and all that goes beyond it, or finds it among the finished builds. Patches that
/// do not build alone, and programs that do not build, are told and not an error.
///
/// # Errors
/// As [`super::pair`].
pub fn pair_and_beyond(
    cache: &Cache,
    events: &Events,
    request: &Request,
    series: &Series,
    applied: &Applied,
    reach: &Reach,
) -> Result<(Pair, Beyond)> {
    let mut builder = Builder::new(cache, events, request)?;
    let stock = builder.build(&Variant::Stock)?;
    let mut beyond = Beyond::default();
    if reach.each_patch {
        builder.each_patch(applied, &mut beyond)?;
    }
    let tree = applied.tree.clone();
    let patched = builder.build(&Variant::Patched { tree, series: series.id.clone() })?;
    let products = reach.products(series);
    if !products.is_empty() {
        builder.programs(applied, &products, &mut beyond)?;
    }
    Ok((Pair { stock, patched }, beyond))
}

/// What [`pair_and_beyond`] left of a series, where it left all of it; nothing is built.
///
/// # Errors
/// Where the compiler cannot be asked who it is, or the cache not be read.
pub fn finished(
    cache: &Cache,
    request: &Request,
    series: &Series,
    applied: &Applied,
    reach: &Reach,
) -> Result<Option<Beyond>> {
    let compiler = compiler::identity()?;
    let mut beyond = Beyond::default();
    for patch in applied.patches.iter().filter(|_| reach.each_patch) {
        let parts = request.of_tree(cache, &patch.tree, &PROGRAMS, &compiler)?;
        let Some((record, _)) = found(cache, &parts, &[])? else { return Ok(None) };
        let (file, tree) = (patch.file.clone(), patch.tree.clone());
        beyond.alone.push(Alone { file, tree, compiled: record.compiled, error: None });
    }
    for product in reach.products(series) {
        let parts = request.of_tree(cache, &applied.tree, &[&product], &compiler)?;
        let Some((_, lock)) = found(cache, &parts, &[&product])? else { return Ok(None) };
        beyond._in_use.push(lock);
        let name = flat(&product).to_owned();
        let program = cache.folder(Kind::Build).join(parts.key()).join(&name);
        beyond.programs.insert(name, Ok(program));
    }
    Ok(Some(beyond))
}

impl Reach {
    /// The programs, and the tests that the series adds to the tree's own.
    fn products(&self, series: &Series) -> Vec<String> {
        let tests = series.added_files().into_iter().filter_map(|file| {
            let name = file.strip_suffix(".c")?;
            (name.starts_with("tests/qtest/") && name.ends_with("-test")).then(|| name.to_owned())
        });
        self.programs.iter().cloned().chain(tests).collect()
    }
}

fn found(cache: &Cache, parts: &Parts, kept: &[&str]) -> Result<Option<(Record, Lock)>> {
    let key = parts.key();
    let dir = cache.folder(Kind::Build).join(&key);
    let in_use = cache.share(&Kind::Build.lock(&key))?;
    let record = Record::read(&dir).filter(|record| {
        record.parts == *parts && kept.iter().all(|name| dir.join(flat(name)).is_file())
    });
    Ok(record.map(|record| (record, in_use)))
}

impl Builder<'_> {
    fn each_patch(&mut self, applied: &Applied, beyond: &mut Beyond) -> Result<()> {
        let count = applied.patches.len();
        let what = format!("each of {count} patches alone");
        self.events.step("build each patch", what, self.request.repeat.clone(), |step| {
            for patch in &applied.patches {
                let (file, tree) = (patch.file.clone(), patch.tree.clone());
                let parts = self.request.of_tree(self.cache, &tree, &PROGRAMS, &self.compiler)?;
                let made = self.remembered(step, &file.replace('/', "-"), &parts, &[])?;
                let (compiled, error) = match made {
                    Ok((record, _)) => (record.compiled, None),
                    Err(error) => (0, Some(error)),
                };
                beyond.alone.push(Alone { file, tree, compiled, error });
            }
            let good = beyond.alone.iter().filter(|each| each.error.is_none()).count();
            Ok(((), Outcome::new(format!("{good} of {count} build"))))
        })
    }

    fn programs(
        &mut self,
        applied: &Applied,
        products: &[String],
        beyond: &mut Beyond,
    ) -> Result<()> {
        let what = products.join(", ");
        self.events.step("build beyond", what, self.request.repeat.clone(), |step| {
            for product in products {
                let name = flat(product);
                let program = match self.program(step, product, &applied.tree)? {
                    Ok((path, lock)) => {
                        beyond._in_use.push(lock);
                        Ok(path)
                    }
                    // Whether the series is to blame is seen by stock.
                    Err(error) => {
                        // Stock's log takes the place of the one that it names.
                        let first = error.lines().next().unwrap_or_default();
                        match self.program(step, product, &self.request.source)? {
                            Ok(_) => Err(format!("{first}; without the series it builds")),
                            Err(_) => Err(format!("{first}; without it neither does stock")),
                        }
                    }
                };
                beyond.programs.insert(name.to_owned(), program);
            }
            let good = beyond.programs.values().filter(|each| each.is_ok()).count();
            Ok(((), Outcome::new(format!("{good} of {} build", products.len()))))
        })
    }

    /// Finds or makes one program of a tree. The inner error is that of one that does not build.
    fn program(
        &mut self,
        step: &Step,
        product: &str,
        tree: &str,
    ) -> Result<Result<(PathBuf, Lock), String>> {
        let name = flat(product);
        let parts = self.request.of_tree(self.cache, tree, &[product], &self.compiler)?;
        let place = self.cache.folder(Kind::Build).join(parts.key()).join(name);
        Ok(self.remembered(step, name, &parts, &[product])?.map(|(_, lock)| (place, lock)))
    }

    /// Finds or makes a build of which only the record and `kept` are kept. The inner error is
    /// that of a tree that does not build.
    fn remembered(
        &mut self,
        step: &Step,
        name: &str,
        parts: &Parts,
        kept: &[&str],
    ) -> Result<Result<(Record, Lock), String>> {
        if let Some(found) = found(self.cache, parts, kept)? {
            return Ok(Ok(found));
        }
        match self.make(step, name, parts, kept) {
            Ok(_) => {
                let found = found(self.cache, parts, kept)?;
                Ok(found.ok_or_else(|| "the build is gone as soon as it was made".to_owned()))
            }
            Err(error) if Exit::of(&error) == Exit::DidNotBuild => Ok(Err(format!("{error:#}"))),
            Err(error) => Err(error),
        }
    }
}
