//! The steps that commands are made of: each takes what the one before it gave.

use super::{Revision, Run, build, check};
use crate::build::beyond::{self, pair_and_beyond};
use crate::build::packages::{self, Use};
use crate::build::{Flags, Pair, Request as BuildRequest, Variant, finished, pair};
use crate::check::Bench;
use crate::check::catalogue::Catalogue;
use crate::check::judge::judge;
use crate::check::origin::Origin;
use crate::event::{Event, Outcome, Row, Verdict};
use crate::failure::Exit;
use crate::machine::binary::Binary;
use crate::machine::shell_word;
use crate::series::{Applied, Series, export as write_tree};
use crate::source::{Release, Request, Source};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The source of a revision.
pub(super) fn fetch(
    run: &Run,
    revision: &Revision,
    release: &Release,
    refresh: bool,
) -> Result<Source> {
    let request = source_request(run, revision, release, refresh);
    ensure(run, &request, &[], false)?;
    crate::source::fetch(&run.cache, &run.events, &request)
}

/// The series onto that source.
pub(super) fn apply(
    run: &Run,
    revision: &Revision,
    source: &Source,
    dir: &Path,
) -> Result<(Series, Applied)> {
    let series = Series::load(dir)?;
    let repeat = run.repeat("apply", revision);
    let applied = crate::series::apply(&run.cache, &run.events, &source.tree, &series, &repeat)?;
    Ok((series, applied))
}

/// The patched tree into a folder of the user's.
pub(super) fn export(run: &Run, revision: &Revision, applied: &Applied, dir: &Path) -> Result<()> {
    let to = shell_word(&dir.to_string_lossy());
    let repeat = format!("{} --to {to}", run.repeat("apply", revision));
    run.events.step("write", format!("the patched tree to {}", dir.display()), repeat, |step| {
        let changes = write_tree(&run.cache, step, &applied.tree, dir)?;
        let result = format!("{} files", changes.written);
        Ok(((), Outcome::new(result).with("tree", &applied.tree)))
    })
}

/// What the series promises; wrong names of rows are found before anything is done for them.
pub(super) fn catalogue(dir: &Path, options: &check::Options) -> Result<Catalogue> {
    let catalogue = Catalogue::of_series(dir)?;
    catalogue.select(&options.rows, options.thorough)?;
    Ok(catalogue)
}

/// QEMUs that were built, and where they come from.
pub(super) struct Built<'a> {
    pair: Pair,
    origin: Origin<'a>,
}

impl Built<'_> {
    /// The QEMU with the series.
    pub(super) fn patched(&self) -> &Path {
        &self.pair.patched.qemu_system
    }
}

/// QEMU without and with the series, built or found, and all that goes beyond that where
/// `thorough` asks for it; missing system packages are found before anything is fetched.
pub(super) fn build<'a>(
    run: &'a Run,
    revision: &Revision,
    release: &Release,
    dir: &Path,
    options: &build::Options,
    thorough: bool,
) -> Result<Built<'a>> {
    let request = source_request(run, revision, release, false);
    ensure(run, &request, &[Use::Build], options.yes)?;
    let source = crate::source::fetch(&run.cache, &run.events, &request)?;
    let (series, applied) = apply(run, revision, &source, dir)?;
    let request = build_request(run, revision, &source, options.jobs);
    let (cache, events) = (&run.cache, &run.events);
    let (pair, beyond) = if thorough {
        let (pair, beyond) = pair_and_beyond(cache, events, &request, &series, &applied)?;
        (pair, Some(beyond))
    } else {
        (pair(cache, events, &request, &variant(&series, &applied))?, None)
    };
    Ok(Built { pair, origin: Origin { cache, series, applied, beyond } })
}

/// The same, where it was built before; nothing is fetched or compiled.
pub(super) fn built<'a>(
    run: &'a Run,
    revision: &Revision,
    release: &Release,
    dir: &Path,
) -> Result<Built<'a>> {
    let mut request = source_request(run, revision, release, false);
    request.offline = true;
    let source = crate::source::fetch(&run.cache, &run.events, &request)?;
    let (series, applied) = apply(run, revision, &source, dir)?;
    let request = build_request(run, revision, &source, None);
    let cache = &run.cache;
    let pair = finished(cache, &request, &variant(&series, &applied))?;
    let beyond = beyond::finished(cache, &request, &series, &applied)?;
    Ok(Built { pair, origin: Origin { cache, series, applied, beyond } })
}

/// What is checked.
pub(super) struct Subject<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The unpatched QEMU, where there is one.
    pub stock: Option<Binary>,
    /// The patched QEMU.
    pub patched: Binary,
    /// The qemu-img that makes disks, where there is one.
    pub qemu_img: Option<PathBuf>,
    /// Where the patched QEMU comes from, where that is known.
    pub origin: Option<&'a Origin<'a>>,
    /// The command line that checks it again.
    pub repeat: String,
}

impl<'a> Subject<'a> {
    /// QEMUs that this tool built.
    pub(super) fn built(
        run: &Run,
        revision: &Revision,
        release: &'a Release,
        built: &'a Built,
    ) -> Result<Subject<'a>> {
        let Built { pair, origin } = built;
        Ok(Subject {
            name: &release.name,
            stock: Some(Binary::probe(&pair.stock.qemu_system)?),
            patched: Binary::probe(&pair.patched.qemu_system)?,
            qemu_img: Some(pair.patched.qemu_img.clone()),
            origin: Some(origin),
            repeat: run.repeat("check", revision),
        })
    }
}

/// The checks of a QEMU, and what they make of the promises.
pub(super) fn check(
    run: &Run,
    catalogue: &Catalogue,
    subject: &Subject,
    options: &check::Options,
) -> Result<Exit> {
    let checks = catalogue.select(&options.rows, options.thorough)?;
    let Subject { name, repeat, .. } = subject;
    let bench = Bench {
        catalogue,
        revision: name,
        stock: subject.stock.as_ref(),
        patched: &subject.patched,
        qemu_img: subject.qemu_img.as_deref(),
        origin: subject.origin,
        folder: &run.folder.dir,
        keep: options.keep,
    };

    let what = format!("{} checks on QEMU {name}", checks.len());
    let rows = run.events.step("check", what, repeat, |step| {
        let mut rows = Vec::new();
        for (at, check) in checks.iter().enumerate() {
            step.progress(at as u64, checks.len() as u64, &check.id);
            let row = bench.try_check(check, format!("{repeat} --row {}", check.id));
            run.events.send(Event::Row(row.clone()));
            rows.push(row);
        }
        let held = rows.iter().filter(|row| row.verdict == Verdict::Held).count();
        Ok((rows, Outcome::new(format!("{held} of {} hold", checks.len()))))
    })?;

    for judged in judge(catalogue, &rows) {
        run.events.send(Event::Judged(judged));
    }
    Ok(exit(&rows))
}

/// What rows come to: a run that could try nothing has shown nothing.
fn exit(rows: &[Row]) -> Exit {
    let any = |verdict| rows.iter().any(|row| row.verdict == verdict);
    match () {
        () if any(Verdict::Failed) => Exit::PromiseFailed,
        () if any(Verdict::Broken) => Exit::DidNotBoot,
        () if rows.iter().all(|row| row.verdict == Verdict::NotTried) => Exit::PrerequisiteMissing,
        () => Exit::AllHeld,
    }
}

fn ensure(run: &Run, request: &Request, more: &[Use], yes: bool) -> Result<()> {
    let uses = [request.uses(&run.cache), more.to_vec()].concat();
    packages::ensure(&run.events, &uses, yes)
}

fn source_request(run: &Run, revision: &Revision, release: &Release, refresh: bool) -> Request {
    Request {
        release: release.clone(),
        choice: revision.source,
        git_url: revision.git_url.clone(),
        git_rev: revision.git_rev.clone(),
        tree_dir: revision.tree.clone(),
        offline: run.global.offline,
        refresh,
        repeat: run.repeat("fetch", revision),
    }
}

fn build_request(
    run: &Run,
    revision: &Revision,
    source: &Source,
    jobs: Option<usize>,
) -> BuildRequest {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    BuildRequest {
        source: source.tree.clone(),
        // No revision needs a series of its own to build yet.
        toolchain: String::new(),
        flags: Flags::default(),
        jobs: jobs.unwrap_or_else(all),
        offline: run.global.offline,
        repeat: run.repeat("build", revision),
    }
}

fn variant(series: &Series, applied: &Applied) -> Variant {
    Variant::Patched { tree: applied.tree.clone(), series: series.id.clone() }
}
