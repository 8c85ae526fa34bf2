//! One case, through the mirror and, where they are at hand, through the functions; what differs.

mod loads;

use super::case::{Block, Call, Case, Step};
use super::ffi::{Aborted, Functions, NO_BLOCK, Variables};
use super::guest::{BEGAN, Buffer, MOST_ALLOCATED, Memory, Out, Written, write};
use super::properties::Watch;
use crate::lockstep::{Difference, Outcome, same};
use pcram_mirror::v1_0::{Host, PAGE, Ram, Undefined, Variant};
use std::ffi::CStr;

/// The blocks' names. They come so often that they are not made anew each time.
const NAMES: [&CStr; MOST_ALLOCATED] = [
    c"block0", c"block1", c"block2", c"block3", c"block4", c"block5", c"block6", c"block7",
    c"block8", c"block9", c"block10", c"block11",
];

/// Runs a case. Without functions, only the mirror runs and the properties are watched.
///
/// # Errors
///
/// Where the two sides differ.
pub fn run(
    variant: Variant,
    functions: Option<&mut Functions>,
    case: &Case,
) -> Result<Outcome, Difference> {
    let mut rig = Rig {
        functions,
        ram: Ram::new(variant),
        memory: Memory::default(),
        c_memory: Memory::default(),
        loading: None,
        loaded: false,
        call: Written::default(),
        written: Buffer::default(),
        error: 0,
        watch: Watch::default(),
        outcome: Outcome::default(),
        step: 0,
    };
    let came = rig.all(case);
    // Where they differ, the C may have written anything.
    rig.c_memory.changed_as(came.is_ok().then_some(&rig.memory));
    came.map(|()| rig.outcome)
}

struct Rig<'a> {
    functions: Option<&'a mut Functions>,
    ram: Ram,
    memory: Memory,
    c_memory: Memory,
    /// The block of the page that was loaded last.
    loading: Option<usize>,
    /// Whether the functions have loaded anything.
    loaded: bool,
    /// What the mirror wrote in the last call.
    call: Written,
    /// All that it wrote since the last stage 1, where no functions wrote the same.
    written: Buffer,
    error: i32,
    watch: Watch,
    outcome: Outcome,
    step: usize,
}

impl Rig<'_> {
    fn all(&mut self, case: &Case) -> Result<(), Difference> {
        if let Some(functions) = &mut self.functions {
            functions.reset();
        }
        for &block in &case.blocks {
            self.plug(block)?;
        }
        for (at, step) in case.steps.iter().enumerate() {
            self.step = at;
            self.take(step)?;
            if self.outcome.ended.is_some() {
                break;
            }
        }
        let blocks = self.ram.list.blocks.len();
        let comparable = self.loaded && self.outcome.ended.is_none();
        if comparable && !self.memory.is_like(&self.c_memory, blocks) {
            return Err(self.memory_differs());
        }
        self.outcome.broken = std::mem::take(&mut self.watch.broken);
        self.outcome.loops = self.ram.loops;
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), Difference> {
        match *step {
            Step::SaveLive(call) => self.save_live(call),
            Step::SaveBlock => self.save_block(),
            Step::Write { block, page, byte, filled } => {
                self.guest_writes(block, page, byte, filled);
                self.compare()
            }
            Step::Touch { block, page } => self.touch(block, page),
            Step::Plug(block) if self.ram.list.blocks.len() < MOST_ALLOCATED => self.plug(block),
            Step::Plug(_) => Ok(()),
            Step::Unplug { block } => self.unplug(block),
            Step::Load { version, damage } => self.load(version, damage),
            Step::ExternalList { lost, damage } if self.ram.variant == Variant::Carried => {
                self.external_list(lost, damage)
            }
            Step::ExternalList { .. } => Ok(()),
        }
    }

    fn plug(&mut self, block: Block) -> Result<(), Difference> {
        let size = u64::from(block.pages.max(1)) * PAGE;
        let place = self.ram.list.blocks.len();
        let name = NAMES[place];
        let idstr = name.to_str().expect("a name of ours is in ASCII");
        let host = match block.left_out && self.ram.variant.leaves_out() {
            true => Host::File,
            false if place.is_multiple_of(2) => Host::Given,
            false => Host::Allocated,
        };
        let came = self.ram.list.alloc(idstr, size, host);
        let came = came.map(|block| self.ram.list.blocks[block].offset);
        self.watch.interrupted();
        if let Some(functions) = &mut self.functions {
            let room = self.c_memory.room(place).as_mut_ptr();
            // SAFETY: the room is larger than any block, and lives as long as the rig.
            let c = unsafe { functions.alloc(name, size, room, host) };
            self.agree("what allocates a block", c, came)?;
        }
        self.end(came.err());
        self.compare()
    }

    fn unplug(&mut self, block: u8) -> Result<(), Difference> {
        let Some(block) = self.block(block) else { return Ok(()) };
        let gone = &self.ram.list.blocks[block];
        let (offset, given_back) = (gone.offset, gone.gives_back(self.ram.variant));
        self.ram.list.free(offset);
        self.watch.interrupted();
        if let Some(functions) = &mut self.functions {
            let c = functions.free(offset);
            self.agree("qemu_ram_free()", c, Ok(given_back))?;
        }
        self.compare()
    }

    fn guest_writes(&mut self, block: u8, page: u8, byte: u8, filled: bool) {
        let Some(block) = self.block(block) else { return };
        let offset = self.page_of(block, page);
        let addr = self.ram.list.blocks[block].offset + offset;
        self.ram.list.set_dirty(addr);
        for memory in [&mut self.memory, &mut self.c_memory] {
            if let Some(page) = memory.page_mut(block, offset) {
                write(page, byte, filled);
            }
        }
        if let Some(functions) = &mut self.functions {
            functions.set_dirty(addr);
        }
    }

    fn touch(&mut self, block: u8, page: u8) -> Result<(), Difference> {
        let Some(block) = self.block(block) else { return Ok(()) };
        let offset = self.page_of(block, page);
        let addr = self.ram.list.blocks[block].offset + offset;
        let came = self.ram.list.get_ram_ptr(addr).map(|_| offset as i64);
        if let Some(functions) = &mut self.functions {
            let c = functions.get_ram_ptr(addr, self.c_memory.room(block));
            self.agree("qemu_get_ram_ptr()", c, came)?;
        }
        self.compare()
    }

    fn save_live(&mut self, call: Call) -> Result<(), Difference> {
        if call.stage == 1 {
            // As a new file.
            self.written.clear();
            self.error = 0;
        }
        self.call.clear();
        let came = {
            let mut out = Out {
                memory: &self.memory,
                written: &mut self.call,
                call,
                error: &mut self.error,
                clock_at: 0,
            };
            self.ram.ram_save_live(&mut out, call.stage.into())
        };
        self.end_of_c(came.err());
        if self.functions.is_some() && comparable(came.err()) {
            let functions = self.functions.as_deref_mut().expect("it is some");
            let file = functions.file();
            if call.stage == 1 {
                (file.out_len, file.error) = (0, 0);
            }
            let before = file.out_len;
            file.section_at = before;
            file.xfer_limit = call.limit.into();
            file.fail_in = call.fail_in.into();
            file.clock = [BEGAN, BEGAN + i64::from(call.nanoseconds)];
            file.clock_at = 0;
            file.max_downtime = call.max_downtime.into();
            file.sync_fails = if call.sync_fails { -1 } else { 0 };
            // SAFETY: the mirror does nothing here that is not defined.
            let c = unsafe { functions.save_live(call.stage.into()) };
            self.agree("ram_save_live()", c, came.map(i64::from))?;
            self.same_bytes(before)?;
        }
        self.saved(call.stage, came)
    }

    fn save_block(&mut self) -> Result<(), Difference> {
        self.call.clear();
        let came = {
            let mut out = Out {
                memory: &self.memory,
                written: &mut self.call,
                call: Call::free(2),
                error: &mut self.error,
                clock_at: 0,
            };
            self.ram.ram_save_block(&mut out)
        };
        self.end_of_c(came.err());
        if self.functions.is_some() && comparable(came.err()) {
            let functions = self.functions.as_deref_mut().expect("it is some");
            let before = functions.file().out_len;
            // SAFETY: the mirror does nothing here that is not defined.
            let c = unsafe { functions.save_block() };
            self.agree("ram_save_block()", c, came.map(|sent| sent as i64))?;
            self.same_bytes(before)?;
        }
        self.saved(2, came.map(|_| 0))
    }

    /// A call that saved came to this.
    fn saved(&mut self, stage: i8, came: Result<i32, Undefined>) -> Result<(), Difference> {
        if self.functions.is_none() {
            self.call.append_to(&mut self.written, &self.memory);
        }
        self.compare()?;
        let mut watch = std::mem::take(&mut self.watch);
        watch.saved(self.step, &self.ram, &self.memory, self.written(), stage, came, self.error);
        self.watch = watch;
        Ok(())
    }

    /// All that was written since the last stage 1.
    fn written(&self) -> &[u8] {
        self.functions.as_deref().map_or(&self.written[..], Functions::written)
    }

    /// A block that was not freed.
    fn block(&self, number: u8) -> Option<usize> {
        let blocks = &self.ram.list.blocks;
        let block = usize::from(number).checked_rem(blocks.len())?;
        (!blocks[block].freed).then_some(block)
    }

    fn page_of(&self, block: usize, page: u8) -> u64 {
        u64::from(page) * PAGE % self.ram.list.blocks[block].length
    }

    fn end(&mut self, undefined: Option<Undefined>) {
        if let Some(undefined) = undefined {
            self.outcome.ended.get_or_insert((self.step, undefined.to_string()));
        }
    }

    fn end_of_c(&mut self, undefined: Option<Undefined>) {
        self.outcome.calls += 1;
        self.end(undefined);
    }

    /// What a call gave on both sides.
    fn agree<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &'static str,
        c: Result<T, Aborted>,
        mirror: Result<T, Undefined>,
    ) -> Result<(), Difference> {
        match (&c, &mirror) {
            (Ok(c), Ok(mirror)) if c == mirror => Ok(()),
            (Err(Aborted), Err(_)) => Ok(()),
            _ => Err(self.differ(what, format!("{c:?}"), format!("{mirror:?}"))),
        }
    }

    /// What the call wrote on both sides; the C's begins at `before`.
    fn same_bytes(&self, before: u64) -> Result<(), Difference> {
        let Some(functions) = &self.functions else { return Ok(()) };
        let c = functions.written().get(before as usize..).unwrap_or_default();
        if self.call.is(c, &self.memory) {
            return Ok(());
        }
        let mut mirror = Vec::new();
        self.call.append_to(&mut mirror, &self.memory);
        Err(self.differ("bytes", told(c), told(&mirror)))
    }

    /// The variables of both sides, where the C still has any.
    fn compare(&self) -> Result<(), Difference> {
        let Some(functions) = &self.functions else { return Ok(()) };
        if self.outcome.ended.is_some() {
            return Ok(());
        }
        let mirror = variables(&self.ram);
        let (c, c_dirty) = functions.variables();
        self.same("variables", c, mirror)?;
        self.same("`phys_dirty`", c_dirty, &self.ram.list.phys_dirty[..mirror.dirty_len as usize])
    }

    fn same<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &'static str,
        c: T,
        mirror: T,
    ) -> Result<(), Difference> {
        same(self.step, what, &c, &mirror)
    }

    fn memory_differs(&self) -> Difference {
        self.differ("memory", "other bytes".into(), "its own".into())
    }

    fn differ(&self, what: &'static str, c: String, mirror: String) -> Difference {
        Difference { step: self.step, what, c, mirror }
    }
}

/// Whether the C can be called where the mirror came to this: `abort()` is caught, the rest is not.
fn comparable(undefined: Option<Undefined>) -> bool {
    match undefined {
        None => true,
        Some(Undefined::BadRamOffset(_) | Undefined::NoGap(_) | Undefined::Registered) => true,
        Some(_) => false,
    }
}

fn told(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().take(48).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes: {}", bytes.len(), shown.join(" "))
}

/// What the mirror's variables hold.
fn variables(ram: &Ram) -> Variables {
    let list = &ram.list;
    let mut variables = Variables {
        blocks: list.order.len() as u64,
        last_block: ram.last_block.map_or(NO_BLOCK, |block| list.blocks[block].offset),
        last_offset: ram.last_offset,
        bytes_transferred: ram.bytes_transferred,
        remaining: ram.ram_save_remaining() * PAGE,
        total: ram.ram_bytes_total(),
        dirty_tracking: ram.dirty_tracking.into(),
        dirty_len: list.last_ram_offset() / PAGE,
        ..Variables::default()
    };
    for (at, block) in list.iter().enumerate() {
        variables.order[at] = block.offset;
        variables.lengths[at] = block.length;
    }
    variables
}
