//! The steps that commands are made of: each takes what the one before it gave.

use super::aim::Aim;
use super::{Revision, Run, build, check, patches, stop};
use crate::build::beyond::{self, Reach, pair_and_beyond};
use crate::build::packages::{self, Use};
use crate::build::{Flags, Pair, Request as BuildRequest, Toolchain, Variant, finished, pair};
use crate::check::Bench;
use crate::check::catalogue::{Catalogue, Check};
use crate::check::judge::judge;
use crate::check::provenance::Provenance;
use crate::event::{Event, Events, Outcome, Row, Verdict};
use crate::failure::Exit;
use crate::images::images;
use crate::machine::binary::Binary;
use crate::machine::shell_word;
use crate::series::{
    Applied, Obstacle, Onto, Series, Stopped, export as write_tree, write_applied,
};
use crate::source::{Choice, Origin, Release, Request, Source, Version, Wanted, cached, local_git};
use anyhow::Result;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The source of a revision.
pub(super) fn fetch(
    run: &Run,
    revision: &Revision,
    wanted: &Wanted,
    refresh: bool,
    offline: bool,
) -> Result<Source> {
    let request = Request { refresh, offline, ..source_request(run, revision, wanted) };
    ensure(run, &request, &[], false)?;
    crate::source::fetch(&run.cache, &run.events, &request)
}

/// The source of a revision, which may have been fetched to choose the series.
pub(super) fn source(run: &Run, revision: &Revision, aim: &Aim) -> Result<Source> {
    match &aim.source {
        Some(source) => Ok(source.clone()),
        None => fetch(run, revision, &aim.wanted, false, run.global.offline),
    }
}

fn take(run: &Run, request: &Request, aim: &Aim) -> Result<Source> {
    match &aim.source {
        Some(source) => Ok(source.clone()),
        None => crate::source::fetch(&run.cache, &run.events, request),
    }
}

/// What a series is applied to, where it is this source; blobs may come from it, and from a git
/// that the user named.
pub(super) fn onto(revision: &Revision, source: &Source) -> Onto {
    let named = revision.git_url.as_deref().and_then(local_git);
    Onto { tree: source.tree.clone(), gits: source.git().into_iter().chain(named).collect() }
}

/// The series onto that source; an error says how to go on.
pub(super) fn apply(
    run: &Run,
    revision: &Revision,
    aim: &Aim,
    source: &Source,
) -> Result<(Series, Applied)> {
    let series = Series::load(&aim.series)?;
    let applied = try_apply(run, revision, aim, source, &series)
        .map_err(|error| stop::advise(run, revision, aim, error))?;
    Ok((series, applied))
}

/// The series onto that source. Where a patch has to be merged, and what it was made on is not
/// here, the source of the series is fetched for it.
pub(super) fn try_apply(
    run: &Run,
    revision: &Revision,
    aim: &Aim,
    source: &Source,
    series: &Series,
) -> Result<Applied> {
    let repeat = run.repeat("apply", revision);
    let onto = onto(revision, source);
    let apply = || crate::series::apply(&run.cache, &run.events, &onto, series, &repeat);
    apply().or_else(|error| match &aim.made_for {
        Some(release) if wants_base(&error) && fetch_base(run, release) => apply(),
        _ => Err(error),
    })
}

fn wants_base(error: &anyhow::Error) -> bool {
    let stopped = error.downcast_ref::<Stopped>();
    stopped.is_some_and(|stopped| matches!(stopped.obstacle, Obstacle::NoBase { .. }))
}

/// Whether the cache has the package of a release.
pub(super) fn has_package(run: &Run, release: &Release) -> bool {
    let is_package = |source: &Source| matches!(source.origin, Origin::Package { .. });
    cached(&run.cache, &release.name).iter().any(is_package)
}

/// Fetches the package that a series was made on, where it is not here yet; whether it was.
fn fetch_base(run: &Run, release: &Release) -> bool {
    if run.global.offline || has_package(run, release) {
        return false;
    }
    let revision = Revision { source: Choice::Package, ..Revision::named(&release.name) };
    // Where it cannot be had, that the series stopped is what counts.
    fetch(run, &revision, &Wanted::Release(release.clone()), false, false).is_ok()
}

/// The patched tree into a folder of the user's.
pub(super) fn export(run: &Run, revision: &Revision, applied: &Applied, dir: &Path) -> Result<()> {
    let repeat = writing_to(run, revision, dir);
    run.events.step("write", format!("the patched tree to {}", dir.display()), repeat, |step| {
        let changes = write_tree(&run.cache, step, &applied.tree, dir)?;
        let result = format!("{} files", changes.written);
        Ok(((), Outcome::new(result).with("tree", &applied.tree)))
    })
}

/// The series as it went on into a folder of the user's.
pub(super) fn write_series(
    run: &Run,
    revision: &Revision,
    source: &Source,
    series: &Series,
    applied: &Applied,
    dir: &Path,
) -> Result<()> {
    let to = shell_word(&dir.to_string_lossy());
    let repeat = format!("{} --write-series {to}", run.repeat("apply", revision));
    run.events.step("write", format!("the series to {}", dir.display()), repeat, |_| {
        let count = write_applied(&run.cache, &onto(revision, source), series, applied, dir)?;
        Ok(((), Outcome::new(format!("{count} patches, which apply exactly"))))
    })
}

/// The command line that writes to `dir`.
pub(super) fn writing_to(run: &Run, revision: &Revision, dir: &Path) -> String {
    format!("{} --to {}", run.repeat("apply", revision), shell_word(&dir.to_string_lossy()))
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
    provenance: Provenance<'a>,
}

impl Built<'_> {
    /// The QEMU with the series.
    pub(super) fn patched(&self) -> &Path {
        &self.pair.patched.qemu_system
    }
}

/// QEMU without and with the series, built or found, and what goes beyond that as far as `reach`
/// asks for it; missing system packages are found before anything is fetched.
pub(super) fn build<'a>(
    run: &'a Run,
    revision: &Revision,
    aim: &Aim,
    options: &build::Options,
    reach: Option<&Reach>,
) -> Result<Built<'a>> {
    let request = source_request(run, revision, &aim.wanted);
    ensure(run, &request, &[Use::Build], options.yes)?;
    let source = take(run, &request, aim)?;
    let (series, applied) = apply(run, revision, aim, &source)?;
    let request = build_request(run, revision, aim, &source, options.jobs)?;
    let (cache, events) = (&run.cache, &run.events);
    let (pair, beyond) = match reach {
        Some(reach) => {
            let both = pair_and_beyond(cache, events, &request, &series, &applied, reach)?;
            (both.0, Some(both.1))
        }
        None => (pair(cache, events, &request, &variant(&series, &applied))?, None),
    };
    let compiled = pair.patched.tree.clone();
    Ok(Built { pair, provenance: Provenance { cache, series, applied, compiled, beyond } })
}

/// The same, where it was built before; nothing is fetched or compiled.
pub(super) fn built<'a>(
    run: &'a Run,
    revision: &Revision,
    aim: &Aim,
    reach: &Reach,
) -> Result<Built<'a>> {
    let request = Request { offline: true, ..source_request(run, revision, &aim.wanted) };
    let source = take(run, &request, aim)?;
    let (series, applied) = apply(run, revision, aim, &source)?;
    let request = build_request(run, revision, aim, &source, None)?;
    let cache = &run.cache;
    let pair = finished(cache, &request, &variant(&series, &applied))?;
    let beyond = beyond::finished(cache, &request, &series, &applied, reach)?;
    let compiled = pair.patched.tree.clone();
    Ok(Built { pair, provenance: Provenance { cache, series, applied, compiled, beyond } })
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
    pub provenance: Option<&'a Provenance<'a>>,
    /// Whether nothing may be fetched for it.
    pub offline: bool,
    /// The command line that checks it again.
    pub repeat: String,
}

impl<'a> Subject<'a> {
    /// QEMUs that this tool built.
    pub(super) fn built(
        run: &Run,
        revision: &Revision,
        aim: &'a Aim,
        built: &'a Built,
        offline: bool,
    ) -> Result<Subject<'a>> {
        let Built { pair, provenance } = built;
        Ok(Subject {
            name: aim.wanted.name(),
            stock: Some(Binary::probe(&pair.stock.qemu_system)?),
            patched: Binary::probe(&pair.patched.qemu_system)?,
            qemu_img: Some(pair.patched.qemu_img.clone()),
            provenance: Some(provenance),
            offline,
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
    let rows = rows(run, catalogue, subject, options)?;
    // Where rows were asked for, what they say nothing of was not.
    let all = options.rows.is_empty();
    let asked = |promise: &str| all || rows.iter().any(|row| row.promise == promise);
    for judged in judge(catalogue, &rows).into_iter().filter(|it| asked(&it.promise)) {
        run.events.send(Event::Judged(judged));
    }
    Ok(exit(&rows))
}

/// What came of the checks that were chosen.
pub(super) fn rows(
    run: &Run,
    catalogue: &Catalogue,
    subject: &Subject,
    options: &check::Options,
) -> Result<Vec<Row>> {
    let checks = catalogue.select(&options.rows, options.thorough)?;
    let Subject { name, repeat, .. } = subject;
    let bench = Bench {
        catalogue,
        revision: name,
        stock: subject.stock.as_ref(),
        patched: &subject.patched,
        qemu_img: subject.qemu_img.as_deref(),
        provenance: subject.provenance,
        images: &|| images(&run.cache, &Events::default(), subject.offline),
        folder: &run.folder.dir,
        keep: options.keep,
    };

    let what = format!("{} checks on QEMU {name}", checks.len());
    let alone = format!("{repeat}{}", options.chosen());
    run.events.step("check", what, alone, |step| {
        let mut rows = Vec::new();
        let lanes = options.at_once.map_or_else(processors, NonZeroUsize::get);
        let again = |check: &Check| format!("{repeat} --row {}", check.id);
        step.progress(0, checks.len() as u64, "");
        bench.try_all(&checks, lanes, again, |row| {
            rows.push(row.clone());
            step.progress(rows.len() as u64, checks.len() as u64, &row.id);
            run.events.send(Event::Row(row));
        });
        let outcome = Outcome::new(tally(&rows));
        Ok((rows, outcome))
    })
}

/// How many of the rows hold, of those that were tried.
fn tally(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (held, not_tried) = (count(Verdict::Held), count(Verdict::NotTried));
    match not_tried {
        0 => format!("{held} of {} hold", rows.len()),
        _ => format!("{held} of {} tried hold, {not_tried} not tried", rows.len() - not_tried),
    }
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

fn source_request(run: &Run, revision: &Revision, wanted: &Wanted) -> Request {
    Request {
        wanted: wanted.clone(),
        choice: revision.source,
        git_url: revision.git_url.clone(),
        git_rev: revision.git_rev.clone(),
        tree_dir: revision.tree.clone(),
        offline: run.global.offline,
        refresh: false,
        repeat: run.repeat("fetch", revision),
    }
}

fn build_request(
    run: &Run,
    revision: &Revision,
    aim: &Aim,
    source: &Source,
    jobs: Option<NonZeroUsize>,
) -> Result<BuildRequest> {
    let toolchain = toolchain(run, &aim.wanted, source)?;
    Ok(BuildRequest {
        source: source.tree.clone(),
        flags: Flags::default().with(toolchain.as_ref()),
        toolchain,
        jobs: jobs.map_or_else(processors, NonZeroUsize::get),
        offline: run.global.offline,
        repeat: run.repeat("build", revision),
    })
}

/// What has a source build on a machine of today: what the table names for the release; for another
/// revision that of the nearest release, where it goes on.
fn toolchain(run: &Run, wanted: &Wanted, source: &Source) -> Result<Option<Toolchain>> {
    match wanted {
        Wanted::Release(release) => toolchain_of(release),
        Wanted::Other { releases, .. } => {
            let version = Version::of_tree(&run.cache.store()?, &source.tree);
            let found = toolchain_of(releases.nearest(version))?;
            Ok(found.filter(|toolchain| toolchain.onto(&run.cache, &source.tree).is_ok()))
        }
    }
}

/// The toolchain series that the table names for a release.
pub(super) fn toolchain_of(release: &Release) -> Result<Option<Toolchain>> {
    let Some(folder) = &release.toolchain else { return Ok(None) };
    Toolchain::load(&patches()?.join(folder)).map(Some)
}

fn variant(series: &Series, applied: &Applied) -> Variant {
    Variant::Patched { tree: applied.tree.clone(), series: series.id.clone() }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
