//! A guest that writes all its RAM moves to a destination with the file, and goes on in the middle
//! of what it was writing: no page that it finds there is older than its last.

use super::Finding;
use super::once::Once;
use super::party::{Party, Side};
use super::ram_file::{self, Census, census};
use super::streams::{AT_ONCE, SLOWLY};
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::deadline::Deadline;
use crate::machine::guest::Found;
use anyhow::{Context, Result};
use pcram_mirror::address::TARGET_PAGE_SIZE;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0063;
/// How many sweeps over its RAM the guest finishes before it is to move, how many more while it is
/// held back, and after how many it is stopped: a QEMU that sends the block never ends under it.
const WARM_UP: u64 = 2;
const HELD_BACK: u64 = 3;
const TOO_MANY: u64 = 200;
/// How long the destination may take to have loaded.
const ARRIVE: Duration = Duration::from_secs(30);
/// How many generations from the reported one on are looked for.
const AHEAD: u64 = 4;
/// How long a byte may take to the guest's serial port, and how often that is looked at.
const DELIVERED: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Live {
    /// What the destination has as its RAM.
    onto: Onto,
}

/// What the destination has as its RAM.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Onto {
    /// The same file, while the source still runs on it.
    SameFile,
    /// A copy that is taken once the source has stopped.
    Copy,
}

/// What was seen on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moved {
    /// The generation that the guest had reported last at the source.
    reported: u64,
    /// The destination's file before the guest ran there, in generations from that one on.
    arrived: Census,
    /// The generation of the sweep that the guest ended at the destination.
    ended: u64,
    /// What it then found of that.
    found: Found,
    /// Sweeps that it finished during the migration.
    meanwhile: u64,
    /// Whether it had to be stopped for a live migration to end.
    stopped: bool,
}

impl Live {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let source = Party::new(trial, Side::With, "source", trial.board.ram_mib)?;
        let file = source.ram_file.clone().context("there is no RAM file")?;
        let mut from = source.start(&source.launch(&[]))?;
        from.guest.seed(SEED, 0)?;
        from.guest.dirty()?;
        from.guest.sweeps(WARM_UP)?;
        let before = from.guest.swept();

        let (mut to, its_file, stopped) = match self.onto {
            Onto::SameFile => {
                let party = Party::on(trial, file.clone(), "destination")?;
                let (to, stopped) = move_live(&mut from, &party)?;
                (to, file, stopped)
            }
            Onto::Copy => {
                // In the middle of a sweep, so that pages of two generations go.
                let middle =
                    trial.layout()?.pages().nth((trial.ram() / TARGET_PAGE_SIZE / 3) as usize);
                let (middle, begun) = (middle.context("no RAM")?, from.guest.generation() + 1);
                ram_file::await_stamp(&file, &trial.layout()?, middle, SEED, begun)?;
                from.stop()?;
                from.migrate("exec:cat > stream")?;
                from.migrated(|_| Ok(()))?;
                let party = Party::new(trial, Side::With, "destination", trial.board.ram_mib)?;
                let copy = party.ram_file.clone().context("there is no RAM file")?;
                ram_file::copy(&file, &copy)?;
                let mut to = party.start_waiting(&["-S"])?;
                to.load_from("exec:cat ../source/stream")?;
                (to, copy, false)
            }
        };
        to.loaded(ARRIVE)?;
        let meanwhile = from.guest.swept() - before;
        from.kill()?;
        from.guest.hear_out();
        let reported = from.guest.generation();
        let generations: Vec<u64> = (reported..reported + AHEAD).collect();
        let arrived = census(&its_file, &trial.layout()?, SEED, &generations)?;

        // The guest is told to end before it runs on, so that it ends with the sweep it is in.
        to.guest.halt_at_next()?;
        await_byte(&mut to)?;
        to.cont()?;
        let ended = to.guest.halted()?;
        let found = to.guest.find()?;
        to.kill()?;
        Ok(judge(
            trial.layout()?.pages().count() as u64,
            &Moved { reported, arrived, ended, found, meanwhile, stopped },
        ))
    }
}

/// Moves a guest that goes on writing, and says whether it had to be stopped for that.
fn move_live(from: &mut Machine, party: &Party) -> Result<(Machine, bool)> {
    let mut to = party.start_waiting(&["-S"])?;
    from.limit_migration(SLOWLY)?;
    let before = from.guest.swept();
    let _socket = from.migrate_to(&mut to)?;
    let mut course = Course::from(before);
    from.migrated(|from| {
        let swept = from.guest.swept();
        if course.lets_go(swept) {
            from.limit_migration(AT_ONCE)?;
        }
        if course.stops(swept) {
            from.stop()?;
        }
        Ok(())
    })?;
    Ok((to, course.stopped.done))
}

/// What is done once in the course of a live migration, when the guest has finished so many sweeps.
struct Course {
    before: u64,
    let_go: Once,
    stopped: Once,
}

impl Course {
    /// Of a guest that had finished `before` sweeps when it began.
    fn from(before: u64) -> Course {
        Course { before, let_go: Once::default(), stopped: Once::default() }
    }

    /// Whether now is when all may be sent at once.
    fn lets_go(&mut self, swept: u64) -> bool {
        self.let_go.now(swept - self.before >= HELD_BACK)
    }

    /// Whether now is when the guest is stopped, since it takes too long.
    fn stops(&mut self, swept: u64) -> bool {
        self.stopped.now(swept - self.before >= TOO_MANY)
    }
}

/// Waits until a byte lies in the serial port of a guest that stands: the line status register.
fn await_byte(machine: &mut Machine) -> Result<()> {
    let deadline = Deadline::after(DELIVERED, "a byte to arrive at the guest's serial port");
    loop {
        let said = machine.qmp.human("i /1xb 0x3fd")?;
        if has_byte(&said)? {
            return Ok(());
        }
        std::thread::sleep(deadline.left()?.min(LOOK_AGAIN));
    }
}

/// Whether the line status that the monitor read has its bit for a byte that came.
fn has_byte(said: &str) -> Result<bool> {
    let digits = said.rsplit_once("0x").map(|(_, digits)| digits.trim());
    let status = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let status = status.with_context(|| format!("the monitor read a port as {said:?}"))?;
    Ok(status & 1 != 0)
}

fn judge(pages: u64, moved: &Moved) -> Finding {
    let Moved { reported, arrived, ended, found, meanwhile, stopped } = moved;
    let mut wrong = Vec::new();
    if *stopped {
        wrong.push(format!(
            "the migration did not end before the guest had written all its RAM {meanwhile} times"
        ));
    }
    let counts = arrived.of_generation.iter().enumerate().filter(|(_, count)| **count > 0);
    let counts: Vec<(u64, u64)> =
        counts.map(|(at, &count)| (reported + at as u64, count)).collect();
    let torn = arrived.strangers.len() as u64;
    let of_one_moment = match counts[..] {
        [_] => torn <= 1,
        [(first, _), (second, _)] => first + 1 == second && torn <= 1,
        _ => false,
    };
    let told =
        counts.iter().map(|(generation, count)| format!("{count} of generation {generation}"));
    let told = told.collect::<Vec<_>>().join(", ");
    if arrived.pages != pages || !of_one_moment {
        wrong.push(format!(
            "when the guest had come, the file's {} pages were not of one moment: {told}, {torn} others",
            arrived.pages
        ));
    }
    let may_end = sweeps(&counts, &arrived.strangers);
    if !may_end.contains(ended) {
        let was_in = may_end.start();
        wrong.push(format!("the guest ended generation {ended}, not {was_in} that it was in"));
    }
    if !found.all() || found.pages != pages {
        let Found { matching, .. } = found;
        wrong.push(format!("of {pages} pages, it found {matching} of generation {ended}"));
    }
    let meanwhile_told = match meanwhile {
        0 => String::new(),
        _ => format!("; it had written all its RAM {meanwhile} times meanwhile"),
    };
    let came = counts.iter().find(|(generation, _)| generation == ended);
    let newest = came.map_or(0, |&(_, count)| count);
    let summary = format!(
        "of generation {ended}, {newest} pages came with the file, {} were written by the guest as \
         it went on; it found all {pages}, none older{meanwhile_told}",
        pages - newest.min(pages)
    );
    let half_written = arrived.strangers.first().map_or("none".into(), |at| format!("{at:#x}"));
    Finding::new(wrong, summary)
        .with("the file when the guest had come", format!("{told}, {torn} half-written"))
        .with("offset of the first half-written page", half_written)
        .with("generation reported last at the source", reported)
        .with("generation ended at the destination", ended)
        .with("pages found there", format!("{} of {}", found.matching, found.pages))
        .with("sweeps during the migration", meanwhile)
}

/// The sweeps that a guest may be in that has left so many pages of each generation, and these
/// offsets half-written: it writes its pages in the file's order.
fn sweeps(counts: &[(u64, u64)], half_written: &[u64]) -> RangeInclusive<u64> {
    let last = counts.last().map_or(0, |&(generation, _)| generation);
    match (counts.len(), half_written) {
        // All are of one sweep: it has ended, and the next one may have begun.
        (1, []) => last..=last + 1,
        // The next one has begun, with the first page.
        (1, [0]) => last + 1..=last + 1,
        _ => last..=last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(damage: impl Fn(&mut Moved)) -> Finding {
        let census = Census { pages: 8, of_generation: vec![4, 3, 0, 0], strangers: vec![0x3000] };
        let found = Found { pages: 8, matching: 8, first_bad: None };
        let mut moved =
            Moved { reported: 5, arrived: census, ended: 6, found, meanwhile: 3, stopped: false };
        damage(&mut moved);
        judge(8, &moved)
    }

    #[test]
    fn a_guest_that_ends_its_sweep_on_the_last_pages_holds() {
        let finding = judged(|_| ());
        assert_eq!(finding.verdict, Verdict::Held);
        assert!(finding.summary.starts_with("of generation 6, 3 pages came with the file, 5 were"));
        let between = |ended| {
            judged(move |it| {
                it.arrived = Census { pages: 8, of_generation: vec![8, 0], strangers: vec![] };
                it.ended = ended;
            })
        };
        assert_eq!(between(5).verdict, Verdict::Held);
        assert_eq!(between(6).verdict, Verdict::Held, "it had begun the next sweep");
        assert_eq!(between(7).verdict, Verdict::Failed);
    }

    #[test]
    fn an_older_page_or_another_sweep_fails() {
        let older = judged(|it| it.found.matching = 7);
        assert_eq!(older.summary, "of 8 pages, it found 7 of generation 6");
        assert_eq!(judged(|it| it.ended = 7).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.arrived.of_generation = vec![4, 2, 1]).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.arrived.of_generation = vec![4, 0, 3]).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.arrived.strangers = vec![0, 4096]).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.stopped = true).verdict, Verdict::Failed);
    }

    #[test]
    fn a_half_written_page_tells_the_sweep_by_where_it_is() {
        let torn = |at, ended| {
            judged(move |it| {
                it.arrived = Census { pages: 8, of_generation: vec![7], strangers: vec![at] };
                it.ended = ended;
            })
        };
        let (first, last) = (0, 0x7000);
        assert_eq!(torn(last, 5).verdict, Verdict::Held);
        let wrong = torn(last, 6).summary;
        assert_eq!(wrong, "the guest ended generation 6, not 5 that it was in");
        assert_eq!(torn(first, 6).verdict, Verdict::Held);
        assert!(torn(first, 6).summary.starts_with("of generation 6, 0 pages came with the file"));
        let wrong = torn(first, 5).summary;
        assert_eq!(wrong, "the guest ended generation 5, not 6 that it was in");
        assert_eq!(torn(first, 7).verdict, Verdict::Failed);
    }

    #[test]
    fn it_is_let_go_once_and_stopped_once() {
        let mut course = Course::from(5);
        let at = |sweeps| 5 + sweeps;
        let went = [HELD_BACK - 1, HELD_BACK, HELD_BACK + 1].map(|it| course.lets_go(at(it)));
        assert_eq!(went, [false, true, false]);
        let stopped = [TOO_MANY - 1, TOO_MANY, TOO_MANY + 1].map(|it| course.stops(at(it)));
        assert_eq!(stopped, [false, true, false]);
        assert!(course.stopped.done);
    }

    #[test]
    fn a_byte_is_seen_by_its_bit() {
        assert!(has_byte("portb[0x03fd] = 0x61").unwrap());
        assert!(!has_byte("portb[0x03fd] = 0x60").unwrap());
        assert!(!has_byte("portb[0x03fd] = 0x00").unwrap());
        assert!(has_byte("no port").is_err());
    }
}
