//! A case in words.

use super::case::{Block, Call, Case, Damage, Step};
use pcram_mirror::v1_0::Variant;

/// The guest, and each step, a line each; pages and blocks are named as the step finds them.
pub fn tell(variant: Variant, case: &Case) -> Vec<String> {
    let mut blocks = case.blocks.clone();
    let guest: Vec<_> =
        blocks.iter().enumerate().map(|(at, block)| described(variant, at, *block)).collect();
    let mut lines = vec![format!("a guest with {}", guest.join(", "))];
    for step in &case.steps {
        lines.push(words(variant, &mut blocks, step));
    }
    lines
}

fn described(variant: Variant, at: usize, block: Block) -> String {
    let left_out = if block.left_out && variant.leaves_out() { ", left out" } else { "" };
    format!("block{at} of {}{left_out}", pages(block.pages))
}

fn pages(count: u8) -> String {
    if count == 1 { "1 page".to_owned() } else { format!("{count} pages") }
}

fn words(variant: Variant, blocks: &mut Vec<Block>, step: &Step) -> String {
    let place = |block: u8, page: u8| {
        let block = usize::from(block) % blocks.len();
        (block, page % blocks[block].pages)
    };
    match *step {
        Step::SaveLive(call) => called(call),
        Step::SaveBlock => "one page is sent".to_owned(),
        Step::Write { block, page, byte, filled } => {
            let (block, page) = place(block, page);
            let what =
                if filled { format!("{byte:#04x} all over") } else { "this and that".into() };
            format!("the guest writes {what} to page {page} of block{block}")
        }
        Step::Touch { block, page } => {
            let (block, page) = place(block, page);
            format!("page {page} of block{block} is looked up: the block moves to the front")
        }
        Step::Plug(block) => {
            blocks.push(block);
            format!("{} is plugged in", described(variant, blocks.len() - 1, block))
        }
        Step::Unplug { block } => {
            format!("block{} is taken out", usize::from(block) % blocks.len())
        }
        Step::ExternalList { lost: true, .. } => "a stream without a list is loaded".to_owned(),
        Step::ExternalList { damage, .. } => {
            format!("the list of external blocks is written and loaded{}", damaged(damage))
        }
        Step::Load { version, damage } => {
            format!("the stream is loaded as version {version}{}", damaged(damage))
        }
    }
}

fn damaged(damage: Option<Damage>) -> String {
    match damage {
        Some(Damage::Add(at, added)) => format!(", {added} added to its byte {at}"),
        Some(Damage::Cut(at)) => format!(", cut off at its byte {at}"),
        None => String::new(),
    }
}

fn called(call: Call) -> String {
    let stage = match call.stage {
        1 => "the migration begins",
        2 => "the migration goes on",
        3 => "the guest is stopped, and the migration ends",
        _ => return "the migration is given up".to_owned(),
    };
    let mut words = stage.to_owned();
    if call.limit < u32::MAX {
        words += &format!("; after {} bytes it is enough", call.limit);
    }
    if call.fail_in > 0 {
        words += &format!("; the file fails when it is asked for the {}. time", call.fail_in);
    }
    if call.sync_fails {
        words += "; dirty pages cannot be had";
    }
    words
}
