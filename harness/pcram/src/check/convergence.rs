//! A migration ends by itself while the guest writes all its RAM, where stock's does not.

use super::once::Once;
use super::streams::{Beside, Load, SLOWLY};
use super::trial::Trial;
use super::{Finding, NotTried};
use crate::machine::Machine;
use crate::machine::binary::Binary;
use crate::machine::migration::{End, gathered};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// How long the migration may stop the guest at its end, in milliseconds.
const DOWNTIME: u64 = 10;
/// How often the patched QEMU may gather the dirty pages before it counts as not converging.
const AT_MOST: u64 = 12;
/// How many times as long as the patched QEMU's migration stock's is given.
const AS_LONG: u64 = 4;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Convergence {
    /// What may be sent in a second, in MiB: less than the guest writes. At first it is next to
    /// nothing, until the guest has written all its RAM once.
    bandwidth_mib: u64,
    /// How many times more than the patched QEMU stock is to gather the dirty pages in vain.
    rounds: u64,
    /// Whether all this takes long enough for QEMU to tell a rate of dirty pages: a second.
    #[serde(default)]
    rate: bool,
}

/// How one migration went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    /// Whether it ended by itself.
    completed: bool,
    /// How often the dirty pages were gathered.
    gathered: u64,
    /// How long it took, in milliseconds.
    milliseconds: u64,
    /// The sweeps over all RAM that the guest finished meanwhile.
    sweeps: u64,
    /// The highest rate of dirty pages that QEMU told, in pages a second; none before 1.3.
    rate: Option<u64>,
    /// What remained last, in bytes.
    remaining: u64,
}

impl Convergence {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let ram_file = trial.ram_file_args(&trial.ram_file()?);
        let patched = self.run(trial, trial.patched(), "patched", &ram_file, Run::is_too_much);
        let patched = patched.context("with the patched QEMU")?;
        if !patched.completed {
            return Ok(judge(trial.block(), &Run::default(), &patched, false));
        }
        let stock =
            self.run(trial, trial.stock()?, "stock", &[], |run| self.outlasts(run, &patched));
        let stock = stock.context("with the stock QEMU")?;
        if self.rate && stock.rate.is_none() {
            return Err(NotTried("stock QEMU tells no rate of dirty pages".into()).into());
        }
        Ok(judge(trial.block(), &stock, &patched, self.rate))
    }

    /// Whether stock's migration went on for so much longer that it will not end.
    fn outlasts(&self, stock: &Run, patched: &Run) -> bool {
        stock.gathered >= patched.gathered + self.rounds
            && stock.milliseconds >= AS_LONG * patched.milliseconds
    }

    /// What may be sent in a second, in bytes.
    fn bandwidth(&self) -> u64 {
        self.bandwidth_mib << 20
    }

    /// Migrates under a guest that writes all its RAM, until that has ended or is `enough`.
    fn run(
        &self,
        trial: &Trial,
        binary: &Binary,
        side: &str,
        ram_file: &[String],
        enough: impl Fn(&Run) -> bool,
    ) -> Result<Run> {
        let folder = trial.folder.join(side);
        let mut machine = start(trial, binary, &folder, ram_file)?;
        machine.limit_migration(SLOWLY)?;
        machine.limit_downtime(DOWNTIME)?;
        let before = machine.guest.swept();
        machine.migrate("exec:cat > /dev/null")?;
        let start = Instant::now();
        let since = || start.elapsed().as_millis() as u64;
        let (mut run, mut rein) = (Run::default(), Rein::at(before));
        let (end, last) = machine.migration_over(|machine, state| {
            run.note(state, since());
            if rein.lets_go(machine.guest.swept()) {
                machine.limit_migration(self.bandwidth())?;
            }
            if rein.gives_up(enough(&run)) {
                machine.cancel_migration()?;
            }
            Ok(())
        })?;
        let run = run.over(end, &last, since(), before, machine.guest.swept());
        machine.kill()?;
        Ok(run)
    }
}

/// What is done once in the course of a migration, and when.
struct Rein {
    before: u64,
    let_go: Once,
    given_up: Once,
}

impl Rein {
    /// Of a guest that had finished so many sweeps when the migration began.
    fn at(before: u64) -> Rein {
        Rein { before, let_go: Once::default(), given_up: Once::default() }
    }

    /// Whether now is when it may send more: the guest has written all its RAM meanwhile.
    fn lets_go(&mut self, swept: u64) -> bool {
        self.let_go.now(swept > self.before)
    }

    /// Whether now is when it is cancelled.
    fn gives_up(&mut self, enough: bool) -> bool {
        self.given_up.now(enough)
    }
}

/// Starts a machine with a VGA card, whose memory is to be sent, and sets its guest to work.
fn start(trial: &Trial, binary: &Binary, folder: &Path, ram_file: &[String]) -> Result<Machine> {
    let mut launch = trial.launch();
    launch.extra.extend(ram_file.iter().cloned());
    launch.extra.extend(Beside::args(&[Beside::Vga], binary, folder)?);
    let mut machine = Machine::start(binary, &launch, folder)?;
    machine.guest.ready()?;
    let card = Beside::Vga.map(&mut machine)?;
    Load::Dirtying.begin(&mut machine, &[card])?;
    Ok(machine)
}

impl Run {
    /// Whether this is more than a migration takes that converges.
    fn is_too_much(&self) -> bool {
        self.gathered >= AT_MOST
    }

    /// The run, once it is over: what QEMU tells last counts where it ended by itself.
    fn over(mut self, end: End, last: &Value, since: u64, before: u64, swept: u64) -> Run {
        self.completed = end == End::Completed;
        if self.completed {
            self.note(last, since);
        }
        self.sweeps = swept - before;
        self
    }

    /// Notes what QEMU says of a migration that began so many milliseconds ago.
    fn note(&mut self, state: &Value, since: u64) {
        let figure = |name: &str| state["ram"][name].as_u64().unwrap_or(0);
        let gathered = gathered(&state["ram"], figure("total")).unwrap_or(0);
        self.gathered = self.gathered.max(gathered);
        self.rate = self.rate.max(state["ram"]["dirty-pages-rate"].as_u64());
        self.remaining = figure("remaining");
        // Before 1.2 QEMU does not say.
        self.milliseconds = state["total-time"].as_u64().unwrap_or(since);
    }
}

fn judge(block: &str, stock: &Run, patched: &Run, rate: bool) -> Finding {
    let mut wrong = Vec::new();
    let Run { gathered, milliseconds, remaining, .. } = patched;
    if !patched.completed {
        wrong.push(format!(
            "patched: after {gathered} rounds and {milliseconds} ms {remaining} bytes remain"
        ));
    }
    if patched.sweeps == 0 {
        wrong.push("patched: the guest finished no sweep while it was migrated".to_owned());
    }
    if let Some(told) = patched.rate.filter(|&told| told > 0) {
        wrong.push(format!("patched: {told} dirty pages a second, but only {block} is dirtied"));
    }
    if stock.completed {
        let (gathered, milliseconds) = (stock.gathered, stock.milliseconds);
        wrong.push(format!("stock: it ends, too, after {gathered} rounds and {milliseconds} ms"));
    } else if stock.gathered == 0 {
        wrong.push("stock: no round of it was seen".to_owned());
    }
    if rate && stock.rate.is_none_or(|told| told == 0) {
        wrong.push("stock: no rate of dirty pages was told".to_owned());
    }
    let summary = format!(
        "it ends after {gathered} rounds and {milliseconds} ms, the guest having written all its \
         RAM {} times; stock's has {} bytes left after {} rounds and {} ms",
        patched.sweeps, stock.remaining, stock.gathered, stock.milliseconds
    );
    let mut finding = Finding::new(wrong, summary);
    for (side, run) in [("stock", stock), ("patched", patched)] {
        finding = finding
            .with(format!("rounds, {side}"), run.gathered)
            .with(format!("milliseconds, {side}"), run.milliseconds)
            .with(format!("guest sweeps meanwhile, {side}"), run.sweeps)
            .with(format!("highest rate of dirty pages, {side}"), run.rate.unwrap_or_default())
            .with(format!("bytes that remained last, {side}"), run.remaining);
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> (Run, Run) {
        let patched =
            Run { completed: true, gathered: 3, milliseconds: 200, sweeps: 4, ..Run::default() };
        let stock =
            Run { gathered: 6, milliseconds: 900, sweeps: 20, rate: Some(5000), ..Run::default() };
        (stock, Run { rate: Some(0), ..patched })
    }

    fn wrong(change: impl FnOnce(&mut Run, &mut Run)) -> Option<String> {
        let (mut stock, mut patched) = runs();
        change(&mut stock, &mut patched);
        let finding = judge("pc.ram", &stock, &patched, true);
        (finding.verdict != crate::event::Verdict::Held).then_some(finding.summary)
    }

    #[test]
    fn a_migration_that_goes_on_is_told_with_what_remains() {
        assert_eq!(wrong(|_, _| ()), None);
        let endless = wrong(|_, patched| (patched.completed, patched.remaining) = (false, 4096));
        assert_eq!(endless.unwrap(), "patched: after 3 rounds and 200 ms 4096 bytes remain");
    }

    #[test]
    fn what_stock_does_too_or_nobody_asked_for_shows_nothing() {
        let both = wrong(|stock, _| stock.completed = true).unwrap();
        assert_eq!(both, "stock: it ends, too, after 6 rounds and 900 ms");
        let idle = wrong(|_, patched| patched.sweeps = 0).unwrap();
        assert_eq!(idle, "patched: the guest finished no sweep while it was migrated");
        let unseen = wrong(|stock, _| stock.gathered = 0).unwrap();
        assert_eq!(unseen, "stock: no round of it was seen");
        assert_eq!(
            wrong(|stock, _| stock.rate = Some(0)).unwrap(),
            "stock: no rate of dirty pages was told"
        );
    }

    #[test]
    fn pages_of_the_block_do_not_count_as_dirty() {
        let counted = wrong(|_, patched| patched.rate = Some(7)).unwrap();
        assert_eq!(counted, "patched: 7 dirty pages a second, but only pc.ram is dirtied");
    }

    #[test]
    fn the_highest_rate_and_the_last_remainder_are_kept() {
        let mut run = Run::default();
        for (gathered, rate, remaining) in [(1, 9, 100), (2, 3, 50)] {
            run.note(
                &serde_json::json!({ "total-time": 10 * gathered, "ram": {
                    "dirty-sync-count": gathered, "dirty-pages-rate": rate, "remaining": remaining,
                }}),
                1,
            );
        }
        let expected =
            Run { gathered: 2, rate: Some(9), remaining: 50, milliseconds: 20, ..Run::default() };
        assert_eq!(run, expected);
        // What QEMU does not tell is measured.
        run.note(&serde_json::json!({ "status": "completed" }), 31);
        assert_eq!((run.gathered, run.milliseconds), (2, 31));
    }

    #[test]
    fn stock_has_to_outlast_in_rounds_and_in_time() {
        let check = Convergence { bandwidth_mib: 3, rounds: 2, rate: false };
        assert_eq!(check.bandwidth(), 3 << 20);
        let (_, patched) = runs();
        let outlasts = |gathered, milliseconds| {
            check.outlasts(&Run { gathered, milliseconds, ..Run::default() }, &patched)
        };
        assert!(outlasts(5, 800));
        assert!(!outlasts(4, 800) && !outlasts(5, 799));
        let run = |gathered| Run { gathered, ..Run::default() };
        assert!(run(AT_MOST).is_too_much() && !run(AT_MOST - 1).is_too_much());
    }

    #[test]
    fn it_is_let_go_once_and_given_up_once() {
        let mut rein = Rein::at(5);
        let went: Vec<bool> = [5, 6, 7].map(|swept| rein.lets_go(swept)).to_vec();
        assert_eq!(went, [false, true, false]);
        let given: Vec<bool> = [false, true, true].map(|enough| rein.gives_up(enough)).to_vec();
        assert_eq!(given, [false, true, false]);
    }

    #[test]
    fn what_is_told_last_counts_where_it_ended_by_itself() {
        let last = serde_json::json!({ "ram": { "remaining": 7 } });
        let over = |end| Run { remaining: 3, ..Run::default() }.over(end, &last, 1, 5, 9);
        let completed = over(End::Completed);
        assert_eq!((completed.completed, completed.remaining, completed.sweeps), (true, 7, 4));
        let cancelled = over(End::Cancelled);
        assert_eq!((cancelled.completed, cancelled.remaining), (false, 3));
    }
}
