//! Finds the VM state of an internal snapshot in a qcow2 image.
//!
//! The format is that of QEMU's `docs/interop/qcow2.txt`, versions 2 and 3.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use crate::{Place, StreamError};

const MAGIC: u32 = u32::from_be_bytes(*b"QFI\xfb");
/// Length of the header of version 2, and what version 3 adds that matters here.
const HEADER_V2: usize = 72;
const HEADER_V3: usize = 104;
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Incompatible features that change nothing for a reader: dirty, corrupt, compression type.
const HARMLESS_FEATURES: u64 = 0b1011;

// Limits of QEMU's block/qcow2.h.
const MAX_SNAPSHOTS: u32 = 65536;
const MAX_SNAPSHOT_EXTRA_DATA: u32 = 1024;
const MAX_L1_ENTRIES: u32 = (32 << 20) / ENTRY as u32;

const SNAPSHOT_COUNT: usize = 60;
const SNAPSHOT_HEADER: usize = 40;
/// Bytes of an entry in an L1 or L2 table.
const ENTRY: usize = 8;
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// A qcow2 image, with the table of its snapshots.
pub struct Image<F> {
    file: ImageFile<F>,
    cluster_bits: u32,
    snapshots: Vec<Snapshot>,
}

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number, as text.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The length of its VM state, in bytes; 0 if it has none.
    pub vm_state_size: u64,
    /// The disk's size when it was taken, in bytes.
    pub disk_size: u64,
    /// When it was taken: seconds since 1970, and nanoseconds.
    pub date: (u32, u32),
    /// How long the guest had run, in nanoseconds.
    pub vm_clock_nsec: u64,
    l1_table_offset: u64,
    l1_size: u32,
}

impl<F: Read + Seek> Image<F> {
    /// Reads the header and the snapshot table.
    pub fn open(file: F) -> Result<Self, StreamError> {
        let mut file = ImageFile::new(file)?;
        let header: [u8; HEADER_V2] = file.array(0, "a qcow2 header")?;
        let (magic, version) = (be32(&header, 0), be32(&header, 4));
        if magic != MAGIC {
            return Err(malformed(0, "the magic \"QFI\\xfb\"", format!("{magic:#x}")));
        }
        match version {
            2 => {}
            3 => check_features(&file.array::<HEADER_V3>(0, "a header of version 3")?)?,
            _ => return Err(unsupported(4, format!("qcow2 version {version}"))),
        }
        let cluster_bits = be32(&header, 20);
        if !CLUSTER_BITS.contains(&cluster_bits) {
            let expected = format!("cluster bits in {CLUSTER_BITS:?}");
            return Err(malformed(20, expected, cluster_bits.to_string()));
        }
        if be32(&header, 32) != 0 {
            return Err(unsupported(32, "an encrypted image"));
        }
        let (disk_size, count, table) =
            (be64(&header, 24), be32(&header, SNAPSHOT_COUNT), be64(&header, 64));
        if count > MAX_SNAPSHOTS {
            let expected = format!("at most {MAX_SNAPSHOTS} snapshots");
            return Err(malformed(SNAPSHOT_COUNT as u64, expected, count.to_string()));
        }
        let snapshots = read_snapshots(&mut file, table, count, disk_size)?;
        Ok(Image { file, cluster_bits, snapshots })
    }

    /// The snapshots, in the order of the table.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The VM state of the snapshot with this id or name: a migration stream.
    ///
    /// It lies behind the snapshot's own L1 table, where the disk ends, rounded up to what one L1
    /// entry covers (`qcow2_vm_state_offset`). Its errors hold a [`StreamError`], which
    /// [`Reader`](crate::Reader) gives as its own.
    pub fn vm_state(&mut self, id_or_name: &str) -> Result<VmState<'_, F>, StreamError> {
        let wanted = |it: &&Snapshot| it.id == id_or_name || it.name == id_or_name;
        let Some(snapshot) = self.snapshots.iter().find(wanted) else {
            let expected = format!("a snapshot {id_or_name}");
            let found = format!("{} others", self.snapshots.len());
            return Err(malformed(SNAPSHOT_COUNT as u64, expected, found));
        };
        let cluster_size = 1 << self.cluster_bits;
        let covered_by_l1_entry = cluster_size * (cluster_size / ENTRY as u64);
        let first = snapshot.disk_size.div_ceil(covered_by_l1_entry);
        let needed = snapshot.vm_state_size.div_ceil(covered_by_l1_entry);
        if first.saturating_add(needed) > snapshot.l1_size.into() {
            let expected = format!("an L1 table with {needed} entries from {first}");
            let found = format!("{} entries", snapshot.l1_size);
            return Err(malformed(snapshot.l1_table_offset, expected, found));
        }
        Ok(VmState {
            file: &mut self.file,
            cluster_size,
            l1_table: snapshot.l1_table_offset + first * ENTRY as u64,
            l2_table: None,
            position: 0,
            size: snapshot.vm_state_size,
        })
    }
}

/// Bits that ask a reader to know more than this one does.
fn check_features(header: &[u8; HEADER_V3]) -> Result<(), StreamError> {
    match be64(header, 72) & !HARMLESS_FEATURES {
        0 => Ok(()),
        features => Err(unsupported(72, format!("an image with the features {features:#x}"))),
    }
}

fn read_snapshots<F: Read + Seek>(
    file: &mut ImageFile<F>,
    table: u64,
    count: u32,
    disk_size: u64,
) -> Result<Vec<Snapshot>, StreamError> {
    let mut snapshots = Vec::new();
    let mut next = table;
    for _ in 0..count {
        let (snapshot, end) = read_snapshot(file, next, disk_size)?;
        snapshots.push(snapshot);
        next = end.next_multiple_of(8);
    }
    Ok(snapshots)
}

/// Reads the entry at `offset`, and where it ends (`QCowSnapshotHeader`).
fn read_snapshot<F: Read + Seek>(
    file: &mut ImageFile<F>,
    offset: u64,
    disk_size: u64,
) -> Result<(Snapshot, u64), StreamError> {
    let header: [u8; SNAPSHOT_HEADER] = file.array(offset, "a snapshot's header")?;
    let (l1_table_offset, l1_size) = (be64(&header, 0), be32(&header, 8));
    if l1_size > MAX_L1_ENTRIES {
        let expected = format!("at most {MAX_L1_ENTRIES} entries of an L1 table");
        return Err(malformed(offset + 8, expected, l1_size.to_string()));
    }
    file.check(l1_table_offset, l1_size as usize * ENTRY, "a snapshot's L1 table")?;
    let extra_size = be32(&header, 36);
    if extra_size > MAX_SNAPSHOT_EXTRA_DATA {
        let expected = format!("at most {MAX_SNAPSHOT_EXTRA_DATA} bytes of extra data");
        return Err(malformed(offset + 36, expected, extra_size.to_string()));
    }
    let (id_size, name_size) = (be16(&header, 12).into(), be16(&header, 14).into());
    let extra_at = offset + SNAPSHOT_HEADER as u64;
    let id_at = extra_at + u64::from(extra_size);
    let extra = file.bytes(extra_at, extra_size as usize, "a snapshot's extra data")?;
    let id = file.bytes(id_at, id_size, "a snapshot's id")?;
    let name_at = id_at + id_size as u64;
    let name = file.bytes(name_at, name_size, "a snapshot's name")?;
    let snapshot = Snapshot {
        id: String::from_utf8_lossy(&id).into_owned(),
        name: String::from_utf8_lossy(&name).into_owned(),
        // The 32 bits of old are too short for some.
        vm_state_size: extra_u64(&extra, 0).unwrap_or(be32(&header, 32).into()),
        disk_size: extra_u64(&extra, 8).unwrap_or(disk_size),
        date: (be32(&header, 16), be32(&header, 20)),
        vm_clock_nsec: be64(&header, 24),
        l1_table_offset,
        l1_size,
    };
    Ok((snapshot, name_at + name_size as u64))
}

fn extra_u64(extra: &[u8], at: usize) -> Option<u64> {
    (extra.len() >= at + 8).then(|| be64(extra, at))
}

/// The VM state of a snapshot, from its first byte to its last.
pub struct VmState<'a, F> {
    file: &'a mut ImageFile<F>,
    cluster_size: u64,
    /// Where the L1 entries of the VM state begin.
    l1_table: u64,
    l2_table: Option<L2Table>,
    position: u64,
    size: u64,
}

/// The L2 table that was read last.
struct L2Table {
    /// Its L1 entry, from the VM state's first.
    l1_index: u64,
    offset: u64,
    /// None, where the L1 entry is not allocated.
    entries: Vec<u8>,
}

impl<F: Read + Seek> Read for VmState<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let in_cluster = self.position % self.cluster_size;
        let length = (self.cluster_size - in_cluster)
            .min(self.size - self.position)
            .min(buffer.len() as u64) as usize;
        if length == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..length];
        match self.cluster().map_err(io::Error::other)? {
            Some(cluster) => self
                .file
                .read_at(cluster + in_cluster, buffer, "a cluster of the VM state")
                .map_err(io::Error::other)?,
            None => buffer.fill(0),
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl<F> Seek for VmState<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        let within = position.filter(|&position| position <= self.size);
        self.position = within.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<F: Read + Seek> VmState<'_, F> {
    /// Where the cluster at `position` lies in the file; `None` for one that reads as zeros.
    fn cluster(&mut self) -> Result<Option<u64>, StreamError> {
        let cluster = self.position / self.cluster_size;
        let entries_per_table = self.cluster_size / ENTRY as u64;
        let at = (cluster % entries_per_table) as usize * ENTRY;
        let table = self.l2_table(cluster / entries_per_table)?;
        let place = table.offset + at as u64;
        let Some(entry) = table.entries.get(at..at + ENTRY) else {
            return Ok(None);
        };
        let entry = be64(entry, 0);
        if entry & COMPRESSED != 0 {
            return Err(unsupported(place, "a compressed cluster in the VM state"));
        }
        match entry & OFFSET_MASK {
            0 => Ok(None),
            _ if entry & ZERO != 0 => Ok(None),
            offset => self.aligned(place, offset).map(Some),
        }
    }

    fn l2_table(&mut self, l1_index: u64) -> Result<&L2Table, StreamError> {
        let table = match self.l2_table.take() {
            Some(table) if table.l1_index == l1_index => table,
            _ => self.read_l2_table(l1_index)?,
        };
        Ok(self.l2_table.insert(table))
    }

    fn read_l2_table(&mut self, l1_index: u64) -> Result<L2Table, StreamError> {
        let place = self.l1_table + l1_index * ENTRY as u64;
        let entry = u64::from_be_bytes(self.file.array(place, "an L1 entry")?);
        let offset = self.aligned(place, entry & OFFSET_MASK)?;
        let length = if offset == 0 { 0 } else { self.cluster_size as usize };
        let entries = self.file.bytes(offset, length, "an L2 table")?;
        Ok(L2Table { l1_index, offset, entries })
    }

    fn aligned(&self, place: u64, offset: u64) -> Result<u64, StreamError> {
        if offset.is_multiple_of(self.cluster_size) {
            return Ok(offset);
        }
        let expected = format!("an offset that is a multiple of {:#x}", self.cluster_size);
        Err(malformed(place, expected, format!("{offset:#x}")))
    }
}

/// The image's file, read at offsets that are checked against its length first.
struct ImageFile<F> {
    file: F,
    length: u64,
}

impl<F: Read + Seek> ImageFile<F> {
    fn new(mut file: F) -> Result<Self, StreamError> {
        let length = file.seek(SeekFrom::End(0)).map_err(|source| failed(0, source))?;
        Ok(ImageFile { file, length })
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8], what: &str) -> Result<(), StreamError> {
        self.check(offset, buffer.len(), what)?;
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(buffer))
            .map_err(|source| failed(offset, source))
    }

    fn array<const N: usize>(&mut self, offset: u64, what: &str) -> Result<[u8; N], StreamError> {
        let mut array = [0; N];
        self.read_at(offset, &mut array, what)?;
        Ok(array)
    }

    fn bytes(&mut self, offset: u64, length: usize, what: &str) -> Result<Vec<u8>, StreamError> {
        self.check(offset, length, what)?;
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes, what)?;
        Ok(bytes)
    }

    fn check(&self, offset: u64, length: usize, what: &str) -> Result<(), StreamError> {
        let left = self.length.saturating_sub(offset);
        if left >= length as u64 {
            return Ok(());
        }
        let (place, wanted) = (Place::Image(offset), length as u64);
        Err(StreamError::Truncated { place, expected: what.into(), wanted, left })
    }
}

fn failed(offset: u64, source: io::Error) -> StreamError {
    StreamError::Io { place: Place::Image(offset), source }
}

fn malformed(offset: u64, expected: impl Into<String>, found: impl Into<String>) -> StreamError {
    StreamError::malformed(Place::Image(offset), expected, found)
}

fn unsupported(offset: u64, what: impl Into<String>) -> StreamError {
    StreamError::unsupported(Place::Image(offset), what)
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
