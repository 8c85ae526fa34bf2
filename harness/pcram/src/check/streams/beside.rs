//! A block beside RAM that the guest can write: what it holds must be in the stream.

use crate::machine::Machine;
use crate::machine::binary::Binary;
use crate::machine::launch::opt_value;
use crate::machine::offers::has_property;
use anyhow::{Context, Result};
use pcram_guests::stamp::{PAGE_SIZE, Span};
use pcram_stream::{BlockOffset, Memory};
use serde::Deserialize;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;

/// The length of each of them, in bytes.
pub(super) const SIZE: u64 = 8 << 20;
/// Where the slots for it are, and the room for two.
const SLOTS: &str = "slots=2,maxmem=4G";
/// Where the DIMM's file lies, in the row's folder.
const DIMM_FILE: &str = "dimm,file";
/// Where the source's memory is left, in the run folder.
const AT_THE_SOURCE: &str = "beside.memory";

/// A kind of block.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::check) enum Beside {
    /// A VGA card's memory.
    Vga,
    /// A DIMM in anonymous memory.
    Dimm,
    /// A DIMM in a file that is mapped shared, one file for each QEMU's source and destination.
    SharedDimm,
}

/// A block that the guest sees at these addresses.
#[derive(Clone, Copy, Debug)]
pub(in crate::check) struct Mapped {
    kind: Beside,
    /// Its pages, all of them.
    pub span: Span,
}

/// What became of the block in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its idstr.
    pub idstr: String,
    /// Its pages.
    pub pages: u64,
    /// Those of them that hold, by their last record, what the source's memory held in the end.
    pub same: u64,
    /// The offset in bytes of the first page that does not.
    pub other: Option<u64>,
}

impl Beside {
    /// The words that add all these to a machine of the QEMU `binary` whose files lie in `folder`.
    ///
    /// # Errors
    /// Where the QEMU cannot be asked for its card's properties.
    pub fn args(all: &[Beside], binary: &Binary, folder: &Path) -> Result<Vec<String>> {
        // Before 1.2, a card has that much memory and no other.
        let sized = all.contains(&Beside::Vga) && has_property(&binary.path, "VGA", "vgamem_mb")?;
        Ok(Beside::words_of(all, sized, folder))
    }

    fn words_of(all: &[Beside], sized: bool, folder: &Path) -> Vec<String> {
        let plugged = all.iter().any(|each| *each != Beside::Vga);
        let slots = if plugged { words(&["-m", SLOTS]) } else { Vec::new() };
        slots.into_iter().chain(all.iter().flat_map(|each| each.words(sized, folder))).collect()
    }

    fn words(self, sized: bool, folder: &Path) -> Vec<String> {
        let (id, size) = (self.name(), SIZE >> 20);
        let backend = match self {
            Beside::Vga => {
                let memory = if sized { format!(",vgamem_mb={size}") } else { String::new() };
                return words(&["-device", &format!("VGA,romfile={memory}")]);
            }
            Beside::Dimm => format!("memory-backend-ram,id={id},size={size}M"),
            Beside::SharedDimm => {
                let path = opt_value(&folder.join(DIMM_FILE));
                format!("memory-backend-file,id={id},size={size}M,share=on,mem-path={path}")
            }
        };
        words(&["-object", &backend, "-device", &format!("pc-dimm,memdev={id}")])
    }

    /// The name of its block: a backend's own, or what follows the device in a PCI device's.
    fn name(self) -> &'static str {
        match self {
            Beside::Vga => "vga.vram",
            Beside::Dimm => "dimm",
            Beside::SharedDimm => "shared-dimm",
        }
    }

    /// Makes the files that it needs in `folder`.
    pub fn prepare(self, folder: &Path) -> Result<()> {
        if self == Beside::SharedDimm {
            let file = File::create(folder.join(DIMM_FILE));
            file.and_then(|file| file.set_len(SIZE)).context("cannot make the DIMM's file")?;
        }
        Ok(())
    }

    /// The idstr of the block that x-ignore-shared leaves out.
    pub fn shared(self) -> Option<String> {
        (self == Beside::SharedDimm).then(|| self.name().to_owned())
    }

    /// Has the guest see it, and says where.
    pub fn map(self, machine: &mut Machine) -> Result<Mapped> {
        let span = match self {
            Beside::Vga => machine.guest.map_video_memory()?,
            Beside::Dimm | Beside::SharedDimm => {
                let first = plugged_at(machine, self.name())?;
                Span::whole(first, first + SIZE)
            }
        };
        Ok(Mapped { kind: self, span })
    }
}

/// The guest-physical address of the DIMM whose backend has this id.
pub(in crate::check) fn plugged_at(machine: &mut Machine, id: &str) -> Result<u64> {
    let devices = machine.qmp.execute("query-memory-devices", json!({}))?;
    let backend = format!("/objects/{id}");
    let mut devices = devices.as_array().into_iter().flatten();
    let dimm = devices.find(|device| device["data"]["memdev"] == backend.as_str());
    let address = dimm.and_then(|dimm| dimm["data"]["addr"].as_u64());
    address.with_context(|| format!("QEMU does not say where the DIMM {id} lies"))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Mapped {
    /// The block's idstr among `idstrs`.
    fn idstr<'a>(&self, mut idstrs: impl Iterator<Item = &'a str>) -> Result<&'a str> {
        let name = self.kind.name();
        let is_it = |idstr: &&str| idstr.rsplit('/').next() == Some(name);
        idstrs.find(is_it).with_context(|| format!("the stream lists no block {name}"))
    }

    /// Leaves what the memory of a stopped source holds in `folder`.
    pub fn save(&self, source: &mut Machine, folder: &Path) -> Result<()> {
        let path = folder.join(AT_THE_SOURCE);
        let Span { first, end, .. } = self.span;
        let arguments = json!({ "val": first, "size": end - first, "filename": path });
        source.qmp.execute("pmemsave", arguments).map(drop)
    }

    /// Compares what a stream has of the block with what [`Mapped::save`] left.
    pub fn compare(&self, memory: &Memory, folder: &Path) -> Result<Kept> {
        let path = folder.join(AT_THE_SOURCE);
        let saved = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(same(memory, self.idstr(memory.blocks())?, &saved))
    }
}

/// Compares what a stream has of a block with the block's own bytes. A page that the stream does
/// not have is zero at the destination.
fn same(memory: &Memory, idstr: &str, saved: &[u8]) -> Kept {
    let mut kept = Kept { idstr: idstr.to_owned(), pages: 0, same: 0, other: None };
    for (offset, saved) in (0..).step_by(PAGE_SIZE).zip(saved.chunks_exact(PAGE_SIZE)) {
        let same = match memory.page(idstr, BlockOffset(offset)) {
            Some(sent) => sent == saved,
            None => saved.iter().all(|&byte| byte == 0),
        };
        kept.pages += 1;
        kept.same += u64::from(same);
        if !same {
            kept.other = kept.other.or(Some(offset));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::streams::built::{PAGE, mapped, plain};

    #[test]
    fn a_page_counts_as_kept_where_the_stream_has_its_bytes_or_it_is_zero() {
        let memory = |stream: &[u8]| Memory::read(stream, &[], |_| true).unwrap();
        let page = |fill| vec![fill; PAGE as usize];
        let kept = |same, other| Kept { idstr: "vga".into(), pages: 2, same, other };
        let sent = memory(&plain(&[]));
        assert_eq!(same(&sent, "vga", &[page(1), page(1)].concat()), kept(2, None));
        assert_eq!(same(&sent, "vga", &[page(1), page(2)].concat()), kept(1, Some(PAGE)));
        let left_out = memory(&mapped(&["vga"]));
        assert_eq!(same(&left_out, "vga", &[page(0), page(1)].concat()), kept(1, Some(PAGE)));
    }

    #[test]
    fn slots_are_asked_for_once_and_only_for_what_is_plugged() {
        let words = |all: &[Beside]| Beside::words_of(all, true, Path::new("/a,b")).join(" ");
        assert_eq!(words(&[]), "");
        assert_eq!(words(&[Beside::Vga]), "-device VGA,romfile=,vgamem_mb=8");
        let old = Beside::words_of(&[Beside::Vga], false, Path::new("/"));
        assert_eq!(old, ["-device", "VGA,romfile="]);
        assert_eq!(
            words(&[Beside::Dimm, Beside::SharedDimm]),
            "-m slots=2,maxmem=4G -object memory-backend-ram,id=dimm,size=8M \
             -device pc-dimm,memdev=dimm -object memory-backend-file,id=shared-dimm,size=8M,\
             share=on,mem-path=/a,,b/dimm,,file -device pc-dimm,memdev=shared-dimm"
        );
    }

    #[test]
    fn a_block_is_known_by_its_name_behind_its_device() {
        let mapped = |kind| Mapped { kind, span: Span::whole(0, 0) };
        let names = ["pc.ram", "0000:00:02.0/vga.vram", "dimm"];
        let found = |kind| mapped(kind).idstr(names.into_iter()).map(str::to_owned);
        assert_eq!(found(Beside::Vga).unwrap(), names[1]);
        assert_eq!(found(Beside::Dimm).unwrap(), "dimm");
        assert!(found(Beside::SharedDimm).unwrap_err().to_string().contains("shared-dimm"));
    }

    #[test]
    fn a_shared_dimm_has_its_file_and_no_other_has_one() {
        let folder = tempfile::tempdir().unwrap();
        for without in [Beside::Vga, Beside::Dimm] {
            without.prepare(folder.path()).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        Beside::SharedDimm.prepare(folder.path()).unwrap();
        let file = std::fs::metadata(folder.path().join(DIMM_FILE)).unwrap();
        assert_eq!(file.len(), SIZE);
    }
}
