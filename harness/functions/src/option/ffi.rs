//! The compiled functions, called: what `c/option` has on its side, field by field.

use super::case::Case;
use crate::lockstep::Load;
use libloading::Library;
use pcram_mirror::option::sigbus::{Asked, Handled};
use pcram_mirror::option::thread::{Begun, Fails, Mask, Signal};
use pcram_mirror::option::types::ObjectAdd;
use pcram_mirror::option::{Came, Mapped};
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

/// Options that one case can have.
pub const MOST_GIVEN: usize = 4;

/// `struct pcram_start` of before.h.
#[repr(C)]
struct RawStart {
    folder: i32,
    settings: u32,
    ram_size: u64,
    given: u64,
    args: [*const c_char; MOST_GIVEN],
    ends: i32,
    fault: i32,
    fault_at: i64,
    cut_to: u64,
    si_code: u32,
    cpu: u8,
    kvm_fails: u8,
    detached: u8,
    thread_fails: u8,
    blocked: u32,
    types: u32,
    asks: u32,
}

/// `struct pcram_did` of before.h.
#[repr(C)]
struct RawDid {
    came: u64,
    opened: u64,
    closed: u64,
    bytes: u64,
    freed: u64,
    shared: u8,
    named: u8,
    external: u8,
    asked: u8,
    raised: u8,
    begun: u8,
    detached: u8,
    blocked: u32,
    begun_blocked: u32,
    said: [u8; 8192],
    told: [u8; 2048],
    path: [u8; 2048],
    file: [u8; 256],
}

/// What the C did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Did {
    /// How it ended.
    pub came: Came,
    /// What was said on the way.
    pub said: String,
    /// Files that were opened, and of them closed again.
    pub files: (u64, u64),
    /// The block, where the file is one.
    pub mapped: Option<Mapped>,
    /// The path that the backend has, as it is asked for.
    pub path: String,
    /// What Linux calls the file of the block.
    pub file: String,
    /// The pieces of memory that the backend frees as it ends.
    pub freed: u64,
    /// What the main thread has blocked.
    pub blocked: Mask,
    /// The thread that has begun.
    pub begun: Option<Begun>,
    /// What was told of the fault.
    pub told: String,
    /// What else was done about it.
    pub handled: Handled,
}

/// The compiled functions of one tree.
pub struct Functions {
    start: unsafe extern "C" fn(*const RawStart, *mut RawDid),
    did: Box<RawDid>,
    // Behind everything that points into it.
    _library: Library,
}

impl Load for Functions {
    fn load(object: &Path) -> Result<Functions, libloading::Error> {
        // SAFETY: the object has no constructors, and the types are those of before.h.
        unsafe {
            let library = Library::new(object)?;
            let start = *library.get(b"pcram_start")?;
            // SAFETY: numbers and bytes, which may all be zero.
            let did = Box::new(std::mem::zeroed());
            Ok(Functions { start, did, _library: library })
        }
    }
}

impl Functions {
    /// Runs a case; `settings` has a bit for each, and paths begin at `folder`.
    pub fn start(&mut self, folder: BorrowedFd, settings: u32, case: &Case) -> Did {
        let Case { given, ram_size, fault, ends, blocked, thread, types, asks, .. } = case;
        let words = |text: &String| CString::new(text.as_str()).expect("options have no NUL");
        let texts: Vec<_> = given.iter().map(words).collect();
        let arg = |at: usize| texts.get(at).map_or(std::ptr::null(), |text| text.as_ptr());
        let raw = RawStart {
            folder: folder.as_raw_fd(),
            settings,
            ram_size: *ram_size,
            given: texts.len().min(MOST_GIVEN) as u64,
            args: std::array::from_fn(arg),
            ends: (*ends).into(),
            fault: fault.is_some().into(),
            fault_at: fault.map_or(0, |fault| fault.at),
            cut_to: fault.map_or(0, |fault| fault.cut_to),
            si_code: fault.map_or(0, |fault| fault.sigbus.code as u32),
            cpu: fault.is_some_and(|fault| fault.sigbus.cpu).into(),
            kvm_fails: fault.is_some_and(|fault| fault.sigbus.kvm_fails).into(),
            detached: thread.detached.into(),
            thread_fails: match thread.fails {
                None => 0,
                Some(Fails::Attribute) => 1,
                Some(Fails::Create) => 2,
            },
            blocked: blocked.iter().fold(0, |all, signal| all | 1 << *signal as u32),
            types: types.iter().fold(0, |all, of| all | 1 << *of as u32),
            asks: match asks {
                None => 0,
                Some(ObjectAdd::Help) => 1,
                Some(ObjectAdd::Type(of)) => 2 + *of as u32,
            },
        };
        // SAFETY: all that it points to outlives the call, and the functions keep nothing of it.
        unsafe { (self.start)(&raw, &mut *self.did) };
        let did = &self.did;
        let text = |bytes: &[u8]| {
            let text = CStr::from_bytes_until_nul(bytes).expect("the C ends its texts");
            text.to_string_lossy().into_owned()
        };
        let mapped = Mapped {
            bytes: did.bytes,
            shared: did.shared != 0,
            named: did.named != 0,
            external: did.external != 0,
        };
        let mask = |bits: u32| -> Mask {
            Signal::ALL.into_iter().filter(|signal| bits & 1 << *signal as u32 != 0).collect()
        };
        let begun = Begun { detached: did.detached != 0, blocked: mask(did.begun_blocked) };
        let came = match did.came {
            0 => Came::NotAsked,
            1 => Came::Mapped,
            2 => Came::Refused,
            _ => Came::Aborted,
        };
        let asked = match did.asked {
            0 => None,
            1 => Some(Asked::Vcpu),
            _ => Some(Asked::Other),
        };
        Did {
            came,
            said: text(&did.said),
            files: (did.opened, did.closed),
            mapped: (mapped != Mapped::default()).then_some(mapped),
            told: text(&did.told),
            handled: Handled { asked, raised: did.raised != 0 },
            path: text(&did.path),
            file: text(&did.file),
            freed: did.freed,
            blocked: mask(did.blocked),
            begun: (did.begun != 0).then_some(begun),
        }
    }
}
