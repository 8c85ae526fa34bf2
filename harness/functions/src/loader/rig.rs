//! One machine, through the mirror and, where they are at hand, through the functions.

use super::case::{Case, MOST_BYTES, MOST_ROMS, Rom as Given, SPACES, Step};
use super::ffi::{Functions, Image, Left};
use crate::lockstep::{Difference, Outcome, same};
use pcram_mirror::loader::{Ends, Machine, Region, Reset, Rom, Tree};

/// Of what memory is full before anything is written.
const FILLED: u8 = 0x5a;
/// The RAM that before.h has.
const RAM_SIZE: u64 = 1 << 20;
/// The machine has RAM, ROM and nothing in turn, so many bytes each, as before.h has it.
const STRETCH: u64 = 256;

/// Runs a case. Without functions, only the mirror runs.
///
/// # Errors
///
/// Where the two sides differ.
pub fn run(
    tree: Tree,
    mut functions: Option<&mut Functions>,
    case: &Case,
) -> Result<Outcome, Difference> {
    let roms: Vec<_> = case.roms.iter().enumerate().map(rom).collect();
    let memory = vec![FILLED; MOST_ROMS * usize::from(MOST_BYTES)];
    let mut c_memory = memory.clone();
    let mut images: Vec<_> = roms.iter().map(|rom| rom.data.clone().unwrap_or_default()).collect();
    let mut machine = Machine::new(tree, roms, memory, case.cpus.into(), RAM_SIZE);
    if let Some(functions) = &mut functions {
        functions.begin(machine.cpus);
        for ((rom, given), data) in machine.roms.iter().zip(&case.roms).zip(&mut images) {
            let host = |mr: Region| &raw mut c_memory[mr.host as usize];
            let image = Image {
                fw_file: rom.fw_file,
                data,
                romsize: rom.romsize,
                host: rom.mr.map_or(std::ptr::null_mut(), host),
                region_is_rom: given.region == Some(true),
                addr: rom.addr,
                space: given.space,
            };
            // SAFETY: data and memory outlive the case, and a region has room for the longest.
            unsafe { functions.add(image) }
        }
    }
    let mut outcome = Outcome::default();
    // Of 5.2, the start of QEMU is one function with all the rest of it.
    let has = |step: &Step| tree.starts || !matches!(step, Step::ExitPreconfig(_));
    for (step, &action) in case.steps.iter().enumerate().filter(|(_, step)| has(step)) {
        outcome.calls += 1;
        machine.did.clear();
        machine.said.clear();
        let came = take(&mut machine, action);
        if let Some(functions) = &mut functions {
            // SAFETY: all of it is there.
            let c_came = unsafe {
                match &action {
                    Step::Realize(options) => functions.realize(options),
                    Step::Check => functions.check(),
                    Step::Announce => {
                        functions.announce();
                        Some(true)
                    }
                    Step::ExitPreconfig(start) => functions.exit_preconfig(start),
                    Step::Reset { incoming } => functions.reset(*incoming),
                    Step::Loadvm { disk, incoming } => functions.loadvm(*disk, *incoming),
                }
            };
            same(step, "what came of it", &c_came, &came.ok())?;
            same(step, "what is left", &functions.left(), &left(&machine))?;
            same(step, "memory", &c_memory, &machine.memory)?;
        }
        if let Err(ends) = came {
            outcome.ended = Some((step, ends.to_string()));
            break;
        }
    }
    Ok(outcome)
}

/// Takes a step, and gives whether all went well.
fn take(machine: &mut Machine, step: Step) -> Result<bool, Ends> {
    match step {
        Step::Realize(options) => {
            let refused = machine.generic_loader_realize(&options).err();
            machine.said.push_str(refused.as_deref().unwrap_or_default());
            Ok(refused.is_none())
        }
        Step::Check => Ok(machine.rom_check_and_register_reset()),
        Step::Announce => {
            machine.announce();
            Ok(true)
        }
        Step::ExitPreconfig(start) => machine.qmp_x_exit_preconfig(&start),
        Step::Reset { incoming } => {
            let reset = Reset { incoming, within_loadvm: false };
            machine.qemu_devices_reset(reset).map(|()| true)
        }
        Step::Loadvm { disk, incoming } => machine.load_snapshot(disk, incoming),
    }
}

fn left(machine: &Machine) -> Left {
    let bits = |is: fn(&Rom) -> bool| {
        machine.roms.iter().enumerate().map(|(at, rom)| u64::from(is(rom)) << at).sum()
    };
    Left {
        did: machine.did.clone(),
        said: machine.said.clone(),
        isrom: bits(|rom| rom.isrom),
        kept: bits(|rom| rom.data.is_some()),
        loaded: machine.roms_loaded,
        pending: machine.pending,
    }
}

fn rom((at, rom): (usize, &Given)) -> Rom {
    let addr = u64::from(rom.addr);
    let region = |rom| Region { host: at as u64 * u64::from(MOST_BYTES), rom };
    Rom {
        fw_file: rom.fw_file,
        isrom: false,
        data: Some((0..rom.holds).map(|byte| byte + 1).collect()),
        romsize: u64::from(rom.holds) + u64::from(rom.spare),
        mr: rom.region.map(region),
        space: rom.space.map(|space| SPACES[usize::from(space)]),
        addr,
        mapped: [Some(false), Some(true), None][(addr / STRETCH % 3) as usize],
    }
}
