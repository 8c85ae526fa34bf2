//! The images of hw/core/loader.c: which lie in ROM, which are in each other's way, and what a reset
//! writes of them.

use super::{Did, Handler, Machine};

/// An image (`Rom`). Its name is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rom {
    /// It is for the firmware to load.
    pub fw_file: bool,
    /// It lies in ROM: not known before the images are checked.
    pub isrom: bool,
    /// What it holds, as long as it is kept.
    pub data: Option<Vec<u8>>,
    /// The bytes that it is to fill, no fewer than it holds.
    pub romsize: u64,
    /// Its region; without, it goes to its address.
    pub mr: Option<Region>,
    /// Its address space; where two are the same, they have one name.
    pub space: Option<&'static str>,
    /// Its guest-physical address.
    pub addr: u64,
    /// What the machine has at that address: whether it is ROM, where there is anything.
    pub mapped: Option<bool>,
}

/// A region of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where its memory begins.
    pub host: u64,
    /// Whether it is ROM.
    pub rom: bool,
}

impl Machine {
    /// Checks the images, and gives whether none is in another's way: then, resets write them
    /// (`rom_check_and_register_reset`).
    pub fn rom_check_and_register_reset(&mut self) -> bool {
        let (mut last, mut found_overlap) = (None, false);
        for at in 0..self.roms.len() {
            let rom = &self.roms[at];
            if rom.fw_file {
                continue;
            }
            if rom.mr.is_none() {
                if let Some(last) = last.filter(|&last| self.roms_overlap(last, at)) {
                    self.tell_overlap(last, at, !found_overlap);
                    found_overlap = true;
                    if !self.tree.tells_all {
                        return false;
                    }
                }
                last = Some(at);
            }
            let rom = &mut self.roms[at];
            rom.isrom = rom.mr.map_or(rom.mapped, |mr| Some(mr.rom)).unwrap_or(false);
        }
        if !found_overlap {
            self.handlers.push((Handler::Roms, self.tree.left_out));
            self.roms_loaded = true;
        }
        !found_overlap
    }

    fn roms_overlap(&self, last: usize, this: usize) -> bool {
        let (last, this) = (&self.roms[last], &self.roms[this]);
        last.space == this.space && last.addr + last.romsize > this.addr
    }

    /// Says that two are in each other's way (`rom_print_one_overlap_error`; behind a header, where they
    /// are the first).
    fn tell_overlap(&mut self, last: usize, this: usize, first: bool) {
        let end = |at: usize| self.roms[at].addr + self.roms[at].romsize;
        let range = |at: usize| {
            format!("  image{at} (addresses 0x{:016x} - 0x{:016x})\n", self.roms[at].addr, end(at))
        };
        let said = if self.tree.tells_all {
            let header = if first { OVERLAP } else { "" };
            let space =
                self.roms[this].space.filter(|name| !name.is_empty()).unwrap_or("anonymous");
            let which = format!("overlap (in the {space} address space)");
            format!("{header}\nThe following two regions {which}:\n{}{}", range(last), range(this))
        } else {
            let (free, addr) = (end(last), self.roms[this].addr);
            format!(
                "rom: requested regions overlap (rom image{this}. free=0x{free:016x}, \
                 addr=0x{addr:016x})\n"
            )
        };
        self.said.push_str(&said);
    }

    /// Resets all images (`rom_reset`).
    pub(super) fn rom_reset(&mut self, incoming: bool) {
        for rom in self.roms.iter_mut().filter(|rom| !rom.fw_file) {
            if incoming {
                // As it is after that, nobody may write over it.
                rom.data = rom.data.take().filter(|_| !rom.isrom);
                continue;
            }
            let Some(data) = &rom.data else { continue };
            if self.tree.waits && !rom.isrom && self.pending {
                continue;
            }
            let (size, rest) = (data.len() as u64, rom.romsize - data.len() as u64);
            match rom.mr {
                Some(Region { host, .. }) => {
                    let (from, to) = (host as usize, (host + size) as usize);
                    self.memory[from..to].copy_from_slice(data);
                    if self.tree.fills {
                        self.memory[to..to + rest as usize].fill(0);
                    }
                }
                None => {
                    self.did.push(Did::Write(rom.addr, size));
                    if self.tree.fills {
                        self.did.push(Did::Zero(rom.addr + size, rest));
                    }
                }
            }
            if rom.isrom {
                rom.data = None;
            }
            self.did.push(Did::Flush(rom.addr, size));
        }
    }
}

/// What is said before the first overlap (`rom_print_overlap_error_header`).
const OVERLAP: &str = "Some ROM regions are overlapping
These ROM regions might have been loaded by direct user request or by default.
They could be BIOS/firmware images, a guest kernel, initrd or some other file loaded into guest memory.
Check whether you intended to load all this guest code, and whether it has been built to load to the \
correct addresses.
";
