//! What the cache holds of each revision, and which of its checks would not be tried.

use crate::build::{Held, held};
use crate::cache::{Cache, Kind};
use crate::check::Bench;
use crate::check::catalogue::{Catalogue, Check};
use crate::command::{patches, steps::toolchain_of};
use crate::event::{Events, Outcome, Step};
use crate::images::images;
use crate::machine::binary::Binary;
use crate::machine::kvm;
use crate::series::Series;
use crate::source::{Release, Releases, cached};
use anyhow::Result;
use std::path::Path;

/// Tells of every revision in the table.
pub(super) fn tell(step: &Step, cache: Option<&Cache>, thorough: bool) -> Result<((), Outcome)> {
    let patches = patches()?;
    let releases = Releases::read(&patches.join("releases.toml"))?;
    let mut built = 0;
    let mut kvm = None;
    step.note(match cache.is_some_and(has_guests) {
        true => "guests: firmware and a kernel are in the cache",
        false => "guests: no firmware and no kernel in the cache; checks that boot them fetch them",
    });
    for release in releases.all() {
        let dir = patches.join(&release.series);
        if release.package.is_none() {
            step.note(format!("{}: no distribution has it: {}", release.name, release.made_on()));
            step.note("  `--git-url URL` names a git that has it");
        }
        let found = cache.map(|cache| in_cache(step, cache, release, &dir)).transpose()?;
        let found = found.unwrap_or_default();
        built += usize::from(found.stock.is_some() && found.patched.is_some());
        match (cache, found.stock) {
            (Some(cache), Some(stock)) => {
                let (catalogue, stock) = (Catalogue::of_series(&dir)?, Binary::probe(&stock)?);
                not_tried(step, cache, &catalogue, release, &stock, thorough)?;
                kvm = kvm.or_else(|| Some(of_kvm(cache, &stock)));
            }
            _ => step.note(format!(
                "{}: not built; what its checks need of QEMU cannot be asked for yet",
                release.name
            )),
        }
    }
    step.note(
        kvm.unwrap_or_else(|| "KVM: no QEMU is built yet to let a guest count under it".into()),
    );
    let result = format!("{built} of {} built, without and with the series", releases.all().len());
    Ok(((), Outcome::new(result)))
}

/// What KVM is good for, as the bare guest finds it.
fn of_kvm(cache: &Cache, stock: &Binary) -> String {
    let tried = cache
        .scratch(&cache.folder(Kind::Run))
        .map(|scratch| kvm::usable(stock, &scratch.path().join("kvm")));
    match tried {
        Ok(Ok(pace)) => {
            let millions = pace.counts_per_second as f64 / 1e6;
            let slow = if pace.is_interpreted() { "; too slow for a kernel" } else { "" };
            format!("KVM: the bare guest counts under it, {millions:.1} million in a second{slow}")
        }
        Ok(Err(why)) => format!("KVM: not tried, since {why}"),
        Err(error) => format!("KVM: not tried, since {error:#}"),
    }
}

/// Whether the cache holds what guests boot. A look does not mark it as used.
fn has_guests(cache: &Cache) -> bool {
    cache.folder(Kind::Guest).read_dir().is_ok_and(|mut entries| entries.next().is_some())
}

/// Tells what the cache holds of a revision; the emulators of the first source that has one.
fn in_cache(step: &Step, cache: &Cache, release: &Release, dir: &Path) -> Result<Held> {
    let (series, toolchain) = (Series::load(dir)?, toolchain_of(release)?);
    let mut found = Held::default();
    for source in cached(cache, &release.name) {
        let here = held(cache, &source.tree, &series.id, toolchain.as_ref())?;
        let state = |there: &Option<_>| if there.is_some() { "built" } else { "not built" };
        let (stock, patched) = (state(&here.stock), state(&here.patched));
        step.note(format!("{}: {}", release.name, source.description()));
        step.note(format!("  stock {stock}, patched {patched}"));
        if found.stock.is_none() {
            found = here;
        }
    }
    Ok(found)
}

/// Tells which checks lack something, by what they lack. A QEMU's part in that is asked of stock.
fn not_tried(
    step: &Step,
    cache: &Cache,
    catalogue: &Catalogue,
    release: &Release,
    stock: &Binary,
    thorough: bool,
) -> Result<()> {
    let scratch = cache.scratch(&cache.folder(Kind::Run))?;
    let bench = Bench {
        catalogue,
        revision: &release.name,
        stock: Some(stock),
        patched: stock,
        qemu_img: None,
        provenance: None,
        images: &|| images(cache, &Events::default(), true),
        folder: scratch.path(),
        keep: false,
    };
    let checks = catalogue.select(&[], thorough)?;
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for check in &checks {
        if let Some(reason) = reason(&bench, check) {
            match reasons.iter_mut().find(|(other, _)| *other == reason) {
                Some((_, ids)) => ids.push(&check.id),
                None => reasons.push((reason, vec![&check.id])),
            }
        }
    }
    let lacking: usize = reasons.iter().map(|(_, ids)| ids.len()).sum();
    step.note(format!("  {} of {} checks can be tried", checks.len() - lacking, checks.len()));
    for (reason, ids) in reasons {
        step.note(format!("  not tried: {}: {reason}", ids.join(", ")));
    }
    Ok(())
}

/// Why a check would not be tried; a need that cannot be looked into is such a reason, too.
fn reason(bench: &Bench, check: &Check) -> Option<String> {
    bench.unmet(check).unwrap_or_else(|error| Some(format!("{error:#}")))
}
