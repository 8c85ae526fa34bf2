//! The steps that load.

use super::super::case::Call;
use super::super::guest::{Buffer, In, Into, Out};
use super::{Rig, comparable};
use crate::lockstep::Difference;
use pcram_mirror::v1_0::load::Incoming;

impl Rig<'_> {
    /// What was written since the last stage 1, loaded into this guest.
    pub(super) fn load(
        &mut self,
        version: u8,
        damage: Option<(u16, u8)>,
    ) -> Result<(), Difference> {
        let mut stream = Buffer::default();
        stream.extend_from_slice(&self.written);
        damaged(&mut stream, damage);
        self.watch.interrupted();
        if let Some(functions) = &mut self.functions {
            let file = functions.file();
            (file.in_at, file.error) = (0, 0);
        }
        let (mut at, mut error) = (0, 0);
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
            if self.functions.is_some() && comparable(came.err()) {
                let functions = self.functions.as_deref_mut().expect("it is some");
                // SAFETY: the mirror does nothing here that is not defined.
                let c = unsafe { functions.ram_load(&stream, version.into()) };
                let read = functions.file().in_at;
                self.agree("ram_load()", c, came.map(i64::from))?;
                if came.is_ok() {
                    self.same("bytes read", read, at as u64)?;
                }
                if !self.memory.is_like(&self.c_memory) {
                    return Err(self.differ("memory", "other bytes".into(), "its own".into()));
                }
            }
            self.compare()?;
            if came != Ok(0) {
                break;
            }
        }
        if let Some(functions) = &mut self.functions {
            functions.file().error = self.error;
        }
        Ok(())
    }

    /// The list of external blocks, written and loaded again.
    pub(super) fn external_list(
        &mut self,
        lost: bool,
        damage: Option<(u16, u8)>,
    ) -> Result<(), Difference> {
        let mut list = Buffer::default();
        let mut out = Out {
            memory: &self.memory,
            written: &mut list,
            section_at: 0,
            call: Call::free(2),
            error: &mut 0,
            clock_at: 0,
        };
        self.ram.ram_save_external_list(&mut out);
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

/// Adds something to a byte.
fn damaged(stream: &mut [u8], damage: Option<(u16, u8)>) {
    if let (Some((at, added)), false) = (damage, stream.is_empty()) {
        let at = usize::from(at) % stream.len();
        stream[at] = stream[at].wrapping_add(added);
    }
}
