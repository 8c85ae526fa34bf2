//! What QEMU tells its user of a migration leaves the block out, and is what the stream has.

use super::Finding;
use super::streams::{Recipe, Saved, Stream, Terms};
use super::trial::Trial;
use anyhow::Result;
use pcram_mirror::ram_list::{Carrier, RamBlock, bytes_total};
use pcram_stream::RecordCounts;
use serde::Deserialize;
use serde_json::Value;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Accounting(Recipe);

impl Accounting {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        self.0.judged(trial, judge)
    }
}

/// What `query-migrate` said of RAM, in bytes and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Bytes of RAM that the migration carries, at its end.
    total: u64,
    /// The most that it said was left, while the migration was under way.
    remaining: u64,
    /// Bytes sent; before 1.2 QEMU does not say once it has completed.
    transferred: Option<u64>,
    /// Pages sent in full, and pages sent as one byte that fills them; before 1.2 QEMU does not say.
    pages: Option<(u64, u64)>,
    /// How often the dirty pages were gathered.
    gathered: u64,
}

impl Told {
    fn of(stream: &Stream) -> Option<Told> {
        let (last, before) = stream.told.split_last()?;
        let figure = |state: &Value, name: &str| state["ram"][name].as_u64();
        Some(Told {
            total: stream.told.iter().rev().find_map(|it| figure(it, "total"))?,
            remaining: before.iter().filter_map(|it| figure(it, "remaining")).max().unwrap_or(0),
            transferred: figure(last, "transferred"),
            pages: figure(last, "normal").zip(figure(last, "duplicate")),
            gathered: figure(last, "dirty-sync-count").unwrap_or(0),
        })
    }
}

/// What a stream has of all that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// Bytes of the blocks whose pages it has.
    total: u64,
    /// Bytes on all channels.
    length: u64,
    /// Page records on all channels.
    records: RecordCounts,
    /// Packets on the channels of multifd.
    packets: u64,
    /// Bytes in a page.
    page_size: u64,
}

impl Seen {
    fn of(stream: &Stream, in_file: Option<&str>) -> Seen {
        let summary = &stream.summary;
        let mut records = RecordCounts::default();
        let mut blocks = Vec::new();
        for block in &summary.blocks {
            records.fill += block.records.fill;
            records.full += block.records.full;
            let in_file = in_file == Some(block.idstr.as_str());
            let carrier = if in_file { Carrier::File } else { Carrier::Stream };
            let (idstr, used_length) = (block.idstr.clone(), block.used_length);
            blocks.push(RamBlock { idstr, used_length, carrier });
        }
        let (mut length, mut packets) = (summary.length, 0);
        for channel in &summary.channels {
            length += channel.length;
            packets += channel.packets;
        }
        Seen { total: bytes_total(&blocks), length, records, packets, page_size: summary.page_size }
    }
}

/// Judges what both QEMUs told beside what their streams have.
fn judge(terms: &Terms, stock: &Stream, patched: &Stream) -> Finding {
    match (stock.saved, patched.saved) {
        (Some(there), Some(here)) => judge_saved(terms, (there, stock), (here, patched)),
        _ => judge_migrated(terms, stock, patched),
    }
}

fn judge_migrated(terms: &Terms, stock: &Stream, patched: &Stream) -> Finding {
    let block = terms.block.as_str();
    let sides = [("stock", stock, None), ("patched", patched, Some(block))];
    let mut wrong = Vec::new();
    let mut told_by = Vec::new();
    for (side, stream, in_file) in sides {
        match Told::of(stream) {
            Some(told) => {
                let seen = Seen::of(stream, in_file);
                wrong.extend(unlike(side, &told, &seen));
                told_by.push((side, told, seen));
            }
            None => wrong.push(format!("{side}: QEMU told no figures of RAM")),
        }
    }
    let [(_, there, _), (_, here, carried)] = told_by[..] else { return Finding::new(wrong, "") };
    if there.remaining <= carried.total {
        // Then the block is not in it, whatever patched says.
        let (remaining, total) = (there.remaining, carried.total);
        wrong.push(format!("stock: at most {remaining} bytes remained, no more than {total}"));
    }
    let pages = match (here.pages, there.pages) {
        (Some((normal, duplicate)), Some((there_normal, there_duplicate))) => format!(
            "{normal} normal and {duplicate} duplicate pages ({there_normal} and \
             {there_duplicate}), as many as in the stream; "
        ),
        _ => String::new(),
    };
    let transferred = match (here.transferred, there.transferred) {
        (Some(here), Some(there)) => format!("{here} bytes transferred ({there})"),
        _ => "no count of bytes at the end".to_owned(),
    };
    let summary = format!(
        "total {} (stock: {}), at most {} remaining ({}), {pages}{transferred}",
        here.total, there.total, here.remaining, there.remaining,
    );
    let mut finding = Finding::new(wrong, summary);
    for (side, told, seen) in told_by {
        finding = finding
            .with(format!("bytes on all channels, {side}"), seen.length)
            .with(
                format!("bytes that QEMU says were transferred, {side}"),
                told.transferred.map_or("none told".to_owned(), |bytes| bytes.to_string()),
            )
            .with(format!("bytes of the blocks that are carried, {side}"), seen.total)
            .with(format!("dirty pages gathered, {side}"), format!("{} times", told.gathered));
    }
    finding
}

/// Where QEMU told something else than its stream has.
fn unlike(side: &str, told: &Told, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut equal = |what: &str, told: u64, seen: u64| {
        if told != seen {
            wrong.push(format!("{side}: QEMU tells of {told} {what}, the stream has {seen}"));
        }
    };
    equal("bytes in all", told.total, seen.total);
    if let Some((normal, duplicate)) = told.pages {
        // Before 9.0 `multifd_queue_page` may put the last page of a packet into the next one, too.
        let full = seen.records.full;
        let twice = full.saturating_sub(normal).min(seen.packets);
        equal("normal pages", normal, full - twice);
        equal("duplicate pages", duplicate, seen.records.fill);
    }
    if told.remaining == 0 || told.remaining > seen.total {
        let (remaining, total) = (told.remaining, seen.total);
        wrong.push(format!("{side}: at most {remaining} bytes remained, of {total}"));
    }
    // Until 8.1 the bytes outside of pages were not counted, or not all of them.
    let pages = seen.records.full * seen.page_size;
    if let Some(told) = told.transferred
        && !(pages..=seen.length).contains(&told)
    {
        let length = seen.length;
        wrong.push(format!(
            "{side}: {told} bytes transferred, but {pages} in full pages and {length} in all"
        ));
    }
    wrong
}

/// How much a snapshot's size may exceed its stream, in bytes: QEMU writes whole clusters.
const CLUSTER: u64 = 64 << 10;

fn judge_saved(terms: &Terms, stock: (Saved, &Stream), patched: (Saved, &Stream)) -> Finding {
    let mut wrong = Vec::new();
    for (side, (saved, stream)) in [("stock", stock), ("patched", patched)] {
        let length = stream.summary.length;
        let Saved { bytes: saved, rounded } = saved;
        if !(length..=length + CLUSTER + rounded).contains(&(saved + rounded)) {
            wrong.push(format!("{side}: a snapshot of {saved} bytes, the stream has {length}"));
        }
    }
    let (there, here) = (stock.0.bytes, patched.0.bytes);
    let ram = patched.1.summary.block(&terms.block).map_or(0, |block| block.used_length);
    if there < ram || here >= ram {
        wrong.push(format!("a snapshot of {here} bytes (stock: {there}) with {ram} bytes of RAM"));
    }
    let summary = format!("savevm ends, with a snapshot of {here} bytes (stock: {there})");
    Finding::new(wrong, summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::streams::built::plain;
    use pcram_stream::ChannelSummary;
    use serde_json::json;

    fn told() -> Told {
        Told {
            total: 5 << 12,
            remaining: 4 << 12,
            transferred: Some(17_000),
            pages: Some((4, 1)),
            gathered: 2,
        }
    }

    fn seen() -> Seen {
        let records = RecordCounts { fill: 1, full: 4, ..RecordCounts::default() };
        Seen { total: 5 << 12, length: 17_100, records, packets: 0, page_size: 4096 }
    }

    fn wrong(change: impl FnOnce(&mut Told)) -> String {
        let mut told = told();
        change(&mut told);
        unlike("patched", &told, &seen()).join("; ")
    }

    #[test]
    fn figures_that_are_not_those_of_the_stream_are_named() {
        assert_eq!(wrong(|_| ()), "");
        let total = "patched: QEMU tells of 24576 bytes in all, the stream has 20480";
        assert_eq!(wrong(|it| it.total += 4096), total);
        let normal = "patched: QEMU tells of 5 normal pages, the stream has 4";
        assert_eq!(wrong(|it| it.pages = Some((5, 1))), normal);
        let duplicate = "patched: QEMU tells of 0 duplicate pages, the stream has 1";
        assert_eq!(wrong(|it| it.pages = Some((4, 0))), duplicate);
    }

    #[test]
    fn what_an_old_qemu_does_not_tell_is_not_compared() {
        assert_eq!(wrong(|it| (it.pages, it.transferred) = (None, None)), "");
        let ram = json!({ "total": 3 << 12, "remaining": 3 << 12, "transferred": 0 });
        let told =
            vec![json!({ "status": "active", "ram": ram }), json!({ "status": "completed" })];
        let stream = Stream { told, ..Stream::read("pc.ram", &plain(&["pc.ram"])).unwrap() };
        let told = Told::of(&stream).unwrap();
        assert_eq!((told.total, told.remaining), (3 << 12, 3 << 12));
        assert_eq!((told.transferred, told.pages), (None, None));
    }

    #[test]
    fn a_page_in_two_packets_of_multifd_counts_once() {
        let unlike = |normal, packets| {
            let told = Told { pages: Some((normal, 1)), ..told() };
            unlike("patched", &told, &Seen { packets, ..seen() }).join("; ")
        };
        assert_eq!(unlike(3, 1), "");
        assert_eq!(unlike(4, 1), "");
        let expected = "patched: QEMU tells of 2 normal pages, the stream has 3";
        assert_eq!(unlike(2, 1), expected);
        assert!(unlike(5, 1).contains("5 normal pages, the stream has 4"));
    }

    #[test]
    fn what_remained_is_part_of_the_whole_and_was_seen() {
        let more = "patched: at most 20481 bytes remained, of 20480";
        assert_eq!(wrong(|it| it.remaining = 20481), more);
        assert_eq!(wrong(|it| it.remaining = 0), "patched: at most 0 bytes remained, of 20480");
        assert_eq!(wrong(|it| it.remaining = 20480), "");
    }

    #[test]
    fn what_was_transferred_has_all_pages_and_is_no_more_than_there_is() {
        for (transferred, right) in
            [(16_383, false), (16_384, true), (17_100, true), (17_101, false)]
        {
            let found = wrong(|it| it.transferred = Some(transferred));
            assert_eq!(found.is_empty(), right, "{found}");
        }
    }

    fn stream(left_out: &[&str], ram: Value) -> Stream {
        let active = json!({ "status": "active", "ram": { "remaining": ram["remaining"] } });
        let told = vec![json!({ "status": "setup" }), active, json!({ "ram": ram })];
        Stream { told, ..Stream::read("pc.ram", &plain(left_out)).unwrap() }
    }

    fn figures(pages: u64, remaining: u64) -> Value {
        json!({ "total": pages << 12, "remaining": remaining << 12, "transferred": pages << 12,
                "normal": pages, "duplicate": 0 })
    }

    #[test]
    fn a_patched_qemu_that_counts_the_block_is_found_out() {
        let terms = Terms::plain("pc.ram");
        let judged = |stock: &Stream, patched: &Stream| judge(&terms, stock, patched).summary;
        let (stock, patched) = (stream(&[], figures(7, 7)), stream(&["pc.ram"], figures(3, 2)));
        let held = judged(&stock, &patched);
        let expected = "total 12288 (stock: 28672), at most 8192 remaining (28672), 3 normal and \
                        0 duplicate pages (7 and 0), as many as in the stream; 12288 bytes \
                        transferred (28672)";
        assert_eq!(held, expected);
        let mut counted = figures(3, 2);
        counted["total"] = json!(7 << 12);
        let total = "patched: QEMU tells of 28672 bytes in all, the stream has 12288";
        assert_eq!(judged(&stock, &stream(&["pc.ram"], counted)), total);
        let remaining = judged(&stock, &stream(&["pc.ram"], figures(3, 7)));
        assert_eq!(remaining, "patched: at most 28672 bytes remained, of 12288");
        let little = judged(&stream(&[], figures(7, 3)), &patched);
        assert_eq!(little, "stock: at most 12288 bytes remained, no more than 12288");
        let silent = Stream { told: Vec::new(), ..patched };
        assert_eq!(judged(&stock, &silent), "patched: QEMU told no figures of RAM");
    }

    #[test]
    fn a_snapshot_with_ram_in_it_is_found_out() {
        let terms = Terms::plain("pc.ram");
        let saved = |left_out: &[&str], more: u64| {
            let stream = stream(left_out, json!({}));
            let saved = Saved { bytes: stream.summary.length + more, rounded: 0 };
            Stream { saved: Some(saved), ..stream }
        };
        let (stock, patched) = (saved(&[], 0), saved(&["pc.ram"], CLUSTER));
        let judged = |stock: &Stream, patched: &Stream| judge(&terms, stock, patched).summary;
        assert!(judged(&stock, &saved(&["pc.ram"], 0)).starts_with("savevm ends, with a snapshot"));
        assert!(judged(&stock, &patched).contains("bytes of RAM"), "16 KiB of RAM would fit");
        assert!(
            judged(&stock, &saved(&["pc.ram"], CLUSTER + 1)).starts_with("patched: a snapshot")
        );
        assert!(judged(&stock, &stock).contains("with 16384 bytes of RAM"));
    }

    #[test]
    fn what_all_channels_have_is_added_up() {
        let mut stream = Stream::read("pc.ram", &plain(&[])).unwrap();
        let alone = Seen::of(&stream, None);
        let channel = |length, packets| ChannelSummary { length, packets, ..Default::default() };
        stream.summary.channels = vec![channel(100, 3), channel(20, 4)];
        let both = Seen::of(&stream, None);
        assert_eq!((both.length, both.packets), (alone.length + 120, 7));
        assert_eq!(both.records, alone.records);
    }

    #[test]
    fn a_snapshot_has_all_ram_with_stock_and_less_without() {
        let stream = Stream::read("pc.ram", &plain(&[])).unwrap();
        let ram = stream.summary.block("pc.ram").unwrap().used_length;
        let wrong = |there, here| {
            let [there, here] = [there, here].map(|bytes| Saved { bytes, rounded: 0 });
            let summary = judge_saved(&Terms::plain("pc.ram"), (there, &stream), (here, &stream));
            summary.summary.contains("bytes of RAM")
        };
        assert!(!wrong(ram, ram - 1));
        assert!(wrong(ram - 1, ram - 1) && wrong(ram, ram) && wrong(ram, ram + 1));
    }

    #[test]
    fn a_snapshots_size_is_the_streams_up_to_what_is_rounded() {
        let stream = Stream::read("pc.ram", &plain(&["pc.ram"])).unwrap();
        let length = stream.summary.length;
        let ram = stream.summary.block("pc.ram").unwrap().used_length;
        let whole = Stream::read("pc.ram", &plain(&[])).unwrap();
        let there = Saved { bytes: whole.summary.length, rounded: 0 };
        assert!(there.bytes >= ram);
        let wrong = |bytes, rounded| {
            let here = (Saved { bytes, rounded }, &stream);
            let finding = judge_saved(&Terms::plain("pc.ram"), (there, &whole), here);
            finding.summary.contains("patched: a snapshot of")
        };
        assert!(!wrong(length, 0) && wrong(length - 1, 0));
        assert!(!wrong(length - 100, 100) && wrong(length - 101, 100));
        assert!(!wrong(length + CLUSTER, 0) && wrong(length + CLUSTER + 1, 0));
        assert!(!wrong(length + CLUSTER, 100) && wrong(length + CLUSTER + 1, 100));
    }
}
