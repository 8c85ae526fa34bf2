//! What the init asks the kernel for, and the standard library has no words for.

use std::arch::asm;
use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;

/// The number of the system call on x86-64, for which glibc has no function.
const SYS_FINIT_MODULE: c_long = 313;
const PROT_READ_WRITE: c_int = 3;
const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;

unsafe extern "C" {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn ioperm(from: c_ulong, count: c_ulong, on: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn mmap(
        at: *mut c_void,
        size: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(at: *mut c_void, size: usize) -> c_int;
}

fn checked(result: c_long, what: &str) -> io::Result<()> {
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(io::Error::new(error.kind(), format!("{what}: {error}")))
}

/// Mounts the kernel's file system `kind` on `place`.
pub fn mount_on(kind: &str, place: &str) -> io::Result<()> {
    let (kind_c, place_c) = (CString::new(kind)?, CString::new(place)?);
    // SAFETY: the three strings end in a zero and outlive the call; there is no data.
    let result =
        unsafe { mount(kind_c.as_ptr(), place_c.as_ptr(), kind_c.as_ptr(), 0, ptr::null()) };
    checked(result.into(), &format!("mounting {place}"))
}

/// Lets this process use an I/O port.
pub fn open_port(port: u16) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { ioperm(port.into(), 1, 1) };
    checked(result.into(), "opening an I/O port")
}

/// Writes bytes to an I/O port that [`open_port`] opened, one after the other.
pub fn write_port(port: u16, bytes: &[u8]) {
    // SAFETY: the instruction reads `bytes` and nothing else; the debug console behind the port
    // touches no memory. A port that was not opened ends the process, and nothing worse.
    unsafe {
        asm!(
            "rep outsb",
            in("dx") port,
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// Loads a module of the kernel's.
pub fn load_module(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: the call takes an open file, an empty string of parameters, and no flags.
    let result = unsafe { syscall(SYS_FINIT_MODULE, file.as_raw_fd(), c"".as_ptr(), 0 as c_int) };
    checked(result, &format!("loading {}", path.display()))
}

/// Memory of this process's own, which the kernel has back as soon as this is dropped.
pub struct Mapping {
    at: *mut u8,
    size: usize,
}

impl Mapping {
    /// Takes `size` bytes, all zero, at a page's boundary.
    pub fn new(size: usize) -> io::Result<Self> {
        let (prot, flags) = (PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS);
        // SAFETY: a new mapping wherever the kernel likes; no memory of ours is replaced.
        let at = unsafe { mmap(ptr::null_mut(), size, prot, flags, -1, 0) };
        if at.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { at: at.cast(), size })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as `self`, and nobody else has it.
        unsafe { std::slice::from_raw_parts(self.at, self.size) }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.size) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; no slice of it can outlive `self`.
        unsafe { munmap(self.at.cast(), self.size) };
    }
}
