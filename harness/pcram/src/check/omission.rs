//! A stream that leaves the block out: no page of it, and every other block whole.
//!
//! Stock and patched make their streams the same way in the same run, and the same reader counts
//! both: a zero counts only beside stock's full count.

use super::Finding;
use super::streams::{Kept, Loaded, Recipe, Stream, Terms};
use super::trial::Trial;
use crate::machine::guest::Found;
use anyhow::Result;
use pcram_mirror::ram_list::{Carrier, RamBlock, bytes_total_with_ignored};
use pcram_stream::{BlockSummary, DeviceSection, DeviceState, Summary};
use serde::Deserialize;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Omission(Recipe);

impl Omission {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        self.0.judged(trial, judge)
    }
}

/// Judges the patched QEMU's stream beside stock's.
pub fn judge(terms: &Terms, stock: &Stream, patched: &Stream) -> Finding {
    let block = terms.block.as_str();
    let mut wrong = Vec::new();
    if list(&stock.summary) != list(&patched.summary) {
        wrong.push("stock and patched list different RAM blocks".to_owned());
    }
    let (both, here): (Vec<_>, Vec<_>) =
        (terms.ignored.iter().map(String::as_str).collect(), vec![block]);
    let here = [here, both.clone()].concat();
    wrong.extend(unlike_the_mirror("stock", terms, stock, &both));
    wrong.extend(unlike_the_mirror("patched", terms, patched, &here));
    wrong.extend(other_content(terms, stock, patched));
    wrong.extend(more_behind(&stock.summary, &patched.summary));
    wrong.extend(less_behind(&stock.summary, &patched.summary));
    wrong.extend(unlike_the_terms("stock", terms, stock, true));
    wrong.extend(unlike_the_terms("patched", terms, patched, false));
    if let Some(torn) = stock.before.filter(|torn| torn.of_block == 0) {
        let others = torn.of_others;
        wrong.push(format!("stock: the try before sent no page of {block}, {others} of others"));
    }
    let before = patched.before.filter(|_| !terms.others_only);
    if let Some(torn) = before.filter(|torn| torn.of_block > 0) {
        wrong.push(format!("patched: {} pages of {block} in the try before", torn.of_block));
    }
    let mut finding = Finding::new(wrong, summary(terms, stock, patched));
    if terms.mapped {
        // As many pages of the block, if not more, are to be in stock's file.
        finding = finding.with("pages that the guest had stamped, stock", stock.stamped);
    }
    figures(figures(finding, "stock", stock), "patched", patched)
}

/// What one stream has that it must not have, or lacks, whatever the other one has.
fn unlike_the_terms(side: &str, terms: &Terms, stream: &Stream, sent: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let Stream { summary, load, arrived, kept, .. } = stream;
    if let DeviceState::Unexamined { length } = summary.device_state {
        wrong.push(format!("{side}: {length} bytes behind the RAM section were not examined"));
    }
    if load.is_some_and(|load| load.sweeps == 0) {
        wrong.push(format!("{side}: the guest finished no sweep while the stream was made"));
    }
    if let Some(Found { pages, matching, .. }) = arrived.filter(|found| !found.all()) {
        wrong.push(format!("{side}: at the destination the guest found {matching} of {pages}"));
    }
    if let Some(kept) = kept {
        let (idstr, pages, same) = (&kept.idstr, kept.pages, kept.same);
        if pages == 0 || same != pages {
            let first = kept.other.map_or(String::new(), |at| format!(", not that at {at:#x}"));
            wrong.push(format!(
                "{side}: {same} of {pages} pages of {idstr} are in the stream as the guest left \
                 them{first}"
            ));
        }
        let block = summary.block(idstr);
        let again = block.map_or(0, |it| it.records.total().saturating_sub(it.pages.len()));
        if terms.resent && again == 0 {
            wrong.push(format!("{side}: no page of {idstr} was sent again"));
        }
        if terms.differences && block.is_none_or(|it| it.records.xbzrle == 0) {
            wrong.push(format!("{side}: no page of {idstr} was sent as a difference"));
        }
    }
    let of_block = summary.block(&terms.block);
    if sent && terms.differences && of_block.is_none_or(|it| it.records.xbzrle == 0) {
        wrong.push(format!("{side}: no page of {} was sent as a difference", terms.block));
    }
    if let Some(channels) = terms.channels {
        let opened = summary.channels.len() as u64;
        if opened != channels {
            wrong.push(format!("{side}: {opened} multifd channels, not {channels}"));
        }
        let pages = |all: u64, channel: &pcram_stream::ChannelSummary| all + channel.pages.total();
        if summary.channels.iter().fold(0, pages) == 0 {
            wrong.push(format!("{side}: no page on any multifd channel"));
        }
    }
    wrong
}

/// What patched has behind its RAM section beyond what stock has, where nothing but the names of the
/// sections tells what is there: one that stock has too is as long there, and another one is too
/// short for a page.
fn more_behind(stock: &Summary, patched: &Summary) -> Vec<String> {
    let (DeviceState::Listed { sections: there }, DeviceState::Listed { sections: here }) =
        (&stock.device_state, &patched.device_state)
    else {
        return Vec::new();
    };
    let key = |section: &DeviceSection| (section.header.idstr.clone(), section.header.instance);
    let more = here.iter().filter_map(|section| {
        let DeviceSection { length, .. } = section;
        let idstr = &section.header.idstr;
        match there.iter().find(|other| key(other) == key(section)) {
            Some(other) if other.length == *length => None,
            Some(other) => Some(format!(
                "patched: {length} bytes of {idstr} behind the RAM section, {} in stock's",
                other.length
            )),
            None if *length < patched.page_size => None,
            None => Some(format!(
                "patched: {length} bytes of {idstr} behind the RAM section, which stock does not have"
            )),
        }
    });
    more.collect()
}

/// Sections that stock has behind its RAM section, and patched has not.
fn less_behind(stock: &Summary, patched: &Summary) -> Vec<String> {
    let (there, here) = (devices(stock), devices(patched));
    let lost = there.iter().filter(|section| !here.contains(section));
    lost.map(|(idstr, _)| format!("patched: nothing of {idstr} behind the RAM section")).collect()
}

/// The sections behind the RAM section, by idstr and instance.
fn devices(summary: &Summary) -> Vec<(&str, u32)> {
    let sections = match &summary.device_state {
        DeviceState::Examined { sections, .. } | DeviceState::Listed { sections } => sections,
        DeviceState::Unexamined { .. } => return Vec::new(),
    };
    sections.iter().map(|it| (it.header.idstr.as_str(), it.header.instance)).collect()
}

/// Blocks whose pages hold something else than stock's. The guest writes none of them, but for the
/// one that is compared with its own memory.
fn other_content(terms: &Terms, stock: &Stream, patched: &Stream) -> Vec<String> {
    let written = patched.kept.as_ref().map(|kept| kept.idstr.as_str());
    let others = stock
        .content
        .iter()
        .filter(|(idstr, _)| **idstr != terms.block && Some(idstr.as_str()) != written);
    let other = others.filter(|(idstr, content)| patched.content.get(*idstr) != Some(content));
    let wrong = other.map(|(idstr, _)| {
        format!("patched: the pages of {idstr} hold something else than stock's")
    });
    wrong.collect()
}

fn summary(terms: &Terms, stock: &Stream, patched: &Stream) -> String {
    let block = terms.block.as_str();
    let records = |stream: &Stream| {
        stream.summary.block(block).map_or("not listed".into(), |it| sent(it).to_string())
    };
    let (there, here) = (records(stock), records(patched));
    let left_out = 1 + usize::from(terms.ignored.is_some());
    let others = patched.summary.blocks.len().saturating_sub(left_out);
    let mut text = format!(
        "{block} pages in the stream: {here} (stock: {there}); {others} other blocks whole"
    );
    if let Some(ignored) = &terms.ignored {
        text += &format!(", {ignored} left out by both");
    }
    if let (Some(there), Some(here)) = (stock.before, patched.before) {
        let (there, here) = (there.of_block, here.of_block);
        text += &format!("; in the try before: {here} (stock: {there})");
    }
    let xbzrle = |stream: &Stream| stream.summary.block(block).map_or(0, |it| it.records.xbzrle);
    if xbzrle(stock) > 0 {
        text += &format!("; of stock's, {} are differences", xbzrle(stock));
    }
    if let Some(Kept { idstr, pages, .. }) = &patched.kept {
        text += &format!("; all {pages} pages of {idstr} as the guest left them");
        let records = patched.summary.block(idstr).map_or(0, |it| it.records.total());
        if records > 0 {
            text += &format!(", of {records} records");
        }
    }
    if let Some(load) = patched.load {
        let what = if patched.kept.is_some() { "its pages" } else { "all its RAM" };
        text += &format!("; the guest wrote {what} {} times meanwhile", load.sweeps);
    }
    text
}

/// The pages of a block that were sent, again and again; those of a mapped-ram file have a place
/// each, and no records.
fn sent(block: &BlockSummary) -> u64 {
    block.records.total().max(block.pages.len())
}

fn figures(mut finding: Finding, side: &str, stream: &Stream) -> Finding {
    finding = finding.with(format!("bytes in the stream, {side}"), stream.summary.length);
    if let Some(Loaded { sweeps, stopped }) = stream.load {
        let end = if stopped { "then it was stopped" } else { "and went on" };
        finding =
            finding.with(format!("guest sweeps meanwhile, {side}"), format!("{sweeps}, {end}"));
    }
    for each in &stream.summary.blocks {
        let pages = each.used_length / stream.summary.page_size.max(1);
        let differences = match each.records.xbzrle {
            0 => String::new(),
            count => format!(", {count} of them differences"),
        };
        let (seen, records) = (each.pages.len(), each.records.total());
        let figure = format!("{seen} of {pages}, {records} records{differences}");
        finding = finding.with(format!("pages of {}, {side}", each.idstr), figure);
    }
    for channel in &stream.summary.channels {
        let figure = format!("{} in {} packets", channel.pages.total(), channel.packets);
        finding = finding.with(format!("pages on channel {}, {side}", channel.id), figure);
    }
    if let Some(found) = &stream.arrived {
        let figure = format!("{} of {}", found.matching, found.pages);
        finding = finding.with(format!("pages found at the destination, {side}"), figure);
    }
    if let Some(kept) = &stream.kept {
        let figure = format!("{} of {}", kept.same, kept.pages);
        finding = finding.with(format!("pages of {} as left, {side}", kept.idstr), figure);
    }
    finding
}

fn list(summary: &Summary) -> Vec<(&str, u64)> {
    summary.blocks.iter().map(|each| (each.idstr.as_str(), each.used_length)).collect()
}

/// Where a stream differs from what the mirror foretells of its block list. The blocks `in_files`
/// are left out.
fn unlike_the_mirror(side: &str, terms: &Terms, stream: &Stream, in_files: &[&str]) -> Vec<String> {
    let summary = &stream.summary;
    let blocks: Vec<_> = summary.blocks.iter().map(|each| mirrored(each, in_files)).collect();
    let mut wrong = Vec::new();
    for block in in_files.iter().filter(|&&block| summary.block(block).is_none()) {
        wrong.push(format!("{side}: {block} does not stand in the block list"));
    }
    let total = bytes_total_with_ignored(&blocks);
    if total != summary.total {
        wrong.push(format!("{side}: the list's total is {}, its sum {total}", summary.total));
    }
    let is_open = |block: &BlockSummary| {
        terms.others_only && block.idstr == terms.block && in_files.contains(&terms.block.as_str())
    };
    let looked_at = blocks.iter().zip(&summary.blocks).filter(|(_, seen)| !is_open(seen));
    for (foretold, seen) in looked_at {
        let (idstr, expected, pages) = (&seen.idstr, foretold.pages_in_stream(), seen.pages.len());
        let least = match terms.mapped {
            true if *idstr == terms.block => expected.min(stream.stamped),
            true => 0,
            false => expected,
        };
        if !(least..=expected).contains(&pages) {
            wrong.push(format!("{side}: {pages} pages of {idstr} in the stream, not {expected}"));
        }
        let stray = seen.stray.len();
        if foretold.is_ignored() && stray > 0 {
            wrong.push(format!("{side}: {stray} pages of {idstr} in the file, beside its bitmap"));
        }
    }
    wrong
}

fn mirrored(block: &BlockSummary, in_files: &[&str]) -> RamBlock {
    let BlockSummary { idstr, used_length, .. } = block;
    let in_file = in_files.contains(&idstr.as_str());
    let carrier = if in_file { Carrier::File } else { Carrier::Stream };
    RamBlock { idstr: idstr.clone(), used_length: *used_length, carrier }
}

#[cfg(test)]
mod tests;
