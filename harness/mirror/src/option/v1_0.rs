//! The option as carried on QEMU 1.0: hw/pcram-file.c, and vl.c around it.

use super::opts::{List, Opts, parse_v1_0};
use super::{Came, Did, Mapped, Setting, Start, Watched, open};

/// What the mirrored machine type is called.
pub const MACHINE: &str = "pc-1.0";
const PAGE: u64 = 4096;

/// From the command line to the end of the board's initialization.
pub fn start(start: &Start) -> Did {
    let (mut list, mut did) = (List::new(), Did::of(start));
    for text in start.given {
        if !parse_v1_0(&mut list, text, &mut did) {
            did.came = Came::Refused;
            return did;
        }
    }
    let Some(first) = list.first() else { return did };
    // A board without the block, and the one for Xen, never ask for the file.
    let asks = !start.has(Setting::OtherMachine) && !start.has(Setting::Xen);
    match (pcram_file_path(first, list.len()), asks) {
        (Err((path, reason)), _) => did.refuse(path, reason),
        (Ok(path), true) => pcram_file_init_ram(start, path, did),
        (Ok(path), false) => pcram_file_refuse_unused(start, path, did),
    }
}

/// The path, or the one that is shown and why it is none.
fn pcram_file_path(first: &Opts, given: usize) -> Result<&str, (&str, &'static str)> {
    let path = first.paths.last().map_or("", String::as_str);
    match first.paths.len() {
        _ if given > 1 => Err((path, "the option is given more than once")),
        2.. => Err((path, "the path is given more than once")),
        _ if path.is_empty() => Err((path, "the path is empty")),
        _ => Ok(path),
    }
}

/// What beside the file speaks against its use.
fn pcram_file_validate(start: &Start) -> Option<&'static str> {
    match () {
        () if start.has(Setting::MemPath) => Some("-mem-path is given, too"),
        () if start.has(Setting::MemPrealloc) => {
            Some("-mem-prealloc would allocate all of the file")
        }
        () if start.has(Setting::Kvm) && start.has(Setting::NoSyncMmu) => {
            Some("KVM has no synchronous MMU on this host")
        }
        () => None,
    }
}

fn pcram_file_init_ram(start: &Start, path: &str, mut did: Did) -> Did {
    if let Some(reason) = pcram_file_validate(start) {
        return did.refuse(path, reason);
    }
    let bytes = start.ram_size.next_multiple_of(PAGE);
    if let Err(reason) = open(start, path, bytes, &mut did) {
        return did.refuse(path, reason);
    }
    let why = match bytes {
        _ if start.has(Setting::CannotMap) => Some("Cannot allocate memory"),
        0 => Some("Invalid argument"),
        _ => None,
    };
    if let Some(why) = why {
        return did.refuse(path, format!("cannot map it shared: {why}"));
    }
    did.came = Came::Mapped;
    did.watched = Some(Watched::new("qemu", path, bytes));
    did.mapped = Some(Mapped { bytes, shared: true, named: false, external: true });
    did.unblock_sigbus(start);
    did
}

fn pcram_file_refuse_unused(start: &Start, path: &str, did: Did) -> Did {
    match start.has(Setting::Xen) {
        true => did.refuse(path, "Xen allocates the RAM itself"),
        false => did.refuse(path, format!("machine type '{MACHINE}' has no such block")),
    }
}
