//! Streams that QEMU could have written, damaged in one place each, turn the check red.

use super::*;
use crate::check::streams::built::{PAGE, mapped, plain};
use crate::check::streams::{Kept, Torn};
use crate::event::Verdict;
use pcram_stream::damage::{misplace_page, smuggle_mapped, smuggle_packet, smuggle_page};
use pcram_stream::{BlockOffset, DeviceSection, SectionHeader, StreamOffset};

/// A multifd channel with a page of `rom`.
fn channel() -> Vec<u8> {
    let begin = [&0x1122_3344_u32.to_be_bytes()[..], &[0, 0, 0, 1], &[0; 56]].concat();
    smuggle_packet(&begin, "rom", BlockOffset(0), PAGE).unwrap()
}

fn read(bytes: &[u8]) -> Stream {
    Stream { stamped: 4, ..Stream::read("pc.ram", bytes).unwrap() }
}

fn with_channels(main: &[u8], channels: &[&[u8]]) -> Stream {
    Stream::read_all("pc.ram", main, channels).unwrap().0
}

fn healthy() -> (Stream, Stream) {
    (read(&plain(&[])), read(&plain(&["pc.ram"])))
}

fn wrong(terms: &Terms, stock: &Stream, patched: &Stream) -> String {
    let finding = judge(terms, stock, patched);
    assert_eq!(finding.verdict, Verdict::Failed, "{}", finding.summary);
    finding.summary
}

fn held(terms: &Terms, stock: &Stream, patched: &Stream) -> String {
    let finding = judge(terms, stock, patched);
    assert_eq!(finding.verdict, Verdict::Held, "{}", finding.summary);
    finding.summary
}

fn terms() -> Terms {
    Terms::plain("pc.ram")
}

#[test]
fn a_page_more_or_less_in_the_main_stream() {
    let (stock, patched) = healthy();
    let summary = held(&terms(), &stock, &patched);
    assert_eq!(summary, "pc.ram pages in the stream: 0 (stock: 4); 2 other blocks whole");

    let bytes = plain(&["pc.ram"]);
    let more = smuggle_page(&bytes, "pc.ram", BlockOffset(PAGE)).unwrap();
    let summary = wrong(&terms(), &stock, &read(&more));
    assert_eq!(summary, "patched: 1 pages of pc.ram in the stream, not 0");
    let less = misplace_page(&bytes, "vga", BlockOffset(0), BlockOffset(PAGE)).unwrap();
    let summary = wrong(&terms(), &stock, &read(&less));
    assert!(summary.starts_with("patched: 1 pages of vga in the stream, not 2"), "{summary}");
    let other = smuggle_page(&bytes, "rom", BlockOffset(0)).unwrap();
    let summary = wrong(&terms(), &stock, &read(&other));
    assert_eq!(summary, "patched: the pages of rom hold something else than stock's");
    let summary = wrong(&terms(), &patched, &patched);
    assert_eq!(summary, "stock: 0 pages of pc.ram in the stream, not 4");
}

#[test]
fn the_block_is_left_open_where_the_others_alone_are_looked_at() {
    let (stock, patched) = healthy();
    let others = Terms { others_only: true, ..terms() };
    let bytes = plain(&["pc.ram"]);
    let more = smuggle_page(&bytes, "pc.ram", BlockOffset(PAGE)).unwrap();
    let summary = held(&others, &stock, &read(&more));
    assert_eq!(summary, "pc.ram pages in the stream: 1 (stock: 4); 2 other blocks whole");
    let sent = Stream { before: Some(Torn { of_block: 1, of_others: 5 }), ..patched.clone() };
    held(&others, &stock, &sent);
    let less = misplace_page(&bytes, "vga", BlockOffset(0), BlockOffset(PAGE)).unwrap();
    wrong(&others, &stock, &read(&less));
    let summary = wrong(&others, &patched, &patched);
    assert_eq!(summary, "stock: 0 pages of pc.ram in the stream, not 4");
}

#[test]
fn a_page_on_a_multifd_channel_and_a_channel_that_is_missing() {
    let channel = channel();
    let terms = Terms { channels: Some(2), ..terms() };
    let (stock, patched) = (plain(&["rom"]), plain(&["pc.ram", "rom"]));
    let both = |main: &[u8]| with_channels(main, &[&channel, &channel]);
    held(&terms, &both(&stock), &both(&patched));

    let smuggled = smuggle_packet(&channel, "pc.ram", BlockOffset(0), PAGE).unwrap();
    let patched_with = |channels: &[&[u8]]| with_channels(&patched, channels);
    let summary = wrong(&terms, &both(&stock), &patched_with(&[&channel, &smuggled]));
    assert_eq!(summary, "patched: 1 pages of pc.ram in the stream, not 0");
    let summary = wrong(&terms, &both(&stock), &patched_with(&[&channel]));
    assert_eq!(summary, "patched: 1 multifd channels, not 2");
    let empty = &channel[..64];
    let [stock, patched] = [plain(&[]), plain(&["pc.ram"])];
    let [stock, patched] = [stock, patched].map(|main| with_channels(&main, &[empty, empty]));
    let summary = wrong(&terms, &stock, &patched);
    assert!(summary.starts_with("stock: no page on any multifd channel; patched: no page"));
}

#[test]
fn a_page_in_a_mapped_ram_file_with_its_bit_and_without() {
    let terms = Terms { mapped: true, ..terms() };
    let (stock, patched) = (mapped(&[]), mapped(&["pc.ram"]));
    held(&terms, &read(&stock), &read(&patched));

    let smuggled = |bit| smuggle_mapped(&patched, "pc.ram", BlockOffset(PAGE), bit).unwrap();
    let summary = wrong(&terms, &read(&stock), &read(&smuggled(true)));
    assert_eq!(summary, "patched: 1 pages of pc.ram in the stream, not 0");
    let summary = wrong(&terms, &read(&stock), &read(&smuggled(false)));
    assert_eq!(summary, "patched: 1 pages of pc.ram in the file, beside its bitmap");
    let summary = wrong(&terms, &read(&stock), &read(&mapped(&["pc.ram", "vga"])));
    assert_eq!(summary, "patched: the pages of vga hold something else than stock's");
    let summary = wrong(&terms, &read(&patched), &read(&patched));
    assert_eq!(summary, "stock: 0 pages of pc.ram in the stream, not 4");
}

#[test]
fn a_page_of_a_block_that_both_ignore() {
    let terms = Terms { ignored: Some("vga".into()), ..terms() };
    let (stock, patched) = (plain(&["vga"]), plain(&["pc.ram", "vga"]));
    let summary = held(&terms, &read(&stock), &read(&patched));
    assert!(summary.contains("1 other blocks whole, vga left out by both"), "{summary}");
    let summary = wrong(&terms, &read(&stock), &read(&plain(&["pc.ram"])));
    assert!(summary.starts_with("patched: 2 pages of vga in the stream, not 0"), "{summary}");
    let summary = wrong(&terms, &read(&plain(&[])), &read(&patched));
    assert!(summary.starts_with("stock: 2 pages of vga in the stream, not 0"), "{summary}");
}

#[test]
fn a_written_block_that_is_not_as_the_guest_left_it() {
    let kept = |same| {
        let other = (same < 2).then_some(PAGE);
        Some(Kept { idstr: "vga".into(), pages: 2, same, other })
    };
    let terms = Terms { resent: true, ..terms() };
    let again = |left_out: &[&str], same| {
        let bytes = smuggle_page(&plain(left_out), "vga", BlockOffset(0)).unwrap();
        Stream { kept: kept(same), ..read(&bytes) }
    };
    let (stock, patched) = (again(&[], 2), again(&["pc.ram"], 2));
    let summary = held(&terms, &stock, &patched);
    assert!(summary.contains("all 2 pages of vga as the guest left them, of 3 records"));
    let summary = wrong(&terms, &stock, &again(&["pc.ram"], 1));
    assert_eq!(
        summary,
        "patched: 1 of 2 pages of vga are in the stream as the guest left them, not that at 0x1000"
    );
    let once = Stream { kept: kept(2), ..read(&plain(&["pc.ram"])) };
    let summary = wrong(&terms, &stock, &once);
    assert_eq!(summary, "patched: no page of vga was sent again");
}

#[test]
fn differences_that_were_never_sent() {
    let terms = Terms { differences: true, ..terms() };
    let kept = Some(Kept { idstr: "vga".into(), pages: 2, same: 2, other: None });
    let with = |left_out: &[&str], blocks: &[&str]| {
        let mut stream = Stream { kept: kept.clone(), ..read(&plain(left_out)) };
        let named = |block: &&mut BlockSummary| blocks.contains(&block.idstr.as_str());
        stream.summary.blocks.iter_mut().filter(named).for_each(|block| block.records.xbzrle = 9);
        stream
    };
    let (stock, patched) = (with(&[], &["pc.ram", "vga"]), with(&["pc.ram"], &["vga"]));
    let summary = held(&terms, &stock, &patched);
    assert!(summary.contains("; of stock's, 9 are differences"), "{summary}");
    let summary = wrong(&terms, &with(&[], &["vga"]), &patched);
    assert_eq!(summary, "stock: no page of pc.ram was sent as a difference");
    let summary = wrong(&terms, &stock, &with(&["pc.ram"], &[]));
    assert_eq!(summary, "patched: no page of vga was sent as a difference");
}

#[test]
fn a_try_before_that_sent_the_block_or_shows_nothing() {
    let (stock, patched) = healthy();
    let before = |of_block, of_others| Some(Torn { of_block, of_others });
    let stock = Stream { before: before(3, 0), ..stock };
    let patched = Stream { before: before(0, 5), ..patched };
    let summary = held(&terms(), &stock, &patched);
    assert!(summary.ends_with("; in the try before: 0 (stock: 3)"), "{summary}");
    let sent = Stream { before: before(1, 5), ..patched.clone() };
    let summary = wrong(&terms(), &stock, &sent);
    assert_eq!(summary, "patched: 1 pages of pc.ram in the try before");
    let nothing = Stream { before: before(0, 7), ..stock };
    let summary = wrong(&terms(), &nothing, &patched);
    assert_eq!(summary, "stock: the try before sent no page of pc.ram, 7 of others");
}

#[test]
fn a_guest_that_did_not_run_or_misses_pages_at_the_destination() {
    let (stock, patched) = healthy();
    let idle = Stream { load: Some(Loaded { sweeps: 0, stopped: false }), ..patched.clone() };
    let summary = wrong(&terms(), &stock, &idle);
    assert_eq!(summary, "patched: the guest finished no sweep while the stream was made");
    let found = Found { pages: 4, matching: 3, first_bad: Some(0) };
    let summary = wrong(&terms(), &Stream { arrived: Some(found), ..stock }, &patched);
    assert_eq!(summary, "stock: at the destination the guest found 3 of 4");
}

#[test]
fn a_block_that_only_one_of_them_lists_with_this_length() {
    let (stock, mut patched) = healthy();
    patched.summary.blocks[2].used_length += PAGE;
    let summary = wrong(&terms(), &stock, &patched);
    assert!(summary.starts_with("stock and patched list different RAM blocks"), "{summary}");
}

#[test]
fn each_block_has_its_figures_and_a_mapped_one_no_records() {
    let (stock, patched) = healthy();
    let finding = judge(&terms(), &stock, &patched);
    let figure = |name: &str| {
        let mut figures = finding.evidence.iter().filter(|figure| figure.name == name);
        figures.next().map(|figure| figure.value.to_string())
    };
    assert_eq!(figure("pages of vga, patched").as_deref(), Some("2 of 2, 2 records"));
    assert_eq!(figure("pages of pc.ram, stock").as_deref(), Some("4 of 4, 4 records"));
    let terms = Terms { mapped: true, ..terms() };
    let kept = Some(Kept { idstr: "vga".into(), pages: 2, same: 2, other: None });
    let patched = Stream { kept, ..read(&mapped(&["pc.ram"])) };
    let summary = held(&terms, &read(&mapped(&[])), &patched);
    assert!(summary.ends_with("all 2 pages of vga as the guest left them"), "{summary}");
}

fn section(idstr: &str, instance: u32, length: u64) -> DeviceSection {
    DeviceSection {
        offset: StreamOffset(0),
        header: SectionHeader { id: 3, idstr: idstr.into(), instance, version: 1 },
        length,
    }
}

#[test]
fn a_device_of_stocks_that_is_missing_is_missed() {
    let (stock, mut patched) = healthy();
    let mut there = stock.clone();
    let sections = vec![section("cpu", 0, 100), section("cpu", 1, 200)];
    there.summary.device_state = DeviceState::Listed { sections: sections.clone() };
    patched.summary.device_state =
        DeviceState::Examined { sections: vec![section("cpu", 0, 7)], description: "{}".into() };
    let summary = wrong(&terms(), &there, &patched);
    assert_eq!(summary, "patched: nothing of cpu behind the RAM section");
    patched.summary.device_state = DeviceState::Examined { sections, description: "{}".into() };
    held(&terms(), &there, &patched);
}

#[test]
fn sections_that_are_known_by_their_names_alone_are_as_long_as_stocks_or_shorter_than_a_page() {
    let more = |here: Vec<DeviceSection>| {
        let (mut stock, mut patched) = healthy();
        let there = vec![section("cpu", 0, 100), section("cpu", 1, 200)];
        stock.summary.device_state = DeviceState::Listed { sections: there };
        patched.summary.device_state = DeviceState::Listed { sections: here };
        more_behind(&stock.summary, &patched.summary)
    };
    assert!(more(vec![section("cpu", 0, 100), section("cpu", 1, 200)]).is_empty());
    assert!(more(vec![section("mark", 0, PAGE - 1)]).is_empty());
    let longer = "patched: 101 bytes of cpu behind the RAM section, 100 in stock's";
    assert_eq!(more(vec![section("cpu", 0, 101)]), [longer]);
    let shorter = "patched: 199 bytes of cpu behind the RAM section, 200 in stock's";
    assert_eq!(more(vec![section("cpu", 1, 199)]), [shorter]);
    let other = "patched: 4096 bytes of mark behind the RAM section, which stock does not have";
    assert_eq!(more(vec![section("mark", 0, PAGE)]), [other]);
    assert_eq!(more(vec![section("mark", 0, PAGE + 1)]).len(), 1);
}
