//! What a stream carries, in lines for people.

use pcram_stream::diff::{BlockDifference, Side, sections};
use pcram_stream::{
    BlockSummary, ChannelSummary, DeviceSection, DeviceState, PageSet, RecordCounts, Summary,
};

/// How many runs of pages are named where not all are asked for.
const RUNS: usize = 8;

/// All of it but the blocks: lines that come before them.
pub fn head(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(machine) = &summary.machine {
        lines.push(format!("machine {machine}"));
    }
    for (what, names) in
        [("capabilities", &summary.capabilities), ("external RAM", &summary.external_ram)]
    {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if !summary.blocks.is_empty() {
        let (count, total, page_size) = (summary.blocks.len(), summary.total, summary.page_size);
        lines.push(format!("{count} RAM blocks, {total} bytes, pages of {page_size}"));
    }
    lines
}

/// One block: its length, its pages, and by what records they came; every run of its pages where
/// `all` is asked for.
pub fn block(block: &BlockSummary, page_size: u64, all: bool) -> Vec<String> {
    let BlockSummary { idstr, used_length, records, pages, stray } = block;
    let of = used_length / page_size.max(1);
    let mut line = format!("{idstr}: {used_length} bytes, {} of {of} pages", pages.len());
    let kinds = kinds(records);
    if !kinds.is_empty() {
        line += &format!(", by {} records: {kinds}", records.total());
    }
    if !stray.is_empty() {
        line += &format!("; {} pages that its bitmap does not have", stray.len());
    }
    let mut lines = vec![line];
    if all {
        lines.push(format!("  at {}", runs(pages, page_size, usize::MAX)));
    }
    lines
}

/// What comes behind the blocks.
pub fn tail(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if summary.sweeps > 1 {
        lines.push(format!("the page records begin anew {} times", summary.sweeps - 1));
    }
    for channel in &summary.channels {
        let ChannelSummary { id, packets, syncs, pages, length } = channel;
        lines.push(format!(
            "channel {id}: {length} bytes, {packets} packets, {syncs} of them synchronise, {} pages: {}",
            pages.total(),
            kinds(pages)
        ));
    }
    let state = &summary.device_state;
    let devices = sections(state);
    lines.extend(devices.iter().map(device));
    match state {
        DeviceState::Examined { description, .. } => {
            lines.push(format!("VM description: {} bytes", description.len()));
        }
        DeviceState::Listed { .. } => lines.push(
            "no VM description: a device's state is taken to end where the next one's begins"
                .into(),
        ),
        DeviceState::Unexamined { length: 0 } => {}
        DeviceState::Unexamined { length } => lines.push(format!(
            "{length} bytes of devices' state, which nothing in the stream tells apart"
        )),
    }
    lines
}

/// The section of a device.
pub fn device(section: &DeviceSection) -> String {
    let DeviceSection { offset, header, length } = section;
    format!(
        "at {:#x}: {}, instance {}, version {}, {length} bytes",
        offset.0, header.idstr, header.instance, header.version
    )
}

/// Where what comes before the blocks is not the same in two streams.
pub fn head_difference(one: &Summary, other: &Summary) -> Vec<String> {
    let machine = |it: &Summary| it.machine.clone().unwrap_or_else(|| "not told".into());
    let of = |it: &Summary| {
        [
            ("machine", machine(it)),
            ("capabilities", it.capabilities.join(", ")),
            ("external RAM", it.external_ram.join(", ")),
        ]
    };
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let pairs = of(one).into_iter().zip(of(other)).filter(|((_, one), (_, other))| one != other);
    let line = |((what, one), (_, other))| {
        format!("{what}: {} in the first, {} in the second", none(one), none(other))
    };
    pairs.map(line).collect()
}

/// Where a block is not the same in two streams.
pub fn block_difference(difference: &BlockDifference, page_size: u64, all: bool) -> Vec<String> {
    let BlockDifference { idstr, length, only_one, only_other, differ, same } = difference;
    let most = if all { usize::MAX } else { RUNS };
    let mut lines = Vec::new();
    match length {
        None => {}
        Some(Side::One(_)) => lines.push(format!("{idstr}: only in the first")),
        Some(Side::Other(_)) => lines.push(format!("{idstr}: only in the second")),
        Some(Side::Both(one, other)) => {
            lines.push(format!("{idstr}: {one} bytes in the first, {other} in the second"));
        }
    }
    let kinds = [
        (differ, "pages differ"),
        (only_one, "pages are only in the first"),
        (only_other, "pages are only in the second"),
    ];
    for (pages, what) in kinds.into_iter().filter(|(pages, _)| !pages.is_empty()) {
        let (count, at) = (pages.len(), runs(pages, page_size, most));
        lines.push(format!("{idstr}: {count} {what}: {at}"));
    }
    if lines.is_empty() {
        lines.push(format!("{idstr}: all {same} pages are the same"));
    }
    lines
}

/// A device whose state is not the same in two streams.
pub fn device_difference(difference: &Side<&DeviceSection>) -> String {
    match difference {
        Side::One(section) => format!("only in the first: {}", device(section)),
        Side::Other(section) => format!("only in the second: {}", device(section)),
        Side::Both(one, other) => {
            let name = format!("{}, instance {}", one.header.idstr, one.header.instance);
            let of = |it: &DeviceSection| {
                format!("version {}, {} bytes at {:#x}", it.header.version, it.length, it.offset.0)
            };
            format!("{name}: {}; in the second: {}", of(one), of(other))
        }
    }
}

/// Offsets of pages in their block, from the first of a run to behind its last.
fn runs(pages: &PageSet, page_size: u64, most: usize) -> String {
    let mut shown: Vec<String> = pages
        .runs()
        .take(most)
        .map(|(first, count)| {
            format!("{:#x}-{:#x}", first * page_size, (first + count) * page_size)
        })
        .collect();
    let more = pages.runs().skip(most).count();
    if more > 0 {
        shown.push(format!("and {more} more runs"));
    }
    if shown.is_empty() { "no page".to_owned() } else { shown.join(" ") }
}

fn kinds(records: &RecordCounts) -> String {
    let RecordCounts { fill, full, xbzrle, zlib } = *records;
    let kinds =
        [(full, "full"), (fill, "filled"), (xbzrle, "as differences"), (zlib, "compressed")];
    let there = kinds.iter().filter(|(count, _)| *count > 0);
    there.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}
