//! File systems that this tool mounts, each on a folder of its own, and how they go away again.

use rustix::mount::{UnmountFlags, unmount};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the list of mounts gives as their source.
pub const SOURCE: &str = "pcram";

/// Where this process has mounted something.
static MOUNTED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn mounted() -> MutexGuard<'static, Vec<PathBuf>> {
    MOUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers that this process has mounted a file system on `folder`.
pub fn note(folder: &Path) {
    mounted().push(folder.to_owned());
}

/// Takes a file system off `folder`, also where it is in use or its server is gone.
pub fn detach(folder: &Path) {
    mounted().retain(|each| each != folder);
    let ours = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if !ours.lines().filter_map(of_ours).any(|point| point == folder) {
        return;
    }
    if unmount(folder, UnmountFlags::DETACH).is_err() {
        // Whoever is not root mounts, and unmounts, by this program.
        let mut command = Command::new("fusermount3");
        command.args(["-u", "-z", "--"]).arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
    }
}

/// Takes off all that this process has mounted, where a signal ends it.
pub fn detach_all() {
    let all = mounted().clone();
    all.iter().for_each(|folder| detach(folder));
}

/// The mount point of a line of mountinfo, where the source is [`SOURCE`]:
/// `36 35 98:0 / /mnt/point rw,noatime shared:1 - fuse pcram rw`.
fn of_ours(line: &str) -> Option<PathBuf> {
    let (mount, super_block) = line.split_once(" - ")?;
    (super_block.split(' ').nth(1)? == SOURCE).then_some(())?;
    let point = mount.split(' ').nth(4)?;
    Some(PathBuf::from(OsString::from_vec(unescaped(point.as_bytes()))))
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| first == b'\\') {
            Some(byte) => (bytes.push(byte), rest = &tail[3..]).0,
            None => (bytes.push(first), rest = tail).0,
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_mounts_are_known_by_their_source() {
        let point = |line: &str| of_ours(line);
        let ours =
            r"36 35 0:52 / /tmp/pcram-1-ab\040c rw,nosuid shared:1 - fuse pcram rw,user_id=0";
        assert_eq!(point(ours), Some(PathBuf::from("/tmp/pcram-1-ab c")));
        assert_eq!(point(&ours.replace("fuse pcram", "fuse sshfs")), None);
        assert_eq!(point("36 35 0:52 / /tmp rw - tmpfs tmpfs rw"), None);
        assert_eq!(point("nonsense"), None);
        assert_eq!(unescaped(br"a\134b\04"), br"a\b\04");
    }
}
