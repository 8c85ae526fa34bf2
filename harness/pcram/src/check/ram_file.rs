//! The files that checks give to a QEMU as RAM, and what stands in them.

use crate::machine::deadline::Deadline;
use anyhow::{Context, Result};
use pcram_mirror::address::{GuestPhysical, RamLayout, TARGET_PAGE_SIZE};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde::Deserialize;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name in a row's folder. Its comma shows that PATH may contain one.
pub const NAME: &str = "ram,file";

/// How long a dirtying guest may take to come to a page.
const STAMPED: Duration = Duration::from_secs(20);
/// How many generations a guest may be ahead of the one that is waited for.
const SOON: u64 = 64;
/// How often the file is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What lies at the path that a QEMU is to refuse.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A file of the right size.
    Right,
    /// Nothing.
    Missing,
    /// A file of the right size that may only be read.
    ReadOnly,
    /// A file that is one byte too short.
    Short,
    /// A file that is one byte too long.
    Long,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A listening unix socket.
    Socket,
    /// A character device.
    Device,
    /// A symbolic link that leads nowhere.
    Dangling,
}

/// Creates a sparse file of `size` bytes, last read an hour before it was last written, so that
/// on a file system with `relatime` the next reader moves its time of last access.
pub fn create(path: &Path, size: u64) -> Result<()> {
    let cannot = || format!("cannot create the RAM file {}", path.display());
    let file = File::create(path).with_context(cannot)?;
    file.set_len(size).with_context(cannot)?;
    let written = file.metadata()?.modified()?;
    let read = written - Duration::from_secs(3600);
    file.set_times(FileTimes::new().set_accessed(read).set_modified(written)).with_context(cannot)
}

/// Puts at `path` what a refusal wants there, and says where it is: a device stays where devices
/// are. `ram` is the size in bytes that would be right.
pub fn prepare(path: &Path, kind: FileKind, ram: u64) -> Result<PathBuf> {
    let node = |kind| mknodat(CWD, path, kind, Mode::from(0o600), 0);
    let cannot = || format!("cannot prepare {}", path.display());
    match kind {
        FileKind::Missing => {}
        FileKind::Right => create(path, ram)?,
        FileKind::Short => create(path, ram - 1)?,
        FileKind::Long => create(path, ram + 1)?,
        FileKind::ReadOnly => {
            create(path, ram)?;
            fs::set_permissions(path, Permissions::from_mode(0o444)).with_context(cannot)?;
        }
        FileKind::Directory => fs::create_dir(path).with_context(cannot)?,
        FileKind::Fifo => node(FileType::Fifo).with_context(cannot)?,
        FileKind::Socket => node(FileType::Socket).with_context(cannot)?,
        FileKind::Dangling => symlink("nowhere", path).with_context(cannot)?,
        FileKind::Device => return Ok(PathBuf::from("/dev/zero")),
    }
    Ok(path.to_owned())
}

/// Fills the file with the stamp that a guest of this layout gives each of its pages.
pub fn fill(path: &Path, layout: &RamLayout, seed: u64, generation: u64) -> Result<()> {
    let cannot = || format!("cannot fill the RAM file {}", path.display());
    let mut file =
        std::io::BufWriter::new(File::options().write(true).open(path).with_context(cannot)?);
    for page in layout.pages() {
        file.write_all(&pcram_guests::stamp::page(page.0, seed, generation))
            .with_context(cannot)?;
    }
    file.flush().with_context(cannot)
}

/// Writes what `from` holds over `to`, which is neither replaced nor cut short.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let cannot = || format!("cannot write {} over {}", from.display(), to.display());
    let mut source = File::open(from).with_context(cannot)?;
    let mut target = File::options().write(true).open(to).with_context(cannot)?;
    std::io::copy(&mut source, &mut target).with_context(cannot)?;
    Ok(())
}

/// Flips one bit of the byte at `offset`.
pub fn flip(path: &Path, offset: u64) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&[byte[0] ^ 0x10], offset)?;
    Ok(())
}

/// How many pages of the file carry which generation of a guest's stamp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Pages in the file.
    pub pages: u64,
    /// Pages that carry the stamp of each generation asked for, in the order asked.
    pub of_generation: Vec<u64>,
    /// The offsets in bytes of the pages that carry none of them.
    pub strangers: Vec<u64>,
}

/// Reads the whole file, as any process on the host may, and compares each page with the stamps
/// that a guest of this layout and seed gives it in each of `generations`.
pub fn census(path: &Path, layout: &RamLayout, seed: u64, generations: &[u64]) -> Result<Census> {
    let cannot = || format!("cannot read the RAM file {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let mut census = Census { of_generation: vec![0; generations.len()], ..Census::default() };
    let mut page = vec![0; TARGET_PAGE_SIZE as usize];
    for address in layout.pages() {
        let offset = census.pages * TARGET_PAGE_SIZE;
        file.read_exact_at(&mut page, offset).with_context(cannot)?;
        census.pages += 1;
        let stamped =
            |&generation: &u64| pcram_guests::stamp::matches(&page, address.0, seed, generation);
        match generations.iter().position(stamped) {
            Some(at) => census.of_generation[at] += 1,
            None => census.strangers.push(offset),
        }
    }
    Ok(census)
}

/// Waits until another process sees in the file that the guest has stamped `page` with
/// `generation` or one that soon follows.
pub fn await_stamp(
    path: &Path,
    layout: &RamLayout,
    page: GuestPhysical,
    seed: u64,
    generation: u64,
) -> Result<()> {
    let what = format!("page {page} to show generation {generation} in the RAM file");
    let deadline = Deadline::after(STAMPED, what);
    let offset = layout.offset_of(page).context("the page is not in RAM")?;
    let file = File::open(path)?;
    let mut bytes = vec![0; TARGET_PAGE_SIZE as usize];
    loop {
        file.read_exact_at(&mut bytes, offset.0)?;
        let stamped =
            |newer| pcram_guests::stamp::matches(&bytes, page.0, seed, generation + newer);
        if (0..SOON).any(stamped) {
            return Ok(());
        }
        std::thread::sleep(deadline.left()?.min(LOOK_AGAIN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_is_flipped_and_flipped_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0, 0xa5]).unwrap();
        flip(file.path(), 1).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), [0, 0xb5]);
        flip(file.path(), 1).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), [0, 0xa5]);
    }

    #[test]
    fn a_census_finds_every_stamp_and_one_flipped_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let layout = RamLayout { below_4g: 8 * TARGET_PAGE_SIZE, above_4g: 2 * TARGET_PAGE_SIZE };
        create(&path, 10 * TARGET_PAGE_SIZE).unwrap();
        fill(&path, &layout, 7, 3).unwrap();
        let all = census(&path, &layout, 7, &[4, 3]).unwrap();
        assert_eq!((all.pages, &all.of_generation[..], all.strangers.len()), (10, &[0, 10][..], 0));
        flip(&path, 9 * TARGET_PAGE_SIZE + 4095).unwrap();
        let damaged = census(&path, &layout, 7, &[3]).unwrap();
        assert_eq!(damaged.of_generation, [9]);
        assert_eq!(damaged.strangers, [9 * TARGET_PAGE_SIZE]);
    }

    #[test]
    fn what_lies_at_a_path_is_what_is_asked_for() {
        let lies = |kind| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(NAME);
            let at = prepare(&path, kind, 8192).unwrap();
            assert!(kind == FileKind::Device || at == path);
            let meta = fs::symlink_metadata(&at).ok()?;
            Some((meta.len(), meta.permissions().mode()))
        };
        const FILE: u32 = 0o100_000;
        let of_file = |kind| lies(kind).filter(|(_, mode)| mode & FILE != 0).map(|(size, _)| size);
        assert_eq!(of_file(FileKind::Right), Some(8192));
        assert_eq!(of_file(FileKind::Short), Some(8191));
        assert_eq!(of_file(FileKind::Long), Some(8193));
        assert_eq!(lies(FileKind::ReadOnly), Some((8192, FILE | 0o444)));
        assert_eq!(lies(FileKind::Missing), None);
        let kind_of = |kind| lies(kind).unwrap().1 & 0o170_000;
        assert_eq!(kind_of(FileKind::Directory), 0o040_000);
        assert_eq!(kind_of(FileKind::Fifo), 0o010_000);
        assert_eq!(kind_of(FileKind::Socket), 0o140_000);
        assert_eq!(kind_of(FileKind::Device), 0o020_000);
        assert_eq!(kind_of(FileKind::Dangling), 0o120_000);
    }

    #[test]
    fn a_file_was_last_read_before_it_was_last_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        create(&path, 8192).unwrap();
        let meta = fs::metadata(&path).unwrap();
        let between = meta.modified().unwrap().duration_since(meta.accessed().unwrap());
        assert_eq!(between.unwrap(), Duration::from_secs(3600));
    }

    #[test]
    fn a_stamp_that_comes_is_awaited_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let layout = RamLayout { below_4g: 4 * TARGET_PAGE_SIZE, above_4g: 0 };
        create(&path, 4 * TARGET_PAGE_SIZE).unwrap();
        let page = GuestPhysical(2 * TARGET_PAGE_SIZE);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| await_stamp(&path, &layout, page, 7, 3));
            // One that is too old is not it.
            fill(&path, &layout, 7, 2).unwrap();
            assert!(!waits.is_finished());
            fill(&path, &layout, 7, 4).unwrap();
            waits.join().unwrap().unwrap();
        });
        let beyond = GuestPhysical(4 * TARGET_PAGE_SIZE);
        assert!(await_stamp(&path, &layout, beyond, 7, 3).is_err());
    }

    #[test]
    fn a_copy_keeps_the_file_and_takes_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let open = File::open(&to).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(std::io::read_to_string(open).unwrap(), "new");
    }
}
