//! What the guest does while a stream is made.

use super::beside::{self, Mapped};
use crate::machine::Machine;
use crate::machine::guest::Found;
use anyhow::{Context, Result};
use pcram_guests::code;
use pcram_guests::stamp::{PAGE_SIZE, Span};
use serde::Deserialize;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0004;
/// How many sweeps a dirtying guest finishes before the stream begins.
const WARM_UP: u64 = 2;
/// How many pages of a block a marking guest changes over and over: a power of two.
pub(super) const MARKED: u64 = 256;
/// How many pages of a block a guest writes that is to have them in its TLB: TCG's has 256 entries
/// or more (`CPU_TLB_DYN_DEFAULT_BITS`), a page has its place by its address.
pub(super) const CACHED: u64 = 128;
/// How many sweeps over these take about as long as one over the whole block.
const AS_LONG: u64 = beside::SIZE / (CACHED * PAGE_SIZE as u64);
/// Where those of RAM begin, a guest-physical address.
const MARKED_RAM: u32 = 0x80_0000;

/// What the guest does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::check) enum Load {
    /// Nothing: it is stopped.
    Stopped,
    /// It writes every page of RAM, again and again.
    Dirtying,
    /// It writes every page of the block beside RAM, again and again, and no page of RAM.
    DirtyingBeside,
    /// It writes a few pages of the block beside RAM, again and again, and has them in its TLB all
    /// the while.
    DirtyingCached,
    /// The same, but with an empty TLB at the start of each sweep.
    DirtyingFew,
    /// It changes one word of some pages of RAM and of the block beside it, again and again.
    Marking,
}

/// What a guest did during a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Sweeps over all the pages that it writes, which it finished.
    pub sweeps: u64,
    /// Whether it had to be stopped for the migration to end.
    pub stopped: bool,
}

impl Load {
    /// What stock is measured with. It loses what a guest writes through its TLB to another block
    /// than the first, which the series mends.
    pub(super) fn under_stock(self) -> Load {
        if self == Load::DirtyingCached { Load::DirtyingFew } else { self }
    }

    /// How many bytes of the block beside RAM it writes in each sweep; none where it writes RAM.
    pub(super) fn writes_again(self) -> Option<u64> {
        match self {
            Load::Stopped | Load::Dirtying => None,
            Load::DirtyingBeside => Some(beside::SIZE),
            Load::DirtyingCached | Load::DirtyingFew => Some(CACHED * PAGE_SIZE as u64),
            Load::Marking => Some(MARKED * PAGE_SIZE as u64),
        }
    }

    /// Whether the guest writes the block beside RAM.
    pub(in crate::check) fn writes_beside(self) -> bool {
        !matches!(self, Load::Stopped | Load::Dirtying)
    }

    /// Stamps RAM and the blocks beside it, sets the guest to work, and says how many pages of RAM
    /// it sees.
    pub(in crate::check) fn begin(self, machine: &mut Machine, beside: &[Mapped]) -> Result<u64> {
        machine.guest.seed(SEED, 0)?;
        machine.guest.stamp()?;
        let seen = machine.guest.find()?.pages;
        machine.guest.stamp_spans(&spans(beside))?;
        let beside = || beside.first().context("there is no block beside RAM");
        match self {
            Load::Stopped => machine.stop()?,
            Load::Dirtying => {
                machine.guest.dirty()?;
                machine.guest.sweeps(WARM_UP)?;
            }
            Load::DirtyingBeside => {
                machine.guest.dirty_span(beside()?.span)?;
                machine.guest.sweeps(WARM_UP)?;
            }
            Load::DirtyingCached => {
                machine.guest.dirty_cached_span(beside()?.start())?;
                machine.guest.sweeps(WARM_UP)?;
            }
            Load::DirtyingFew => {
                machine.guest.dirty_span(beside()?.start())?;
                machine.guest.sweeps(WARM_UP)?;
            }
            Load::Marking => {
                let address = beside()?.span.first;
                for (word, value) in (0..).zip(code::marks(MARKED as u32, MARKED_RAM)) {
                    machine.guest.poke(address + 8 * word, value)?;
                }
                machine.guest.loop_at(address)?;
                machine.guest.looping()?;
            }
        }
        Ok(seen)
    }

    /// How many sweeps the guest has reported so far.
    pub(in crate::check) fn sweeps(self, machine: &mut Machine) -> u64 {
        match self {
            Load::Stopped => 0,
            Load::Marking => marked(machine.guest.runs()),
            _ => machine.guest.swept(),
        }
    }

    /// How many of its sweeps take about as long as one over a whole block.
    pub(super) fn short_sweeps(self) -> u64 {
        match self {
            Load::DirtyingCached | Load::DirtyingFew => AS_LONG,
            _ => 1,
        }
    }

    /// Ends the guest's work at a destination, and has it look for its last stamps there.
    pub(in crate::check) fn arrived(
        self,
        machine: &mut Machine,
        beside: &[Mapped],
    ) -> Result<Option<Found>> {
        let spans = spans(beside);
        let guest = &mut machine.guest;
        // What the guest does not write has the stamps of the first generation.
        let written = match self {
            Load::Stopped => 1,
            Load::Dirtying | Load::DirtyingBeside => guest.halt()?,
            Load::DirtyingCached | Load::DirtyingFew => {
                guest.halt()?;
                return Ok(None);
            }
            Load::Marking => {
                guest.end_loop()?;
                return Ok(None);
            }
        };
        let of = |wrote| if wrote { written } else { 1 };
        guest.seed(SEED, of(self == Load::Dirtying))?;
        let ram = guest.find()?;
        let (first, rest) = spans.split_at(spans.len().min(1));
        guest.seed(SEED, of(self == Load::DirtyingBeside))?;
        let first = guest.find_spans(first)?;
        guest.seed(SEED, 1)?;
        let rest = guest.find_spans(rest)?;
        Ok(Some(together(&[ram, first, rest])))
    }
}

/// What was found in several places; the first bad page is that of the first that has one.
fn together(parts: &[Found]) -> Found {
    Found {
        pages: parts.iter().map(|it| it.pages).sum(),
        matching: parts.iter().map(|it| it.matching).sum(),
        first_bad: parts.iter().find_map(|it| it.first_bad),
    }
}

/// How often a marking guest has changed all its words, that has gone round its loop so many times.
fn marked(runs: u64) -> u64 {
    runs / MARKED
}

impl Mapped {
    /// The few pages that a guest can have in its TLB.
    fn start(&self) -> Span {
        let first = self.span.first;
        Span::whole(first, first + CACHED * PAGE_SIZE as u64)
    }
}

fn spans(beside: &[Mapped]) -> Vec<Span> {
    beside.iter().map(|beside| beside.span).collect()
}

const _: () = assert!(MARKED.is_power_of_two() && (MARKED_RAM as usize).is_multiple_of(PAGE_SIZE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_measured_with_a_guest_that_empties_its_tlb() {
        assert_eq!(Load::DirtyingCached.under_stock(), Load::DirtyingFew);
        let others = [Load::Stopped, Load::Dirtying, Load::DirtyingBeside, Load::Marking];
        for load in others {
            assert_eq!(load.under_stock(), load);
        }
        assert!(others.iter().all(|load| load.short_sweeps() == 1));
        assert_eq!(Load::DirtyingCached.short_sweeps() * CACHED * PAGE_SIZE as u64, beside::SIZE);
        let beside = others.map(Load::writes_beside);
        assert_eq!(beside, [false, false, true, true]);
        assert!(Load::DirtyingCached.writes_beside() && Load::DirtyingFew.writes_beside());
    }

    #[test]
    fn what_was_found_in_places_is_all_of_it() {
        let found = |pages, matching, first_bad| Found { pages, matching, first_bad };
        let all = together(&[found(4, 4, None), found(3, 1, Some(7)), found(2, 1, Some(9))]);
        assert_eq!((all.pages, all.matching, all.first_bad), (9, 6, Some(7)));
        assert_eq!((marked(255), marked(256), marked(1024)), (0, 1, 4));
    }

    #[test]
    fn what_a_guest_writes_again_beside_its_ram_is_known() {
        assert_eq!((Load::Stopped.writes_again(), Load::Dirtying.writes_again()), (None, None));
        assert_eq!(Load::DirtyingBeside.writes_again(), Some(beside::SIZE));
        let page = 4096;
        assert_eq!(Load::DirtyingFew.writes_again(), Some(CACHED * page));
        assert_eq!(Load::DirtyingCached.writes_again(), Some(CACHED * page));
        assert_eq!(Load::Marking.writes_again(), Some(MARKED * page));
    }
}
