//! The compiled functions, called: what `c/around` has on its side, field by field.

use super::file::{self, File};
use crate::lockstep::{Load, STREAM};
use libloading::{Library, Symbol};
use pcram_mirror::around::capabilities::Answer;
use pcram_mirror::around::external::Capability;
use pcram_mirror::around::snapshot::Snapshot;
use pcram_mirror::around::{self, Block, multifd};
use pcram_mirror::ram::{Kind, Mode};
use std::ffi::{CString, c_char, c_int};
use std::path::Path;

/// `struct pcram_settings` of before.h.
#[repr(C)]
struct Settings {
    all: [i32; 13],
}

/// `struct pcram_block` of after.c.
#[repr(C)]
struct RawBlock {
    idstr: *const c_char,
    host: u64,
    used_length: u64,
    max_length: u64,
    page_size: u64,
    addr: u64,
    kind: i32,
    resizeable: i32,
}

/// `struct pcram_written` of dirtyrate.c.
#[repr(C)]
struct Written {
    block: i32,
    page: i32,
}

/// `struct pcram_snapshot` of snapshot.h.
#[repr(C)]
struct RawSnapshot {
    named: i32,
    overwrite: i32,
    replay: i32,
    fails: i32,
}

/// What a call that reads a stream gives: what it returns, where it ended, and the file's error.
pub type Read = (i64, u64, i32);

type Reader = unsafe extern "C" fn(*mut File) -> i64;

/// The compiled functions of one tree. They have one guest, in static variables. What some trees do not
/// have is not called for them.
pub struct Functions {
    begin: unsafe extern "C" fn(*const Settings, *mut u8),
    add: unsafe extern "C" fn(*const RawBlock),
    start: unsafe extern "C" fn(),
    said: unsafe extern "C" fn(*mut u64) -> *const u8,
    view: unsafe extern "C" fn(),
    ask: unsafe extern "C" fn(c_int) -> i64,
    load: Reader,
    header: Reader,
    save_header: unsafe extern "C" fn(*mut File),
    sample: unsafe extern "C" fn(u64, i64, *const Written, c_int, c_int),
    hint: unsafe extern "C" fn(u64, u64),
    snapshot: unsafe extern "C" fn(*const RawSnapshot) -> i64,
    format: unsafe extern "C" fn(bool, c_int),
    caps_check: unsafe extern "C" fn(*const bool, *mut bool, *const bool) -> i64,
    receive: unsafe extern "C" fn(*mut u8) -> i64,
    queue: Option<unsafe extern "C" fn(*mut File, c_int, u64) -> i64>,
    mapped: Option<Mapped>,
    external: Option<External>,
    file: Box<File>,
    out: Box<[u8]>,
    // Behind everything that points into it.
    _library: Library,
}

/// Of trees that have mapped-ram.
struct Mapped {
    setup: unsafe extern "C" fn(*mut File, c_int),
    mark: unsafe extern "C" fn(c_int, u64),
    save_file_bmap: unsafe extern "C" fn(*mut File),
}

/// Of trees that have the series.
struct External {
    caps: unsafe extern "C" fn(*const bool, *const c_char) -> i64,
}

impl Load for Functions {
    fn load(object: &Path) -> Result<Functions, libloading::Error> {
        // SAFETY: the object has no constructors, and the types are those of after.c.
        unsafe {
            let library = Library::new(object)?;
            let mut out = vec![0; STREAM].into_boxed_slice();
            let file = File {
                out: out.as_mut_ptr(),
                out_cap: STREAM as u64,
                // It is one that is written.
                input: std::ptr::null(),
                ..File::of(&[])
            };
            let has = |name: &[u8]| {
                let found: Result<Symbol<unsafe extern "C" fn()>, _> = library.get(name);
                found.is_ok()
            };
            let mapped = match has(b"pcram_setup") {
                true => Some(Mapped {
                    setup: *library.get(b"pcram_setup")?,
                    mark: *library.get(b"pcram_mark")?,
                    save_file_bmap: *library.get(b"pcram_save_file_bmap")?,
                }),
                false => None,
            };
            let external = match has(b"pcram_caps") {
                true => Some(External { caps: *library.get(b"pcram_caps")? }),
                false => None,
            };
            Ok(Functions {
                begin: *library.get(b"pcram_begin")?,
                add: *library.get(b"pcram_add")?,
                start: *library.get(b"pcram_start")?,
                said: *library.get(b"pcram_said")?,
                view: *library.get(b"pcram_view")?,
                ask: *library.get(b"pcram_ask")?,
                load: *library.get(b"pcram_load")?,
                header: *library.get(b"pcram_header")?,
                save_header: *library.get(b"pcram_save_header")?,
                sample: *library.get(b"pcram_sample")?,
                hint: *library.get(b"pcram_hint")?,
                snapshot: *library.get(b"pcram_snapshot")?,
                format: *library.get(b"pcram_format")?,
                caps_check: *library.get(b"pcram_caps_check")?,
                receive: *library.get(b"pcram_receive")?,
                queue: library.get(b"pcram_queue").ok().map(|queue| *queue),
                mapped,
                external,
                file: Box::new(file),
                out,
                _library: library,
            })
        }
    }
}

impl Functions {
    /// A guest with these blocks, and a migration that has just begun.
    ///
    /// # Safety
    ///
    /// `memory` has what the blocks have, until the next [`Functions::begin`]; there are fewer than 8
    /// blocks, and fewer than 8 words to a bitmap.
    pub unsafe fn begin(&mut self, it: &around::Settings, blocks: &[Block], memory: &mut [u8]) {
        let mode = match it.mode {
            Mode::Normal => 0,
            Mode::CprReboot => 1,
            Mode::CprTransfer => 2,
            Mode::CprExec => 3,
        };
        let flags = [
            it.ignore_shared,
            it.mapped_ram,
            it.multifd,
            it.flush_each_section,
            it.postcopy_ram,
            it.postcopy_advised,
            it.send_configuration,
            it.vmdesc,
            it.restore_vm,
            it.running,
            it.others_fail,
            it.fast_thread,
        ];
        let mut settings = Settings { all: [mode; 13] };
        settings.all[1..].iter_mut().zip(flags).for_each(|(to, flag)| *to = flag.into());
        (self.file.out_len, self.file.out_at, self.file.error) = (0, 0, 0);
        // SAFETY: as the caller promises.
        unsafe { (self.begin)(&settings, memory.as_mut_ptr()) }
        for block in blocks {
            let name = CString::new(block.idstr.clone()).expect("a block's name has no NUL");
            let raw = RawBlock {
                idstr: name.as_ptr(),
                host: block.host,
                used_length: block.used_length,
                max_length: block.max_length,
                page_size: block.page_size,
                addr: block.addr,
                kind: match block.kind {
                    Kind::Plain => 0,
                    Kind::NotMigratable => 1,
                    Kind::SharedFile => 2,
                    Kind::Shared => 3,
                    Kind::External => 4,
                },
                resizeable: block.resizeable.into(),
            };
            // SAFETY: the name is copied, and there is room for so many blocks.
            unsafe { (self.add)(&raw) }
        }
        // SAFETY: bitmaps are allocated.
        unsafe { (self.start)() }
    }

    /// What was said since it was last asked.
    pub fn said(&mut self) -> &[u8] {
        let mut length = 0;
        // SAFETY: what it gives has that length, and stays until something else is said.
        unsafe {
            let text = (self.said)(&mut length);
            std::slice::from_raw_parts(text, length as usize)
        }
    }

    /// The variables, as lines.
    pub fn view(&mut self) -> &[u8] {
        // SAFETY: it reads its own variables.
        unsafe { (self.view)() }
        self.said()
    }

    /// What each block is; gives what `foreach_not_ignored_block` does.
    pub fn ask(&mut self, stop: u8) -> i64 {
        // SAFETY: nothing is changed.
        unsafe { (self.ask)(stop.into()) }
    }

    /// `ram_load_precopy`.
    ///
    /// # Safety
    ///
    /// It does nothing here that C does not define: the mirror was asked.
    pub unsafe fn load_precopy(&mut self, input: &[u8]) -> Read {
        // SAFETY: as the caller promises.
        unsafe { self.read(self.load, input) }
    }

    /// `qemu_loadvm_state_header`.
    pub fn header(&mut self, input: &[u8]) -> Read {
        // SAFETY: it reads no more than there is.
        unsafe { self.read(self.header, input) }
    }

    /// `qemu_savevm_state_header`.
    pub fn save_header(&mut self) {
        // SAFETY: it writes no more than there is room for, or aborts.
        unsafe { (self.save_header)(&mut *self.file) }
    }

    /// `calculate_dirtyrate_sample_vm`.
    ///
    /// # Safety
    ///
    /// The blocks were added, and have the pages that are written.
    pub unsafe fn sample(
        &mut self,
        rate: u64,
        seconds: u64,
        written: &[(usize, u64)],
        cut: Option<usize>,
    ) {
        let raw =
            |&(block, page): &(usize, u64)| Written { block: block as i32, page: page as i32 };
        let raw: Vec<_> = written.iter().map(raw).collect();
        let cut = cut.map_or(-1, |block| block as c_int);
        // SAFETY: as the caller promises; what is written outlives the call.
        unsafe { (self.sample)(rate, seconds as i64, raw.as_ptr(), raw.len() as c_int, cut) }
    }

    /// # Safety
    ///
    /// The function does nothing with this stream that C does not define.
    unsafe fn read(&self, function: Reader, input: &[u8]) -> Read {
        let mut file = File::of(input);
        // SAFETY: as the caller promises; nothing keeps the file.
        let came = unsafe { function(&mut file) };
        (came, file.in_at, file.error)
    }

    /// `qemu_guest_free_page_hint`.
    ///
    /// # Safety
    ///
    /// Every block of it has a bitmap, or is asked whether it has: the mirror was asked.
    pub unsafe fn hint(&mut self, at: u64, length: u64) {
        // SAFETY: as the caller promises.
        unsafe { (self.hint)(at, length) }
    }

    /// `save_snapshot`.
    pub fn snapshot(&mut self, it: &Snapshot) -> i64 {
        let raw = RawSnapshot {
            named: it.named.into(),
            overwrite: it.overwrite.into(),
            replay: it.replay.into(),
            fails: it.fails.map_or(-1, |it| it as i32),
        };
        // SAFETY: it is copied, and nothing but the said stand-ins is asked.
        unsafe { (self.snapshot)(&raw) }
    }

    /// `ram_block_format`.
    pub fn format(&mut self, links: bool, readonly: Option<usize>) {
        // SAFETY: there is room for so many lines, or it aborts.
        unsafe { (self.format)(links, readonly.map_or(-1, |block| block as c_int)) }
    }

    /// `migrate_caps_check`.
    pub fn caps_check(&mut self, on: &[Capability], new: &[Capability], answers: &[Answer]) -> i64 {
        let (on, mut new) = (Capability::each(on), Capability::each(new));
        let answers = Answer::ALL.map(|it| answers.contains(&it));
        // SAFETY: there are as many of each as C has.
        unsafe { (self.caps_check)(on.as_ptr(), new.as_mut_ptr(), answers.as_ptr()) }
    }

    /// `multifd_recv_unfill_packet`.
    ///
    /// # Safety
    ///
    /// It does not read beyond the packet's end: the mirror was asked.
    pub unsafe fn receive(&mut self, packet: &mut [u8]) -> i64 {
        assert!(packet.len() > multifd::PAGES * 8, "a packet has room for its offsets");
        // SAFETY: as the caller promises.
        unsafe { (self.receive)(packet.as_mut_ptr()) }
    }

    /// `multifd_queue_page`.
    ///
    /// # Safety
    ///
    /// The block is one that was added, and the queue is not full: the mirror was asked.
    pub unsafe fn queue(&mut self, block: usize, offset: u64) -> Option<i64> {
        // SAFETY: as the caller promises.
        self.queue.map(|queue| unsafe { queue(&mut *self.file, block as c_int, offset) })
    }

    /// `mapped_ram_setup_ramblock`, of a block that was added.
    pub fn setup(&mut self, block: usize) {
        if let Some(mapped) = &self.mapped {
            // SAFETY: it writes no more than there is room for, or aborts.
            unsafe { (mapped.setup)(&mut *self.file, block as c_int) }
        }
    }

    /// A page of a block that was added is in the file.
    pub fn mark(&mut self, block: usize, page: u64) {
        if let Some(mapped) = &self.mapped {
            // SAFETY: the bitmap has a bit for each page of the block.
            unsafe { (mapped.mark)(block as c_int, page) }
        }
    }

    /// `ram_save_file_bmap`.
    pub fn save_file_bmap(&mut self) {
        if let Some(mapped) = &self.mapped {
            // SAFETY: where there is no bitmap, the file has an error.
            unsafe { (mapped.save_file_bmap)(&mut *self.file) }
        }
    }

    /// `caps_allow_external_ram`, of whether each capability is on; without, of those that are
    /// (`migrate_caps_allow_external_ram`).
    pub fn caps(
        &mut self,
        caps: Option<[bool; Capability::ALL.len()]>,
        idstr: &[u8],
    ) -> Option<i64> {
        let name = CString::new(idstr).expect("a name has no NUL");
        let allow = self.external.as_ref()?.caps;
        let caps = caps.as_ref().map_or(std::ptr::null(), |caps| caps.as_ptr());
        // SAFETY: there are as many capabilities as before.h has.
        Some(unsafe { allow(caps, name.as_ptr()) })
    }

    /// All that was written: where each piece goes, and the piece.
    pub fn pieces(&self) -> Vec<(u64, Vec<u8>)> {
        file::pieces(&self.out[..self.file.out_len as usize])
    }

    /// Where the next piece goes, and the error of what is written.
    pub fn written(&self) -> (u64, i32) {
        (self.file.out_at, self.file.error)
    }
}
