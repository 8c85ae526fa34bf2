//! What is promised of a migration, whatever the variant, watched from outside.

use super::guest::{In, MOST_ALLOCATED, Memory, ROOM};
use crate::lockstep::Broken;
use pcram_mirror::v1_0::bounded::Nowhere;
use pcram_mirror::v1_0::load::{Incoming, Load};
use pcram_mirror::v1_0::save::dup_byte;
use pcram_mirror::v1_0::{PAGE, Property, Ram, Stray, Undefined, Variant};

/// Watches one migration after the other.
#[derive(Debug, Default)]
pub struct Watch {
    /// Whether a migration is under way, as QEMU calls it.
    under_way: bool,
    /// A guest that goes on from where the watched one is.
    ahead: Option<Ram>,
    /// What was broken, each property once.
    pub broken: Vec<Broken>,
}

impl Watch {
    /// Blocks came or went, or a stream was loaded: no migration goes on over that.
    pub fn interrupted(&mut self) {
        self.under_way = false;
    }

    /// A section was loaded, and came to this. As carried, no stream writes where it must not; the
    /// version 3 of a section asks nothing, there as elsewhere.
    pub fn loaded(
        &mut self,
        step: usize,
        variant: Variant,
        stray: Option<Stray>,
        undefined: Option<Undefined>,
    ) {
        if variant != Variant::Carried {
            return;
        }
        if let Some(stray) = stray {
            self.broke(Property::Inside, step, stray.to_string());
        }
        if let Some(undefined @ (Undefined::NullPage | Undefined::Wild(_))) = undefined {
            self.broke(Property::Inside, step, undefined.to_string());
        }
    }

    /// A call that saved came to this. The guest stands still where `stage` is 3.
    #[allow(clippy::too_many_arguments, reason = "what a call had and left is all that is watched")]
    pub fn saved(
        &mut self,
        step: usize,
        ram: &Ram,
        memory: &Memory,
        written: &[u8],
        stage: i8,
        came: Result<i32, Undefined>,
        error: i32,
    ) {
        if stage == 1 {
            self.under_way = !ram.list.order.is_empty();
        }
        if !self.under_way {
            return;
        }
        match came {
            Err(undefined) => {
                self.broke(Property::broken_by(undefined), step, undefined.to_string());
            }
            Ok(_) if stage < 0 || error != 0 => self.under_way = false,
            Ok(came) if came < 0 => self.under_way = false,
            Ok(_) => {
                self.accounted(step, ram);
                if stage == 3 {
                    self.ended(step, ram, memory, written);
                    self.under_way = false;
                }
            }
        }
        if let Some(stray) = ram.strays.into_iter().flatten().next_back() {
            self.broke(Property::Inside, step, stray.to_string());
        }
    }

    /// What is counted, against what a call without limit would send from here.
    fn accounted(&mut self, step: usize, ram: &Ram) {
        let ahead = self.ahead.get_or_insert_with(|| Ram::new(ram.variant));
        ahead.clone_from(ram);
        let counted = ram.ram_save_remaining();
        let most = 2 * ram.list.phys_dirty.len() + 2;
        let sent = (0..most).take_while(|_| matches!(ahead.ram_save_block(&mut Nowhere), Ok(1..)));
        let sent = sent.count() as u64;
        if sent != counted {
            let seen = format!("{counted} pages are counted, {sent} would be sent");
            self.broke(Property::Accounting, step, seen);
        }
    }

    /// The stream is whole: what it brings to a destination.
    fn ended(&mut self, step: usize, ram: &Ram, memory: &Memory, written: &[u8]) {
        let mut there = Destination::new(written, memory);
        let mut incoming = Incoming::new(Variant::Stock, ram.list.clone());
        while there.input.at < written.len() {
            match incoming.ram_load(&mut there, 4) {
                Ok(0) => {}
                came => {
                    self.broke(Property::Complete, step, format!("it loads with {came:?}"));
                    return;
                }
            }
        }
        if let Some(stray) = incoming.stray {
            self.broke(Property::Inside, step, format!("in the stream, {stray}"));
        }
        for &place in &ram.list.order {
            let block = &ram.list.blocks[place];
            for offset in (0..block.length).step_by(PAGE as usize) {
                let page = offset / PAGE;
                let sent = there.sent[place][page as usize];
                if block.left_out {
                    if sent.is_some() {
                        let seen = format!("page {page} of {}", block.idstr);
                        self.broke(Property::LeftOut, step, seen);
                    }
                } else if sent != Some(true) {
                    let how = if sent.is_none() { "never sent" } else { "sent too early" };
                    let seen = format!("page {page} of {} was {how}", block.idstr);
                    self.broke(Property::Complete, step, seen);
                }
            }
        }
    }

    fn broke(&mut self, property: Property, step: usize, seen: String) {
        if self.broken.iter().all(|broken| broken.property != property) {
            self.broken.push(Broken { property, step, seen });
        }
    }
}

/// A destination that loads, and knows of each page that came whether the last one is what the source
/// holds.
struct Destination<'a> {
    input: In<'a>,
    source: &'a Memory,
    sent: [[Option<bool>; ROOM]; MOST_ALLOCATED],
}

impl<'a> Destination<'a> {
    fn new(stream: &'a [u8], source: &'a Memory) -> Destination<'a> {
        Destination {
            input: In { stream, at: 0, error: 0 },
            source,
            sent: [[None; ROOM]; MOST_ALLOCATED],
        }
    }
}

impl Load for Destination<'_> {
    fn get(&mut self, to: &mut [u8]) -> usize {
        self.input.get(to)
    }

    fn error(&self) -> i32 {
        self.input.error
    }

    fn page(&mut self, block: usize, offset: u64) -> bool {
        let Some(number) = Memory::number(offset) else { return false };
        let same = self.input.take(PAGE as usize) == self.source.page(block, offset);
        self.sent[block][number] = Some(same);
        true
    }

    fn fill(&mut self, block: usize, offset: u64, byte: u8) -> bool {
        let Some(number) = Memory::number(offset) else { return false };
        let same = dup_byte(self.source.page(block, offset)) == Some(byte);
        self.sent[block][number] = Some(same);
        true
    }
}
