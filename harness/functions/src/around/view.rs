//! The mirror's variables, line by line as `pcram_view` of `c/around/view.c` has those of the C.

use pcram_mirror::around::bits::Bits;
use pcram_mirror::around::file::until_nul;
use pcram_mirror::around::multifd::NOWHERE;
use pcram_mirror::around::{Guest, Packets};

/// What the variables hold.
pub(super) fn view(guest: &Guest) -> Vec<u8> {
    let mut to = Vec::new();
    let mut say = |line: String| {
        to.extend(line.into_bytes());
        to.push(b'\n');
    };
    let bits = |bits: &Option<Bits>| match bits {
        Some(bits) => bits.words.iter().map(|word| format!(" {word:016x}")).collect(),
        None => " none".to_owned(),
    };
    let index = |block: Option<usize>| block.map_or(-1, |block| block as i64);
    for (at, block) in guest.blocks.iter().enumerate() {
        say(format!("block {at}: {:x}", block.used_length));
        say(format!("  dirty{}", bits(&block.bmap)));
        say(format!("  received{}", bits(&block.receivedmap)));
        if guest.tree.mapped_ram {
            say(format!("  in the file{}", bits(&block.file_bmap)));
            let (bitmap, pages) = (block.bitmap_offset, block.pages_offset);
            say(format!("  bitmap at {bitmap:x}, pages at {pages:x}"));
        }
    }
    say(format!("{} dirty, {} transferred", guest.dirty_pages, guest.transferred));
    if !guest.tree.keeps_refused {
        say(format!("last {}", index(guest.last_recv_block)));
    }
    let it = &guest.savevm_state;
    let name = it.name.as_deref().map(until_nul);
    let name = name.map_or("(none)".into(), String::from_utf8_lossy);
    say(format!("section {} {name} {}", it.len, it.target_page_bits));
    it.capabilities.iter().for_each(|it| say(format!("capability {}", it.name())));
    for name in &it.external_ram {
        say(format!("external {}", String::from_utf8_lossy(until_nul(name))));
    }
    let it = &guest.receiver;
    say(format!("packet {}: {:x} {}", it.packet_num, it.flags, it.next_packet_size));
    let none = match guest.tree.packets {
        Packets::Used => {
            say(format!("  {} of {}", it.normal_num, it.allocated));
            NOWHERE
        }
        Packets::Normal | Packets::Zero => {
            say(format!("  {}, at {}", it.normal_num, index(it.host)));
            0
        }
    };
    let pages = |what: &str, all: &[u64], none: u64| -> Vec<String> {
        let set = all.iter().enumerate().filter(|&(_, &page)| page != none);
        set.map(|(at, page)| format!("  {what} {at} {page:x}")).collect()
    };
    pages("normal", &it.normal, none).into_iter().for_each(&mut say);
    if guest.tree.packets == Packets::Zero {
        say(format!("  {} zero, of {}", it.zero_num, index(it.block)));
        pages("zero", &it.zero, 0).into_iter().for_each(&mut say);
    }
    if guest.tree.queues {
        let pages = &guest.queue.pages;
        say(format!("queue {}: {}", index(pages.block), pages.offset.len()));
    }
    to
}
