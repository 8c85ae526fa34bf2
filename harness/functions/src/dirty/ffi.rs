//! The compiled functions, called: what `c/dirty` has on its side, field by field.

use crate::lockstep::Load;
use libloading::Library;
use pcram_mirror::dirty::Did;
use std::ffi::c_int;
use std::path::Path;

/// Pages of a piece of the dirty bitmap, as before.h has them.
const PIECE_WORDS: usize = 2;
/// Bits of an address that say where in a block it is; those above say in which.
const IN_BLOCK: u32 = 40;

/// `struct pcram_did` of before.h.
#[repr(C)]
struct RawDid {
    what: u64,
    place: u64,
    length: u64,
}

type Add = unsafe extern "C" fn(u64, u64, u64, u64, *mut u64, *mut u64, c_int);
type Sync = unsafe extern "C" fn(c_int, u64, u64, *mut u64, *mut *const RawDid, *mut u64) -> c_int;

/// The compiled functions of one tree. They have all RAM in static variables.
pub struct Functions {
    begin: unsafe extern "C" fn(c_int, *mut u64, u64),
    add: Add,
    sync: Sync,
    // Behind everything that points into it.
    _library: Library,
}

/// A block, as the C is given it.
pub(super) struct Block<'a> {
    pub at: usize,
    pub offset: u64,
    pub used_length: u64,
    pub max_length: u64,
    pub bmap: &'a mut [u64],
    pub clear_bmap: Option<&'a mut Vec<u64>>,
    pub shift: u8,
}

impl Load for Functions {
    fn load(object: &Path) -> Result<Functions, libloading::Error> {
        // SAFETY: the object has no constructors, and the types are those of after.c.
        unsafe {
            let library = Library::new(object)?;
            Ok(Functions {
                begin: *library.get(b"pcram_begin")?,
                add: *library.get(b"pcram_add")?,
                sync: *library.get(b"pcram_sync")?,
                _library: library,
            })
        }
    }
}

impl Functions {
    /// RAM without blocks, whose dirty bitmap is this one.
    ///
    /// # Safety
    ///
    /// The bitmap lives until the next `begin`, and nobody else writes it during a call.
    pub(super) unsafe fn begin(&mut self, tcg: bool, dirty: &mut [u64]) {
        let pieces = (dirty.len() / PIECE_WORDS) as u64;
        // SAFETY: as the caller promises.
        unsafe { (self.begin)(tcg.into(), dirty.as_mut_ptr(), pieces) }
    }

    /// Adds a block.
    ///
    /// # Safety
    ///
    /// Its bitmaps have a bit for each page, live until the next `begin`, and are the C's; there are
    /// fewer than 8 blocks.
    pub(super) unsafe fn add(&mut self, block: Block) {
        let host = (block.at as u64 + 1) << IN_BLOCK;
        let clear = block.clear_bmap.map_or(std::ptr::null_mut(), |bits| bits.as_mut_ptr());
        let Block { offset, used_length, max_length, bmap, shift, .. } = block;
        // SAFETY: as the caller promises.
        unsafe {
            (self.add)(
                host,
                offset,
                used_length,
                max_length,
                bmap.as_mut_ptr(),
                clear,
                shift.into(),
            )
        }
    }

    /// Takes over what was written of a block: how many pages are new, and what was done; `None` where
    /// QEMU would abort.
    ///
    /// # Safety
    ///
    /// All is there, and the part lies in the block.
    pub(super) unsafe fn sync(
        &mut self,
        at: usize,
        start: u64,
        length: u64,
    ) -> Option<(u64, Vec<Did>)> {
        let (mut new, mut did, mut count) = (0, std::ptr::null(), 0);
        // SAFETY: as the caller promises; what it gives is its own, until the next call.
        let did = unsafe {
            if (self.sync)(at as c_int, start, length, &mut new, &mut did, &mut count) == 0 {
                return None;
            }
            std::slice::from_raw_parts(did, count as usize)
        };
        let told = |raw: &RawDid| {
            let block = (raw.place >> IN_BLOCK).wrapping_sub(1) as usize;
            let within = raw.place & ((1 << IN_BLOCK) - 1);
            match raw.what {
                0 => Did::Reset(block, within, raw.length),
                _ => Did::ClearLog(block, within, raw.length),
            }
        };
        Some((new, did.iter().map(told).collect()))
    }
}
