//! The definitions of all files of a tree from which a unit is made, of 5.2 and later.

use crate::extract::{Definitions, ExtractError};
use pcram_mirror::ram::Tree;

/// The macros of lists, which are taken whole.
const QUEUE: &str = "include/qemu/queue.h";

/// Whether a tree is one of those that have migration/ram.c.
pub(crate) fn is_of_today(file: &dyn Fn(&str) -> Option<String>) -> bool {
    file("migration/ram.c").is_some()
}

pub(crate) struct Pool<'a> {
    files: Vec<Definitions<'a>>,
    queue: &'a str,
}

impl<'a> Pool<'a> {
    /// What files define; where more than one defines something, it is that of the first.
    pub(crate) fn of(texts: &'a [(&'a str, String)]) -> Pool<'a> {
        let files = texts.iter().map(|(name, text)| Definitions::of(name, text)).collect();
        let queue = texts.iter().find(|(name, _)| *name == QUEUE);
        Pool { files, queue: queue.map_or("", |(_, text)| text) }
    }

    /// Whether one of them defines it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.has(name))
    }

    fn take(&self, name: &str) -> Result<String, ExtractError> {
        let from = self.files.iter().find(|file| file.has(name)).unwrap_or(&self.files[0]);
        from.take(name)
    }

    /// All of these definitions.
    pub(crate) fn all(&self, names: &[&str]) -> Result<String, ExtractError> {
        names.iter().map(|name| self.take(name)).collect()
    }

    /// Those that there are.
    pub(crate) fn some(&self, names: &[&str]) -> Result<String, ExtractError> {
        names.iter().filter(|name| self.has(name)).map(|name| self.take(name)).collect()
    }

    /// The macros of lists.
    pub(crate) fn queue(&self) -> String {
        self.queue.to_owned()
    }

    /// Which blocks the tree ignores; `asked` is the function that says so, and what it calls.
    pub(crate) fn ignores(&self, asked: &str) -> Tree {
        Tree {
            external: self.has("RAM_EXTERNAL"),
            named_files: self.has("qemu_ram_is_named_file"),
            cpr_transfer: asked.contains("MIG_MODE_CPR_TRANSFER"),
            cpr_exec: asked.contains("MIG_MODE_CPR_EXEC"),
            steps_back: false,
        }
    }

    /// A macro of one name for that function.
    pub(crate) fn is_ignored(&self) -> String {
        let ignored = match self.has("migrate_ram_is_ignored") {
            true => "migrate_ram_is_ignored",
            false => "ramblock_is_ignored",
        };
        format!("#define IS_IGNORED(block) {ignored}(block)\n")
    }

    /// Prototypes of what is called before it stands.
    pub(crate) fn prototypes(text: &str) -> String {
        let used = ["bool migrate_ram_is_ignored(RAMBlock *block);\n"];
        let named = |line: &&&str| {
            let name = line.split(['(', ' ']).nth(1).unwrap_or_default();
            text.contains(&format!("{name}("))
        };
        used.iter().filter(named).copied().collect()
    }
}
