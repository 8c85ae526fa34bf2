//! `mirror`: QEMU's own functions of RAM blocks against their mirror, and what both make of the
//! properties of a migration.

mod kept;
mod told;

use super::{Global, Revision, Run, aim, steps};
use crate::event::{Outcome, Verdict};
use crate::failure::{Exit, Failure};
use crate::functions::{Optimized, Unit, subject};
use anyhow::{Context, Result};
use kept::Kept;
use pcram_functions::kinds::Of;
use pcram_functions::lockstep::{Kind, Lockstep};
use pcram_functions::search::{Found, search, smallest};
use pcram_functions::with_kind;
use pcram_mirror::v1_0::Variant;
use pcram_mirror::v1_0::bounded::{self, Tally};
use std::path::{Path, PathBuf};
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
    /// Look at every state of every guest of up to 4 blocks of 4 pages, too; this takes minutes, and is
    /// for 1.0's loop
    #[arg(long)]
    bounded: bool,
    /// Keep what was compiled, in the folder of the run
    #[arg(long)]
    keep: bool,
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
            verdicts.extend(self.tree(run, tree, aim.wanted.name(), seed)?);
        }
        match verdicts.contains(&Verdict::Failed) {
            true => Ok(Exit::PromiseFailed),
            false => Ok(Exit::AllHeld),
        }
    }

    /// One tree's functions against their mirror.
    fn tree(&self, run: &Run, tree: &str, revision: &str, seed: u64) -> Result<Vec<Verdict>> {
        let units = Unit::of_tree(&run.cache, tree)?;
        if self.bounded && units.iter().all(|unit| unit.of != Of::V1_0) {
            let text =
                "--bounded looks at every state of 1.0's loop; of this one, cases are all there is";
            return Err(Failure::usage(text).into());
        }
        let mut verdicts = Vec::new();
        for unit in &units {
            verdicts.extend(self.unit(run, unit, revision, seed)?);
        }
        Ok(verdicts)
    }

    fn unit(&self, run: &Run, unit: &Unit, revision: &str, seed: u64) -> Result<Vec<Verdict>> {
        let (name, variant) = (unit.name(), unit.variant);
        let folder = run.folder.dir.join(format!("mirror.{variant}.{name}.compiled"));
        let object = unit.compile(&folder, Optimized::Yes)?;
        let repeat = self.repeat(run, seed);
        let named = (name, unit.title());
        let told = Told::new(run, revision, named, variant.to_string(), repeat.clone());
        let whole = self.bounded && unit.of == Of::V1_0;
        let tally = whole.then(|| every_state(run, variant, &repeat)).transpose()?;
        let verdicts = with_kind!(unit.of, K => {
            self.functions::<K>(run, unit, &object, tally, seed, &told)
        })?;
        match self.keep {
            true => run.tell_story(&[format!("compiled in {}", folder.display())]),
            false => std::fs::remove_dir_all(&folder).context("removing what was compiled")?,
        }
        Ok(verdicts)
    }

    /// Functions that were compiled, against their mirror.
    fn functions<K: Kind>(
        &self,
        run: &Run,
        unit: &Unit,
        object: &Path,
        tally: Option<Tally>,
        seed: u64,
        told: &Told,
    ) -> Result<Vec<Verdict>> {
        let mut subject = subject::<K>(unit.tree::<K>()?, Some(object))?;
        let what = format!("{} cases on {} as {}", self.cases, told.title, told.variant);
        let came = run.events.step("mirror", what, self.repeat(run, seed), |step| {
            let total = self.cases.into();
            let came = search(&mut subject, self.cases, seed, |done| {
                if done % 256 == 0 {
                    step.progress(done, total, "");
                }
            });
            let result = match &came {
                Ok(found) => {
                    let Found { calls, loops, .. } = found;
                    let made = format!("seed {seed}: {calls} calls on each side");
                    let rate = |of: u64| of as f64 / found.spent.as_secs_f64() / 1e3;
                    match loops {
                        0 => format!("{made}, {:.0} thousand a second", rate(*calls)),
                        _ => format!(
                            "{made}, which make {loops} of the save loop, {:.0} thousand a second",
                            rate(*loops)
                        ),
                    }
                }
                Err(_) => format!("seed {seed}: they differ"),
            };
            Ok((came, Outcome::new(result)))
        })?;
        let found = match came {
            Ok(found) => found,
            Err(differs) => {
                let story = subject.tell(&differs.case);
                let kept = Kept::new::<K>(unit, &differs.case)?;
                return Ok(vec![told.differs(&kept, &story, &differs.difference)?]);
            }
        };
        let mut verdicts = vec![told.same(&found)];
        for &property in K::WATCHED.iter().filter(|it| told.can_break(**it)) {
            let tally = tally.as_ref();
            if !found.broken.contains_key(&property) {
                verdicts.push(told.kept(property, &found, tally));
                continue;
            }
            let (case, broken) = smallest(&mut subject, property, self.cases, seed)
                .context("the case that broke it, again")?;
            let story = subject.tell(&case);
            let kept = Kept::new::<K>(unit, &case)?;
            verdicts.push(told.broken(&kept, &story, &broken, &found, tally)?);
        }
        Ok(verdicts)
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

/// Every state of every small guest, on all processors.
fn every_state(run: &Run, variant: Variant, repeat: &str) -> Result<Tally> {
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
