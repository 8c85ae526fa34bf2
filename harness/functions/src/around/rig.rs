//! One guest, through the mirror and, where they are at hand, through the functions.

use super::case::{Case, Name, Step};
use super::ffi::Functions;
use super::memory::Memory;
use super::sent::CapsCheck;
use super::{header, stream, view};
use crate::lockstep::{Broken, Difference, Outcome, same};
use pcram_mirror::address::TARGET_PAGE_SIZE as PAGE;
use pcram_mirror::around::dirtyrate::DirtyStat;
use pcram_mirror::around::external::Capability;
use pcram_mirror::around::file::{Input, Output};
use pcram_mirror::around::info::Host;
use pcram_mirror::around::{Block, Guest, Tree, Undefined};
use pcram_mirror::v1_0::Property;

/// Runs a case. Without functions, only the mirror runs and the property is watched.
///
/// # Errors
///
/// Where the two sides differ.
pub fn run(
    tree: Tree,
    functions: Option<&mut Functions>,
    case: &Case,
) -> Result<Outcome, Difference> {
    let mut host = 0;
    let block = |(at, block): (usize, &super::case::Block)| {
        let max_length = u64::from(block.pages + block.spare) * PAGE;
        host += max_length;
        Block {
            idstr: case.idstr(at),
            kind: block.kind,
            resizeable: block.resizeable,
            used_length: u64::from(block.pages) * PAGE,
            max_length,
            page_size: if block.huge { 2 << 20 } else { PAGE },
            addr: (at as u64 + 1) << 32,
            host: host - max_length,
            bmap: None,
            file_bmap: None,
            receivedmap: None,
            bitmap_offset: 0,
            pages_offset: 0,
        }
    };
    let blocks: Vec<_> = case.blocks.iter().enumerate().map(block).collect();
    let mut rig = Rig {
        case,
        guest: Guest::new(tree, case.settings, blocks),
        functions,
        memory: Memory::new(host),
        file: Output::default(),
        outcome: Outcome::default(),
        step: 0,
    };
    if let Some(functions) = &mut rig.functions {
        // SAFETY: the memory lives as long as the case, and a block has 300 pages at most.
        unsafe { functions.begin(&case.settings, &rig.guest.blocks, &mut rig.memory.c) }
    }
    rig.compare()?;
    for (at, step) in case.steps.iter().enumerate() {
        rig.step = at;
        rig.outcome.calls += 1;
        let seen = rig.guest.carried.len();
        match rig.take(step)? {
            Ok(()) => rig.compare()?,
            // The C is not called, so there is nothing to compare from here on.
            Err(undefined) => rig.outcome.ended = Some((at, undefined.to_string())),
        }
        rig.watch(seen);
        if rig.outcome.ended.is_some() {
            break;
        }
    }
    Ok(rig.outcome)
}

struct Rig<'a> {
    case: &'a Case,
    guest: Guest,
    functions: Option<&'a mut Functions>,
    memory: Memory,
    /// What is written.
    file: Output,
    outcome: Outcome,
    step: usize,
}

/// The n-th page that is looked at, of so many: they wrap, so that how many counts.
fn sampled(at: u64, pages: u64) -> u64 {
    at * 61 % pages
}

/// What one step comes to: on both sides the same, or what the C does not define.
type Taken = Result<Result<(), Undefined>, Difference>;

impl Rig<'_> {
    fn take(&mut self, step: &Step) -> Taken {
        let tree = self.guest.tree;
        let block = |block: u8| self.case.block(block);
        match step {
            Step::Ask { stop } => self.ask(*stop)?,
            Step::Setup { block: at } if tree.mapped_ram => {
                let block = block(*at);
                self.guest.mapped_ram_setup_ramblock(&mut self.file, block);
                self.c(|functions| functions.setup(block));
            }
            Step::Mark { block: at, page, pages } if tree.mapped_ram => {
                self.mark(block(*at), (*page).into(), (*pages).into());
            }
            Step::SaveFileBmap if tree.mapped_ram => {
                self.guest.ram_save_file_bmap(&mut self.file);
                self.c(Functions::save_file_bmap);
            }
            Step::Load { items, damage } => {
                return self.load(&stream::load(self.case, &self.guest, items, *damage));
            }
            Step::Hint { block: at, offset, len } => {
                let at = self.guest.blocks[block(*at)].host + u64::from(*offset);
                let len = (*len).into();
                if let Err(undefined) = self.guest.qemu_guest_free_page_hint(at, len) {
                    return Ok(Err(undefined));
                }
                // SAFETY: the mirror was asked.
                self.c(|functions| unsafe { functions.hint(at, len) });
            }
            Step::Receive(packet) => {
                let packet = stream::packet(self.case, &self.guest, packet);
                let mirror = match self.guest.multifd_recv_unfill_packet(&packet) {
                    Ok(mirror) => mirror,
                    Err(undefined) => return Ok(Err(undefined)),
                };
                let mut bytes = stream::packet_bytes(&packet, tree.packets);
                // SAFETY: the mirror was asked.
                let c = self.c(|functions| unsafe { functions.receive(&mut bytes) });
                self.same("multifd_recv_unfill_packet()", c, mirror.into())?;
            }
            Step::Queue { block: at, page } if tree.queues => {
                let block = block(*at);
                let offset = u64::from(page % self.case.blocks[block].pages) * PAGE;
                let mirror = match self.guest.multifd_queue_page(block, offset) {
                    Ok(mirror) => mirror,
                    Err(undefined) => return Ok(Err(undefined)),
                };
                // SAFETY: the mirror was asked.
                let c = self.c(|functions| unsafe { functions.queue(block, offset) });
                self.same("multifd_queue_page()", c.flatten(), mirror.into())?;
            }
            Step::SaveHeader => {
                self.guest.qemu_savevm_state_header(&mut self.file);
                self.c(Functions::save_header);
            }
            Step::Sample { rate, seconds, written, cut } => {
                let cut = cut.map(block);
                let page = |(at, page): &(u8, u16)| {
                    let block = block(*at);
                    (block, u64::from(*page) % (self.guest.blocks[block].used_length / PAGE).max(1))
                };
                let written: Vec<_> = written.iter().map(page).collect();
                return self.sample((*rate).into(), (*seconds).into(), &written, cut);
            }
            Step::Snapshot(it) => {
                let mirror = self.guest.save_snapshot(it);
                let c = self.c(|functions| functions.snapshot(it));
                self.same("save_snapshot()", c, mirror.into())?;
            }
            Step::Format { links, readonly } => {
                let (links, readonly) = (*links, readonly.map(block));
                let base = self.memory.c.as_ptr().addr() as u64;
                let text = self.guest.ram_block_format(&Host { base, links, readonly });
                self.guest.said.push(text);
                self.c(|functions| functions.format(links, readonly));
            }
            Step::CapsCheck(CapsCheck { on, new, answers }) => {
                let mirror = self.guest.migrate_caps_check(on, new, answers);
                let c = self.c(|functions| functions.caps_check(on, new, answers));
                self.same("migrate_caps_check()", c, mirror.into())?;
            }
            Step::Header { .. } => self.header(&header::header(self.case, &self.guest, step))?,
            Step::Caps { caps, name } if tree.ram.external => self.caps(caps.as_deref(), *name)?,
            // The tree has nothing of it.
            _ => {}
        }
        Ok(Ok(()))
    }

    /// Calls the functions, where they are at hand.
    fn c<T>(&mut self, call: impl FnOnce(&mut Functions) -> T) -> Option<T> {
        self.functions.as_mut().map(|functions| call(functions))
    }

    fn ask(&mut self, stop: u8) -> Result<(), Difference> {
        let guest = &self.guest;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for (at, block) in guest.blocks.iter().enumerate() {
            let ignored = if guest.is_ignored(at) { " ignored" } else { "" };
            let skipped = if guest.skip_sample_ramblock(at) { " skipped" } else { "" };
            lines.push(
                [b"(", &block.idstr[..], ignored.as_bytes(), skipped.as_bytes(), b")"].concat(),
            );
        }
        if guest.tree.ram.external {
            let external = guest.ram_external_block().map(|at| &guest.blocks[at].idstr[..]);
            let needed = if guest.configuration_is_needed() { " needed" } else { "" };
            let listed = if guest.vmstate_external_ram_needed() { " listed" } else { "" };
            let external = external.unwrap_or_default();
            lines.push(
                [b"(external ", external, needed.as_bytes(), listed.as_bytes(), b")"].concat(),
            );
        }
        let mut left = stop;
        let mirror = guest.foreach_not_ignored_block(|at| {
            lines.push([b"(visit ", &guest.blocks[at].idstr[..], b")"].concat());
            left = left.wrapping_sub(1);
            if left == 0 { 7 } else { 0 }
        });
        self.guest.said.extend(lines);
        let c = self.c(|functions| functions.ask(stop));
        self.same("foreach_not_ignored_block()", c, mirror.into())
    }

    /// Pages of a block are in the file.
    fn mark(&mut self, block: usize, page: u64, pages: u64) {
        let length = self.guest.blocks[block].max_length / PAGE;
        for page in (page % length..length).take(pages as usize) {
            if let Some(bits) = &mut self.guest.blocks[block].file_bmap {
                bits.set(page);
            }
            self.c(|functions| functions.mark(block, page));
        }
    }

    fn load(&mut self, bytes: &[u8]) -> Taken {
        let mut input = Input::new(bytes);
        let mirror = match self.guest.ram_load_precopy(&mut input, &mut self.memory.mirror) {
            Ok(mirror) => mirror,
            Err(undefined) => return Ok(Err(undefined)),
        };
        // SAFETY: the mirror was asked.
        let c = self.c(|functions| unsafe { functions.load_precopy(bytes) });
        self.same("ram_load_precopy()", c, (mirror.into(), input.at, input.error))?;
        self.compare_memory().map(Ok)
    }

    fn compare_memory(&self) -> Result<(), Difference> {
        let differs = self.functions.as_ref().and_then(|_| self.memory.differs());
        differs.map_or(Ok(()), |(at, c, mirror)| same(self.step, "memory", &(at, c), &(at, mirror)))
    }

    /// Measures the dirty rate while pages are written, and a block loses a page.
    fn sample(
        &mut self,
        rate: u64,
        seconds: u64,
        written: &[(usize, u64)],
        cut: Option<usize>,
    ) -> Taken {
        let meanwhile = |guest: &mut Guest, memory: &mut [u8]| {
            for &(block, page) in written {
                let byte = &mut memory[(guest.blocks[block].host + page * PAGE) as usize];
                *byte = byte.wrapping_add(1);
            }
            if let Some(block) = cut
                && guest.blocks[block].used_length > PAGE
            {
                guest.blocks[block].used_length -= PAGE;
            }
        };
        let (memory, msec) = (&mut self.memory.mirror, seconds * 1000);
        let stat = self.guest.calculate_dirtyrate_sample_vm(rate, msec, memory, sampled, meanwhile);
        let DirtyStat { dirty_rate, total_dirty_samples, total_sample_count, total_block_mem_mb } =
            stat;
        self.guest.said.push(
            format!(
                "rate {dirty_rate}: {total_dirty_samples} of {total_sample_count}, \
                 {total_block_mem_mb} MiB"
            )
            .into_bytes(),
        );
        // SAFETY: the pages are some of the blocks'.
        self.c(|functions| unsafe { functions.sample(rate, seconds, written, cut) });
        self.compare_memory().map(Ok)
    }

    fn header(&mut self, bytes: &[u8]) -> Result<(), Difference> {
        let mut input = Input::new(bytes);
        let mirror = self.guest.qemu_loadvm_state_header(&mut input);
        let c = self.c(|functions| functions.header(bytes));
        self.same("qemu_loadvm_state_header()", c, (mirror.into(), input.at, input.error))
    }

    /// What only the series has.
    fn caps(&mut self, caps: Option<&[Capability]>, name: Name) -> Result<(), Difference> {
        let name = self.case.name(name);
        let idstr = String::from_utf8_lossy(&name);
        let mirror = match caps {
            Some(caps) => self.guest.caps_allow_external_ram(caps, &idstr),
            None => self.guest.migrate_caps_allow_external_ram(&idstr),
        };
        let set = caps.map(Capability::each);
        let c = self.c(|functions| functions.caps(set, &name)).flatten();
        self.same("caps_allow_external_ram()", c, mirror.into())
    }

    /// What one step let by, against what is promised of all.
    fn watch(&mut self, seen: usize) {
        let mut new = self.guest.carried[seen..].iter();
        let Some(&block) = new.find(|&&block| self.guest.is_ignored(block)) else { return };
        let property = Property::LeftOut;
        if self.outcome.broken.iter().all(|broken| broken.property != property) {
            let seen = format!("block{block} is ignored, and goes by");
            self.outcome.broken.push(Broken { property, step: self.step, seen });
        }
    }

    /// What was said, what was written, and the variables of both sides.
    fn compare(&mut self) -> Result<(), Difference> {
        let mirror = std::mem::take(&mut self.guest.said);
        let Some(functions) = &mut self.functions else { return Ok(()) };
        let mut lines = mirror.join(&b'\n');
        lines.extend(if mirror.is_empty() { &b""[..] } else { b"\n" });
        same_lines(self.step, "what was said", functions.said(), &lines)?;
        let written = (self.file.at, self.file.error);
        same(self.step, "the file", &functions.written(), &written)?;
        same(self.step, "bytes", &functions.pieces(), &self.file.pieces)?;
        same_lines(self.step, "variables", functions.view(), &view::view(&self.guest))
    }

    fn same<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &'static str,
        c: Option<T>,
        mirror: T,
    ) -> Result<(), Difference> {
        c.map_or(Ok(()), |c| same(self.step, what, &c, &mirror))
    }
}

/// Nothing, where both sides have the same lines; else the first that differs.
fn same_lines(step: usize, what: &'static str, c: &[u8], mirror: &[u8]) -> Result<(), Difference> {
    if c == mirror {
        return Ok(());
    }
    let line = |text: &[u8], at| {
        let line = text.split(|&byte| byte == b'\n').nth(at);
        line.map(|line| String::from_utf8_lossy(line).into_owned())
    };
    let differs = (0..).find(|&at| line(c, at) != line(mirror, at)).expect("they differ");
    same(step, what, &line(c, differs), &line(mirror, differs))
}
