//! What writes into RAM at a reset and its mirror, driven through the same steps.

pub mod case;
pub mod ffi;
pub mod unit;

pub use case::Case;
pub use ffi::Functions;

use crate::extract::ExtractError;
use crate::lockstep::{Difference, Kind, Outcome, Unit, same};
use ffi::Image;
use pcram_mirror::loader::{GenericLoader, Rom, Tree, generic_loader_reset, rom_reset};
use pcram_mirror::v1_0::{Property, Variant};

/// Of what memory is full before anything is written.
const FILLED: u8 = 0x5a;
/// Where the device writes.
const LOADED: u64 = 0x10_0000;

/// What writes into RAM at a reset.
pub enum Resets {}

impl Kind for Resets {
    const NAME: &'static str = "loader";
    const TITLE: &'static str = "what a reset writes";
    /// No migration begins here.
    const WATCHED: &'static [Property] = &[];

    type Tree = Tree;
    type Functions = Functions;
    type Case = Case;
    type Room = ();

    fn unit(file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit<Tree>>, ExtractError> {
        unit::unit(file)
    }

    fn variant(tree: Tree) -> Variant {
        if tree.waits { Variant::Carried } else { Variant::Stock }
    }

    fn tell(_: Tree, case: &Case) -> Vec<String> {
        case.tell()
    }

    fn run(
        tree: Tree,
        functions: Option<&mut Functions>,
        _: &mut (),
        case: &Case,
    ) -> Result<Outcome, Difference> {
        let room = u64::from(case::MOST_BYTES);
        let rom = |(at, rom): (usize, &case::Rom)| Rom {
            fw_file: rom.fw_file,
            isrom: rom.isrom,
            data: Some((0..rom.holds).map(|byte| byte + 1).collect()),
            romsize: u64::from(rom.holds) + u64::from(rom.spare),
            mr: rom.mr.then_some(at as u64 * room),
            addr: (at as u64 + 1) << 12,
        };
        let mut roms: Vec<_> = case.roms.iter().enumerate().map(rom).collect();
        let mut memory = vec![FILLED; case::MOST_ROMS * usize::from(case::MOST_BYTES)];
        let (mut c_memory, mut images) = (memory.clone(), Vec::new());
        images.extend(roms.iter().map(|rom| rom.data.clone().unwrap_or_default()));
        let loader = GenericLoader { addr: LOADED, data_len: case.loads, set_pc: case.set_pc };
        let mut c = functions;
        if let Some(functions) = &mut c {
            functions.begin(loader);
            for (rom, data) in roms.iter().zip(&mut images) {
                let host = rom.mr.map_or(std::ptr::null_mut(), |at| &mut c_memory[at as usize]);
                let &Rom { fw_file, isrom, romsize, addr, .. } = rom;
                // SAFETY: data and memory outlive the case, and a region has room for the longest.
                unsafe { functions.add(Image { fw_file, isrom, data, romsize, host, addr }) }
            }
        }
        let mut outcome = Outcome::default();
        for (step, &comes) in case.resets.iter().enumerate() {
            outcome.calls += 1;
            let mut did = rom_reset(tree, &mut roms, comes, &mut memory);
            let loaded = generic_loader_reset(tree, loader, comes);
            did.extend(loaded.iter().flatten());
            let kept = roms.iter().enumerate().map(|(at, rom)| u64::from(rom.data.is_some()) << at);
            let came = loaded.as_ref().ok().map(|_| (did, kept.sum()));
            if let Some(functions) = &mut c {
                // SAFETY: all of it is there.
                let c_came = unsafe { functions.reset(comes) };
                same(step, "what is done, and the images that are kept", &c_came, &came)?;
            }
            if let Err(asserts) = loaded {
                outcome.ended = Some((step, asserts.to_string()));
                break;
            }
            if c.is_some() {
                same(step, "memory", &c_memory, &memory)?;
            }
        }
        Ok(outcome)
    }
}
