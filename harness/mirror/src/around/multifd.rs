//! multifd, in migration/multifd.c and, later, migration/multifd-nocomp.c: what a packet must have to
//! be read.

use super::file::until_nul;
use super::{Guest, PAGE, Packets, Undefined};

/// Pages of a packet (`MULTIFD_PACKET_SIZE`).
pub const PAGES: usize = (512 << 10) / PAGE as usize;
/// `MULTIFD_MAGIC`.
pub const MULTIFD_MAGIC: u32 = 0x1122_3344;
/// `MULTIFD_VERSION`.
pub const MULTIFD_VERSION: u32 = 1;
/// How many times the pages of a packet 5.2 bears.
const BORNE: u32 = 100;
/// Where nothing lies.
pub const NOWHERE: u64 = u64::MAX;

/// A packet (`MultiFDPacket_t`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// [`MULTIFD_MAGIC`].
    pub magic: u32,
    /// [`MULTIFD_VERSION`].
    pub version: u32,
    /// What is to be done with it.
    pub flags: u32,
    /// The pages for which there is room.
    pub pages_alloc: u32,
    /// The pages that are sent.
    pub normal_pages: u32,
    /// The pages that are zero.
    pub zero_pages: u32,
    /// The bytes that follow.
    pub next_packet_size: u32,
    /// Its number.
    pub packet_num: u64,
    /// The block of the pages.
    pub ramblock: [u8; super::external::NAME],
    /// Where in it they are; there are [`PAGES`] of them, behind these they are 0.
    pub offset: Vec<u64>,
}

/// What a channel has read of a packet (`MultiFDRecvParams`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// `flags`.
    pub flags: u32,
    /// `next_packet_size`.
    pub next_packet_size: u32,
    /// `packet_num`.
    pub packet_num: u64,
    /// `normal_num`, in 5.2 `pages->used`.
    pub normal_num: u32,
    /// `zero_num`.
    pub zero_num: u32,
    /// `pages->allocated`, in 5.2.
    pub allocated: u32,
    /// `block`, in 9.1 and later.
    pub block: Option<usize>,
    /// The block that `host` is that of, in 7.0 and later.
    pub host: Option<usize>,
    /// `normal`: where pages are in their block; in 5.2, where in the guest's memory they go.
    pub normal: Vec<u64>,
    /// `zero`.
    pub zero: Vec<u64>,
}

impl Receiver {
    /// A channel that has read nothing.
    pub fn new(packets: Packets) -> Receiver {
        let used = packets == Packets::Used;
        Receiver {
            flags: 0,
            next_packet_size: 0,
            packet_num: 0,
            normal_num: 0,
            zero_num: 0,
            allocated: if used { PAGES as u32 } else { 0 },
            block: None,
            host: None,
            normal: vec![if used { NOWHERE } else { 0 }; PAGES],
            zero: vec![0; PAGES],
        }
    }
}

impl Guest {
    /// Reads a packet; gives 0 or -1 (`multifd_recv_unfill_packet`, since 9.1
    /// `multifd_recv_unfill_packet_header` and `multifd_recv_unfill_packet_ram`, with
    /// `multifd_ram_unfill_packet`).
    ///
    /// # Errors
    ///
    /// Where the C does what is not defined.
    pub fn multifd_recv_unfill_packet(&mut self, packet: &Packet) -> Result<i32, Undefined> {
        match self.unfill(packet)? {
            Ok(()) => Ok(0),
            Err(text) => {
                self.say([&b"multifd: "[..], &text].concat());
                Ok(-1)
            }
        }
    }

    fn unfill(&mut self, packet: &Packet) -> Result<Result<(), Vec<u8>>, Undefined> {
        if let Err(text) = self.unfill_header(packet).and_then(|()| self.unfill_counts(packet)) {
            return Ok(Err(text.into_bytes()));
        }
        let (normal, zero) = (self.receiver.normal_num, self.receiver.zero_num);
        if normal == 0 && zero == 0 {
            return Ok(Ok(()));
        }
        // The last byte ends it for C, whatever it is.
        let (_, name) = packet.ramblock.split_last().expect("a name has bytes");
        let name = until_nul(name);
        let found = self.by_name(name);
        if self.tree.packets == Packets::Zero {
            self.receiver.block = found;
        }
        let Some(block) = found else {
            return Ok(Err([b"unknown ram block ", name].concat()));
        };
        if self.tree.ram.external && self.is_ignored(block) {
            return Ok(Err([b"block ", name, b" should not be migrated !"].concat()));
        }
        if self.tree.packets != Packets::Used {
            self.receiver.host = found;
        }
        self.carried.push(block);
        let it = &self.blocks[block];
        let old = self.tree.packets == Packets::Used;
        let limit = if old { it.max_length } else { it.used_length };
        for at in 0..(normal + zero) as usize {
            if at >= PAGES {
                return Err(Undefined::Packet);
            }
            let offset = packet.offset.get(at).copied().unwrap_or(0);
            if offset > it.used_length.wrapping_sub(PAGE) {
                let text = format!("offset too long {offset} (max {limit:x})");
                return Ok(Err(text.into_bytes()));
            }
            match at.checked_sub(normal as usize) {
                Some(at) => self.receiver.zero[at] = offset,
                None if old => self.receiver.normal[at] = it.host.wrapping_add(offset),
                None => self.receiver.normal[at] = offset,
            }
        }
        Ok(Ok(()))
    }

    fn unfill_header(&mut self, packet: &Packet) -> Result<(), String> {
        let Packet { magic, version, flags, .. } = *packet;
        let and = match self.tree.packets {
            Packets::Zero => [", expected", ", expected"],
            Packets::Used | Packets::Normal => [" and expected magic", " and expected version"],
        };
        if magic != MULTIFD_MAGIC {
            return Err(format!("received packet magic {magic:x}{} {MULTIFD_MAGIC:x}", and[0]));
        }
        if version != MULTIFD_VERSION {
            let version = match self.tree.packets {
                Packets::Used => (version as i32).to_string(),
                Packets::Normal | Packets::Zero => version.to_string(),
            };
            return Err(format!("received packet version {version}{} {MULTIFD_VERSION}", and[1]));
        }
        self.receiver.flags = flags;
        Ok(())
    }

    fn unfill_counts(&mut self, packet: &Packet) -> Result<(), String> {
        let Packet { pages_alloc: room, normal_pages, zero_pages, .. } = *packet;
        let expected = PAGES as u32;
        let numbers = (packet.next_packet_size, packet.packet_num);
        let receiver = &mut self.receiver;
        match self.tree.packets {
            Packets::Used => {
                if room > expected * BORNE {
                    let most = expected * BORNE;
                    let room = room as i32;
                    return Err(format!(
                        "received packet with size {room} and expected a maximum size of {most}"
                    ));
                }
                if room > receiver.allocated {
                    receiver.allocated = room;
                    receiver.normal.fill(NOWHERE);
                }
                receiver.normal_num = normal_pages;
                if normal_pages > room {
                    let pages = normal_pages as i32;
                    return Err(format!(
                        "received packet with {pages} pages and expected maximum pages are {room}"
                    ));
                }
                (receiver.next_packet_size, receiver.packet_num) = numbers;
            }
            Packets::Normal => {
                if room > expected {
                    return Err(format!(
                        "received packet with size {room} and expected a size of {expected}"
                    ));
                }
                receiver.normal_num = normal_pages;
                if normal_pages > room {
                    return Err(format!(
                        "received packet with {normal_pages} pages and expected maximum pages are \
                         {room}"
                    ));
                }
                (receiver.next_packet_size, receiver.packet_num) = numbers;
            }
            Packets::Zero => {
                (receiver.next_packet_size, receiver.packet_num) = numbers;
                if room > expected {
                    return Err(format!("received packet with {room} pages, expected {expected}"));
                }
                receiver.normal_num = normal_pages;
                if normal_pages > room {
                    return Err(format!(
                        "received packet with {normal_pages} non-zero pages, which exceeds maximum \
                         expected pages {room}"
                    ));
                }
                receiver.zero_num = zero_pages;
                let left = room - normal_pages;
                if zero_pages > left {
                    return Err(format!(
                        "received packet with {zero_pages} zero pages, expected maximum {left}"
                    ));
                }
            }
        }
        Ok(())
    }
}
