//! A machine with images and devices, and its resets.

use crate::lockstep::{self, Changes};
use pcram_mirror::loader::{CPU_NONE, Disk, File, Format, Incoming, Options, Start};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The most images.
pub const MOST_ROMS: usize = 6;
/// The most bytes that an image fills.
pub const MOST_BYTES: u8 = 64;
/// The address spaces that an image can name.
pub const SPACES: [&str; 2] = ["memory", ""];
/// The most processors.
const MOST_CPUS: u8 = 2;
/// The most steps.
const MOST_STEPS: usize = 8;

/// A machine, and its resets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The images, in the order of the list.
    pub roms: Vec<Rom>,
    /// How many processors there are.
    pub cpus: u8,
    /// What happens.
    pub steps: Vec<Step>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        let incoming = prop::bool::weighted(0.25);
        let step = prop_oneof![
            3 => options().prop_map(Step::Realize),
            2 => Just(Step::Check),
            1 => Just(Step::Announce),
            2 => start().prop_map(Step::ExitPreconfig),
            3 => incoming.prop_map(|incoming| Step::Reset { incoming }),
            2 => (disk(), incoming).prop_map(|(disk, incoming)| Step::Loadvm { disk, incoming }),
        ];
        let cpus = prop_oneof![1 => Just(0), 8 => 1..=MOST_CPUS];
        (roms(), cpus, vec(step, 1..=MOST_STEPS)).prop_map(|(roms, cpus, steps)| Case {
            roms,
            cpus,
            steps,
        })
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = |rom: &Rom| {
            let known = rom.space.is_none_or(|space| usize::from(space) < SPACES.len());
            known && rom.holds.saturating_add(rom.spare) <= MOST_BYTES
        };
        match self.roms.len() <= MOST_ROMS
            && self.roms.iter().all(fits)
            && self.cpus <= MOST_CPUS
            && self.steps.len() <= MOST_STEPS
        {
            true => Ok(()),
            false => {
                Err("there are up to 6 images of up to 64 bytes in 2 address spaces, up to 8 \
                          bytes are loaded, and there are up to 6 steps")
            }
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        all.add(|case| case.cpus = case.cpus.min(1));
        (0..self.steps.len()).for_each(|at| all.add(|case| _ = case.steps.remove(at)));
        (0..self.roms.len()).for_each(|at| all.add(|case| _ = case.roms.remove(at)));
        let simpler: [fn(&mut Options); 7] = [
            |options| options.data = 0,
            |options| options.data_len = 0,
            |options| options.data_be = false,
            |options| options.file = None,
            |options| options.force_raw = false,
            |options| options.addr = 0,
            |options| options.cpu_num = CPU_NONE,
        ];
        for (at, simpler) in (0..self.steps.len()).flat_map(|at| simpler.map(|it| (at, it))) {
            all.add(|case| {
                if let Step::Realize(options) = &mut case.steps[at] {
                    simpler(options);
                }
            });
        }
        for at in 0..self.steps.len() {
            all.add(|case| match &mut case.steps[at] {
                Step::ExitPreconfig(start) => *start = Start::default(),
                Step::Reset { incoming } | Step::Loadvm { incoming, .. } => *incoming = false,
                _ => {}
            });
        }
        all.all()
    }
}

/// Images whose addresses rise, more or less: one in another's way, and one right behind it, among
/// them.
fn roms() -> impl Strategy<Value = Vec<Rom>> {
    let sizes = (0..=MOST_BYTES / 2, 0..=MOST_BYTES / 2);
    let space = prop_oneof![
        3 => Just(Some(0)),
        1 => Just(Some(1)),
        1 => Just(None),
    ];
    let gap = prop_oneof![1 => -8..0_i16, 1 => Just(0), 4 => 1..300_i16];
    let rom = (prop::bool::weighted(0.2), prop::option::weighted(0.3, any::<bool>()), space, sizes)
        .prop_map(|(fw_file, region, space, (holds, spare))| Rom {
            fw_file,
            region,
            space,
            addr: 0,
            holds,
            spare,
        });
    vec((rom, gap), 0..=MOST_ROMS).prop_map(|roms| {
        let mut end = 0_u16;
        let place = |(rom, gap): (Rom, i16)| {
            let addr = end.saturating_add_signed(gap);
            end = addr + u16::from(rom.holds) + u16::from(rom.spare);
            Rom { addr, ..rom }
        };
        roms.into_iter().map(place).collect()
    })
}

/// What a user says of a device: data, a file or neither, and now and then what does not go together.
fn options() -> impl Strategy<Value = Options> {
    let length = prop_oneof![1 => Just(0), 2 => 1..=7_u8, 2 => Just(8), 1 => 9..=10_u8];
    let value = prop_oneof![1 => Just(0), 3 => any::<u64>()];
    let data = prop_oneof![
        1 => Just((0, 0, false)),
        1 => (value, length, any::<bool>()),
    ];
    let format = prop_oneof![
        Just(None),
        Just(Some(Format::Elf)),
        Just(Some(Format::Uimage)),
        Just(Some(Format::Hex)),
        Just(Some(Format::Image)),
    ];
    let file = (format, 0..8_u64).prop_map(|(format, entry)| File { format, entry });
    let file = prop::option::weighted(0.3, file);
    let addr = prop_oneof![1 => Just(0), 3 => any::<u64>()];
    let cpu_num = prop_oneof![
        8 => Just(CPU_NONE),
        8 => 0..=u32::from(MOST_CPUS),
        1 => any::<u32>(),
    ];
    (data, file, prop::bool::weighted(0.2), addr, cpu_num).prop_map(
        |((data, data_len, data_be), file, force_raw, addr, cpu_num)| Options {
            data,
            data_len,
            data_be,
            file,
            force_raw,
            addr,
            cpu_num,
        },
    )
}

/// How a machine starts, in most cases to the end.
fn start() -> impl Strategy<Value = Start> {
    let incoming = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Incoming::Deferred)),
        1 => Just(Some(Incoming::Awaited)),
        1 => Just(Some(Incoming::Fails)),
    ];
    (prop::bool::weighted(0.1), any::<bool>(), any::<bool>(), incoming).prop_map(
        |(fails, autostart, replay, incoming)| Start { fails, autostart, replay, incoming },
    )
}

/// What is wrong with a disk: in every other case nothing.
fn disk() -> impl Strategy<Value = Disk> {
    let wrong = prop::sample::select(vec![
        Disk::CannotSnapshot,
        Disk::NoSnapshot,
        Disk::NoState,
        Disk::Lost,
        Disk::Empty,
        Disk::CannotGo,
        Disk::CannotOpen,
        Disk::Broken,
    ]);
    prop_oneof![Just(Disk::Fine), wrong]
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// A device `loader` is made.
    Realize(Options),
    /// The images are checked.
    Check,
    /// A snapshot is announced, which will be loaded.
    Announce,
    /// QEMU's start ends, in 7.2 and later.
    ExitPreconfig(Start),
    /// The machine is reset.
    Reset {
        /// Before a migration comes.
        incoming: bool,
    },
    /// A snapshot is loaded.
    Loadvm {
        /// What is wrong, in 5.2.
        disk: Disk,
        /// Before a migration comes.
        incoming: bool,
    },
}

/// An image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rom {
    /// It is for the firmware to load.
    pub fw_file: bool,
    /// It has a region of its own: whether that is ROM.
    pub region: Option<bool>,
    /// The index of its address space, of [`SPACES`].
    pub space: Option<u8>,
    /// Its address.
    pub addr: u16,
    /// The bytes that it holds.
    pub holds: u8,
    /// The bytes that it fills beyond them.
    pub spare: u8,
}

impl Case {
    /// The machine and its resets in words.
    pub fn tell(&self) -> Vec<String> {
        let rom = |(at, rom): (usize, &Rom)| {
            let Rom { fw_file, region, space, addr, holds, spare } = rom;
            let file = if *fw_file { ", for the firmware" } else { "" };
            let region = match region {
                None => "",
                Some(true) => ", in a region of ROM",
                Some(false) => ", in a region of RAM",
            };
            let space = space.map_or("none".to_owned(), |space| space.to_string());
            format!(
                "image{at} at {addr:#x} of address space {space}, {holds} bytes and {spare} \
                 beyond{region}{file}"
            )
        };
        let mut lines: Vec<_> = self.roms.iter().enumerate().map(rom).collect();
        lines.push(format!("{} processors", self.cpus));
        lines.extend(self.steps.iter().map(|step| match step {
            Step::Realize(options) => format!("a loader is made: {}", words(options)),
            Step::Check => "the images are checked".to_owned(),
            Step::Announce => "a snapshot is announced".to_owned(),
            Step::ExitPreconfig(start) => format!("QEMU's start ends: {start:?}"),
            Step::Reset { incoming } => format!("the machine is reset{}", before(*incoming)),
            Step::Loadvm { disk, incoming } => {
                format!("a snapshot is loaded{}, the disk is {disk:?}", before(*incoming))
            }
        }));
        lines
    }
}

fn before(incoming: bool) -> &'static str {
    if incoming { " before a migration comes" } else { "" }
}

/// A device as the command line has it.
fn words(options: &Options) -> String {
    let &Options { data, data_len, data_be, file, force_raw, addr, cpu_num } = options;
    let file = file.map(|File { format, entry }| match format {
        Some(format) => format!(",file={format:?} that begins at {entry:#x}"),
        None => ",file=one that cannot be read".to_owned(),
    });
    let cpu = (cpu_num != CPU_NONE).then(|| format!(",cpu-num={cpu_num}"));
    let (file, cpu) = (file.unwrap_or_default(), cpu.unwrap_or_default());
    let on = |is: bool, name: &str| if is { format!(",{name}=on") } else { String::new() };
    let (be, raw) = (on(data_be, "data-be"), on(force_raw, "force-raw"));
    format!("addr={addr:#x},data={data:#x},data-len={data_len}{be}{file}{raw}{cpu}")
}
