//! A RAM file that is watched from outside: who reads or writes a page of it is counted.
//!
//! It is a file of a file system of ours (FUSE), mounted for as long as this value lives: the
//! kernel asks us for each page that somebody touches for the first time, be it through a mapping,
//! and gives us each page back that was written. Its content is that of another file.

use super::ram_file;
use super::{NotTried, leave_nothing_in};
use crate::machine::{mounts, sockets};
use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use pcram_mirror::address::TARGET_PAGE_SIZE;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// The file's number in its file system.
const INODE: INodeNo = INodeNo(2);
/// How long the kernel may remember what it was told.
const TTL: Duration = Duration::from_secs(3600);

/// What was asked of the file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requests to read.
    pub reads: u64,
    /// Requests to write.
    pub writes: u64,
    /// The numbers of the pages that these were about.
    pub pages: BTreeSet<u64>,
}

/// A watched file.
pub struct Watched {
    file: PathBuf,
    requests: Arc<Mutex<Requests>>,
    fails: Arc<AtomicBool>,
    _session: BackgroundSession,
    folder: TempDir,
}

impl Watched {
    /// A file with the content of `content`, which takes what is written.
    ///
    /// # Errors
    /// [`NotTried`] where this user cannot mount a file system.
    pub fn new(content: &Path) -> Result<Watched> {
        let cannot = || format!("cannot read {}", content.display());
        let file = File::options().read(true).write(true).open(content).with_context(cannot)?;
        let length = file.metadata().with_context(cannot)?.len();
        let requests = Arc::new(Mutex::new(Requests::default()));
        let fails = Arc::new(AtomicBool::new(false));
        let (seen, failing) = (Arc::clone(&requests), Arc::clone(&fails));
        let system = System { content: file, length, requests: seen, fails: failing };
        let folder = sockets::folder()?;
        leave_nothing_in(folder.path());
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName(mounts::SOURCE.into()),
            MountOption::NoAtime,
            MountOption::NoExec,
        ];
        mounts::note(folder.path());
        let session = fuser::spawn_mount(system, folder.path(), &config).map_err(|error| {
            NotTried(format!(
                "no file system can be mounted, as root or with the package fuse3: {error}"
            ))
        })?;
        let file = folder.path().join(ram_file::NAME);
        Ok(Watched { file, requests, fails, _session: session, folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Fails every request to read from now on.
    pub fn fail_from_now_on(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// What was asked of it up to now. What was written to it through mappings is asked for first.
    pub fn requests(&self) -> Result<Requests> {
        let cannot = || format!("cannot write back {}", self.file.display());
        File::open(&self.file).and_then(|file| file.sync_all()).with_context(cannot)?;
        Ok(self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        mounts::detach(self.folder.path());
    }
}

/// The file system: a root with one file.
struct System {
    content: File,
    length: u64,
    requests: Arc<Mutex<Requests>>,
    fails: Arc<AtomicBool>,
}

impl System {
    fn note(&self, offset: u64, length: usize, count: impl FnOnce(&mut Requests) -> &mut u64) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *count(&mut requests) += 1;
        let end = (offset + length as u64).min(self.length);
        requests.pages.extend(offset / TARGET_PAGE_SIZE..end.div_ceil(TARGET_PAGE_SIZE));
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size) = match inode {
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            INODE => (FileType::RegularFile, 0o600, self.length),
            _ => return None,
        };
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid,
            gid,
            rdev: 0,
            blksize: TARGET_PAGE_SIZE as u32,
            flags: 0,
        })
    }
}

impl Filesystem for System {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Less than a page: nobody is asked for what nobody touched.
        let _ = config.set_max_readahead(1);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let is_it = parent == INodeNo::ROOT && name == ram_file::NAME;
        match self.attributes(INODE).filter(|_| is_it) {
            Some(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Without a flag, the kernel caches pages, and mappings can be shared.
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.note(offset, size as usize, |requests| &mut requests.reads);
        if self.fails.load(Ordering::SeqCst) {
            return reply.error(Errno::EIO);
        }
        let mut bytes = vec![0; size as usize];
        match self.content.read_at(&mut bytes, offset) {
            Ok(read) => reply.data(&bytes[..read]),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.note(offset, data.len(), |requests| &mut requests.writes);
        match self.content.write_all_at(data, offset) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }
}
