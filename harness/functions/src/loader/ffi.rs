//! The compiled functions, called: what `c/loader` has on its side, field by field.

use crate::lockstep::Load;
use libloading::Library;
use pcram_mirror::loader::{Call, Did, Disk, Format, Incoming, Options, Start};
use std::ffi::{CStr, c_char, c_int};
use std::path::Path;

/// `struct pcram_did` of before.h.
#[repr(C)]
struct RawDid {
    what: u64,
    addr: u64,
    length: u64,
    cpu: u64,
    data: u64,
}

/// `struct pcram_options` of after.c.
#[repr(C)]
struct RawOptions {
    data: u64,
    addr: u64,
    entry: u64,
    cpu_num: u32,
    format: i32,
    data_len: u8,
    data_be: u8,
    force_raw: u8,
}

/// `struct pcram_start` of later.h.
#[repr(C)]
struct RawStart {
    fails: u8,
    runs: u8,
    replays: u8,
    comes: u8,
}

/// The functions that are called, in the order of before.h.
const CALLS: [Call; 12] = [
    Call::InitBoard,
    Call::CreateDevices,
    Call::LoadSnapshot,
    Call::ResumeRunning,
    Call::ResumeAsBefore,
    Call::Replay,
    Call::Incoming,
    Call::Continue,
    Call::Flush,
    Call::DrainBegin,
    Call::LoadState,
    Call::DrainEnd,
];
/// What a device's file can be loaded as, in the order of before.h.
const FORMATS: [Format; 4] = [Format::Elf, Format::Uimage, Format::Hex, Format::Image];
/// What stands for a file that cannot be read, and for none.
const UNREADABLE: i32 = -1;
const NO_FILE: i32 = -2;

/// `struct pcram_left` of after.c.
#[repr(C)]
struct RawLeft {
    did: *const RawDid,
    did_count: u64,
    said: *const c_char,
    isrom: u64,
    kept: u64,
    loaded: c_int,
    pending: c_int,
}

type Add = unsafe extern "C" fn(c_int, c_int, *mut u8, u64, u64, *mut u8, u64, c_int);

type ExitPreconfig = unsafe extern "C" fn(*const RawStart, *mut c_int) -> c_int;

/// The compiled functions of one tree. They have one machine, in static variables.
pub struct Functions {
    begin: unsafe extern "C" fn(u32),
    add: Add,
    realize: unsafe extern "C" fn(*const RawOptions, *mut c_int) -> c_int,
    check: unsafe extern "C" fn(*mut c_int) -> c_int,
    announce: unsafe extern "C" fn(),
    reset: unsafe extern "C" fn(c_int) -> c_int,
    loadvm: unsafe extern "C" fn(c_int, c_int, *mut c_int) -> c_int,
    exit_preconfig: Option<ExitPreconfig>,
    left: unsafe extern "C" fn(*mut RawLeft),
    // Behind everything that points into it.
    _library: Library,
}

/// An image, as the C is given it.
pub(super) struct Image<'a> {
    pub fw_file: bool,
    pub data: &'a mut [u8],
    pub romsize: u64,
    /// Where its region's memory begins, or NULL.
    pub host: *mut u8,
    /// Whether its region is ROM.
    pub region_is_rom: bool,
    pub addr: u64,
    /// Which of the address spaces that after.c has.
    pub space: Option<u8>,
}

/// What a call leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub did: Vec<Did>,
    pub said: String,
    /// A bit for each image that lies in ROM.
    pub isrom: u64,
    /// A bit for each image that is kept.
    pub kept: u64,
    pub loaded: bool,
    pub pending: bool,
}

impl Load for Functions {
    fn load(object: &Path) -> Result<Functions, libloading::Error> {
        // SAFETY: the object has no constructors, and the types are those of after.c.
        unsafe {
            let library = Library::new(object)?;
            Ok(Functions {
                begin: *library.get(b"pcram_begin")?,
                add: *library.get(b"pcram_add")?,
                realize: *library.get(b"pcram_realize")?,
                check: *library.get(b"pcram_check")?,
                announce: *library.get(b"pcram_announce")?,
                reset: *library.get(b"pcram_reset")?,
                loadvm: *library.get(b"pcram_loadvm")?,
                // 5.2 has none.
                exit_preconfig: library.get(b"pcram_exit_preconfig").ok().map(|it| *it),
                left: *library.get(b"pcram_left")?,
                _library: library,
            })
        }
    }
}

impl Functions {
    /// A machine without images and devices; it has up to 2 processors.
    pub(super) fn begin(&mut self, cpus: u32) {
        // SAFETY: it keeps numbers alone.
        unsafe { (self.begin)(cpus) }
    }

    /// Adds an image.
    ///
    /// # Safety
    ///
    /// Its data, and `romsize` bytes from `host` on where that is not NULL, live until the next
    /// [`Functions::begin`]; there are fewer than 8.
    pub(super) unsafe fn add(&mut self, image: Image) {
        let Image { fw_file, data, romsize, host, region_is_rom, addr, space } = image;
        let (bytes, size) = (data.as_mut_ptr(), data.len() as u64);
        let (file, rom, space) =
            (fw_file.into(), region_is_rom.into(), space.map_or(-1, c_int::from));
        // SAFETY: as the caller promises.
        unsafe { (self.add)(file, rom, bytes, size, romsize, host, addr, space) }
    }

    /// Makes a device, and gives whether it was taken; `None` where QEMU would abort.
    ///
    /// # Safety
    ///
    /// There are fewer than 8.
    pub(super) unsafe fn realize(&mut self, options: &Options) -> Option<bool> {
        let number = |format: Format| FORMATS.iter().position(|it| *it == format);
        let format = options.file.map_or(NO_FILE, |file| {
            file.format.and_then(number).map_or(UNREADABLE, |number| number as i32)
        });
        let raw = RawOptions {
            data: options.data,
            addr: options.addr,
            entry: options.file.map_or(0, |file| file.entry),
            cpu_num: options.cpu_num,
            format,
            data_len: options.data_len,
            data_be: options.data_be.into(),
            force_raw: options.force_raw.into(),
        };
        let mut came = 0;
        // SAFETY: as the caller promises.
        let goes_on = unsafe { (self.realize)(&raw, &mut came) };
        (goes_on != 0).then_some(came == 0)
    }

    /// Checks the images, and gives whether none is in another's way; `None` where QEMU would abort.
    ///
    /// # Safety
    ///
    /// All images are there.
    pub(super) unsafe fn check(&mut self) -> Option<bool> {
        let mut came = 0;
        // SAFETY: as the caller promises.
        let goes_on = unsafe { (self.check)(&mut came) };
        (goes_on != 0).then_some(came == 0)
    }

    /// Announces a snapshot.
    pub(super) fn announce(&mut self) {
        // SAFETY: it sets a variable.
        unsafe { (self.announce)() }
    }

    /// Resets the machine; `None` where QEMU would abort.
    ///
    /// # Safety
    ///
    /// All images are there, and nobody else writes their memory.
    pub(super) unsafe fn reset(&mut self, incoming: bool) -> Option<bool> {
        // SAFETY: as the caller promises.
        let goes_on = unsafe { (self.reset)(incoming.into()) };
        (goes_on != 0).then_some(true)
    }

    /// Loads a snapshot, and gives whether that was done; `None` where QEMU would abort.
    ///
    /// # Safety
    ///
    /// As of [`Functions::reset`].
    pub(super) unsafe fn loadvm(&mut self, disk: Disk, incoming: bool) -> Option<bool> {
        let mut came = 0;
        // SAFETY: as the caller promises.
        let goes_on = unsafe { (self.loadvm)(disk as c_int, incoming.into(), &mut came) };
        (goes_on != 0).then_some(came == 0)
    }

    /// Ends QEMU's start, and gives whether that was done; `None` where QEMU would abort or exit.
    ///
    /// # Safety
    ///
    /// As of [`Functions::reset`].
    pub(super) unsafe fn exit_preconfig(&mut self, start: &Start) -> Option<bool> {
        let raw = RawStart {
            fails: start.fails.into(),
            runs: start.autostart.into(),
            replays: start.replay.into(),
            comes: start.incoming.map_or(0, |incoming: Incoming| incoming as u8 + 1),
        };
        let mut came = 0;
        let exit_preconfig = self.exit_preconfig?;
        // SAFETY: as the caller promises.
        let goes_on = unsafe { exit_preconfig(&raw, &mut came) };
        (goes_on != 0).then_some(came == 0)
    }

    /// What the last of these calls left.
    pub(super) fn left(&mut self) -> Left {
        let mut raw = RawLeft {
            did: std::ptr::null(),
            did_count: 0,
            said: std::ptr::null(),
            isrom: 0,
            kept: 0,
            loaded: 0,
            pending: 0,
        };
        // SAFETY: what it gives is its own, until the next call.
        let (did, said) = unsafe {
            (self.left)(&mut raw);
            let did = std::slice::from_raw_parts(raw.did, raw.did_count as usize);
            (did, CStr::from_ptr(raw.said).to_string_lossy().into_owned())
        };
        let did = did.iter().map(told).collect();
        let (loaded, pending) = (raw.loaded != 0, raw.pending != 0);
        Left { did, said, isrom: raw.isrom, kept: raw.kept, loaded, pending }
    }
}

/// What was done, as the mirror has it.
fn told(raw: &RawDid) -> Did {
    let &RawDid { what, addr, length, cpu, data } = raw;
    let cpu = (cpu as u32).checked_sub(1);
    let known = cpu.unwrap_or(u32::MAX);
    match what {
        0 => Did::Write(addr, length),
        1 => Did::Zero(addr, length),
        2 => Did::Flush(addr, length),
        3 => Did::Begin(known, addr),
        4 => Did::Store { cpu: known, addr, length, data },
        5 => Did::Load { format: FORMATS[data as usize], cpu, addr, most: length },
        _ => Did::Call(CALLS[addr as usize]),
    }
}
