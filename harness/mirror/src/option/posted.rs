//! The option as posted in 2011: a registry of files by the name of a block, asked whenever a block
//! is allocated (exec.c).
//!
//! What it says is told by its arguments alone: the words are the posting's.

use super::{Came, Did, File, Mapped, PCRAM_ID, Setting, Start};

/// The registry (`mem_file_list`), newest first: the name of a block, and the path of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemFileList {
    files: Vec<(String, String)>,
}

/// A message: its arguments.
type Words = Vec<String>;

impl MemFileList {
    /// Takes a file for a block.
    ///
    /// # Errors
    ///
    /// The name of the block, which has one already; the C aborts.
    pub fn add_memory_file(&mut self, idstr: &str, path: &str) -> Result<(), Words> {
        if self.files.iter().any(|(block, _)| block == idstr) {
            return Err(vec![idstr.to_owned()]);
        }
        self.files.insert(0, (idstr.to_owned(), path.to_owned()));
        Ok(())
    }

    /// Maps a block's file, where it has one: `memory` bytes of it. Gives whether it has.
    ///
    /// # Errors
    ///
    /// The arguments of what it says before it aborts.
    pub fn mem_file_ram_alloc(
        &self,
        start: &Start,
        idstr: &str,
        memory: u64,
        did: &mut Did,
    ) -> Result<bool, Words> {
        let Some((_, path)) = self.files.iter().find(|(block, _)| block == idstr) else {
            return Ok(false);
        };
        if start.has(Setting::Kvm) && start.has(Setting::NoSyncMmu) {
            return Err(Vec::new());
        }
        let (path, idstr) = (path.clone(), idstr.to_owned());
        // A FIFO opens, and a directory does not; neither is asked for what it is.
        let bytes = match (start.file)(&path) {
            File::Missing(_) | File::Directory => return Err(vec![path, idstr]),
            File::Fifo => 0,
            File::Regular(bytes) => bytes,
        };
        did.opened += 1;
        if bytes != memory {
            return Err(vec![path, bytes.to_string(), idstr, memory.to_string()]);
        }
        if memory == 0 || start.has(Setting::CannotMap) {
            return Err(vec![path, idstr]);
        }
        Ok(true)
    }
}

/// From the command line to the allocation of a block that has no file, and of `pc.ram`.
pub fn start(start: &Start) -> Did {
    let mut did = Did::of(start);
    match all(start, &mut did) {
        Ok(mapped) => {
            did.came = if mapped.is_some() { Came::Mapped } else { Came::NotAsked };
            did.mapped = mapped;
        }
        Err(words) => {
            did.came = Came::Aborted;
            did.say(words.join("|"));
        }
    }
    did
}

fn all(start: &Start, did: &mut Did) -> Result<Option<Mapped>, Words> {
    let mut list = MemFileList::default();
    for path in start.given {
        list.add_memory_file(PCRAM_ID, path)?;
    }
    let bytes = start.ram_size;
    list.mem_file_ram_alloc(start, "vga.vram", bytes, did)?;
    let is = list.mem_file_ram_alloc(start, PCRAM_ID, bytes, did)?;
    // `do_not_save` stands for what is called external later.
    let mapped = Mapped { bytes, shared: true, external: true, ..Mapped::default() };
    Ok(is.then_some(mapped))
}
