//! From trees to binaries: stock and patched QEMU, each built once and then found by its key.

pub mod beyond;

mod compiler;
mod diagnosis;
mod driver;
mod flags;
mod key;
pub mod packages;
mod python;
mod toolchain;
mod work_tree;

pub use flags::Flags;
pub use toolchain::Toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cache::{Cache, Kind, Lock};
use crate::event::{Events, Outcome, Step};
use crate::failure::Failure;
use key::{Parts, Record};
use work_tree::WorkTree;

/// The two that are built of stock and patched alike.
const PROGRAMS: [&str; 2] = ["qemu-system-x86_64", "qemu-img"];

/// What all builds of one source have in common.
#[derive(Clone, Debug)]
pub struct Request {
    /// The source's tree, in hex.
    pub source: String,
    /// What has it build on a machine of today; none where it does as it is.
    pub toolchain: Option<Toolchain>,
    /// The arguments of configure.
    pub flags: Flags,
    /// How many compilers run at once.
    pub jobs: usize,
    /// Reach for no network.
    pub offline: bool,
    /// The command line that repeats this step alone.
    pub repeat: String,
}

/// Which QEMU is built from a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The source as it is.
    Stock,
    /// The source with a series applied.
    Patched {
        /// The patched tree, in hex.
        tree: String,
        /// The series' id.
        series: String,
    },
}

/// A finished build. Its files are not pruned while this value, or a copy, lives.
#[derive(Clone, Debug)]
pub struct Build {
    /// The build's key.
    pub key: String,
    /// The tree that was compiled, in hex.
    pub tree: String,
    /// Its folder.
    pub dir: PathBuf,
    /// The emulator.
    pub qemu_system: PathBuf,
    /// The disk image tool.
    pub qemu_img: PathBuf,
    /// Whether it was there before.
    pub reused: bool,
    /// How many steps of ninja's or make's this run took for it.
    pub compiled: u64,
    /// How long that took, in seconds.
    pub seconds: f64,
    _in_use: Arc<Lock>,
}

/// The two builds that are compared.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The source as it is.
    pub stock: Build,
    /// The source with the series.
    pub patched: Build,
}

/// Builds the source as it is, and then `patched` in the same work tree, where only what the
/// series changes is compiled again.
///
/// # Errors
/// As [`build`].
pub fn pair(cache: &Cache, events: &Events, request: &Request, patched: &Variant) -> Result<Pair> {
    let mut builder = Builder::new(cache, events, request)?;
    Ok(Pair { stock: builder.build(&Variant::Stock)?, patched: builder.build(patched)? })
}

/// Builds one variant, or finds it among the finished builds.
///
/// # Errors
/// A [`Failure`] with the first error of the build and where its log is.
pub fn build(
    cache: &Cache,
    events: &Events,
    request: &Request,
    variant: &Variant,
) -> Result<Build> {
    Builder::new(cache, events, request)?.build(variant)
}

/// The pair as [`pair`] left it: nothing is built.
///
/// # Errors
/// A [`Failure`] where one of the two was not built, or was pruned since.
pub fn finished(cache: &Cache, request: &Request, patched: &Variant) -> Result<Pair> {
    let compiler = compiler::identity()?;
    let found = |variant| {
        let (name, parts) = request.parts(cache, variant, &compiler)?;
        find(cache, &parts)?.ok_or_else(|| {
            let text = format!("{name} QEMU is not built: `{}` builds it", request.repeat);
            anyhow::Error::from(Failure::missing(text))
        })
    };
    Ok(Pair { stock: found(&Variant::Stock)?, patched: found(patched)? })
}

/// The emulators of a source that are built, as far as can be told without applying the series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The one of the source as it is.
    pub stock: Option<PathBuf>,
    /// The one of the source with the series.
    pub patched: Option<PathBuf>,
}

/// What is built of the tree `source` alone, and with the series of the id `series`, by the
/// compiler at hand, with what has it build at all. Nothing is marked as used.
///
/// # Errors
/// Where the cache cannot be read.
pub fn held(
    cache: &Cache,
    source: &str,
    series: &str,
    toolchain: Option<&Toolchain>,
) -> Result<Held> {
    let flags = Flags::default().with(toolchain).line();
    let toolchain = toolchain.map_or("", Toolchain::id);
    let Ok(compiler) = compiler::identity() else { return Ok(Held::default()) };
    let mut held = Held::default();
    let builds = cache.folder(Kind::Build);
    for entry in fs::read_dir(&builds).with_context(|| format!("reading {}", builds.display()))? {
        let dir = entry?.path();
        let Some(Record { parts, .. }) = Record::peek(&dir) else { continue };
        let alike = parts.source == source
            && parts.products == PROGRAMS.join(" ")
            && parts.toolchain == toolchain
            && parts.flags == flags
            && parts.compiler == compiler;
        let emulator = Some(dir.join(PROGRAMS[0])).filter(|path| alike && path.is_file());
        match emulator {
            None => {}
            emulator if parts.series.is_empty() => held.stock = emulator,
            emulator if parts.series == series => held.patched = emulator,
            _ => {}
        }
    }
    Ok(held)
}

impl Request {
    /// What a variant is called, and what it is made of.
    fn parts(
        &self,
        cache: &Cache,
        variant: &Variant,
        compiler: &str,
    ) -> Result<(&'static str, Parts)> {
        let (name, tree, series) = match variant {
            Variant::Stock => ("stock", &self.source, ""),
            Variant::Patched { tree, series } => ("patched", tree, series.as_str()),
        };
        let parts = self.of_tree(cache, tree, &PROGRAMS, compiler)?;
        Ok((name, Parts { series: series.to_owned(), ..parts }))
    }

    /// Products of one tree, whatever series made it.
    fn of_tree(
        &self,
        cache: &Cache,
        tree: &str,
        products: &[&str],
        compiler: &str,
    ) -> Result<Parts> {
        let toolchain = self.toolchain.as_ref();
        Ok(Parts {
            source: self.source.clone(),
            series: String::new(),
            toolchain: toolchain.map_or("", Toolchain::id).to_owned(),
            tree: toolchain.map_or_else(|| Ok(tree.to_owned()), |it| it.onto(cache, tree))?,
            products: products.join(" "),
            flags: self.flags.line(),
            compiler: compiler.to_owned(),
        })
    }
}

struct Builder<'a> {
    cache: &'a Cache,
    events: &'a Events,
    request: &'a Request,
    compiler: String,
    /// The work tree, once one was needed; held until both variants are built.
    tree: Option<WorkTree<'a>>,
}

impl<'a> Builder<'a> {
    fn new(cache: &'a Cache, events: &'a Events, request: &'a Request) -> Result<Builder<'a>> {
        Ok(Builder { cache, events, request, compiler: compiler::identity()?, tree: None })
    }

    fn build(&mut self, variant: &Variant) -> Result<Build> {
        let (name, parts) = self.request.parts(self.cache, variant, &self.compiler)?;
        let what = format!("{} from tree {}", PROGRAMS.join(" and "), &parts.tree[..12]);
        let (events, repeat) = (self.events, self.request.repeat.clone());
        events.step(&format!("build {name}"), what, repeat, |step| {
            let build = self.find_or_make(step, name, &parts)?;
            let result = if build.reused {
                "found in the cache".to_owned()
            } else {
                format!("{} steps", build.compiled)
            };
            let outcome = Outcome::new(result)
                .with("build key", &build.key)
                .with("tree", &build.tree)
                .with("steps", build.compiled)
                .with("qemu-system-x86_64", build.qemu_system.display());
            Ok((build, outcome))
        })
    }

    fn find_or_make(&mut self, step: &Step, name: &str, parts: &Parts) -> Result<Build> {
        if let Some(build) = find(self.cache, parts)? {
            return Ok(build);
        }
        if self.tree.is_none() {
            self.open(step, parts)?;
            // Another run may have built it while this one waited.
            if let Some(build) = find(self.cache, parts)? {
                return Ok(build);
            }
        }
        let Record { compiled, seconds, .. } = self.make(step, name, parts, &PROGRAMS)?;
        let build = find(self.cache, parts)?.context("the build is gone as soon as it was made")?;
        Ok(Build { reused: false, compiled, seconds, ..build })
    }
}

impl<'a> Builder<'a> {
    /// Takes hold of the work tree.
    fn open(&mut self, step: &Step, parts: &Parts) -> Result<&mut WorkTree<'a>> {
        if self.tree.is_none() {
            let Request { flags, jobs, offline, .. } = self.request;
            let key = parts.tree_key();
            self.tree = Some(WorkTree::open(self.cache, step, &key, flags, *jobs, *offline)?);
        }
        self.tree.as_mut().context("there is no work tree")
    }

    /// Builds what `parts` says, and keeps the programs `kept` of it with the record.
    fn make(&mut self, step: &Step, name: &str, parts: &Parts, kept: &[&str]) -> Result<Record> {
        let cache = self.cache;
        let tree = self.open(step, parts)?;
        let start = Instant::now();
        let compiled = tree.build(step, name, &parts.tree, &parts.products)?.compiled;
        let seconds = start.elapsed().as_secs_f64();
        let record = Record { parts: parts.clone(), compiled, seconds };
        keep(cache, &record, kept, |binary| tree.binary(binary))?;
        Ok(record)
    }
}

/// The finished build of `parts`, if there is one.
fn find(cache: &Cache, parts: &Parts) -> Result<Option<Build>> {
    let key = parts.key();
    let dir = cache.folder(Kind::Build).join(&key);
    let in_use = cache.share(&Kind::Build.lock(&key))?;
    let [qemu_system, qemu_img] = PROGRAMS.map(|name| dir.join(name));
    let sound = Record::read(&dir).is_some_and(|record| record.parts == *parts)
        && qemu_system.is_file()
        && qemu_img.is_file();
    Ok(sound.then(|| Build {
        key,
        tree: parts.tree.clone(),
        dir,
        qemu_system,
        qemu_img,
        reused: true,
        compiled: 0,
        seconds: 0.0,
        _in_use: Arc::new(in_use),
    }))
}

/// Puts a record and the programs `kept` among the finished builds, from where `binary` says that
/// they are.
fn keep(
    cache: &Cache,
    record: &Record,
    kept: &[&str],
    binary: impl Fn(&str) -> PathBuf,
) -> Result<()> {
    let builds = cache.folder(Kind::Build);
    let scratch = cache.scratch(&builds)?;
    let new = scratch.path().join("new");
    fs::create_dir(&new).context("making a build's folder")?;
    for name in kept {
        let from = binary(name);
        fs::copy(&from, new.join(flat(name)))
            .with_context(|| format!("keeping {}", from.display()))?;
    }
    record.write(&new)?;
    let dir = builds.join(record.parts.key());
    replace(&new, &dir, scratch.path()).with_context(|| format!("making {}", dir.display()))
}

/// A product's name as a file's: the products of one build do not share their last part.
fn flat(product: &str) -> &str {
    product.rsplit('/').next().unwrap_or(product)
}

/// Moves `new` to `place`, and what is there, being unsound, out of the way into `scratch`.
fn replace(new: &Path, place: &Path, scratch: &Path) -> std::io::Result<()> {
    if place.exists() {
        fs::rename(place, scratch.join("old"))?;
    }
    fs::rename(new, place)
}

#[cfg(test)]
mod tests;
