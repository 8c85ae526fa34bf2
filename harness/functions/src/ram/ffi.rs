//! The compiled save loop, called: what `c/ram` has on its side, field by field.

use crate::lockstep::{Load, STREAM};
use libloading::Library;
use pcram_mirror::ram::{Kind, Mode};
use std::ffi::{CString, c_char, c_int};
use std::path::Path;

/// `QEMUFile` of before.h: a stream in memory.
#[repr(C)]
struct File {
    out: *mut u8,
    out_len: u64,
    out_cap: u64,
}

/// `struct pcram_view` of after.c: the variables, of the C or of the mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct View {
    /// The index of `last_seen_block`, or -1.
    pub last_seen_block: i64,
    /// The index of `last_sent_block`, or -1.
    pub last_sent_block: i64,
    /// `last_page`.
    pub last_page: u64,
    /// `migration_dirty_pages`.
    pub dirty_pages: u64,
    /// Bytes that were counted as sent.
    pub transferred: u64,
    /// Pages that were counted as zero.
    pub zero: u64,
    /// Pages that were counted as sent whole.
    pub normal: u64,
    /// How often an error was reported.
    pub refused: u64,
    /// `ram_bytes_total()`.
    pub total: u64,
    /// `ram_bytes_total_with_ignored()`.
    pub total_with_ignored: u64,
    /// The dirty bitmap of each block.
    pub bits: [u64; 8],
    /// Whether each block is ignored.
    pub ignored: [u8; 8],
}

/// The compiled functions of one tree. They have one migration, in static variables.
pub struct Functions {
    begin: unsafe extern "C" fn(*mut File, c_int, c_int),
    add: unsafe extern "C" fn(*const c_char, *mut u8, u64, u64, c_int),
    start: unsafe extern "C" fn(),
    set_dirty: unsafe extern "C" fn(c_int, u64),
    save: unsafe extern "C" fn() -> i64,
    view: unsafe extern "C" fn(*mut View),
    // The C keeps a pointer to it.
    file: Box<File>,
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
            let file = File { out: out.as_mut_ptr(), out_len: 0, out_cap: STREAM as u64 };
            Ok(Functions {
                begin: *library.get(b"pcram_begin")?,
                add: *library.get(b"pcram_add")?,
                start: *library.get(b"pcram_start")?,
                set_dirty: *library.get(b"pcram_set_dirty")?,
                save: *library.get(b"pcram_save")?,
                view: *library.get(b"pcram_view")?,
                file: Box::new(file),
                out,
                _library: library,
            })
        }
    }
}

impl Functions {
    /// A guest without RAM, and a migration that has just begun.
    pub fn begin(&mut self, mode: Mode, ignore_shared: bool) {
        let mode = match mode {
            Mode::Normal => 0,
            Mode::CprReboot => 1,
            Mode::CprTransfer => 2,
            Mode::CprExec => 3,
        };
        self.file.out_len = 0;
        // SAFETY: the file lives as long as the functions do, in a box.
        unsafe { (self.begin)(&mut *self.file, mode, ignore_shared.into()) }
    }

    /// Adds a block at the end of the list.
    ///
    /// # Safety
    ///
    /// `host` has that many pages, until the next [`Functions::begin`]; there are fewer than 8 blocks.
    pub unsafe fn add(
        &mut self,
        idstr: &str,
        host: *mut u8,
        pages: u64,
        host_page: u64,
        kind: Kind,
    ) {
        let name = CString::new(idstr).expect("a block's name has no NUL");
        let kind = match kind {
            Kind::Plain => 0,
            Kind::NotMigratable => 1,
            Kind::SharedFile => 2,
            Kind::Shared => 3,
            Kind::External => 4,
        };
        // SAFETY: as the caller promises; the name is copied.
        unsafe { (self.add)(name.as_ptr(), host, pages, host_page, kind) }
    }

    /// All blocks are there.
    pub fn start(&mut self) {
        // SAFETY: it only counts.
        unsafe { (self.start)() }
    }

    /// The guest has written a page of a block that was added.
    pub fn set_dirty(&mut self, block: usize, page: u64) {
        // SAFETY: a bitmap has a bit for each page that a block can have.
        unsafe { (self.set_dirty)(block as c_int, page) }
    }

    /// `ram_find_and_save_block`.
    ///
    /// # Safety
    ///
    /// It comes to an end: the mirror was asked.
    pub unsafe fn save(&mut self) -> i64 {
        // SAFETY: as the caller promises.
        unsafe { (self.save)() }
    }

    /// All that was written.
    pub fn written(&self) -> &[u8] {
        &self.out[..self.file.out_len as usize]
    }

    /// Reads the variables into `view`.
    pub fn view(&self, view: &mut View) {
        // SAFETY: it fills in what it is given.
        unsafe { (self.view)(view) }
    }
}
