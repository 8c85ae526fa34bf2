//! VM states are found in qcow2 images of both versions, and bad images are errors.

use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};

use pcram_stream::qcow2::{Image, Snapshot};
use pcram_stream::{Place, StreamError, Summary};
use proptest::prelude::*;

use crate::build::{self, Stream};
use crate::image::*;

fn counting(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 7 % 255) as u8 + 1).collect()
}

fn state_of(file: Vec<u8>) -> Vec<u8> {
    let mut state = Vec::new();
    let mut image = Image::open(Cursor::new(file)).unwrap();
    image.vm_state("name").unwrap().read_to_end(&mut state).unwrap();
    state
}

/// The error of opening an image, of finding its VM state, or of reading it.
fn error_of(file: Vec<u8>) -> StreamError {
    fn read(file: Vec<u8>) -> Result<(), StreamError> {
        let mut image = Image::open(Cursor::new(file))?;
        let mut state = image.vm_state("1")?;
        match state.read_to_end(&mut Vec::new()) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.downcast().expect("a typed error")),
        }
    }
    read(file).unwrap_err()
}

/// The error that the image has after `change`.
fn error_after(made: &Made, change: impl Fn(&mut Vec<u8>)) -> String {
    let mut file = made.file();
    assert_eq!(state_of(file.clone()), made.state, "the image was bad before");
    change(&mut file);
    error_of(file).to_string()
}

#[test]
fn a_snapshot_is_listed() {
    let image = Image::open(Cursor::new(Made::new(3, counting(5000)).file())).unwrap();
    let [Snapshot { id, name, vm_state_size, disk_size, date, vm_clock_nsec, .. }] =
        image.snapshots()
    else {
        panic!("{:?}", image.snapshots());
    };
    assert_eq!((id.as_str(), name.as_str()), ("1", "name"));
    assert_eq!((*vm_state_size, *disk_size), (5000, 100));
    assert_eq!((*date, *vm_clock_nsec), ((1000, 1001), 1002));
}

#[test]
fn a_snapshot_without_extra_data() {
    let made = Made { extra: 0, ..Made::new(2, counting(700)) };
    assert_eq!(state_of(made.file()), made.state);
    let made = Made { extra: 8, ..Made::new(2, counting(700)) };
    assert_eq!(state_of(made.file()), made.state);
}

/// More than is known of it is passed over, up to the most that QEMU reads.
#[test]
fn a_snapshot_with_more_extra_data() {
    for extra in [24, 1024] {
        let made = Made { extra, ..Made::new(3, counting(700)) };
        assert_eq!(state_of(made.file()), made.state);
    }
}

#[test]
fn several_snapshots() {
    let mut file = Made::new(3, counting(600)).file();
    // The second entry begins at the next multiple of 8.
    file.copy_within(SNAPSHOT_TABLE..SNAPSHOT_TABLE + 61, SNAPSHOT_TABLE + 64);
    file[SNAPSHOT_TABLE + 64 + 56..][..5].copy_from_slice(b"2last");
    put32(&mut file, 60, 2);
    let mut image = Image::open(Cursor::new(file)).unwrap();
    let names: Vec<_> =
        image.snapshots().iter().map(|it| (it.id.clone(), it.name.clone())).collect();
    assert_eq!(names, [("1".into(), "name".into()), ("2".into(), "last".into())]);
    for tag in ["1", "2", "name", "last"] {
        let mut state = Vec::new();
        image.vm_state(tag).unwrap().read_to_end(&mut state).unwrap();
        assert_eq!(state, counting(600));
    }
    let error = image.vm_state("3").map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 0x3c of the qcow2 image: expected a snapshot 3, found 2 others"
    );
}

#[test]
fn an_image_without_snapshots() {
    let mut file = Made::new(3, counting(600)).file();
    put32(&mut file, 60, 0);
    put64(&mut file, 64, u64::MAX);
    assert_eq!(Image::open(Cursor::new(file)).unwrap().snapshots(), []);
}

#[test]
fn vm_states_of_all_lengths() {
    let l1_entry = ENTRIES * CLUSTER;
    for length in [0, 1, CLUSTER - 1, CLUSTER, CLUSTER + 1, l1_entry, l1_entry + 1, 2 * l1_entry] {
        let made = Made::new(2, counting(length));
        assert_eq!(state_of(made.file()), made.state, "{length}");
    }
    // Where the disk ends decides the first L1 entry.
    for disk_size in [0, 1, l1_entry as u64, l1_entry as u64 + 1, 5 * l1_entry as u64] {
        let made = Made { disk_size, ..Made::new(3, counting(3000)) };
        assert_eq!(state_of(made.file()), made.state, "{disk_size}");
    }
}

#[test]
fn clusters_of_zeros() {
    let made = Made {
        kept: |index| [Kept::Data, Kept::Unallocated, Kept::Zero][index % 3],
        ..Made::new(3, counting(5 * CLUSTER))
    };
    let mut expected = made.state.clone();
    expected[CLUSTER..3 * CLUSTER].fill(0);
    expected[4 * CLUSTER..].fill(0);
    assert_eq!(state_of(made.file()), expected);
}

/// A read ends where its cluster does, since the next one lies elsewhere.
#[test]
fn short_reads() {
    let made = Made {
        kept: |index| [Kept::Data, Kept::Zero][index % 2],
        ..Made::new(3, counting(5 * CLUSTER + 9))
    };
    let expected = state_of(made.file());
    let mut image = Image::open(Cursor::new(made.file())).unwrap();
    let mut state = image.vm_state("name").unwrap();
    let (mut read, mut buffer) = (Vec::<u8>::new(), [0; 100]);
    loop {
        match state.read(&mut buffer).unwrap() {
            0 => break,
            length => read.extend(&buffer[..length]),
        }
    }
    assert_eq!(read, expected);
}

#[test]
fn an_unallocated_table_of_clusters() {
    let made = Made::new(3, counting((ENTRIES + 2) * CLUSTER));
    let mut file = made.file();
    put64(&mut file, L1_TABLE + 8, 0);
    let mut expected = made.state;
    expected[..ENTRIES * CLUSTER].fill(0);
    assert_eq!(state_of(file), expected);
}

#[test]
fn a_stream_is_read_out_of_an_image() {
    let stream = Stream::v10_0()
        .start_ram()
        .blocks(&[("pc.ram", 2)])
        .close()
        .end_ram()
        .page("pc.ram", 1, build::FLAG_PAGE)
        .full(5)
        .close()
        .device(4, "timer")
        .finish();
    let made = Made::new(3, stream.clone());
    let mut image = Image::open(Cursor::new(made.file())).unwrap();
    let from_image = Summary::read(BufReader::new(image.vm_state("name").unwrap())).unwrap();
    assert_eq!(from_image, Summary::read(stream.as_slice()).unwrap());
}

/// An error of the image keeps its place on its way through the stream's reader.
#[test]
fn an_image_that_ends_within_its_stream() {
    let mut file = Made::new(3, Stream::v10_0().finish().repeat(50)).file();
    file.truncate(L2_TABLES + CLUSTER + 10);
    let mut image = Image::open(Cursor::new(file)).unwrap();
    let error = Summary::read(BufReader::new(image.vm_state("name").unwrap())).unwrap_err();
    assert_eq!(error.place(), Place::Image((L2_TABLES + CLUSTER) as u64));
}

#[test]
fn headers_that_are_none() {
    let made = Made::new(3, counting(600));
    let after = |at: usize, value: u32| error_after(&made, |file| put32(file, at, value));
    let at = |at: u32, rest: &str| format!("byte {at:#x} of the qcow2 image: {rest}");
    let reader = "this reader does not support it";
    assert_eq!(after(0, 0x5145_564d), at(0, r#"expected the magic "QFI\xfb", found 0x5145564d"#));
    for version in [1, 4] {
        assert_eq!(after(4, version), at(4, &format!("qcow2 version {version}: {reader}")));
    }
    for bits in [0, 8, 22, 64, u32::MAX] {
        assert_eq!(
            after(20, bits),
            at(20, &format!("expected cluster bits in 9..=21, found {bits}"))
        );
    }
    assert_eq!(after(32, 2), at(32, &format!("an encrypted image: {reader}")));
    assert_eq!(after(60, 65537), at(60, "expected at most 65536 snapshots, found 65537"));
    // The most that there may be are looked for.
    assert!(!after(60, 65536).contains("at most 65536 snapshots"));
    for features in [4, 0x10, 0x20] {
        assert_eq!(
            after(76, features),
            at(72, &format!("an image with the features {features:#x}: {reader}"))
        );
    }
}

#[test]
fn features_that_change_nothing() {
    let made = Made::new(3, counting(600));
    let mut file = made.file();
    put64(&mut file, 72, 0b1011);
    assert_eq!(state_of(file), made.state);
    // Version 2 has other things there.
    let made = Made::new(2, counting(600));
    let mut file = made.file();
    put64(&mut file, 72, u64::MAX);
    assert_eq!(state_of(file), made.state);
}

#[test]
fn snapshots_that_are_none() {
    let made = Made::new(3, counting(600));
    let after =
        |at: usize, value: u32| error_after(&made, |file| put32(file, SNAPSHOT_TABLE + at, value));
    let at = |offset: usize, rest: &str| {
        let offset = SNAPSHOT_TABLE + offset;
        format!("byte {offset:#x} of the qcow2 image: expected {rest}")
    };
    assert_eq!(after(8, 4194305), at(8, "at most 4194304 entries of an L1 table, found 4194305"));
    assert_eq!(after(36, 1025), at(36, "at most 1024 bytes of extra data, found 1025"));
    // The disk's size says where the VM state begins.
    assert!(after(52, u32::MAX).contains("expected an L1 table with 1 entries from 131072"));
    assert!(after(44, 0x8001).contains("expected an L1 table with 2 entries from 1, found 2"));
    assert!(after(0, u32::MAX).contains("expected a snapshot's L1 table (16 bytes)"));
    assert!(after(8, 4194304).contains("expected a snapshot's L1 table (33554432 bytes)"));
    // No sizes that wrap around.
    for at in [40, 48] {
        let error = error_after(&made, |file| put64(file, SNAPSHOT_TABLE + at, u64::MAX));
        assert!(error.contains("expected an L1 table with "), "{error}");
    }
    let error = error_after(&made, |file| put64(file, 64, u64::MAX));
    assert_eq!(
        error,
        "byte 0xffffffffffffffff of the qcow2 image: expected a snapshot's header (40 bytes), \
         but only 0 bytes are left"
    );
}

#[test]
fn clusters_that_are_none() {
    let made = Made::new(3, counting(600));
    let after = |at: usize, value: u64| error_after(&made, |file| put64(file, at, value));
    let l1_entry = L1_TABLE + 8;
    let l2_entry = L2_TABLES + 8;
    let at = |at: usize, rest: &str| format!("byte {at:#x} of the qcow2 image: {rest}");
    assert!(after(l1_entry, 1 << 50).starts_with(&at(1 << 50, "expected an L2 table")));
    assert!(
        after(l2_entry, 1 << 50).starts_with(&at(1 << 50, "expected a cluster of the VM state"))
    );
    let compressed = Made { kept: |index| [Kept::Data, Kept::Compressed][index], ..made.clone() };
    assert_eq!(
        error_of(compressed.file()).to_string(),
        at(l2_entry, "a compressed cluster in the VM state: this reader does not support it")
    );
}

/// With clusters of 1 KiB, an offset of 512 is none.
#[test]
fn tables_between_clusters() {
    let mut file = Made::new(3, counting(600)).file();
    put32(&mut file, 20, 10);
    let entry = L1_TABLE + 8;
    assert_eq!(
        error_of(file).to_string(),
        format!(
            "byte {entry:#x} of the qcow2 image: expected an offset that is a multiple of 0x400, \
             found 0xa00"
        )
    );
}

#[test]
fn a_truncated_image() {
    let whole = Made::new(3, counting(3 * CLUSTER + 5)).file();
    for length in 0..whole.len() {
        let error = error_of(whole[..length].to_vec());
        assert!(matches!(error, StreamError::Truncated { .. }), "{length}: {error}");
    }
}

proptest! {
    #[test]
    fn a_changed_byte_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        version in 2..4u32,
    ) {
        let mut file = Made::new(version, counting(2000)).file();
        for (index, byte) in changes {
            *index.get_mut(&mut file) = byte;
        }
        if let Ok(mut image) = Image::open(Cursor::new(file)) {
            for snapshot in image.snapshots().to_vec() {
                let state = image.vm_state(&snapshot.id);
                // A size that the L1 table covers may still be long.
                let _ = state.map(|it| it.take(1 << 20).read_to_end(&mut Vec::new()));
            }
        }
    }
}

#[test]
fn a_vm_state_is_read_again_from_anywhere_in_it() {
    let state: Vec<u8> = (0..3 * CLUSTER + 5).map(|at| (at % 251) as u8).collect();
    let mut image = Image::open(Cursor::new(Made::new(3, state.clone()).file())).unwrap();
    let mut vm_state = image.vm_state("name").unwrap();
    let mut from = |to: SeekFrom| {
        let at = vm_state.seek(to)?;
        let mut rest = Vec::new();
        vm_state.read_to_end(&mut rest)?;
        std::io::Result::Ok((at, rest))
    };
    let at = CLUSTER as u64 - 1;
    assert_eq!(from(SeekFrom::Start(at)).unwrap(), (at, state[CLUSTER - 1..].to_vec()));
    let end = state.len() as u64;
    assert_eq!(from(SeekFrom::Current(-3)).unwrap(), (end - 3, state[state.len() - 3..].to_vec()));
    assert_eq!(from(SeekFrom::End(-2)).unwrap(), (end - 2, state[state.len() - 2..].to_vec()));
    assert_eq!(from(SeekFrom::Start(end)).unwrap(), (end, Vec::new()));
    for beyond in [SeekFrom::Start(end + 1), SeekFrom::End(1), SeekFrom::End(-(end as i64) - 1)] {
        assert!(from(beyond).is_err(), "{beyond:?}");
    }
}
