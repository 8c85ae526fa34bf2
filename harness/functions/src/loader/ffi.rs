//! The compiled functions, called: what `c/loader` has on its side, field by field.

use crate::lockstep::Load;
use libloading::Library;
use pcram_mirror::loader::{Comes, Did, GenericLoader};
use std::ffi::c_int;
use std::path::Path;

/// `struct pcram_did` of before.h.
#[repr(C)]
struct RawDid {
    what: u64,
    addr: u64,
    length: u64,
}

type Reset = unsafe extern "C" fn(c_int, c_int, *mut u64, *mut *const RawDid, *mut u64) -> c_int;
type Add = unsafe extern "C" fn(c_int, c_int, *mut u8, u64, u64, *mut u8, u64);

/// The compiled functions of one tree. They have one machine, in static variables.
pub struct Functions {
    begin: unsafe extern "C" fn(u64, c_int, c_int),
    add: Add,
    reset: Reset,
    // Behind everything that points into it.
    _library: Library,
}

/// An image, as the C is given it.
pub(super) struct Image<'a> {
    pub fw_file: bool,
    pub isrom: bool,
    pub data: &'a mut [u8],
    pub romsize: u64,
    /// Where its region's memory begins, or NULL.
    pub host: *mut u8,
    pub addr: u64,
}

impl Load for Functions {
    fn load(object: &Path) -> Result<Functions, libloading::Error> {
        // SAFETY: the object has no constructors, and the types are those of after.c.
        unsafe {
            let library = Library::new(object)?;
            Ok(Functions {
                begin: *library.get(b"pcram_begin")?,
                add: *library.get(b"pcram_add")?,
                reset: *library.get(b"pcram_reset")?,
                _library: library,
            })
        }
    }
}

impl Functions {
    /// A machine without images.
    pub(super) fn begin(&mut self, loader: GenericLoader) {
        // SAFETY: it keeps numbers alone.
        unsafe { (self.begin)(loader.addr, loader.data_len.into(), loader.set_pc.into()) }
    }

    /// Adds an image.
    ///
    /// # Safety
    ///
    /// Its data, and `romsize` bytes from `host` on where that is not NULL, live until the next
    /// [`Functions::begin`]; there are fewer than 8.
    pub(super) unsafe fn add(&mut self, image: Image) {
        let Image { fw_file, isrom, data, romsize, host, addr } = image;
        let (bytes, size) = (data.as_mut_ptr(), data.len() as u64);
        // SAFETY: as the caller promises.
        unsafe { (self.add)(fw_file.into(), isrom.into(), bytes, size, romsize, host, addr) }
    }

    /// Resets the machine: what is done, and a bit for each image that is kept; `None` where QEMU would
    /// abort.
    ///
    /// # Safety
    ///
    /// All images are there, and nobody else writes their memory.
    pub(super) unsafe fn reset(&mut self, comes: Comes) -> Option<(Vec<Did>, u64)> {
        let (mut kept, mut did, mut count) = (0, std::ptr::null(), 0);
        let (migration, snapshot) = (comes == Comes::Migration, comes == Comes::Snapshot);
        // SAFETY: as the caller promises; what it gives is its own, until the next call.
        let did = unsafe {
            let (migration, snapshot) = (migration.into(), snapshot.into());
            if (self.reset)(migration, snapshot, &mut kept, &mut did, &mut count) == 0 {
                return None;
            }
            std::slice::from_raw_parts(did, count as usize)
        };
        let told = |raw: &RawDid| match raw.what {
            0 => Did::Write(raw.addr, raw.length),
            1 => Did::Zero(raw.addr, raw.length),
            2 => Did::Flush(raw.addr, raw.length),
            _ => Did::Begin(raw.addr),
        };
        Some((did.iter().map(told).collect(), kept))
    }
}
