//! Builds small qcow2 images.

pub const BITS: u32 = 9;
pub const CLUSTER: usize = 1 << BITS;
/// L2 entries in a table, and so the clusters that one L1 entry covers.
pub const ENTRIES: usize = CLUSTER / 8;
pub const SNAPSHOT_TABLE: usize = CLUSTER;
pub const L1_TABLE: usize = 4 * CLUSTER;
pub const L2_TABLES: usize = 5 * CLUSTER;

/// How a cluster of the VM state is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    Data,
    Unallocated,
    Zero,
    Compressed,
}

/// An image with one snapshot, whose VM state is `state`.
#[derive(Clone)]
pub struct Made {
    pub version: u32,
    /// The length of the snapshot's extra data.
    pub extra: usize,
    pub disk_size: u64,
    pub state: Vec<u8>,
    pub kept: fn(usize) -> Kept,
}

impl Made {
    pub fn new(version: u32, state: Vec<u8>) -> Self {
        Made { version, extra: 16, disk_size: 100, state, kept: |_| Kept::Data }
    }

    /// The file's clusters: header, snapshot table, L1 table, L2 tables, and the VM state's.
    pub fn file(&self) -> Vec<u8> {
        let clusters = self.state.len().div_ceil(CLUSTER);
        let first = self.disk_size.div_ceil((ENTRIES * CLUSTER) as u64) as usize;
        let tables = clusters.div_ceil(ENTRIES);
        let data = L2_TABLES + tables * CLUSTER;
        assert!((first + tables) * 8 <= CLUSTER, "the L1 table is to be one cluster");

        let mut file = vec![0; data];
        put32(&mut file, 0, 0x5146_49fb);
        put32(&mut file, 4, self.version);
        put32(&mut file, 20, BITS);
        put64(&mut file, 24, self.disk_size);
        put32(&mut file, 60, 1);
        put64(&mut file, 64, SNAPSHOT_TABLE as u64);

        let snapshot = &mut file[SNAPSHOT_TABLE..];
        put64(snapshot, 0, L1_TABLE as u64);
        put32(snapshot, 8, (first + tables) as u32);
        snapshot[13] = 1;
        snapshot[15] = 4;
        put32(snapshot, 16, 1000);
        put32(snapshot, 20, 1001);
        put64(snapshot, 24, 1002);
        // With extra data, that has the size.
        put32(snapshot, 32, if self.extra == 0 { self.state.len() as u32 } else { 77 });
        put32(snapshot, 36, self.extra as u32);
        put64(snapshot, 40, self.state.len() as u64);
        put64(snapshot, 48, self.disk_size);
        snapshot[40 + self.extra..][..5].copy_from_slice(b"1name");

        for table in 0..tables {
            let l2_table = (L2_TABLES + table * CLUSTER) as u64;
            put64(&mut file, L1_TABLE + (first + table) * 8, l2_table | 1 << 63);
        }
        for (index, bytes) in self.state.chunks(CLUSTER).enumerate() {
            let at = (data + index * CLUSTER) as u64;
            let entry = match (self.kept)(index) {
                Kept::Data => at | 1 << 63,
                Kept::Unallocated => 0,
                Kept::Zero => at | 1,
                Kept::Compressed => at | 1 << 62,
            };
            put64(&mut file, L2_TABLES + index * 8, entry);
            file.extend(bytes);
        }
        file
    }
}

pub fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

pub fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}
