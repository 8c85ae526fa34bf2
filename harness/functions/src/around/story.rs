//! A case in words.

use super::case::{Block, Case, Name, Step};
use super::sent::{
    CapsCheck, Configuration, Content, Damage, Entry, Header, Item, Listed, Packet, Section,
};
use pcram_mirror::around::Settings;
use pcram_mirror::around::snapshot::Snapshot;

/// The guest, and each step, a line each.
pub fn tell(case: &Case) -> Vec<String> {
    let mut lines = vec![settings(&case.settings)];
    lines.extend(case.blocks.iter().enumerate().map(|(at, block)| described(at, block)));
    lines.extend(case.steps.iter().map(|step| words(case, step)));
    lines
}

/// The mode, and what is set.
fn settings(settings: &Settings) -> String {
    let set = [
        (settings.ignore_shared, "x-ignore-shared"),
        (settings.mapped_ram, "mapped-ram"),
        (settings.multifd, "multifd"),
        (settings.flush_each_section, "a flush after each section"),
        (settings.postcopy_ram, "postcopy-ram"),
        (settings.postcopy_advised, "postcopy-ram on the other side"),
        (settings.send_configuration, "a configuration section"),
        (settings.vmdesc, "a description at the end"),
        (settings.restore_vm, "a guest that has run"),
        (settings.running, "a migration under way"),
        (settings.others_fail, "RDMA, xbzrle and channels that fail"),
        (settings.fast_thread, "a channel that is done at once"),
    ];
    let set = set.iter().filter(|(is, _)| *is).map(|(_, what)| format!(", {what}"));
    format!("a migration of mode {:?}{}", settings.mode, set.collect::<String>())
}

fn described(at: usize, block: &Block) -> String {
    let Block { kind, pages, spare, resizeable, huge, name } = block;
    let more = [(*resizeable, ", resizeable"), (*huge, ", in huge pages")];
    let more: String = more.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    format!(
        "block{at}, of {} letters: {kind:?}, {pages} pages and {spare} spare{more}",
        name.max(&6)
    )
}

fn words(case: &Case, step: &Step) -> String {
    let block = |block: &u8| format!("block{}", case.block(*block));
    match step {
        Step::Ask { stop } => {
            format!("each block is asked what it is, and all that are saved, up to {}", block(stop))
        }
        Step::Setup { block: at } => format!("a header for {} is written to the file", block(at)),
        Step::Mark { block: at, page, pages } => {
            format!("{pages} pages of {} are in the file, from page {page} on", block(at))
        }
        Step::SaveFileBmap => "the bitmaps are written to the file".to_owned(),
        Step::Load { items, damage } => {
            let items: Vec<_> = items.iter().map(|each| item(case, each)).collect();
            let damage = match damage {
                Some(Damage::Cut(at)) => format!(", cut off at its byte {at}"),
                Some(Damage::Byte(at, byte)) => format!(", its byte {at} being {byte:#04x}"),
                None => String::new(),
            };
            format!("a section is loaded{damage}: {}", items.join("; "))
        }
        Step::Hint { block: at, offset, len } => {
            format!("the guest has {len} bytes free, from byte {offset} of {} on", block(at))
        }
        Step::SaveHeader => "the head of a stream is written".to_owned(),
        Step::Header { magic, version, section, cut } => {
            let other = |what: &str, value: &Option<u32>| {
                value.map_or(String::new(), |value| format!(", with the {what} {value:#x}"))
            };
            let section = match section {
                Section::Configuration(it) => configuration(case, it),
                Section::Other(byte) => format!("the byte {byte:#04x}"),
            };
            let cut = cut.map_or(String::new(), |at| format!("; it has {at} bytes"));
            let (magic, version) = (other("magic", magic), other("version", version));
            format!("the head of a stream comes{magic}{version}, and {section}{cut}")
        }
        Step::Sample { rate, seconds, written, cut } => {
            let written: Vec<_> =
                written.iter().map(|(at, page)| format!("page {page} of {}", block(at))).collect();
            let written = match written.is_empty() {
                true => "nothing".to_owned(),
                false => written.join(", "),
            };
            let cut = cut.map_or(String::new(), |at| format!(", and {} loses a page", block(&at)));
            format!(
                "the dirty rate is measured for {seconds} s by {rate} pages of each GiB, while \
                 {written} is written{cut}"
            )
        }
        Step::Caps { caps, name } => {
            let asked = match caps {
                Some(caps) => format!("the capabilities {caps:?} are asked for"),
                None => "the capabilities that are on are looked at".to_owned(),
            };
            format!("{asked}, beside {}", named(case, *name))
        }
        Step::Snapshot(Snapshot { named, overwrite, replay, fails }) => {
            let name = if *named { "with a name" } else { "without a name" };
            let more = [(*overwrite, ", over another"), (*replay, ", of a guest that is recorded")];
            let more: String = more.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
            let fails = fails.map_or(String::new(), |it| format!(", where {it:?} goes wrong"));
            format!("a snapshot is made {name}{more}{fails}")
        }
        Step::Format { links, readonly } => {
            let links = if *links { "" } else { ", on a host that names no files" };
            let readonly = readonly.map_or(String::new(), |at| format!(", {} ROM", block(&at)));
            format!("all blocks are printed{readonly}{links}")
        }
        Step::CapsCheck(CapsCheck { on, new, answers }) => format!(
            "the capabilities {new:?} are set where {on:?} are on, and there is {answers:?}"
        ),
        Step::Receive(packet) => {
            let Packet { name, unended, normal, zero, damage } = packet;
            let unended = if *unended { ", whose name has no end" } else { "" };
            let damage = damage.map_or(String::new(), |it| format!(", with {it:?}"));
            format!(
                "a packet comes with the pages {normal:?} of {}{unended}, the zero ones \
                 {zero:?}{damage}",
                named(case, *name)
            )
        }
        Step::Queue { block: at, page } => format!("page {page} of {} is queued", block(at)),
    }
}

/// A configuration section, and what is not as this guest would have it.
fn configuration(case: &Case, it: &Configuration) -> String {
    let Configuration { machine, target_page_bits, capabilities, external_ram, unknown } = it;
    let mut words = "a configuration section".to_owned();
    if let Some(machine) = machine {
        words += &format!(" of machine {machine:?}");
    }
    if let Some(bits) = target_page_bits {
        words += &format!(", with pages of {bits} bits");
    }
    if let Some(capabilities) = capabilities {
        words += &format!(", with the capabilities {capabilities:?}");
    }
    words += if *unknown { ", with a subsection that nobody knows" } else { "" };
    match external_ram {
        Listed::Here => {}
        Listed::Nowhere => words += ", without a list of external blocks",
        Listed::But { without, with, unended } => {
            words += ", with this guest's list of external blocks";
            words += &without.map_or(String::new(), |at| format!(" without its entry {at}"));
            let with: Vec<_> = with.iter().map(|name| named(case, *name)).collect();
            if !with.is_empty() {
                words += &format!(" and {}", with.join(", "));
            }
            words += if *unended { ", the last of them without an end" } else { "" };
        }
    }
    words
}

fn named(case: &Case, name: Name) -> String {
    match name {
        Name::Of(at) => format!("block{}", case.block(at)),
        Name::Short(at) => format!("block{} less its last letter", case.block(at)),
        Name::Long(at) => format!("block{} and a letter more", case.block(at)),
        Name::Unknown(length) => format!("a block of {length} letters that is not there"),
    }
}

fn item(case: &Case, item: &Item) -> String {
    match item {
        Item::List(entries) => {
            let entries: Vec<_> = entries.iter().map(|each| entry(case, each)).collect();
            format!("a list of {}", entries.join(", "))
        }
        Item::Page { of, page, beyond, content } => {
            let of = of.map_or("the block of before".to_owned(), |name| named(case, name));
            let content = match content {
                Content::Same(byte) => format!("{byte:#04x} all over"),
                Content::Bytes(byte) => format!("bytes from {byte:#04x} on"),
                Content::Difference => "a difference".to_owned(),
            };
            let beyond = if *beyond { " behind the end" } else { "" };
            format!("page {page}{beyond} of {of}, {content}")
        }
        Item::Flags(flags) => format!("the flags {flags:#x}"),
        Item::End => "its end".to_owned(),
    }
}

fn entry(case: &Case, entry: &Entry) -> String {
    let Entry { name, length, elsewhere, other_pages, header, pages } = entry;
    let mut words = named(case, *name);
    if let Some(length) = length {
        words += &format!(" of {length} bytes");
    }
    for (is, what) in [(*elsewhere, " at another address"), (*other_pages, " in other huge pages")]
    {
        words += if is { what } else { "" };
    }
    match header {
        Header::Fine => {}
        Header::Ignored => words += " (its file has no pages)",
        other => words += &format!(" (its file has {other:?})"),
    }
    if !pages.is_empty() {
        words += &format!(" (in a file, pages {pages:?})");
    }
    words
}
