//! What the host has: found out by trying, without leaving anything behind.

use crate::check::trial::TMPFS;
use indicatif::BinaryBytes;
use rustix::fs::{Access, CWD, Mode, OFlags, access, openat, statvfs};
use rustix::io::{Errno, write};
use std::fs::File;
use std::path::Path;

/// What the trees and the build of one revision take, in bytes.
const ONE_REVISION: u64 = 1 << 30;

/// What can be said for the cache at `place`, or why it cannot be used.
pub(super) fn cache(place: &Path) -> Result<String, String> {
    // Where there is none, it would be made in the first folder that is there.
    let folder = place.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    writable(folder)
        .map_err(|error| format!("{} cannot be written to: {error}", folder.display()))?;
    let free = free(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let shown = BinaryBytes(free);
    if free < ONE_REVISION {
        let wanted = BinaryBytes(ONE_REVISION);
        let folder = folder.display();
        return Err(format!("{folder} has {shown} free; the build of a revision wants {wanted}"));
    }
    let there = if folder == place { "writable" } else { "not there yet; it can be made" };
    Ok(format!("{there}, {shown} free"))
}

/// Writes to a file that has no name, and so is gone when it is closed.
fn writable(folder: &Path) -> Result<(), Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => write(file, b"doctor").map(drop),
        // A file system that has no such files can only be asked.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => access(folder, Access::WRITE_OK | Access::EXEC_OK),
        Err(error) => Err(error),
    }
}

fn free(folder: &Path) -> Result<u64, Errno> {
    statvfs(folder).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether a device is there and can be opened.
pub(super) fn device(path: &str) -> Result<String, String> {
    match File::options().read(true).write(true).open(path) {
        Ok(_) => Ok(format!("{path} can be opened")),
        Err(error) => Err(format!("{path} cannot be used: {error}")),
    }
}

/// The tmpfs for RAM files, and its space.
pub(super) fn tmpfs() -> Result<String, String> {
    if !crate::check::trial::has_tmpfs() {
        return Err(format!("{TMPFS} is no tmpfs"));
    }
    let folder = Path::new(TMPFS);
    let space = writable(folder).and_then(|()| free(folder));
    match space {
        Ok(free) => Ok(format!("{TMPFS} is a tmpfs with {} free", BinaryBytes(free))),
        Err(error) => Err(format!("{TMPFS} is a tmpfs that cannot be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_cache_is_looked_at_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/cache");
        assert!(cache(&place).unwrap().starts_with("not there yet; it can be made, "));
        assert!(cache(folder.path()).unwrap().starts_with("writable, "));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
    }

    #[test]
    fn a_place_that_takes_no_file_is_found_out_by_trying() {
        // Not even root makes a file there.
        let error = cache(Path::new("/proc/self/cache")).unwrap_err();
        assert!(error.contains("cannot be written to"), "{error}");
    }

    #[test]
    fn devices_are_opened() {
        assert_eq!(device("/dev/null").unwrap(), "/dev/null can be opened");
        let missing = device("/dev/nowhere").unwrap_err();
        assert!(missing.starts_with("/dev/nowhere cannot be used: No such file"), "{missing}");
    }
}
