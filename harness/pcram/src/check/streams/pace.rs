//! A migration and the guest under it, kept in step by how fast the migration may send.
//!
//! A round that ends before the guest has written anything again is the last one, however fast the
//! guest would be: on a busy host it may have had no time. So the migration is held back until the
//! guest has, at first, in later rounds, and before it is stopped.
//!
//! The last matters under TCG for another reason, too. A vCPU that has a page in its TLB as one that
//! is dirty already goes on writing it unnoticed where QEMU does not reset that when it gathers the
//! dirty pages: 5.2 and 7.2 never do, 10.0 and 10.2 do so for the wrong pages of all blocks but the
//! first (`cpu_physical_memory_sync_dirty_bitmap` passes an offset in the block as one in all RAM).
//! The series mend that; but stock is measured, too. So the guest begins each sweep with an empty
//! TLB, and only what was written in the sweep when pages were gathered is lost, and written once
//! more. [`Load::DirtyingCached`] is the one that shows the mending.

use super::beside;
use super::load::{Load, Loaded};
use crate::machine::Machine;
use crate::machine::migration::gathered;
use anyhow::Result;
use serde_json::Value;

/// How many sweeps a guest finishes while the migration is held back.
const HELD_BACK: u64 = 3;
/// How many it finishes in all before it is stopped: a QEMU that sends what it writes never ends
/// under such a guest.
const UNDER_WAY: u64 = 9;
/// How often the dirty pages have been gathered by then: at the start, and after two rounds.
const GATHERED: u64 = 3;
/// What a migration that is held back may send in a second, in bytes.
pub(in crate::check) const SLOWLY: u64 = 16 << 10;
/// The same where nothing is to be kept in step.
pub(in crate::check) const AT_ONCE: u64 = 1_000_000_000;
/// QEMU sends a tenth of what it may in a second at once. Less than two of these parts is little.
const WINDOWS: u64 = 5;
/// How long a migration under load may stop the guest at its end, in milliseconds: so that it goes
/// on while the guest writes what it sends.
const DOWNTIME: u64 = 1;

/// One migration under a load.
pub(super) struct Pace {
    guest: Load,
    /// The guest's sweeps before the start.
    before: u64,
    /// The sweeps at which the migration is let go; `None` while it is not held back.
    held_until: Option<u64>,
    /// How often the dirty pages were gathered when that was last looked at.
    gathered: u64,
    /// Whether what is left of the first round is little, or none.
    near_the_end: bool,
    stopped: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Nothing.
    GoOn,
    /// Send next to nothing, until the guest has gone on.
    HoldBack,
    /// Send as fast as suits this guest.
    LetGo,
    /// Stop the guest, and send the rest at once.
    Stop,
}

impl Pace {
    /// Prepares a migration under `guest`, which is at work.
    pub fn new(guest: Load, machine: &mut Machine) -> Result<Pace> {
        machine.limit_migration(SLOWLY)?;
        machine.limit_downtime(DOWNTIME)?;
        Ok(Pace::from(guest, guest.sweeps(machine)))
    }

    fn from(guest: Load, before: u64) -> Pace {
        let (near_the_end, stopped) = (false, false);
        Pace { guest, before, held_until: Some(HELD_BACK), gathered: 1, near_the_end, stopped }
    }

    /// Goes on from what `query-migrate` says of a migration that is under way.
    pub fn step(&mut self, machine: &mut Machine, state: &Value) -> Result<()> {
        // There are no figures before it is set up.
        let Some(ram) = state.get("ram").filter(|_| !self.stopped) else { return Ok(()) };
        let sweeps = self.long_since(self.guest.sweeps(machine));
        let total = ram["total"].as_u64().unwrap_or_default();
        let gathered = gathered(ram, self.guest.writes_again().unwrap_or(total)).unwrap_or(1);
        match self.order(sweeps, gathered, ram["remaining"].as_u64()) {
            Order::GoOn => Ok(()),
            Order::HoldBack => machine.limit_migration(SLOWLY),
            Order::LetGo => machine.limit_migration(self.speed()),
            Order::Stop => {
                machine.stop()?;
                machine.limit_migration(AT_ONCE)
            }
        }
    }

    /// What is to be done after so many sweeps, or what takes as long, with the dirty pages gathered so many times and so
    /// many bytes left to send.
    fn order(&mut self, sweeps: u64, gathered: u64, left: Option<u64>) -> Order {
        let enough = sweeps >= UNDER_WAY && gathered >= GATHERED;
        let next_round = gathered > self.gathered;
        self.gathered = gathered;
        let little = left.is_some_and(|left| left < self.speed() / WINDOWS);

        if next_round && (enough || self.guest.writes_beside()) {
            self.near_the_end = true;
            self.hold_back(sweeps)
        } else if let Some(until) = self.held_until {
            match sweeps >= until {
                true if enough => {
                    self.stopped = true;
                    Order::Stop
                }
                true => self.let_go(),
                false => Order::GoOn,
            }
        } else if enough {
            self.hold_back(sweeps)
        } else if little && !self.near_the_end {
            self.near_the_end = true;
            self.let_go()
        } else {
            Order::GoOn
        }
    }

    fn hold_back(&mut self, sweeps: u64) -> Order {
        self.held_until = Some(sweeps + HELD_BACK);
        Order::HoldBack
    }

    fn let_go(&mut self) -> Order {
        self.held_until = None;
        Order::LetGo
    }

    /// What may be sent in a second, in bytes. A later round, with the pages that the guest writes,
    /// is to take a quarter of a second at least: in that time it is seen that it began.
    fn speed(&self) -> u64 {
        match (self.guest, self.near_the_end) {
            (Load::Stopped | Load::Dirtying, _) => AT_ONCE,
            (Load::DirtyingBeside | Load::DirtyingCached | Load::DirtyingFew, false) => 32 << 20,
            (Load::DirtyingBeside, true) => 2 * beside::SIZE,
            (Load::Marking, false) => 16 << 20,
            (guest, true) => 4 * guest.writes_again().unwrap_or_default(),
        }
    }

    /// Of so many sweeps, those since the start.
    fn since(&self, sweeps: u64) -> u64 {
        sweeps - self.before
    }

    /// The same, in sweeps that take as long as one over a whole block.
    fn long_since(&self, sweeps: u64) -> u64 {
        self.since(sweeps) / self.guest.short_sweeps()
    }

    /// What the guest did, once the migration has ended.
    pub fn over(&self, machine: &mut Machine) -> Loaded {
        Loaded { sweeps: self.since(self.guest.sweeps(machine)), stopped: self.stopped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Order::{GoOn, HoldBack, LetGo, Stop};

    const MUCH: Option<u64> = Some(1 << 30);

    #[test]
    fn a_guest_that_writes_ram_goes_on_until_it_was_seen_in_three_rounds() {
        let mut pace = Pace::from(Load::Dirtying, 0);
        assert_eq!(pace.order(HELD_BACK - 1, 1, MUCH), GoOn, "held back at first");
        assert_eq!(pace.order(HELD_BACK, 1, MUCH), LetGo);
        assert_eq!(pace.order(UNDER_WAY, 2, MUCH), GoOn, "two rounds are not enough");
        assert_eq!(pace.order(UNDER_WAY - 1, 3, MUCH), GoOn, "nor are eight sweeps");
        assert_eq!(pace.order(UNDER_WAY, 3, MUCH), HoldBack);
        assert_eq!(pace.order(UNDER_WAY + HELD_BACK - 1, 3, MUCH), GoOn);
        assert_eq!(pace.order(UNDER_WAY + HELD_BACK, 4, MUCH), HoldBack, "a round began meanwhile");
        assert_eq!(pace.order(UNDER_WAY + 2 * HELD_BACK, 4, MUCH), Stop);
        assert!(pace.stopped);
    }

    #[test]
    fn a_guest_that_writes_another_block_is_held_back_in_each_round() {
        let mut pace = Pace::from(Load::DirtyingBeside, 0);
        assert_eq!(pace.order(HELD_BACK, 1, MUCH), LetGo);
        assert_eq!(pace.speed(), 32 << 20);
        let little = pace.speed() / WINDOWS;
        assert_eq!(pace.order(HELD_BACK, 1, Some(little)), GoOn, "not yet near the end");
        assert_eq!(pace.order(HELD_BACK, 1, None), GoOn);
        assert_eq!(pace.order(HELD_BACK, 1, Some(little - 1)), LetGo, "slower from now on");
        assert_eq!(pace.speed(), 2 * beside::SIZE);
        assert_eq!(pace.order(HELD_BACK, 1, Some(0)), GoOn);
        assert_eq!(pace.order(HELD_BACK + 1, 2, Some(0)), HoldBack, "a round began");
        assert_eq!(pace.order(2 * HELD_BACK + 1, 2, Some(0)), LetGo);
        assert_eq!(pace.order(UNDER_WAY, 3, Some(0)), HoldBack);
        assert_eq!(pace.order(UNDER_WAY + HELD_BACK, 3, Some(0)), Stop);
    }

    #[test]
    fn a_later_round_takes_a_quarter_of_a_second() {
        let slow = |guest| Pace { near_the_end: true, ..Pace::from(guest, 0) }.speed();
        assert_eq!(slow(Load::DirtyingBeside), 16 << 20, "8 MiB are written: half a second");
        assert_eq!(slow(Load::DirtyingCached), 4 * 128 * 4096);
        assert_eq!(slow(Load::DirtyingFew), 4 * 128 * 4096);
        assert_eq!(slow(Load::Marking), 4 * 256 * 4096);
        assert_eq!(Pace::from(Load::Marking, 0).speed(), 16 << 20, "and before that");
        assert_eq!(Pace::from(Load::Dirtying, 0).speed(), AT_ONCE);
    }
    #[test]
    fn sweeps_count_from_the_start_and_short_ones_for_less() {
        let pace = Pace::from(Load::Dirtying, 100);
        assert_eq!((pace.since(164), pace.long_since(164)), (64, 64));
        let pace = Pace::from(Load::DirtyingFew, 100);
        assert_eq!((pace.since(164), pace.long_since(164)), (64, 4));
    }
}
