//! A migration and the guest under it, kept in step by how fast the migration may send.
//!
//! A round that ends before the guest has written anything again is the last one, however fast the
//! guest would be: on a busy host it may have had no time. So the migration is held back until the
//! guest has, at first and in each round after that.

use super::beside;
use super::load::{Load, Loaded, MARKED};
use crate::machine::Machine;
use anyhow::Result;
use pcram_guests::stamp::PAGE_SIZE;
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
pub(in crate::check) const AT_ONCE: u64 = 1 << 30;
/// How long a migration under load may stop the guest at its end, in milliseconds: so that it goes
/// on while the guest writes what it sends.
const DOWNTIME: u64 = 1;

/// One migration under a load.
pub(super) struct Pace {
    guest: Load,
    /// The guest's sweeps at the start.
    before: u64,
    /// The sweeps at which the migration is let go; `None` while it is not held back.
    held_until: Option<u64>,
    /// How often the dirty pages were gathered when that was last looked at.
    gathered: u64,
    /// Whether what is left of the first round is little, or none.
    near_the_end: bool,
    stopped: bool,
}

impl Pace {
    /// Prepares a migration under `guest`, which is at work.
    pub fn new(guest: Load, machine: &mut Machine) -> Result<Pace> {
        machine.limit_migration(SLOWLY)?;
        machine.limit_downtime(DOWNTIME)?;
        let (before, held_until) = (guest.sweeps(machine), Some(HELD_BACK));
        let (near_the_end, stopped) = (false, false);
        Ok(Pace { guest, before, held_until, gathered: 1, near_the_end, stopped })
    }

    /// Goes on from what `query-migrate` says of a migration that is under way.
    pub fn step(&mut self, machine: &mut Machine, state: &Value) -> Result<()> {
        let sweeps = self.sweeps(machine);
        // There are no figures before it is set up.
        let Some(ram) = state.get("ram").filter(|_| !self.stopped) else { return Ok(()) };
        // A QEMU of before 1.7 does not say, and is not asked for later rounds.
        let gathered = ram["dirty-sync-count"].as_u64();
        if sweeps >= UNDER_WAY && gathered.is_none_or(|count| count >= GATHERED) {
            machine.stop()?;
            self.stopped = true;
            return machine.limit_migration(AT_ONCE);
        }
        if self.guest.writes_beside() {
            self.keep_in_step(machine, ram, sweeps)?;
        }
        if self.held_until.is_some_and(|until| sweeps >= until) {
            self.held_until = None;
            machine.limit_migration(self.speed())?;
        }
        Ok(())
    }

    fn keep_in_step(&mut self, machine: &mut Machine, ram: &Value, sweeps: u64) -> Result<()> {
        let gathered = ram["dirty-sync-count"].as_u64().unwrap_or(self.gathered);
        // QEMU sends a tenth of what it may in a second at once.
        let little = |left: u64| left < self.speed() / 5;
        let remaining = ram["remaining"].as_u64();
        if gathered > self.gathered {
            self.gathered = gathered;
            self.near_the_end = true;
            self.held_until = Some(sweeps + HELD_BACK);
            machine.limit_migration(SLOWLY)
        } else if !self.near_the_end && remaining.is_some_and(little) {
            self.near_the_end = true;
            machine.limit_migration(self.speed())
        } else {
            Ok(())
        }
    }

    /// What may be sent in a second, in bytes. A later round, with the pages that the guest writes,
    /// is to take a quarter of a second at least: in that time it is seen that it began.
    fn speed(&self) -> u64 {
        match (self.guest, self.near_the_end) {
            (Load::Stopped | Load::Dirtying, _) => AT_ONCE,
            (Load::DirtyingBeside, false) => 32 << 20,
            (Load::DirtyingBeside, true) => 2 * beside::SIZE,
            (Load::Marking, false) => 16 << 20,
            (Load::Marking, true) => 4 * MARKED * PAGE_SIZE as u64,
        }
    }

    fn sweeps(&self, machine: &mut Machine) -> u64 {
        self.guest.sweeps(machine) - self.before
    }

    /// What the guest did, once the migration has ended.
    pub fn over(&self, machine: &mut Machine) -> Loaded {
        Loaded { sweeps: self.sweeps(machine), stopped: self.stopped }
    }
}
