//! Without the option, the patched QEMU is as fast as stock: both are measured in turn, and the
//! patched one's median is to lie where stock's own measurements lie.

use super::Finding;
use super::party::{Party, Side};
use super::ram_file;
use super::trial::Trial;
use crate::machine::Machine;
use anyhow::Result;
use serde::Deserialize;
use std::time::{Duration, Instant};

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0083;
/// How often each QEMU is measured, after one measurement that does not count.
const PAIRS: usize = 15;
/// How much slower than stock's slowest the patched one's median may be.
const MARGIN: f64 = 0.05;
/// How often the guest writes all its RAM in one measurement.
const SWEEPS: u32 = 5;
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
    /// How long the guest takes to write all its RAM five times.
    Sweep,
}

impl Speed {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let ram_mib = trial.board.ram_mib;
        let mut machines = Vec::new();
        let sides = self.between.sides();
        for (side, name) in sides {
            let party = match side {
                Side::With => {
                    let path = trial.place().join(ram_file::NAME);
                    ram_file::create(&path, trial.ram())?;
                    Party::on(trial, path, name)?
                }
                _ => Party::new(trial, side, name, ram_mib)?,
            };
            let mut machine = party.start(&party.launch(&[]))?;
            machine.guest.seed(SEED, 0)?;
            machine.guest.stamp()?;
            machine.limit_migration(UNLIMITED)?;
            self.measure(&mut machine)?;
            machines.push(machine);
        }
        let mut times = [Vec::new(), Vec::new()];
        for pair in 0..PAIRS {
            // Whoever comes first changes from pair to pair.
            for turn in [pair % 2, 1 - pair % 2] {
                times[turn].push(self.measure(&mut machines[turn])?);
            }
        }
        for machine in &mut machines {
            machine.kill()?;
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

fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// Judges times in milliseconds, measured in turn: those of the first of `names` say what is normal.
fn judge(what: &str, names: [&str; 2], stock: &[f64], patched: &[f64]) -> Finding {
    let spread = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        match sorted[..] {
            [] => (0.0, 0.0, 0.0),
            _ => (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]),
        }
    };
    let (fastest, median, slowest) = spread(stock);
    let (its_fastest, its_median, its_slowest) = spread(patched);
    let [normal, name] = names;
    let limit = slowest * (1.0 + MARGIN);
    let mut wrong = Vec::new();
    if stock.len() < PAIRS || patched.len() < PAIRS || fastest <= 0.0 {
        wrong.push(format!("{} and {} measurements are too few", stock.len(), patched.len()));
    }
    if (fastest, its_fastest) == (slowest, its_slowest) {
        wrong.push("no two measurements differ: nothing was measured".to_owned());
    }
    if its_median > limit {
        wrong.push(format!(
            "{what}: the median of {name} is {its_median:.1} ms, over the slowest of {normal} and \
             {:.0} %, {limit:.1} ms",
            MARGIN * 100.0
        ));
    }
    let summary = format!(
        "{what}: median {its_median:.1} ms ({its_fastest:.1} to {its_slowest:.1}), {normal} \
         {median:.1} ms ({fastest:.1} to {slowest:.1}), ratio {:.3}, {} pairs",
        its_median / median,
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
    fn a_median_beyond_stocks_slowest_and_the_margin_fails() {
        let times = |from: f64| (0..PAIRS).map(|n| from + n as f64).collect::<Vec<_>>();
        let judged = |from| judge("x", BOTH, &times(100.0), &times(from)).verdict;
        // Stock's slowest is 114 ms, the limit 119.7 ms; the median is the eighth.
        assert_eq!(judged(100.0), Verdict::Held);
        assert_eq!(judged(112.0), Verdict::Held);
        assert_eq!(judged(113.0), Verdict::Failed);
        assert_eq!(judged(50.0), Verdict::Held, "faster is fine");
        let at_the_limit = [vec![1.0], vec![114.0 * (1.0 + MARGIN); PAIRS - 1]].concat();
        assert_eq!(judge("x", BOTH, &times(100.0), &at_the_limit).verdict, Verdict::Held);
        let few = times(100.0)[1..].to_vec();
        for (stock, patched) in [(&few, &times(100.0)), (&times(100.0), &few), (&vec![], &vec![])] {
            let wrong = judge("x", BOTH, stock, patched).summary;
            let counted = format!("{} and {} measurements are too few", stock.len(), patched.len());
            assert!(wrong.starts_with(&counted), "{wrong}");
        }
        let wrong = judge("x", BOTH, &times(0.0), &times(1.0)).summary;
        assert_eq!(wrong, "15 and 15 measurements are too few", "one took no time");
        let summary = judge("x", BOTH, &times(100.0), &times(101.0)).summary;
        assert_eq!(
            summary,
            "x: median 108.0 ms (101.0 to 115.0), stock 107.0 ms (100.0 to 114.0), \
             ratio 1.009, 15 pairs"
        );
    }
}
