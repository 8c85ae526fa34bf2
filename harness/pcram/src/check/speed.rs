//! Without the option, the patched QEMU is as fast as stock: processes of both are measured in turn,
//! and the fastest patched one is to be as fast as every other one of stock.
//!
//! Two processes of one binary differ by a tenth and more, for as long as they live: where their
//! memory lies, and whether the kernel had huge pages for it. So a process is one measurement, and
//! lives alone: of two, the second has the worse memory. The fastest of several is what the binary
//! can do; how far stock's median lies above its fastest is the noise that it may hide in.
//!
//! All of it runs on one processor. A migration wakes its reader for every pipe that it has filled,
//! and what that takes from one processor to another is a virtual machine's host to say: the same
//! migration took 51 to 69 ms on one, and 55 to 286 ms on two.

use super::Finding;
use super::party::{Party, Side};
use super::ram_file;
use super::trial::Trial;
use crate::machine::Machine;
use crate::process::OneProcessor;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs;
use std::time::{Duration, Instant};

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0083;
/// How many processes of each are measured; an even number, so that each is as often the first of two.
const PAIRS: usize = 6;
/// How many at most, where none of the patched ones is fast enough so far: of six that are each as
/// likely to have good memory as not, none has it once in 64 times.
const PAIRS_AT_MOST: usize = 4 * PAIRS;
/// How often each process is measured; its fastest counts.
const TURNS: usize = 2;
/// How much slower than stock's median the fastest patched process may be.
const MARGIN: f64 = 0.1;
/// How often the guest writes all its RAM in one measurement.
const SWEEPS: u32 = 3;
/// What a migration may send in a second, in bytes: no limit.
const UNLIMITED: u64 = 1_000_000_000_000;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Speed {
    /// What is measured.
    benchmark: Benchmark,
    /// Of which two.
    #[serde(default)]
    between: Between,
}

/// The two that are compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Between {
    /// Stock, and the patched QEMU, both without a RAM file.
    #[default]
    StockAndPatched,
    /// The patched QEMU without a RAM file, and with one.
    MemoryAndFile,
}

impl Between {
    fn sides(self) -> [(Side, &'static str); 2] {
        match self {
            Between::StockAndPatched => [(Side::Stock, "stock"), (Side::Without, "patched")],
            Between::MemoryAndFile => [(Side::Without, "memory"), (Side::With, "file")],
        }
    }
}

/// What is measured, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Benchmark {
    /// How long a stopped guest, all its RAM stamped, takes to migrate to nowhere: the `total-time`
    /// of `query-migrate`. A QEMU of before 1.2 has none; then it is how long it takes to tell that
    /// it is done.
    Migrate,
    /// How long the guest takes to write all its RAM three times.
    Sweep,
}

impl Speed {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let ram_mib = trial.board.ram_mib;
        let _processor = OneProcessor::keep_to()?;
        let sides = self.between.sides();
        let mut times = [Vec::new(), Vec::new()];
        while !told(&times) {
            // Whoever comes first changes from pair to pair.
            let first = times[0].len() % 2;
            for which in [first, 1 - first] {
                let (side, name) = sides[which];
                let name = format!("{name}-{}", times[which].len());
                let mut machine = ready(trial, side, &name)?;
                let mut fastest = f64::INFINITY;
                for _ in 0..TURNS {
                    fastest = fastest.min(self.measure(&mut machine)?);
                }
                machine.kill()?;
                times[which].push(fastest);
            }
        }
        let [stock, patched] = &times;
        let what = match self.benchmark {
            Benchmark::Migrate => format!("migrate {ram_mib} MiB"),
            Benchmark::Sweep => format!("{SWEEPS} times {ram_mib} MiB written by the guest"),
        };
        Ok(judge(&what, sides.map(|(_, name)| name), stock, patched))
    }

    /// One measurement, in milliseconds.
    fn measure(&self, machine: &mut Machine) -> Result<f64> {
        match self.benchmark {
            Benchmark::Migrate => {
                // A guest that was stopped by a migration does not migrate again.
                machine.cont()?;
                machine.stop()?;
                let start = Instant::now();
                machine.migrate("exec:cat > /dev/null")?;
                let state = machine.migration_completed(|_, _| Ok(()))?;
                Ok(state["total-time"].as_f64().unwrap_or_else(|| milliseconds(start.elapsed())))
            }
            Benchmark::Sweep => {
                let start = Instant::now();
                for _ in 0..SWEEPS {
                    machine.guest.stamp()?;
                }
                Ok(milliseconds(start.elapsed()))
            }
        }
    }
}

/// A QEMU of `side` whose guest has stamped all its RAM.
fn ready(trial: &Trial, side: Side, name: &str) -> Result<Machine> {
    let party = match side {
        Side::With => {
            let path = trial.place().join(ram_file::NAME);
            // A file of its own for each process, as its memory is.
            if path.exists() {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
            ram_file::create(&path, trial.ram())?;
            Party::on(trial, path, name)?
        }
        _ => Party::new(trial, side, name, trial.board.ram_mib)?,
    };
    let mut machine = party.start(&party.launch(&[]))?;
    machine.guest.seed(SEED, 0)?;
    machine.guest.stamp()?;
    machine.limit_migration(UNLIMITED)?;
    Ok(machine)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// Whether the times in milliseconds, of the two in turn, say enough: those of a few pairs, where one
/// of the second is fast enough already.
fn told(times: &[Vec<f64>; 2]) -> bool {
    let [normal, measured] = times;
    let pairs = normal.len().min(measured.len());
    let fast_enough = || spread(measured).fastest <= limit(normal);
    pairs >= PAIRS_AT_MOST || pairs >= PAIRS && fast_enough()
}

/// The most that the fastest process may take where `normal`, in milliseconds, is normal.
fn limit(normal: &[f64]) -> f64 {
    spread(normal).median * (1.0 + MARGIN)
}

/// How times lie, in their unit.
#[derive(Clone, Copy, Default)]
struct Spread {
    fastest: f64,
    median: f64,
    slowest: f64,
}

fn spread(times: &[f64]) -> Spread {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => Spread::default(),
        [fastest, ..] => {
            Spread { fastest, median: sorted[sorted.len() / 2], slowest: sorted[sorted.len() - 1] }
        }
    }
}

/// Judges times in milliseconds, measured in turn: those of the first of `names` say what is normal.
fn judge(what: &str, names: [&str; 2], stock: &[f64], patched: &[f64]) -> Finding {
    let (its, of) = (spread(patched), spread(stock));
    let [normal, name] = names;
    let limit = limit(stock);
    let mut wrong = Vec::new();
    if stock.len() < PAIRS || patched.len() < PAIRS || of.fastest <= 0.0 {
        wrong.push(format!("{} and {} measurements are too few", stock.len(), patched.len()));
    }
    if (of.fastest, its.fastest) == (of.slowest, its.slowest) {
        wrong.push("no two measurements differ: nothing was measured".to_owned());
    }
    if its.fastest > limit {
        wrong.push(format!(
            "{what}: the fastest of {} processes of {name} took {:.1} ms, over the median of \
             {normal} and {:.0} %, {limit:.1} ms",
            patched.len(),
            its.fastest,
            MARGIN * 100.0
        ));
    }
    let summary = format!(
        "{what}: median {:.1} ms ({:.1} to {:.1}), {normal} {:.1} ms ({:.1} to {:.1}), \
         ratio {:.3}, {} pairs of processes",
        its.median,
        its.fastest,
        its.slowest,
        of.median,
        of.fastest,
        of.slowest,
        its.median / of.median,
        stock.len()
    );
    let list =
        |times: &[f64]| times.iter().map(|time| format!("{time:.1}")).collect::<Vec<_>>().join(" ");
    Finding::new(wrong, summary)
        .with("limit, ms", format!("{limit:.1}"))
        .with(format!("{normal}, ms"), list(stock))
        .with(format!("{name}, ms"), list(patched))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    const BOTH: [&str; 2] = ["stock", "patched"];

    #[test]
    fn figures_that_are_all_alike_are_no_measurements() {
        let alike = vec![5.0; PAIRS];
        let wrong = judge("x", BOTH, &alike, &alike).summary;
        assert_eq!(wrong, "no two measurements differ: nothing was measured");
        let once = [&alike[1..], &[6.0]].concat();
        assert_eq!(judge("x", BOTH, &alike, &once).verdict, Verdict::Held);
        assert_eq!(judge("x", BOTH, &once, &alike).verdict, Verdict::Held);
        assert_eq!(milliseconds(Duration::from_micros(2_500)), 2.5);
    }

    #[test]
    fn pairs_are_measured_until_one_is_fast_enough_or_there_are_many() {
        let of = |count: usize, time: f64| vec![time; count];
        let told = |stock: usize, patched: Vec<f64>| super::told(&[of(stock, 100.0), patched]);
        assert!(!told(0, vec![]));
        assert!(!told(PAIRS - 1, of(PAIRS - 1, 100.0)));
        assert!(told(PAIRS, of(PAIRS, 110.0)));
        assert!(!told(PAIRS, of(PAIRS, 111.0)));
        assert!(!told(PAIRS + 1, of(PAIRS, 111.0)));
        assert!(told(PAIRS + 1, [of(PAIRS, 111.0), vec![109.0]].concat()));
        assert!(!told(PAIRS_AT_MOST - 1, of(PAIRS_AT_MOST - 1, 111.0)));
        assert!(told(PAIRS_AT_MOST, of(PAIRS_AT_MOST, 111.0)));
    }

    #[test]
    fn a_fastest_process_beyond_stocks_median_and_the_margin_fails() {
        let times = |from: f64| (0..PAIRS).map(|n| from + n as f64).collect::<Vec<_>>();
        let judged = |from| judge("x", BOTH, &times(100.0), &times(from)).verdict;
        // Stock's median is 103 ms, the limit 113.3 ms.
        assert_eq!(judged(100.0), Verdict::Held);
        assert_eq!(judged(113.0), Verdict::Held);
        assert_eq!(judged(114.0), Verdict::Failed);
        assert_eq!(judged(50.0), Verdict::Held, "faster is fine");
        let at_the_limit = [vec![103.0 * (1.0 + MARGIN)], vec![500.0; PAIRS - 1]].concat();
        assert_eq!(judge("x", BOTH, &times(100.0), &at_the_limit).verdict, Verdict::Held);
        let few = times(100.0)[1..].to_vec();
        for (stock, patched) in [(&few, &times(100.0)), (&times(100.0), &few), (&vec![], &vec![])] {
            let wrong = judge("x", BOTH, stock, patched).summary;
            let counted = format!("{} and {} measurements are too few", stock.len(), patched.len());
            assert!(wrong.starts_with(&counted), "{wrong}");
        }
        let wrong = judge("x", BOTH, &times(0.0), &times(1.0)).summary;
        assert_eq!(wrong, "6 and 6 measurements are too few", "one took no time");
        let summary = judge("x", BOTH, &times(100.0), &times(101.0)).summary;
        assert_eq!(
            summary,
            "x: median 104.0 ms (101.0 to 106.0), stock 103.0 ms (100.0 to 105.0), \
             ratio 1.010, 6 pairs of processes"
        );
    }
}
