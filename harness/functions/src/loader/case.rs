//! A machine with images, and its resets.

use crate::lockstep::{self, Changes};
use pcram_mirror::loader::Comes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The most images.
pub const MOST_ROMS: usize = 6;
/// The most bytes that an image fills.
pub const MOST_BYTES: u8 = 64;

/// A machine, and its resets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The images, in the order of the list.
    pub roms: Vec<Rom>,
    /// The bytes that the device `loader` writes.
    pub loads: u8,
    /// Whether it sets the processor's first instruction.
    pub set_pc: bool,
    /// What is yet to come at each reset.
    pub resets: Vec<Comes>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        let comes = prop_oneof![
            2 => Just(Comes::Nothing),
            1 => Just(Comes::Migration),
            1 => Just(Comes::Snapshot),
        ];
        let sizes = (0..=MOST_BYTES / 2, 0..=MOST_BYTES / 2);
        let rom = (prop::bool::weighted(0.2), any::<bool>(), any::<bool>(), sizes).prop_map(
            |(fw_file, isrom, mr, (holds, spare))| Rom { fw_file, isrom, mr, holds, spare },
        );
        (vec(rom, 0..=MOST_ROMS), 0..=8_u8, any::<bool>(), vec(comes, 1..5))
            .prop_map(|(roms, loads, set_pc, resets)| Case { roms, loads, set_pc, resets })
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = |rom: &Rom| rom.holds.saturating_add(rom.spare) <= MOST_BYTES;
        match self.roms.len() <= MOST_ROMS && self.roms.iter().all(fits) && self.loads <= 8 {
            true => Ok(()),
            false => {
                Err("there are up to 6 images of up to 64 bytes, and up to 8 bytes are loaded")
            }
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        all.add(|case| case.loads = 0);
        all.add(|case| case.set_pc = false);
        (0..self.resets.len()).for_each(|at| all.add(|case| _ = case.resets.remove(at)));
        (0..self.roms.len()).for_each(|at| all.add(|case| _ = case.roms.remove(at)));
        all.all()
    }
}

/// An image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rom {
    /// It is for the firmware to load.
    pub fw_file: bool,
    /// It lies in ROM.
    pub isrom: bool,
    /// It has a region of its own.
    pub mr: bool,
    /// The bytes that it holds.
    pub holds: u8,
    /// The bytes that it fills beyond them.
    pub spare: u8,
}

impl Case {
    /// The machine and its resets in words.
    pub fn tell(&self) -> Vec<String> {
        let rom = |(at, rom): (usize, &Rom)| {
            let what = [(rom.fw_file, ", for the firmware"), (rom.mr, ", in a region of its own")];
            let what: String = what.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
            let place = if rom.isrom { "ROM" } else { "RAM" };
            let Rom { holds, spare, .. } = rom;
            format!("image {at} in {place}, {holds} bytes and {spare} beyond{what}")
        };
        let mut lines: Vec<_> = self.roms.iter().enumerate().map(rom).collect();
        let begins = if self.set_pc { ", where the processor begins" } else { "" };
        lines.push(format!("a loader of {} bytes{begins}", self.loads));
        lines.extend(self.resets.iter().map(|comes| match comes {
            Comes::Nothing => "the machine is reset".to_owned(),
            Comes::Migration => "it is reset before a migration comes".to_owned(),
            Comes::Snapshot => "it is reset before a snapshot is loaded".to_owned(),
        }));
        lines
    }
}
