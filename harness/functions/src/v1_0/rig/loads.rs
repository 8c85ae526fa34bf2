//! The steps that load.

use super::super::case::{Call, Damage};
use super::super::guest::{Buffer, In, Into, Out};
use super::{Rig, comparable};
use crate::lockstep::Difference;
use pcram_mirror::v1_0::PAGE;
use pcram_mirror::v1_0::load::Incoming;
use pcram_mirror::v1_0::save::{
    RAM_SAVE_FLAG_COMPRESS, RAM_SAVE_FLAG_EOS, RAM_SAVE_FLAG_MEM_SIZE, RAM_SAVE_FLAG_PAGE,
};

impl Rig<'_> {
    /// What was written since the last stage 1, loaded into this guest.
    pub(super) fn load(&mut self, version: u8, damage: Option<Damage>) -> Result<(), Difference> {
        let mut stream = Buffer::default();
        match version {
            3 => self.put_version_3(&mut stream),
            _ => stream.extend_from_slice(self.written()),
        }
        damaged(&mut stream, damage);
        self.watch.interrupted();
        if let Some(functions) = &mut self.functions {
            let file = functions.file();
            (file.in_at, file.error) = (0, 0);
        }
        let (mut at, mut error, mut called) = (0, 0, false);
        while at < stream.len() {
            let mut incoming = Incoming {
                block: self.loading,
                ..Incoming::new(self.ram.variant, std::mem::take(&mut self.ram.list))
            };
            let input = In { stream: &stream, at, error };
            let mut into = Into { memory: &mut self.memory, input };
            let came = incoming.ram_load(&mut into, version.into());
            (at, error) = (into.input.at, into.input.error);
            self.loading = incoming.block;
            self.ram.list = incoming.list;
            self.end_of_c(came.err());
            self.watch.loaded(self.step, self.ram.variant, incoming.stray, came.err());
            called = self.functions.is_some() && comparable(came.err());
            if called {
                let functions = self.functions.as_deref_mut().expect("it is some");
                // SAFETY: the mirror does nothing here that is not defined.
                let c = unsafe { functions.ram_load(&stream, version.into()) };
                let read = functions.file().in_at;
                self.agree("ram_load()", c, came.map(i64::from))?;
                if came.is_ok() {
                    self.same("bytes read", read, at as u64)?;
                }
            }
            self.compare()?;
            if came != Ok(0) {
                break;
            }
        }
        // Here, what was loaded; at the end of the case, all of it: it is much memory.
        if called && !self.memory.is_like_where_changed(&self.c_memory) {
            return Err(self.memory_differs());
        }
        self.loaded |= called;
        if let Some(functions) = &mut self.functions {
            functions.file().error = self.error;
        }
        Ok(())
    }

    /// All pages of this guest, by their addresses in all RAM.
    fn put_version_3(&self, stream: &mut Vec<u8>) {
        let list = &self.ram.list;
        let put = |stream: &mut Vec<u8>, word: u64| stream.extend(word.to_be_bytes());
        put(stream, self.ram.ram_list_bytes() | RAM_SAVE_FLAG_MEM_SIZE);
        for &place in &list.order {
            let block = &list.blocks[place];
            for offset in (0..block.length).step_by(PAGE as usize) {
                let page = self.memory.page(place, offset);
                if offset == 0 {
                    put(stream, block.offset | RAM_SAVE_FLAG_COMPRESS);
                    stream.push(!page[0]);
                } else {
                    put(stream, (block.offset + offset) | RAM_SAVE_FLAG_PAGE);
                    stream.extend(page.iter().map(|byte| byte.wrapping_add(1)));
                }
            }
        }
        put(stream, RAM_SAVE_FLAG_EOS);
    }

    /// The list of external blocks, written and loaded again.
    pub(super) fn external_list(
        &mut self,
        lost: bool,
        damage: Option<Damage>,
    ) -> Result<(), Difference> {
        self.call.clear();
        let mut out = Out {
            memory: &self.memory,
            written: &mut self.call,
            call: Call::free(2),
            error: &mut 0,
            clock_at: 0,
        };
        self.ram.ram_save_external_list(&mut out);
        let mut list = Buffer::default();
        self.call.append_to(&mut list, &self.memory);
        let name = self.ram.ram_external_block_name().is_some();
        if let Some(functions) = &mut self.functions {
            let mut c = Buffer::default();
            let c_name = functions.save_external_list(&mut c);
            self.same("ram_external_block_name()", c_name, Some(name))?;
            self.same("the list of external blocks", &*c, &*list)?;
        }
        damaged(&mut list, damage);
        let incoming = Incoming::new(self.ram.variant, std::mem::take(&mut self.ram.list));
        let input = In { stream: &list, at: 0, error: 0 };
        let mut into = Into { memory: &mut self.memory, input };
        let came = incoming.ram_load_external_list((!lost).then_some(&mut into));
        self.ram.list = incoming.list;
        self.outcome.calls += 2;
        if let Some(functions) = &mut self.functions {
            let c = functions.load_external_list((!lost).then_some(&list[..]));
            self.same("ram_load_external_list()", c, Some(came.into()))?;
        }
        self.compare()
    }
}

fn damaged(stream: &mut Vec<u8>, damage: Option<Damage>) {
    let length = stream.len().max(1);
    match damage {
        Some(Damage::Add(at, added)) => {
            if let Some(byte) = stream.get_mut(usize::from(at) % length) {
                *byte = byte.wrapping_add(added);
            }
        }
        Some(Damage::Cut(at)) => stream.truncate(usize::from(at) % length),
        None => {}
    }
}
