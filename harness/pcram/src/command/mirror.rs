//! `mirror`: QEMU's own functions of RAM blocks against their mirror, and what both make of the
//! properties of a migration.

mod kept;
mod told;

use super::{Global, Revision, Run, aim, steps};
use crate::event::{Event, Outcome, Verdict};
use crate::failure::Exit;
use crate::functions::{compile, unit};
use anyhow::{Context, Result};
use kept::Kept;
use pcram_functions::v1_0::search::{Found, search, smallest};
use pcram_mirror::v1_0::bounded::{self, Tally};
use pcram_mirror::v1_0::{Property, Variant};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use told::Told;

/// The guests whose every state `--bounded` looks at: blocks, and pages of each.
const BOUNDED: (usize, u64) = (4, 4);

/// The options of `mirror`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    replay: Option<Sub>,
    #[command(flatten)]
    revision: Revision,
    /// Run N random cases through the functions and the mirror
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    cases: u32,
    /// Where the cases come from; the same seed gives the same ones [default: the time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Look at every state of every guest of up to 4 blocks of 4 pages, too; this takes minutes
    #[arg(long)]
    bounded: bool,
}

#[derive(clap::Subcommand)]
enum Sub {
    /// Run one case again, from the file that a run left
    Replay(Replay),
}

/// The options of `mirror replay`.
#[derive(clap::Args)]
struct Replay {
    /// The case
    #[arg(value_name = "FILE")]
    case: PathBuf,
    #[command(flatten)]
    revision: Revision,
}

/// Runs `mirror`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let revision = match &args.replay {
        Some(Sub::Replay(replay)) => &replay.revision,
        None => &args.revision,
    };
    super::run(global, revision.label(), |run| match &args.replay {
        Some(Sub::Replay(replay)) => kept::replay(run, &replay.case, &replay.revision),
        None => args.run(run),
    })
}

impl Args {
    fn run(&self, run: &Run) -> Result<Exit> {
        let (aim, seed) = (aim::aim(run, &self.revision, run.global.offline)?, self.seed());
        let source = steps::source(run, &self.revision, &aim)?;
        let (_, applied) = steps::apply(run, &self.revision, &aim, &source)?;
        let mut verdicts = Vec::new();
        for tree in [&source.tree, &applied.tree] {
            let told = Told::new(run, aim.wanted.name(), self.repeat(run, seed));
            verdicts.extend(self.tree(run, tree, seed, &told)?);
        }
        match verdicts.contains(&Verdict::Failed) {
            true => Ok(Exit::PromiseFailed),
            false => Ok(Exit::AllHeld),
        }
    }

    /// One tree's functions against their mirror.
    fn tree(&self, run: &Run, tree: &str, seed: u64, told: &Told) -> Result<Vec<Verdict>> {
        let unit = unit(&run.cache, tree)?;
        let variant = unit.variant;
        let folder = run.folder.dir.join(format!("mirror.{variant}"));
        let repeat = self.repeat(run, seed);
        let what = format!("{} cases on the functions as {variant}", self.cases);
        let came = run.events.step("mirror", what, &repeat, |step| {
            let mut functions = compile(&unit, &folder)?;
            let total = self.cases.into();
            let came = search(variant, Some(&mut functions), self.cases, seed, |done| {
                if done % 256 == 0 {
                    step.progress(done, total, "");
                }
            });
            let result = match &came {
                Ok(found) => format!("seed {seed}: {} calls on each side", found.calls),
                Err(_) => format!("seed {seed}: they differ"),
            };
            Ok((came, Outcome::new(result)))
        })?;
        let found = match came {
            Ok(found) => {
                std::fs::remove_dir_all(&folder).context("removing what was compiled")?;
                found
            }
            Err(differs) => {
                let kept = Kept { variant, case: differs.case };
                return Ok(vec![told.differs(&folder, &kept, &differs.difference)?]);
            }
        };
        let mut verdicts = vec![told.same(variant, &found)];
        let tally = self.bounded.then(|| self.every_state(run, variant, &repeat)).transpose()?;
        for property in Property::ALL {
            if property == Property::LeftOut && !variant.leaves_out() {
                continue;
            }
            verdicts.push(self.property(variant, property, seed, &found, tally.as_ref(), told)?);
        }
        Ok(verdicts)
    }

    fn property(
        &self,
        variant: Variant,
        property: Property,
        seed: u64,
        found: &Found,
        tally: Option<&Tally>,
        told: &Told,
    ) -> Result<Verdict> {
        match found.broken.contains_key(&property) {
            true => {
                let (case, broken) = smallest(variant, property, self.cases, seed)
                    .context("the case that broke it, again")?;
                told.broken(&Kept { variant, case }, &broken, found, tally)
            }
            false => Ok(told.kept(variant, property, found, tally)),
        }
    }

    /// Every state of every small guest, on all processors.
    fn every_state(&self, run: &Run, variant: Variant, repeat: &str) -> Result<Tally> {
        let (blocks, pages) = BOUNDED;
        let what = format!("every state of {blocks} blocks of {pages} pages, as {variant}");
        run.events.step("bounded", what, repeat, |step| {
            let guests = bounded::guests(variant, blocks, pages);
            let mut tally = Tally::default();
            let (mut done, total) = (0, guests.len() as u64);
            let lanes = std::thread::available_parallelism().map_or(1, usize::from);
            for some in guests.chunks(lanes) {
                std::thread::scope(|scope| {
                    let lanes: Vec<_> = some
                        .iter()
                        .map(|guest| scope.spawn(move || bounded::check(variant, guest)))
                        .collect();
                    for lane in lanes {
                        tally.add(lane.join().expect("looking at states does not panic"));
                    }
                });
                done += some.len() as u64;
                step.progress(done, total, "");
            }
            let outcome = Outcome::new(format!("{} states", tally.states));
            Ok((tally, outcome))
        })
    }

    fn seed(&self) -> u64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.seed.unwrap_or_else(now)
    }

    fn repeat(&self, run: &Run, seed: u64) -> String {
        let bounded = if self.bounded { " --bounded" } else { "" };
        let mirror = run.repeat("mirror", &self.revision);
        format!("{mirror} --cases {} --seed {seed}{bounded}", self.cases)
    }
}

/// Tells a case in words.
fn story(run: &Run, kept: &Kept) {
    for line in pcram_functions::v1_0::story::tell(kept.variant, &kept.case) {
        let step = "mirror".to_owned();
        run.events.send(Event::Note { step, text: format!("          {line}") });
    }
}
