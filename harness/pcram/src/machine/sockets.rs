//! Short-lived folders for sockets, whose paths may be 107 bytes long at most, and for RAM files
//! that are to lie on another file system than the run's folder.
//!
//! They lie in the temporary directory, or where they are asked for, under this process's id, so
//! that what a killed run left is known by the id of a process that is gone.

use super::kind::bare::ROM;
use super::mounts;
use anyhow::{Context, Result};
use regex::Regex;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// What may lie in such a folder.
pub const NAMES: [&str; 9] =
    ["monitor", "debug", "serial", "incoming", "channel", "cpr", "back-end", "ram,file", ROM];

/// A new folder, removed when dropped. The first call of a process removes what killed runs left.
pub fn folder() -> Result<TempDir> {
    folder_in(&std::env::temp_dir())
}

/// The same, in `place`.
pub fn folder_in(place: &Path) -> Result<TempDir> {
    sweep_once(place);
    let prefix = format!("pcram-{}-", std::process::id());
    let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(place);
    made.with_context(|| format!("cannot make a folder in {}", place.display()))
}

fn sweep_once(place: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert(place.to_owned()) {
        sweep(place);
    }
}

/// Removes the folders of processes that are gone: what lies in them by its name, and then the folder
/// if that has emptied it. What cannot be removed is somebody else's.
fn sweep(place: &Path) {
    let ours = Regex::new(r"^pcram-(\d+)-\w{6}$").expect("the pattern is well-formed");
    for entry in fs::read_dir(place).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dead = |id: &str| !Path::new("/proc").join(id).exists();
        if ours.captures(&name).is_some_and(|found| is_dead(&found[1])) {
            mounts::detach(&entry.path());
            for name in NAMES {
                let _ = fs::remove_file(entry.path().join(name));
            }
            let _ = fs::remove_dir(entry.path());
            // A file of such a name is memory that a QEMU shares.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dead_runs_left_is_swept_and_nothing_of_others() {
        let place = tempfile::tempdir().unwrap();
        // No process has an id above the kernel's largest limit, 2^22.
        let dead = "pcram-4194305-abcdef".to_owned();
        let alive = format!("pcram-{}-abcdef", std::process::id());
        let stranger = "pcram-4194306-ghijkl".to_owned();
        for name in [&dead, &alive, &stranger, &"other".to_owned()] {
            fs::create_dir(place.path().join(name)).unwrap();
            fs::write(place.path().join(name).join("monitor"), "").unwrap();
        }
        fs::write(place.path().join(&stranger).join("letter"), "kept").unwrap();
        let memory = place.path().join("pcram-4194305-shared");
        fs::write(&memory, "").unwrap();
        sweep(place.path());
        assert!(!place.path().join(dead).exists() && !memory.exists());
        assert!(place.path().join(alive).join("monitor").exists());
        assert!(place.path().join(stranger).join("letter").exists());
        assert!(place.path().join("other").join("monitor").exists());
    }
}
