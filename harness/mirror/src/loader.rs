//! Who writes into RAM when a machine is reset, in 5.2 and later: hw/core/loader.c `rom_reset`, and
//! hw/core/generic-loader.c `generic_loader_reset`.

use serde::{Deserialize, Serialize};

/// What a tree has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Nothing but ROM is written where state is yet to come: the series.
    pub waits: bool,
    /// What an image does not fill is zeroed (7.2 and later).
    pub fills: bool,
    /// The device does not take the eight bytes for which it has room (5.2).
    pub refuses_eight: bool,
}

/// An image (`Rom`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rom {
    /// It is for the firmware to load.
    pub fw_file: bool,
    /// It lies in ROM.
    pub isrom: bool,
    /// What it holds, as long as it is kept.
    pub data: Option<Vec<u8>>,
    /// The bytes that it is to fill, no fewer than it holds.
    pub romsize: u64,
    /// Where its region's memory begins; without, it goes to its address.
    pub mr: Option<u64>,
    /// Its guest-physical address.
    pub addr: u64,
}

/// What the device `loader` writes (`GenericLoaderState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericLoader {
    /// Its guest-physical address.
    pub addr: u64,
    /// How many bytes, 8 at most.
    pub data_len: u8,
    /// Whether the processor begins there.
    pub set_pc: bool,
}

/// What is yet to come when a machine is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comes {
    /// Nothing: the guest runs from here.
    Nothing,
    /// A migration (`RUN_STATE_INMIGRATE`).
    Migration,
    /// A snapshot, by `-loadvm`.
    Snapshot,
}

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// So many bytes of an image go to an address.
    Write(u64, u64),
    /// So many are zeroed there.
    Zero(u64, u64),
    /// What was translated of so many is forgotten.
    Flush(u64, u64),
    /// The processor is reset, and begins there.
    Begin(u64),
}

/// Resets all images; `memory` is that of their regions (`rom_reset`).
pub fn rom_reset(tree: Tree, roms: &mut [Rom], comes: Comes, memory: &mut [u8]) -> Vec<Did> {
    let mut did = Vec::new();
    for rom in roms.iter_mut().filter(|rom| !rom.fw_file) {
        if comes == Comes::Migration {
            // As it is after that, nobody may write over it.
            rom.data = rom.data.take().filter(|_| !rom.isrom);
            continue;
        }
        let Some(data) = &rom.data else { continue };
        if tree.waits && !rom.isrom && comes == Comes::Snapshot {
            continue;
        }
        let (size, rest) = (data.len() as u64, rom.romsize - data.len() as u64);
        match rom.mr {
            Some(host) => {
                let (from, to) = (host as usize, (host + size) as usize);
                memory[from..to].copy_from_slice(data);
                if tree.fills {
                    memory[to..to + rest as usize].fill(0);
                }
            }
            None => {
                did.push(Did::Write(rom.addr, size));
                if tree.fills {
                    did.push(Did::Zero(rom.addr + size, rest));
                }
            }
        }
        if rom.isrom {
            rom.data = None;
        }
        did.push(Did::Flush(rom.addr, size));
    }
    did
}

/// The C asserts that the device writes fewer bytes than it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("QEMU aborts: the loader asserts that it has fewer than eight bytes")]
pub struct Asserts;

/// Resets the device (`generic_loader_reset`).
///
/// # Errors
///
/// Where the C asserts what does not hold.
pub fn generic_loader_reset(
    tree: Tree,
    loader: GenericLoader,
    comes: Comes,
) -> Result<Vec<Did>, Asserts> {
    let mut did = Vec::new();
    if loader.set_pc {
        did.push(Did::Begin(loader.addr));
    }
    if loader.data_len > 0 && !(tree.waits && comes != Comes::Nothing) {
        if tree.refuses_eight && loader.data_len == 8 {
            return Err(Asserts);
        }
        did.push(Did::Write(loader.addr, loader.data_len.into()));
    }
    Ok(did)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: Tree = Tree { waits: true, fills: true, refuses_eight: false };

    fn rom(isrom: bool) -> Rom {
        let data = Some(vec![7; 2]);
        Rom { fw_file: false, isrom, data, romsize: 4, mr: Some(0), addr: 0x1000 }
    }

    fn reset(tree: Tree, isrom: bool, comes: Comes) -> (Vec<u8>, bool) {
        let (mut memory, mut roms) = (vec![1; 4], [rom(isrom)]);
        rom_reset(tree, &mut roms, comes, &mut memory);
        (memory, roms[0].data.is_some())
    }

    #[test]
    fn with_the_series_only_rom_is_written_before_state_comes() {
        assert_eq!(reset(SERIES, false, Comes::Nothing), (vec![7, 7, 0, 0], true));
        assert_eq!(reset(SERIES, false, Comes::Snapshot), (vec![1; 4], true));
        assert_eq!(reset(SERIES, true, Comes::Snapshot), (vec![7, 7, 0, 0], false));
        assert_eq!(reset(SERIES, true, Comes::Migration), (vec![1; 4], false));
        let released = Tree { waits: false, fills: false, refuses_eight: true };
        assert_eq!(reset(released, false, Comes::Snapshot), (vec![7, 7, 1, 1], true));
    }

    #[test]
    fn a_loader_writes_nothing_where_state_comes_and_the_processor_begins_all_the_same() {
        let loader = GenericLoader { addr: 8, data_len: 4, set_pc: true };
        let did = |tree, comes| generic_loader_reset(tree, loader, comes).unwrap();
        assert_eq!(did(SERIES, Comes::Nothing), [Did::Begin(8), Did::Write(8, 4)]);
        for comes in [Comes::Migration, Comes::Snapshot] {
            assert_eq!(did(SERIES, comes), [Did::Begin(8)]);
            assert_eq!(did(Tree { waits: false, ..SERIES }, comes).len(), 2);
        }
        let eight = GenericLoader { data_len: 8, ..loader };
        let strict = Tree { refuses_eight: true, ..SERIES };
        assert_eq!(generic_loader_reset(strict, eight, Comes::Nothing), Err(Asserts));
        assert!(generic_loader_reset(strict, eight, Comes::Snapshot).is_ok());
        assert!(generic_loader_reset(SERIES, eight, Comes::Nothing).is_ok());
    }
}
