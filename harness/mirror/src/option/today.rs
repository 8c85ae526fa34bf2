//! The option as carried on 5.2 and later: system/pcram-file.c (softmmu/ before 10.0) and
//! backends/hostmem-pcram.c.

use super::opts::{List, parse};
use super::types::Types;
use super::{Came, Did, Mapped, PCRAM_ID, Setting, Start, Today, Watched, open};

/// What the mirrored machine type is called.
pub const MACHINE: &str = "none";
/// What the type of the backend is called.
const TYPE_MEMORY_BACKEND_PCRAM: &str = "memory-backend-pcram";
/// What QEMU calls itself.
pub const PROGRAM: &str = "qemu-system-x86_64";
const PAGE: u64 = 4096;

/// From the command line to the first thread of a processor, and to the backend's end where it goes.
pub fn start(start: &Start, today: Today) -> Did {
    let mut did = init(start, today);
    if did.came == Came::Refused {
        return did;
    }
    let types = Types { others: start.types, internal: today.internal };
    for line in start.asks.map(|asks| types.object_add(asks)).unwrap_or_default() {
        did.say(line);
    }
    match start.thread.qemu_thread_create(&mut did.blocked) {
        Ok(begun) => did.begun = Some(begun),
        Err(why) => {
            did.say(why);
            did.came = Came::Aborted;
        }
    }
    if start.ends && did.came == Came::Mapped {
        pcram_backend_instance_finalize(&mut did);
    }
    did
}

/// From the command line to the machine's memory backend (vl.c, `pcram_file_init`).
fn init(start: &Start, today: Today) -> Did {
    let (mut list, mut did) = (List::new(), Did::of(start));
    for text in start.given {
        if !parse(&mut list, text, today.warns_of_flags, &mut did) {
            did.came = Came::Refused;
            return did;
        }
    }
    let Some(first) = list.first() else { return did };
    let path = first.paths.last().map_or("", String::as_str);
    let reason = match first.paths.len() {
        _ if list.len() > 1 => Some("the option is given more than once".to_owned()),
        2.. => Some("the path is given more than once".to_owned()),
        _ if path.is_empty() => Some("the path is empty".to_owned()),
        _ => pcram_file_validate(start),
    };
    match reason {
        Some(reason) => did.refuse(path, reason),
        None => pcram_file_create_memdev(start, path, today, did),
    }
}

/// The backend, which goes at once where it has no memory. Else it is asked for its path, and to have
/// another.
fn pcram_file_create_memdev(start: &Start, path: &str, today: Today, mut did: Did) -> Did {
    if let Err(reason) = pcram_backend_memory_alloc(start, path, today, &mut did) {
        pcram_backend_instance_finalize(&mut did);
        return did.refuse(path, reason);
    }
    did.came = Came::Mapped;
    did.path = path.to_owned();
    did.file = path.to_owned();
    did.say(format!("cannot change property 'path' of {TYPE_MEMORY_BACKEND_PCRAM}"));
    did
}

/// What beside the file speaks against its use; the first of all reasons.
fn pcram_file_validate(start: &Start) -> Option<String> {
    let has = |setting| start.has(setting);
    let reason = match () {
        () if has(Setting::OtherMachine) => {
            return Some(format!("machine type '{MACHINE}' has no such block"));
        }
        () if start.ram_size == 0 => "the machine has no RAM",
        () if has(Setting::MemPath) => "-mem-path is given, too",
        () if has(Setting::MemoryBackend) => "-machine memory-backend is given, too",
        () if has(Setting::NumaMemdev) => "-numa node,memdev is given, too",
        () if has(Setting::ObjectExists) => {
            return Some(format!("an object with the id '{PCRAM_ID}' exists already"));
        }
        () if has(Setting::Incoming) && has(Setting::MemLock) => {
            "-overcommit mem-lock=on would read all of the file before the incoming migration is \
             complete"
        }
        () if has(Setting::Confidential) => "the RAM of a confidential guest cannot be shared",
        () if has(Setting::Xen) => "Xen allocates the RAM itself",
        () if has(Setting::Kvm) && has(Setting::NoSyncMmu) => {
            "KVM has no synchronous MMU on this host"
        }
        () if has(Setting::Replay) => "record/replay has no control over the file's content",
        // What it says is another function's.
        () if has(Setting::Capability) => "a capability",
        () => return None,
    };
    Some(reason.to_owned())
}

fn pcram_backend_memory_alloc(
    start: &Start,
    path: &str,
    today: Today,
    did: &mut Did,
) -> Result<(), String> {
    if start.has(Setting::MemPrealloc) {
        return Err("-mem-prealloc would allocate all of the file".into());
    }
    let bytes = start.ram_size;
    open(start, path, bytes, did)?;
    qemu_ram_alloc_from_fd(start, bytes, today)?;
    did.watched = Some(Watched::new(PROGRAM, path, bytes));
    did.mapped = Some(Mapped { bytes, shared: true, named: today.named_files, external: true });
    did.unblock_sigbus(start);
    Ok(())
}

/// The block of a file that has `bytes`, as has the RAM. A block is of whole pages.
fn qemu_ram_alloc_from_fd(start: &Start, bytes: u64, today: Today) -> Result<(), String> {
    let size = bytes.next_multiple_of(PAGE);
    match today.tells_offset {
        true if bytes < size => Err(format!(
            "{PCRAM_ID} backing store size {bytes:#x} is too small for 'size' option {size:#x} plus \
             'offset' option 0x0"
        )),
        false if bytes < size => {
            Err(format!("backing store size {bytes:#x} does not match 'size' option {size:#x}"))
        }
        _ if start.has(Setting::CannotMap) => Err("it does not map".into()),
        _ => Ok(()),
    }
}

/// The path goes, and where there is memory, what would be said of faults. Whether by the block or
/// because there is none, the file is closed.
fn pcram_backend_instance_finalize(did: &mut Did) {
    did.freed = 1 + 2 * u64::from(did.watched.take().is_some());
    did.closed = did.opened;
}
