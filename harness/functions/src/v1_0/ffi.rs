//! The compiled functions, called: what `c/v1_0` has on its side, field by field.

use crate::lockstep::{Load, STREAM};
use libloading::Library;
use pcram_mirror::v1_0::{GivenBack, Host};
use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use thiserror::Error;

/// What a call gives where the C called `abort()`.
const ABORTED: i64 = i64::MIN;
/// No block: what stands for a `last_block` that is NULL.
pub const NO_BLOCK: u64 = u64::MAX;

/// The C called `abort()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the C called abort()")]
pub struct Aborted;

/// `QEMUFile` of before.h: a stream in memory, and what the functions ask of the world.
#[derive(Debug)]
#[repr(C)]
pub struct File {
    out: *mut u8,
    /// Bytes written.
    pub out_len: u64,
    out_cap: u64,
    input: *const u8,
    in_len: u64,
    /// Bytes read.
    pub in_at: u64,
    /// Bytes that a section may have before it is said to be enough.
    pub xfer_limit: u64,
    /// Where the section began.
    pub section_at: u64,
    /// At which time of asking whether it is enough the file has an error; 0 for never.
    pub fail_in: u64,
    /// What the clock says, in turn, in nanoseconds.
    pub clock: [i64; 2],
    /// How often the clock was asked.
    pub clock_at: u64,
    /// Nanoseconds that a guest may stand still.
    pub max_downtime: u64,
    /// Not 0 where dirty bits cannot be had.
    pub sync_fails: i32,
    /// The file's error, a negative errno, or 0.
    pub error: i32,
}

/// The most blocks in the list.
pub const MOST_LISTED: usize = 16;

/// `struct pcram_view` of after.c: what the static variables of the C, or the mirror's of the same names,
/// hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Variables {
    /// How many blocks are in the list.
    pub blocks: u64,
    /// The address of each in bytes, in the order of the list, and 0 behind them.
    pub order: [u64; MOST_LISTED],
    /// The length of each in bytes.
    pub lengths: [u64; MOST_LISTED],
    /// The address of `last_block`, or [`NO_BLOCK`].
    pub last_block: u64,
    /// `last_offset` in bytes.
    pub last_offset: u64,
    /// `ram_bytes_transferred()`.
    pub bytes_transferred: u64,
    /// `ram_bytes_remaining()`.
    pub remaining: u64,
    /// `ram_bytes_total()`.
    pub total: u64,
    /// Whether dirty pages are tracked.
    pub dirty_tracking: i64,
    /// The length of `phys_dirty`.
    pub dirty_len: u64,
}

/// `struct pcram_given_back` of before.h.
#[derive(Debug, Default)]
#[repr(C)]
struct RawGivenBack {
    unmapped: u64,
    closed: u64,
    freed: u64,
}

type Call<A> = unsafe extern "C" fn(*mut File, A) -> i64;

/// The compiled functions of one tree. They have one guest, in static variables.
pub struct Functions {
    reset: unsafe extern "C" fn(),
    alloc: unsafe extern "C" fn(*const c_char, u64, *mut u8, c_int) -> i64,
    free: unsafe extern "C" fn(u64, *mut RawGivenBack) -> i64,
    get_ram_ptr: unsafe extern "C" fn(u64, *mut u8) -> i64,
    set_dirty: unsafe extern "C" fn(u64) -> i64,
    save_block: unsafe extern "C" fn(*mut File) -> i64,
    save_live: Call<c_int>,
    load: Call<c_int>,
    /// The list of external blocks, saved and loaded, where there is one.
    external: Option<(unsafe extern "C" fn(*mut File) -> i64, Call<c_int>)>,
    view: unsafe extern "C" fn(*mut Variables) -> *const u8,
    file: File,
    out: Box<[u8]>,
    // Behind everything that points into it.
    _library: Library,
}

impl Load for Functions {
    fn load(object: &Path) -> Result<Functions, libloading::Error> {
        // SAFETY: the object has no constructors, and the types are those of after.c.
        unsafe {
            let library = Library::new(object)?;
            let mut out = vec![0; STREAM].into_boxed_slice();
            Ok(Functions {
                reset: *library.get(b"pcram_reset")?,
                alloc: *library.get(b"pcram_alloc")?,
                free: *library.get(b"pcram_free")?,
                get_ram_ptr: *library.get(b"pcram_get_ram_ptr")?,
                set_dirty: *library.get(b"pcram_set_dirty")?,
                save_block: *library.get(b"pcram_save_block")?,
                save_live: *library.get(b"pcram_save_live")?,
                load: *library.get(b"pcram_load")?,
                external: match library.get(b"pcram_save_external_list") {
                    Ok(save) => Some((*save, *library.get(b"pcram_load_external_list")?)),
                    Err(_) => None,
                },
                view: *library.get(b"pcram_view")?,
                file: File {
                    out: out.as_mut_ptr(),
                    out_len: 0,
                    out_cap: STREAM as u64,
                    input: std::ptr::null(),
                    in_len: 0,
                    in_at: 0,
                    xfer_limit: 0,
                    section_at: 0,
                    fail_in: 0,
                    clock: [0; 2],
                    clock_at: 0,
                    max_downtime: 0,
                    sync_fails: 0,
                    error: 0,
                },
                out,
                _library: library,
            })
        }
    }
}

impl Functions {
    /// As if QEMU had just been started.
    pub fn reset(&mut self) {
        // SAFETY: nobody has a pointer into the static variables.
        unsafe { (self.reset)() }
        self.file.out_len = 0;
        self.file.error = 0;
    }

    /// What the functions ask of the world, to be set before a call.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// All that was written.
    pub fn written(&self) -> &[u8] {
        &self.out[..self.file.out_len as usize]
    }

    /// A new block of `size` bytes; gives its address. A file maps to `room`.
    ///
    /// # Safety
    ///
    /// `room` has `size` bytes, and a page for each at which the block may be looked at behind them,
    /// until [`Functions::reset`] or the end.
    pub unsafe fn alloc(
        &mut self,
        idstr: &CStr,
        size: u64,
        room: *mut u8,
        host: Host,
    ) -> Result<u64, Aborted> {
        // SAFETY: as the caller promises; the name is copied.
        let came = unsafe { (self.alloc)(idstr.as_ptr(), size, room, host as c_int) };
        returned(came).map(|it| it as u64)
    }

    /// `qemu_ram_free`.
    pub fn free(&mut self, addr: u64) -> Result<GivenBack, Aborted> {
        let mut raw = RawGivenBack::default();
        // SAFETY: a block that is not in the list is left alone; what is freed stays readable.
        returned(unsafe { (self.free)(addr, &mut raw) })?;
        let RawGivenBack { unmapped, closed, freed } = raw;
        Ok(GivenBack { unmapped, closed, freed })
    }

    /// `qemu_get_ram_ptr`: the distance of what it gives from the beginning of `room`.
    pub fn get_ram_ptr(&mut self, addr: u64, room: &mut [u8]) -> Result<i64, Aborted> {
        // SAFETY: pointers are only compared.
        returned(unsafe { (self.get_ram_ptr)(addr, room.as_mut_ptr()) })
    }

    /// `cpu_physical_memory_set_dirty`; the address is one of a block.
    pub fn set_dirty(&mut self, addr: u64) {
        // SAFETY: the flags of every block's pages exist.
        unsafe { (self.set_dirty)(addr) };
    }

    /// `ram_save_block`.
    ///
    /// # Safety
    ///
    /// It does nothing here that C does not define: the mirror was asked.
    pub unsafe fn save_block(&mut self) -> Result<i64, Aborted> {
        // SAFETY: as the caller promises.
        returned(unsafe { (self.save_block)(&mut self.file) })
    }

    /// `ram_save_live`.
    ///
    /// # Safety
    ///
    /// As for [`Functions::save_block`].
    pub unsafe fn save_live(&mut self, stage: i32) -> Result<i64, Aborted> {
        // SAFETY: as the caller promises.
        returned(unsafe { (self.save_live)(&mut self.file, stage) })
    }

    /// `ram_load` of one section, from where it was left.
    ///
    /// # Safety
    ///
    /// As for [`Functions::save_block`].
    pub unsafe fn ram_load(&mut self, stream: &[u8], version_id: i32) -> Result<i64, Aborted> {
        (self.file.input, self.file.in_len) = (stream.as_ptr(), stream.len() as u64);
        // SAFETY: as the caller promises; the stream outlives the call.
        returned(unsafe { (self.load)(&mut self.file, version_id) })
    }

    /// `ram_save_external_list` into `out`; whether `ram_external_block_name` gives one.
    pub fn save_external_list(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        let (save, _) = self.external?;
        let before = self.file.out_len;
        // SAFETY: it only writes to the stream, which is as it was afterwards.
        let came = unsafe { save(&mut self.file) };
        out.extend_from_slice(&self.out[before as usize..self.file.out_len as usize]);
        self.file.out_len = before;
        Some(came != 0)
    }

    /// `ram_load_external_list`, of a list or of none.
    pub fn load_external_list(&mut self, list: Option<&[u8]>) -> Option<i64> {
        let (_, load) = self.external?;
        let (at, error) = (self.file.in_at, self.file.error);
        let stream = list.unwrap_or_default();
        (self.file.input, self.file.in_len) = (stream.as_ptr(), stream.len() as u64);
        self.file.in_at = 0;
        // SAFETY: it only reads the list, which outlives the call.
        let came = unsafe { load(&mut self.file, list.is_some().into()) };
        (self.file.in_at, self.file.error) = (at, error);
        Some(came)
    }

    /// The static variables, and `phys_dirty`.
    pub fn variables(&self) -> (Variables, &[u8]) {
        let mut variables = Variables::default();
        // SAFETY: it fills them in.
        let dirty = unsafe { (self.view)(&mut variables) };
        if variables.dirty_len == 0 {
            return (variables, &[]);
        }
        // SAFETY: the flags are as many, and nothing writes them meanwhile.
        let dirty = unsafe { std::slice::from_raw_parts(dirty, variables.dirty_len as usize) };
        (variables, dirty)
    }
}

fn returned(value: i64) -> Result<i64, Aborted> {
    if value == ABORTED { Err(Aborted) } else { Ok(value) }
}
