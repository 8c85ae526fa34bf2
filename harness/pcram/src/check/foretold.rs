//! The head of a stopped guest's stream and its RAM section are what the mirror foretells, to the last
//! byte: stock's, and the patched QEMU's without a RAM file and with one.
//!
//! Each QEMU saves the same stopped guest twice, as a snapshot and as a migration. What the blocks hold
//! is taken from the other one of the two, and of the guest's RAM from QEMU's monitor (`pmemsave`): no
//! stream is held against itself.

use super::Finding;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::trial::Trial;
use crate::event::Figure;
use crate::machine::Machine;
use crate::source::Version;
use anyhow::{Context, Result, ensure};
use pcram_mirror::foretell::{self, EOS, Short};
use pcram_mirror::ram_list::{Carrier, RamBlock};
use pcram_stream::{BlockOffset, Memory, Reader, RecordKind, qcow2};
use serde::Deserialize;
use serde_json::json;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0084;
/// `QEMU_VM_SECTION_START`.
const SECTION_START: u8 = 1;
/// The first version whose streams tell the machine type.
const CONFIGURATION: (u32, u32) = (2, 4);
/// Where the monitor leaves the guest's RAM.
const RAM: &str = "ram";

/// The check's own keys: it has none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Foretold {}

impl Foretold {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let mut wrong = Vec::new();
        let mut figures = Vec::new();
        let mut summary = Vec::new();
        for (side, name) in
            [(Side::Stock, "stock"), (Side::Without, "without"), (Side::With, "with")]
        {
            let both = Both::make(trial, side, name)?;
            let mut bytes = Vec::new();
            for (what, stream, other) in
                [("migrate", &both.migrated, &both.saved), ("savevm", &both.saved, &both.migrated)]
            {
                let head = both.foretell_head(stream)?;
                let told = both.foretell(stream, other)?;
                let found = judge_head(stream, &head).and_then(|()| judge(stream, &told));
                figures.push(Figure::new(format!("{name}, {what}: bytes of the head"), head.len()));
                figures.push(Figure::new(format!("{name}, {what}: bytes of RAM"), told.len()));
                bytes.push(told.len().to_string());
                wrong.extend(found.err().map(|found| format!("{name}, {what}: {found}")));
            }
            summary.push(format!("{name} {}", bytes.join(" and ")));
        }
        let summary = format!(
            "migrate and savevm are as foretold, each to the last byte of RAM: {}",
            summary.join(", ")
        );
        let finding = Finding::new(wrong, summary);
        Ok(figures.into_iter().fold(finding, |it, figure| it.with(figure.name, figure.value)))
    }
}

/// The same stopped guest, as two streams.
struct Both {
    migrated: Vec<u8>,
    saved: Vec<u8>,
    /// What the monitor read from guest-physical address 0 up.
    ram: Vec<u8>,
    /// The block that they leave out.
    left_out: Option<String>,
    /// The block of the guest's RAM.
    block: String,
    /// Its machine type, where streams tell it.
    machine: Option<String>,
    short: Short,
}

impl Both {
    fn make(trial: &Trial, side: Side, name: &str) -> Result<Both> {
        let party = Party::new(trial, side, name, trial.board.ram_mib)?;
        let layout = party.layout()?;
        ensure!(layout.above_4g == 0, "the check is for RAM that ends below 4 GiB");
        party.create_disk()?;
        let mut launch = party.launch(&[]);
        launch.disk = Some(DISK.into());
        let mut machine = party.start(&launch)?;
        machine.guest.seed(SEED, 0)?;
        machine.guest.stamp()?;
        machine.stop()?;
        let version = Version::parse(party.binary()?.version().trim_start_matches(is_no_digit));
        let (major, minor) = version.context("QEMU says no version")?.line();
        let machine_type = match (major, minor) < CONFIGURATION {
            true => None,
            false => Some(machine_type(&mut machine)?),
        };
        party::savevm(&mut machine)?;
        machine.migrate("exec:cat > stream")?;
        machine.migrated(|_| Ok(()))?;
        let ram = party.folder.join(RAM);
        let arguments = json!({ "val": 0, "size": layout.below_4g, "filename": ram });
        machine.qmp.execute("pmemsave", arguments)?;
        machine.quit()?;
        Ok(Both {
            migrated: read(&party.folder.join("stream"))?,
            saved: saved(&party.folder.join(DISK))?,
            ram: read(&ram)?,
            left_out: (side == Side::With).then(|| trial.block().to_owned()),
            block: trial.block().to_owned(),
            machine: machine_type,
            short: Short::of_version(major, minor),
        })
    }

    /// What comes before the first section of `stream`.
    fn foretell_head(&self, stream: &[u8]) -> Result<Vec<u8>> {
        let blocks = blocks(stream, self.left_out.as_deref())?;
        Ok(foretell::head(self.machine.as_deref(), &blocks))
    }

    /// What the RAM section of `stream` is to be, with contents that are not its own.
    fn foretell(&self, stream: &[u8], other: &[u8]) -> Result<Vec<u8>> {
        let memory = Memory::read(other, &[], |_| true)?;
        let blocks = blocks(stream, self.left_out.as_deref())?;
        let page = |idstr: &str, offset: u64| match idstr == self.block {
            true => {
                let from = usize::try_from(offset).ok()?;
                self.ram.get(from..from + 4096)
            }
            false => memory.page(idstr, BlockOffset(offset)),
        };
        let pages = foretell::pages(&blocks, self.short, page)?;
        Ok([foretell::list(&blocks), pages].concat())
    }
}

/// The guest's machine type, as QOM has it.
fn machine_type(machine: &mut Machine) -> Result<String> {
    let arguments = json!({ "path": "/machine", "property": "type" });
    let class = machine.qmp.execute("qom-get", arguments)?;
    let name = class.as_str().and_then(|class| class.strip_suffix("-machine"));
    Ok(name.with_context(|| format!("a machine is a {class}"))?.to_owned())
}

fn is_no_digit(each: char) -> bool {
    !each.is_ascii_digit()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn saved(disk: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read the VM state in {}", disk.display());
    let mut image = qcow2::Image::open(File::open(disk)?).with_context(cannot)?;
    let mut bytes = Vec::new();
    image.vm_state(SNAPSHOT).with_context(cannot)?.read_to_end(&mut bytes).with_context(cannot)?;
    Ok(bytes)
}

/// The blocks of a stream's list, as the mirror has them.
fn blocks(stream: &[u8], left_out: Option<&str>) -> Result<Vec<RamBlock>> {
    let mut reader = Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        let RecordKind::RamBlocks(list) = record.kind else { continue };
        let block = |block: &pcram_stream::RamBlock| RamBlock {
            idstr: block.idstr.clone(),
            used_length: block.used_length,
            carrier: match Some(block.idstr.as_str()) == left_out {
                true => Carrier::File,
                false => Carrier::Stream,
            },
        };
        return Ok(list.blocks.iter().map(block).collect());
    }
    anyhow::bail!("the stream has no list of RAM blocks")
}

/// The parts of the RAM section: what lies between its headers and footers.
fn parts(stream: &[u8]) -> Result<Vec<Range<usize>>> {
    let (mut parts, mut begun, mut ram) = (Vec::new(), None, None);
    let mut reader = Reader::new(stream);
    loop {
        let Some(record) = reader.next_record()? else { return Ok(parts) };
        let (at, mut begins) = (record.offset.0 as usize, false);
        match record.kind {
            RecordKind::SectionStart(header) if header.idstr == "ram" => {
                (ram, begins) = (Some(header.id), true);
            }
            RecordKind::SectionPart(id) | RecordKind::SectionEnd(id) => begins = ram == Some(id),
            RecordKind::EndOfSection => {
                let end = at + EOS.len();
                parts.extend(begun.take().map(|begun: usize| begun..end));
            }
            _ => {}
        }
        if begins {
            begun = Some(reader.offset().0 as usize);
        }
    }
}

/// The first place where the head of a stream is not what was foretold, or goes on.
fn judge_head(stream: &[u8], head: &[u8]) -> Result<(), String> {
    let told = [head, &[SECTION_START]].concat();
    differs(stream, 0..told.len().min(stream.len()), &told)
}

/// The first place where the RAM section of a stream is not what was foretold. Each of its parts ends
/// as a part does; where it is cut was not foretold.
fn judge(stream: &[u8], told: &[u8]) -> Result<(), String> {
    let parts = parts(stream).map_err(|error| error.to_string())?;
    let mut rest = told;
    for part in parts {
        let records = part.start..part.end - EOS.len();
        let (here, behind) = rest.split_at(records.len().min(rest.len()));
        differs(stream, records.clone(), here)?;
        differs(stream, records.end..part.end, &EOS)?;
        rest = behind;
    }
    match rest.len() {
        0 => Ok(()),
        more => Err(format!("{more} bytes that were foretold are not there")),
    }
}

/// Tells where the bytes of a stream are not those that were foretold.
fn differs(stream: &[u8], at: Range<usize>, told: &[u8]) -> Result<(), String> {
    let found = &stream[at.clone()];
    if found == told {
        return Ok(());
    }
    let same = found.iter().zip(told).take_while(|(found, told)| found == told).count();
    let show = |bytes: &[u8]| match bytes.get(same..) {
        Some([]) | None => "nothing more".to_owned(),
        Some(rest) => {
            rest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        }
    };
    Err(format!(
        "at {:#x}, the stream has {}, and foretold was {}",
        at.start + same,
        show(found),
        show(told)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::streams::built;

    const PAGE: [u8; 4096] = [1; 4096];

    /// What is foretold of the blocks that tests build streams with.
    fn told(left_out: Option<&str>) -> Vec<u8> {
        let blocks = blocks(&built::plain(&[]), left_out).unwrap();
        let pages = foretell::pages(&blocks, Short::Zero, |_, _| Some(&PAGE[..])).unwrap();
        [foretell::list(&blocks), pages].concat()
    }

    /// A stream whose RAM section is cut in two at `cut` bytes.
    fn stream(section: &[u8], cut: usize) -> Vec<u8> {
        let total = section[..8].to_vec();
        let head = built::head(false);
        let begun = head.strip_suffix(&total[..]).unwrap();
        let part = [&EOS[..], b"\x7e\0\0\0\x02", b"\x02\0\0\0\x02"].concat();
        [begun, &section[..cut], &part, &section[cut..], &built::tail()].concat()
    }

    #[test]
    fn a_section_is_as_foretold_wherever_it_is_cut() {
        for left_out in [None, Some("vga")] {
            let told = told(left_out);
            for cut in [told.len() - 4096 - 8 - 4, told.len()] {
                assert_eq!(judge(&stream(&told, cut), &told), Ok(()), "{cut}");
            }
        }
        assert_eq!(told(None).len() - told(Some("vga")).len(), 2 * (4096 + 8) + 4);
    }

    #[test]
    fn a_head_is_as_foretold_and_goes_no_further() {
        let head = |machine, left_out| {
            foretell::head(machine, &blocks(&built::plain(&[]), left_out).unwrap())
        };
        let stream = built::plain(&[]);
        assert_eq!(judge_head(&stream, &head(Some("pc"), None)), Ok(()));
        let wrong = judge_head(&stream, &head(Some("pc-q35"), None)).unwrap_err();
        assert_eq!(
            wrong,
            "at 0xc, the stream has 02 70 63 01 00 00 00 02, and foretold was 06 70 63 2d 71 33 35 01"
        );
        let wrong = judge_head(&stream, &head(Some("pc"), Some("vga"))).unwrap_err();
        assert!(wrong.starts_with("at 0xf, the stream has 01 00"), "{wrong}");
        let wrong = judge_head(&stream, &head(None, None)).unwrap_err();
        assert_eq!(wrong, "at 0x8, the stream has 07, and foretold was 01");
        assert!(judge_head(&stream[..3], &head(Some("pc"), None)).is_err());
    }

    #[test]
    fn one_byte_more_less_or_of_another_value_is_told_with_its_place() {
        let all = told(None);
        let cut = all.len();
        let mut other = all.clone();
        *other.last_mut().unwrap() = 2;
        let stream = stream(&all, cut);
        let at = stream.len() - built::tail().len() - EOS.len() - 10 - 1;
        let wrong = judge(&stream, &other).unwrap_err();
        assert_eq!(wrong, format!("at {at:#x}, the stream has 01, and foretold was 02"));
        let wrong = judge(&stream, &all[..cut - 1]).unwrap_err();
        assert_eq!(wrong, format!("at {at:#x}, the stream has 01, and foretold was nothing more"));
        let wrong = judge(&stream, &[&all[..], &[7; 3]].concat()).unwrap_err();
        assert_eq!(wrong, "3 bytes that were foretold are not there");
        // A block's pages that nobody foretold.
        let without = told(Some("rom"));
        let wrong = judge(&stream, &without).unwrap_err();
        assert!(wrong.ends_with("and foretold was nothing more"), "{wrong}");
        assert!(wrong.contains("00 00 00 00 00 00 00 08 03 72 6f 6d"), "{wrong}");
    }
}
