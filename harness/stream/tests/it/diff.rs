//! Two streams held against each other.

use pcram_stream::diff::{BlockDifference, Side, blocks, devices};
use pcram_stream::{BlockOffset, DeviceSection, Memory, PageSet, StreamError, Summary};
use std::convert::Infallible;

use crate::build::*;

fn begun(list: &[(&str, u64)]) -> Stream {
    Stream::v10_0().start_ram().blocks(list).close().part_ram()
}

fn ended(stream: Stream, devices: &[&str]) -> Vec<u8> {
    let stream = stream.close().end_ram().close();
    let numbered = devices.iter().zip(7..);
    numbered.fold(stream, |stream, (name, id)| stream.device(id, name)).finish()
}

fn summary(stream: &[u8]) -> Summary {
    Summary::read(stream).unwrap()
}

fn set(pages: &[u64]) -> PageSet {
    let mut set = PageSet::default();
    pages.iter().for_each(|&page| set.insert(page));
    set
}

fn differences(one: &[u8], other: &[u8]) -> Vec<BlockDifference> {
    let memories = [one, other].map(|it| Memory::read(it, &[], |_| true).unwrap());
    let same = |idstr: &str, page: u64| -> Result<bool, Infallible> {
        let [one, other] = memories.each_ref().map(|it| it.page(idstr, BlockOffset(page * PAGE)));
        Ok(one == other)
    };
    blocks(&summary(one), &summary(other), same).unwrap()
}

#[test]
fn pages_are_the_same_differ_or_are_in_one_alone() {
    let one = begun(&[("pc.ram", 4), ("vga", 2), ("gone", 1)])
        .page("pc.ram", 0, FLAG_PAGE)
        .full(1)
        .continued(1, FLAG_PAGE)
        .full(2)
        .continued(3, FLAG_ZERO)
        .u8(0)
        .page("gone", 0, FLAG_ZERO)
        .u8(0);
    let other = begun(&[("vga", 3), ("pc.ram", 4), ("new", 1)])
        .page("pc.ram", 0, FLAG_PAGE)
        .full(1)
        .continued(1, FLAG_PAGE)
        .full(3)
        .continued(2, FLAG_PAGE)
        .full(4);
    let found = differences(&ended(one, &[]), &ended(other, &[]));
    let [ram, vga, gone, new] = found.try_into().unwrap();
    let expected = BlockDifference {
        idstr: "pc.ram".into(),
        length: None,
        only_one: set(&[3]),
        only_other: set(&[2]),
        differ: set(&[1]),
        same: 1,
    };
    assert_eq!(ram, expected);
    assert!(!ram.is_none());
    assert_eq!((vga.idstr.as_str(), vga.length), ("vga", Some(Side::Both(2 * PAGE, 3 * PAGE))));
    assert_eq!((gone.idstr.as_str(), gone.length), ("gone", Some(Side::One(PAGE))));
    assert_eq!(gone.only_one, set(&[0]));
    assert_eq!((new.idstr.as_str(), new.length), ("new", Some(Side::Other(PAGE))));
}

#[test]
fn each_kind_of_difference_is_one() {
    let with = |pages: &[u8], length| {
        let stream = begun(&[("pc.ram", length)]);
        let stamped = pages.iter().zip(0..);
        let stream = stamped
            .fold(stream, |stream, (&fill, at)| stream.page("pc.ram", at, FLAG_PAGE).full(fill));
        ended(stream, &[])
    };
    let is_none = |one: &[u8], other: &[u8]| differences(one, other)[0].is_none();
    assert!(is_none(&with(&[1], 2), &with(&[1], 2)));
    assert!(!is_none(&with(&[1], 2), &with(&[2], 2)));
    assert!(!is_none(&with(&[1, 1], 2), &with(&[1], 2)));
    assert!(!is_none(&with(&[1], 2), &with(&[1, 1], 2)));
    assert!(!is_none(&with(&[1], 2), &with(&[1], 3)));
}

#[test]
fn devices_by_name_and_instance() {
    let [one, other] = [&["timer", "cpu", "old"], &["cpu", "timer", "new"]]
        .map(|names| summary(&ended(begun(&[("pc.ram", 1)]), names)));
    let same = |a: &DeviceSection, _: &DeviceSection| Ok::<_, StreamError>(a.header.idstr == "cpu");
    let found = devices(&one, &other, same).unwrap();
    let told = found.iter().map(|side| match side {
        Side::One(it) => format!("- {}", it.header.idstr),
        Side::Other(it) => format!("+ {}", it.header.idstr),
        Side::Both(a, b) => format!("{} {} {}", a.header.idstr, a.header.id, b.header.id),
    });
    assert_eq!(told.collect::<Vec<_>>(), ["timer 7 8", "- old", "+ new"]);
    let sum = |it: &DeviceSection| it.content().0 - it.offset.0;
    let sections = pcram_stream::diff::sections(&one.device_state);
    assert_eq!(sum(&sections[0]), 1 + 4 + 1 + 5 + 8);
}

#[test]
fn runs_of_pages() {
    let runs = |pages: &[u64]| set(pages).runs().collect::<Vec<_>>();
    assert_eq!(runs(&[]), []);
    assert_eq!(runs(&[0, 1, 2, 5, 63, 64, 70]), [(0, 3), (5, 1), (63, 2), (70, 1)]);
}

#[test]
fn what_comes_before_the_damage_is_told() {
    let whole = ended(begun(&[("pc.ram", 2)]).page("pc.ram", 0, FLAG_PAGE).full(1), &["timer"]);
    let cut = whole.len() - 1;
    let (summary, read) = Summary::read_as_far(&whole[..cut]);
    assert!(read.is_err());
    assert_eq!(summary.pages_of("pc.ram"), Some(1));
    assert_eq!(summary.machine.as_deref(), Some("pc-i440fx-10.0"));
    assert!(summary.length > 0 && summary.length <= cut as u64, "{}", summary.length);
    let (summary, read) = Summary::read_as_far(whole.as_slice());
    assert!(read.is_ok());
    assert_eq!(summary, Summary::read(whole.as_slice()).unwrap());
}
