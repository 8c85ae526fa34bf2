//! What a file looked like before, and whether anybody touched it since.

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// All that can be seen of a file from outside: type, mode, length, allocated blocks, the three
/// times and, of a regular file, its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Option<Look>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    mode: u32,
    length: u64,
    blocks: u64,
    accessed: (i64, i64),
    modified: (i64, i64),
    changed: (i64, i64),
    bytes: Option<blake3::Hash>,
}

impl Seen {
    /// Looks at what lies at `path`, without moving its time of last access. Nothing there is a
    /// look, too.
    pub fn at(path: &Path) -> Result<Seen> {
        let cannot = || format!("cannot look at {}", path.display());
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen(None)),
            Err(error) => return Err(error).with_context(cannot),
        };
        let bytes = if meta.is_file() { Some(hash(path).with_context(cannot)?) } else { None };
        Ok(Seen(Some(Look::new(&meta, bytes))))
    }

    /// What differs, in words; empty where nothing does.
    pub fn differences(&self, after: &Seen) -> Vec<String> {
        let (before, after) = match (&self.0, &after.0) {
            (None, None) => return Vec::new(),
            (None, Some(_)) => return vec!["it exists now".into()],
            (Some(_), None) => return vec!["it is gone".into()],
            (Some(before), Some(after)) => (before, after),
        };
        let mut found = Vec::new();
        let mut compare = |what: &str, before: String, after: String| {
            if before != after {
                found.push(format!("{what} was {before}, is {after}"));
            }
        };
        let time = |(seconds, nanoseconds): (i64, i64)| format!("{seconds}.{nanoseconds:09}");
        let hash = |bytes: &Option<blake3::Hash>| match bytes {
            Some(hash) => hash.to_hex()[..16].to_owned(),
            None => "none".to_owned(),
        };
        compare("its mode", format!("{:o}", before.mode), format!("{:o}", after.mode));
        compare("its length", before.length.to_string(), after.length.to_string());
        compare("its allocated blocks", before.blocks.to_string(), after.blocks.to_string());
        compare("its access time", time(before.accessed), time(after.accessed));
        compare("its modification time", time(before.modified), time(after.modified));
        compare("its change time", time(before.changed), time(after.changed));
        compare("the hash of its bytes", hash(&before.bytes), hash(&after.bytes));
        found
    }
}

impl Look {
    fn new(meta: &Metadata, bytes: Option<blake3::Hash>) -> Look {
        Look {
            mode: meta.mode(),
            length: meta.len(),
            blocks: meta.blocks(),
            // Whoever follows a link, and finds nothing there, has read it.
            accessed: if meta.is_symlink() { (0, 0) } else { (meta.atime(), meta.atime_nsec()) },
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            bytes,
        }
    }
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let quiet = OFlags::NOATIME.bits() as i32;
    hasher.update_reader(File::options().read(true).custom_flags(quiet).open(path)?)?;
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn differences_after(act: impl Fn(&Path)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        super::super::ram_file::create(&path, 8192).unwrap();
        let before = Seen::at(&path).unwrap();
        assert_eq!(before.differences(&Seen::at(&path).unwrap()), Vec::<String>::new());
        act(&path);
        before.differences(&Seen::at(&path).unwrap())
    }

    fn tells(differences: &[String], what: &str) -> bool {
        differences.iter().any(|each| each.starts_with(what))
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_nothing() {
        assert!(Seen::at(Path::new("/nowhere")).is_ok());
        let error = Seen::at(Path::new("/dev/null/x")).unwrap_err();
        assert_eq!(error.to_string(), "cannot look at /dev/null/x");
    }

    #[test]
    fn every_touch_is_seen() {
        let written = differences_after(|path| fs::write(path, [1; 8192]).unwrap());
        assert!(tells(&written, "the hash of its bytes") && tells(&written, "its modification"));
        assert!(tells(&written, "its allocated blocks"), "{written:?}");
        let read = differences_after(|path| drop(fs::read(path).unwrap()));
        assert!(tells(&read, "its access time"), "{read:?}");
        let grow = |path: &Path| File::options().write(true).open(path).unwrap().set_len(9000);
        assert!(tells(&differences_after(|path| grow(path).unwrap()), "its length was 8192"));
        let mode = differences_after(|path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
        });
        assert!(tells(&mode, "its mode") && tells(&mode, "its change time"));
        assert_eq!(differences_after(|path| fs::remove_file(path).unwrap()), ["it is gone"]);
    }

    #[test]
    fn a_file_that_appears_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let before = Seen::at(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(before.differences(&Seen::at(&path).unwrap()), ["it exists now"]);
    }
}
