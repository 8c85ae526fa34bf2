//! How a running QEMU holds its RAM file: mapped shared and writable as a whole, by a descriptor
//! that no child of QEMU's inherits.

use super::Finding;
use super::trial::Trial;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// What `flags` in /proc/PID/fdinfo has of a descriptor that is closed on exec (O_CLOEXEC).
const CLOSE_ON_EXEC: u64 = 0o2_000_000;

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Held {}

/// What the host's kernel says of the file and QEMU.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The flags of each descriptor of the file.
    descriptors: Vec<u64>,
    /// The mappings of the file.
    mappings: Vec<Mapping>,
}

/// A part of a process's memory that a file is mapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Its permissions, as proc(5) has them: `rw-s`.
    pub how: String,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Held {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let path = trial.ram_file()?;
        let mut machine = trial.start_patched(&path)?;
        let seen = look(&Path::new("/proc").join(machine.id().to_string()), &path)?;
        machine.kill()?;
        Ok(judge(trial.ram(), &seen))
    }
}

fn look(process: &Path, path: &Path) -> Result<Seen> {
    let cannot = || format!("cannot read {}", process.display());
    let mut seen = Seen::default();
    for entry in fs::read_dir(process.join("fd")).with_context(cannot)? {
        let entry = entry?;
        if fs::read_link(entry.path()).is_ok_and(|target| target == path) {
            let info = process.join("fdinfo").join(entry.file_name());
            let text = fs::read_to_string(info).with_context(cannot)?;
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = flags.and_then(|text| u64::from_str_radix(text.trim(), 8).ok());
            seen.descriptors.push(flags.context("a descriptor without flags")?);
        }
    }
    let maps = fs::read_to_string(process.join("maps")).with_context(cannot)?;
    seen.mappings = mappings(&maps, |file| Path::new(file) == path);
    Ok(seen)
}

/// The mappings of files whose path `is_it`, in a process's `maps`, as proc(5) has them:
/// `7f00-7f10 rw-s 00000000 00:1c 5                  /path`.
pub(super) fn mappings(maps: &str, is_it: impl Fn(&str) -> bool) -> Vec<Mapping> {
    let mapping = |line: &str| {
        let (words, path) = line.split_at(line.find('/')?);
        let mut words = words.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let parse = |text| u64::from_str_radix(text, 16).ok();
        let bytes = parse(to)? - parse(from)?;
        is_it(path).then_some(Mapping { how: words.next()?.to_owned(), bytes })
    };
    maps.lines().filter_map(mapping).collect()
}

fn judge(ram: u64, seen: &Seen) -> Finding {
    let mut wrong = Vec::new();
    let inherited = seen.descriptors.iter().filter(|flags| **flags & CLOSE_ON_EXEC == 0).count();
    if inherited > 0 {
        wrong.push(format!("{inherited} descriptors of the file are not closed on exec"));
    }
    let bytes: u64 = seen.mappings.iter().map(|it| it.bytes).sum();
    if bytes != ram {
        wrong.push(format!("{bytes} bytes of the file are mapped, not {ram}"));
    }
    if let Some(other) = seen.mappings.iter().find(|it| it.how != "rw-s") {
        wrong.push(format!("the file is mapped {}, not rw-s", other.how));
    }
    let count = seen.descriptors.len();
    let summary = format!("{bytes} bytes mapped rw-s; {count} descriptors, all closed on exec");
    Finding::new(wrong, summary).with("bytes mapped", bytes).with("descriptors", count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};

    #[test]
    fn a_private_partial_or_inherited_file_fails() {
        let judged = |descriptors: &[u64], how: &str, bytes| {
            let mappings = vec![Mapping { how: how.to_owned(), bytes }];
            judge(8192, &Seen { descriptors: descriptors.to_vec(), mappings }).verdict
        };
        assert_eq!(judged(&[0o2_100_002], "rw-s", 8192), Held);
        assert_eq!(judged(&[0o2_100_002, 0o100_002], "rw-s", 8192), Failed);
        assert_eq!(judged(&[0o2_100_002], "rw-p", 8192), Failed);
        assert_eq!(judged(&[0o2_100_002], "rw-s", 4096), Failed);
        assert_eq!(judge(8192, &Seen::default()).verdict, Failed);
    }

    #[test]
    fn the_kernels_lines_are_read() {
        let maps = "7f00000000-7f00002000 rw-s 00000000 00:1c 5    /dev/shm/ram,file\n\
                    7f00003000-7f00004000 rw-p 00000000 00:00 0    /dev/shm/other\n";
        let found = |path| mappings(maps, |file| file == path);
        assert_eq!(found("/dev/shm/ram,file"), [Mapping { how: "rw-s".into(), bytes: 8192 }]);
        assert_eq!(found("/dev/shm/other"), [Mapping { how: "rw-p".into(), bytes: 4096 }]);
        assert_eq!(found("/dev/shm"), []);
    }
}
