//! The option `-pcram-file`: what is asked of it and of its file, and what the user is told.
//!
//! [`v1_0`] is the series as carried on QEMU 1.0, [`today`] the one for 5.2 and later, [`posted`] what
//! was posted in 2011, with its registry of files. [`opts`] reads what stands behind the option,
//! [`sigbus`] is how a fault comes to what tells of it, [`thread`] in which threads it can, and [`types`]
//! is what users hear of the type behind the option.

pub mod opts;
pub mod posted;
pub mod sigbus;
pub mod thread;
pub mod today;
pub mod types;
pub mod v1_0;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thread::{Begun, Mask, Signal, Thread};
use types::{ObjectAdd, Type};

/// The block that the file becomes.
pub const PCRAM_ID: &str = "pc.ram";

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Code {
    /// The posting of 2011.
    Posted,
    /// The carried series on QEMU 1.0.
    V1_0,
    /// The carried series on 5.2 and later.
    Today(Today),
}

/// What the lines of QEMU from 5.2 on have of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Today {
    /// Whether a name without a value is warned of (util/qemu-option.c of 6.0 and later).
    pub warns_of_flags: bool,
    /// Whether a block can be known to be a named file (`RAM_NAMED_FILE`, 8.1 and later).
    pub named_files: bool,
    /// Whether a file that is too short is told with where its block begins (later than 7.2).
    pub tells_offset: bool,
    /// Whether a class says that only QEMU itself makes its objects (5.2; later, QAPI lists the others).
    pub internal: bool,
}

/// What else the user, the host and the machine say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// The machine has another block than `pc.ram`.
    OtherMachine,
    /// `-mem-path`.
    MemPath,
    /// `-mem-prealloc`.
    MemPrealloc,
    /// `-machine memory-backend=`.
    MemoryBackend,
    /// `-numa node,memdev=`.
    NumaMemdev,
    /// An object has the block's name as its id.
    ObjectExists,
    /// `-incoming`.
    Incoming,
    /// `-overcommit mem-lock=on`.
    MemLock,
    /// A confidential guest.
    Confidential,
    /// Xen.
    Xen,
    /// KVM.
    Kvm,
    /// The host's KVM has no synchronous MMU.
    NoSyncMmu,
    /// Record/replay.
    Replay,
    /// A capability of migration speaks against it (`migrate_caps_allow_external_ram`).
    Capability,
    /// The file cannot be mapped.
    CannotMap,
}

impl Setting {
    /// Every setting; its place is its bit in C.
    pub const ALL: [Setting; 15] = [
        Setting::OtherMachine,
        Setting::MemPath,
        Setting::MemPrealloc,
        Setting::MemoryBackend,
        Setting::NumaMemdev,
        Setting::ObjectExists,
        Setting::Incoming,
        Setting::MemLock,
        Setting::Confidential,
        Setting::Xen,
        Setting::Kvm,
        Setting::NoSyncMmu,
        Setting::Replay,
        Setting::Capability,
        Setting::CannotMap,
    ];
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// To nothing; what `strerror` says of it.
    Missing(&'static str),
    /// To a directory.
    Directory,
    /// To a FIFO.
    Fifo,
    /// To a regular file of that many bytes.
    Regular(u64),
}

/// What a user has started.
pub struct Start<'a> {
    /// The argument of each `-pcram-file`.
    pub given: &'a [String],
    /// The RAM of the machine in bytes.
    pub ram_size: u64,
    /// What else is said.
    pub settings: &'a BTreeSet<Setting>,
    /// What a path leads to.
    pub file: &'a dyn Fn(&str) -> File,
    /// Whether the backend goes again (5.2 and later).
    pub ends: bool,
    /// What the main thread has blocked.
    pub blocked: &'a Mask,
    /// The thread that begins once the option is done with (5.2 and later).
    pub thread: Thread,
    /// The types of objects that there are beside the backend's (5.2 and later).
    pub types: &'a BTreeSet<Type>,
    /// What a monitor then asks for (5.2 and later).
    pub asks: Option<ObjectAdd>,
}

impl Start<'_> {
    fn has(&self, setting: Setting) -> bool {
        self.settings.contains(&setting)
    }
}

/// How it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Came {
    /// The option is not given: RAM is as ever.
    #[default]
    NotAsked,
    /// The file is the block.
    Mapped,
    /// QEMU exits with status 1.
    Refused,
    /// QEMU calls `abort()`.
    Aborted,
}

/// What a block that is mapped is known as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether others see what the guest writes.
    pub shared: bool,
    /// Whether it is known to be a named file.
    pub named: bool,
    /// Whether the stream leaves its pages out.
    pub external: bool,
}

/// What came of a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Did {
    /// How it ends.
    pub came: Came,
    /// What is said on the way, a line each.
    pub said: String,
    /// Files that are opened.
    pub opened: u64,
    /// Files that are closed again.
    pub closed: u64,
    /// The block, where the file is one.
    pub mapped: Option<Mapped>,
    /// What is said when the guest loses its RAM, where it is.
    pub watched: Option<Watched>,
    /// The path that the backend has, as it is asked for (5.2 and later).
    pub path: String,
    /// What Linux calls the file of the block (`ram_block_file_name` of 5.2 and later).
    pub file: String,
    /// The pieces of memory that the backend frees as it ends (5.2 and later).
    pub freed: u64,
    /// What the main thread has blocked then.
    pub blocked: Mask,
    /// The thread, where one has begun (5.2 and later).
    pub begun: Option<Begun>,
}

impl Did {
    /// Nothing yet.
    fn of(start: &Start) -> Did {
        Did { blocked: start.blocked.clone(), ..Did::default() }
    }

    /// Without KVM, a fault of QEMU's own is told, too: SIGBUS is let through (`pcram_watch_faults`, 1.0's
    /// `qemu_ram_watch_faults`).
    fn unblock_sigbus(&mut self, start: &Start) {
        if !start.has(Setting::Kvm) {
            self.blocked.remove(&Signal::Bus);
        }
    }

    fn say(&mut self, line: impl AsRef<str>) {
        self.said.push_str(line.as_ref());
        self.said.push('\n');
    }

    /// The user is told a reason, in a line that begins with the option and the block.
    fn refuse(mut self, path: &str, reason: impl AsRef<str>) -> Did {
        let reason = reason.as_ref();
        self.say(format!("-pcram-file '{path}': not usable as RAM block '{PCRAM_ID}': {reason}"));
        self.came = Came::Refused;
        self
    }
}

/// What is said when the guest loses its RAM: hostmem-pcram.c `pcram_mapping`, exec.c `watched_ram`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The block's length in bytes.
    pub bytes: u64,
    /// Where the file is shorter than that.
    pub cut_short: String,
    /// Where it is not.
    pub unavailable: String,
}

impl Watched {
    /// As both series word it; `program` is what QEMU calls itself.
    fn new(program: &str, path: &str, bytes: u64) -> Watched {
        let what = format!("{program}: -pcram-file '{path}': RAM block '{PCRAM_ID}'");
        let needs = format!("the block needs {bytes} bytes");
        Watched {
            bytes,
            cut_short: format!("{what}: the file was cut short under the guest, {needs}\n"),
            unavailable: format!(
                "{what}: the host cannot read a page of the file, or has no space left for it\n"
            ),
        }
    }

    /// What is said of a fault at this distance from where the block begins; the file has `bytes`
    /// (hostmem-pcram.c `hostmem_pcram_report_sigbus`, exec.c `qemu_ram_report_fault`).
    pub fn fault(&self, at: i64, bytes: u64) -> &str {
        match u64::try_from(at).is_ok_and(|at| at < self.bytes) {
            true if bytes < self.bytes => &self.cut_short,
            true => &self.unavailable,
            false => "",
        }
    }

    /// What is said where KVM stops the guest (`hostmem_pcram_report_if_cut_short`,
    /// `qemu_ram_report_if_cut_short`).
    pub fn stopped(&self, bytes: u64) -> &str {
        if bytes < self.bytes { &self.cut_short } else { "" }
    }
}

/// A regular file of the block's size, opened; hostmem-pcram.c `pcram_open`, 1.0's
/// hw/pcram-file.c `pcram_file_open`.
///
/// # Errors
///
/// Why the file is none, as the user is told.
fn open(start: &Start, path: &str, size: u64, did: &mut Did) -> Result<(), String> {
    let bytes = match (start.file)(path) {
        File::Directory | File::Fifo => return Err("not a regular file".into()),
        File::Missing(why) => {
            return Err(format!("cannot open it for reading and writing: {why}"));
        }
        File::Regular(bytes) => bytes,
    };
    did.opened += 1;
    match bytes == size {
        true => Ok(()),
        false => Err(format!("the file has {bytes} bytes, the block needs {size} bytes")),
    }
}
