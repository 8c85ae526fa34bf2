//! A pull reader: one record of the stream after the other.

use std::io::BufRead;
use std::mem;

use crate::block_list::Layout;
use crate::configuration::Configuration;
use crate::device;
use crate::ram::Ram;
use crate::record::{Record, RecordKind, SectionHeader, StreamOffset};
use crate::source::Source;
use crate::{Place, StreamError};

const QEMU_VM_FILE_MAGIC: u32 = 0x5145_564d;
const QEMU_VM_FILE_VERSION: u32 = 3;
const FILE_HEADER_LENGTH: u64 = 8;

pub(crate) const QEMU_VM_EOF: u8 = 0;
const SECTION_START: u8 = 1;
const SECTION_PART: u8 = 2;
const SECTION_END: u8 = 3;
pub(crate) const SECTION_FULL: u8 = 4;
pub(crate) const VMDESCRIPTION: u8 = 6;
const CONFIGURATION: u8 = 7;
const COMMAND: u8 = 8;
pub(crate) const SECTION_FOOTER: u8 = 0x7e;

const MIG_CMD_POSTCOPY_ADVISE: u16 = 3;
const MIG_CMD_PACKAGED: u16 = 7;
const RAM_VERSION: u32 = 4;
const BLK_MIG_FLAG_EOS: u64 = 2;
/// x86's page size, and that of every stream that does not name another.
const DEFAULT_PAGE_SIZE: u64 = 4096;
/// The state of a PC's devices, with its description, is under a megabyte.
const LONGEST_DEVICE_STATE: usize = 64 << 20;

/// Reads a migration stream record by record, and checks each against those before it.
///
/// After an error there are no more records. The device state comes last, as one record: its
/// sections can only be told apart with the VM description that follows them.
pub struct Reader<R> {
    source: Source<R>,
    next: Next,
    configuration: Configuration,
    layout: Layout,
    /// Learnt behind the first part of a section: none before 2.4, or with a machine of that age.
    footers: Option<bool>,
    live: Vec<LiveSection>,
    ram: Ram,
}

/// What the reader's next call has to read.
enum Next {
    FileHeader,
    Section,
    /// The body of a part of the section with this id.
    Body(u32),
    /// What follows that body.
    AfterBody(u32),
    Nothing,
}

/// A section that is saved in several parts.
struct LiveSection {
    id: u32,
    kind: LiveKind,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LiveKind {
    Ram,
    /// Block migration, which QEMU of 1.0 lists even where there is none.
    Block,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input`, which begins with the file's magic.
    pub fn new(input: R) -> Self {
        Reader {
            source: Source::new(input, 0),
            next: Next::FileHeader,
            configuration: Configuration::default(),
            layout: Layout {
                page_size: DEFAULT_PAGE_SIZE,
                ignore_shared: false,
                mapped_ram: false,
                postcopy_advised: false,
            },
            footers: None,
            live: Vec::new(),
            ram: Ram::default(),
        }
    }

    /// The offset of the record that comes next; at the end, the length of the stream.
    pub fn offset(&self) -> StreamOffset {
        StreamOffset(self.source.offset())
    }

    /// The next record, or `None` behind the last one.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, StreamError> {
        let mut next = mem::replace(&mut self.next, Next::Nothing);
        if matches!(next, Next::AfterBody(_)) && !self.footer_follows()? {
            next = Next::Section;
        }
        let offset = self.offset();
        let kind = match next {
            Next::FileHeader => self.file_header()?,
            Next::Section => self.section()?,
            Next::Body(id) => self.body(id)?,
            Next::AfterBody(id) => self.footer(id)?,
            Next::Nothing => return Ok(None),
        };
        Ok(Some(Record { offset, kind }))
    }

    fn file_header(&mut self) -> Result<RecordKind<'_>, StreamError> {
        let place = self.source.place();
        let magic = self.source.u32("the magic of a migration stream")?;
        if magic != QEMU_VM_FILE_MAGIC {
            let expected = format!("the magic {QEMU_VM_FILE_MAGIC:#x} (\"QEVM\")");
            return Err(StreamError::malformed(place, expected, format!("{magic:#x}")));
        }
        let version = self.source.u32("the version of a migration stream")?;
        if version != QEMU_VM_FILE_VERSION {
            let what = format!("a stream of version {version}");
            return Err(StreamError::unsupported(place, what));
        }
        self.next = Next::Section;
        Ok(RecordKind::FileHeader { version })
    }

    fn section(&mut self) -> Result<RecordKind<'_>, StreamError> {
        let place = self.source.place();
        // The device state is read with its first section's type.
        match self.source.peek(1)? {
            [QEMU_VM_EOF | SECTION_FULL] => self.device_state(place),
            _ => match self.source.u8("the type of a section")? {
                SECTION_START => self.section_start(place),
                kind @ (SECTION_PART | SECTION_END) => self.section_part(place, kind),
                CONFIGURATION if place.offset() == FILE_HEADER_LENGTH => self.configuration(),
                COMMAND => self.command(place),
                other => {
                    let found = format!("type {other:#04x}");
                    Err(StreamError::malformed(place, "a section that may come here", found))
                }
            },
        }
    }

    fn configuration(&mut self) -> Result<RecordKind<'_>, StreamError> {
        self.configuration = Configuration::read(&mut self.source)?;
        if let Some(bits) = self.configuration.target_page_bits {
            self.layout.page_size = 1 << bits;
        }
        self.layout.ignore_shared = self.configuration.has("x-ignore-shared");
        self.layout.mapped_ram = self.configuration.has("mapped-ram");
        self.next = Next::Section;
        Ok(RecordKind::Configuration(&self.configuration))
    }

    fn command(&mut self, place: Place) -> Result<RecordKind<'_>, StreamError> {
        let command = self.source.u16("a command")?;
        let length = self.source.u16("the length of a command's data")?;
        match command {
            MIG_CMD_POSTCOPY_ADVISE => self.layout.postcopy_advised = true,
            MIG_CMD_PACKAGED => {
                return Err(StreamError::unsupported(
                    place,
                    "device state in a package (postcopy)",
                ));
            }
            _ => {}
        }
        self.next = Next::Section;
        let data = self.source.take(length.into(), "the data of a command")?;
        Ok(RecordKind::Command { command, data })
    }

    fn section_start(&mut self, place: Place) -> Result<RecordKind<'_>, StreamError> {
        let header = read_section_header(&mut self.source)?;
        let kind = live_kind(&header).map_err(|what| StreamError::unsupported(place, what))?;
        if self.live.iter().any(|live| live.id == header.id || live.kind == kind) {
            let found = format!("{} with id {} again", header.idstr, header.id);
            return Err(StreamError::malformed(place, "the start of another section", found));
        }
        self.live.push(LiveSection { id: header.id, kind, ended: false });
        self.next = Next::Body(header.id);
        Ok(RecordKind::SectionStart(header))
    }

    fn section_part(&mut self, place: Place, kind: u8) -> Result<RecordKind<'_>, StreamError> {
        let id = self.source.u32("the id of a section")?;
        let Some(live) = self.live.iter_mut().find(|live| live.id == id && !live.ended) else {
            let found = format!("id {id} in a section of type {kind}");
            return Err(StreamError::malformed(place, "a section that began", found));
        };
        live.ended = kind == SECTION_END;
        self.next = Next::Body(id);
        Ok(match kind {
            SECTION_END => RecordKind::SectionEnd(id),
            _ => RecordKind::SectionPart(id),
        })
    }

    fn body(&mut self, id: u32) -> Result<RecordKind<'_>, StreamError> {
        let is_ram = self.live.iter().any(|live| live.id == id && live.kind == LiveKind::Ram);
        let record = if is_ram {
            self.ram.record(&mut self.source, &self.layout)?
        } else {
            no_block_migration(&mut self.source)?
        };
        self.next = match record {
            RecordKind::EndOfSection => Next::AfterBody(id),
            _ => Next::Body(id),
        };
        Ok(record)
    }

    fn footer_follows(&mut self) -> Result<bool, StreamError> {
        if self.footers.is_none() {
            self.footers = Some(self.source.peek(1)? == [SECTION_FOOTER]);
        }
        Ok(self.footers == Some(true))
    }

    fn footer(&mut self, id: u32) -> Result<RecordKind<'_>, StreamError> {
        read_footer(&mut self.source, id)?;
        self.next = Next::Section;
        Ok(RecordKind::Footer(id))
    }

    /// Every section in parts must have ended before the first device's.
    fn device_state(&mut self, place: Place) -> Result<RecordKind<'_>, StreamError> {
        if self.live.iter().any(|live| !live.ended) {
            let found = "the state of devices";
            return Err(StreamError::malformed(place, "the end of the RAM section", found));
        }
        if !self.live.iter().any(|live| live.kind == LiveKind::Ram) {
            return Err(StreamError::unsupported(place, "device state before RAM, or without it"));
        }
        let tail = self.source.rest(LONGEST_DEVICE_STATE, "device state")?;
        let state = device::read(
            &tail,
            device::Context {
                offset: place.offset(),
                footers: self.footers == Some(true),
                page_size: self.layout.page_size,
            },
        )?;
        Ok(RecordKind::DeviceState(state))
    }
}

fn live_kind(header: &SectionHeader) -> Result<LiveKind, String> {
    match (header.idstr.as_str(), header.instance, header.version) {
        ("ram", 0, RAM_VERSION) => Ok(LiveKind::Ram),
        ("block", 0, _) => Ok(LiveKind::Block),
        (idstr, instance, version) => {
            Err(format!("a section {idstr:?}, instance {instance}, version {version}, in parts"))
        }
    }
}

/// Without block migration, its section is there but empty (`block_save_live` of QEMU 1.0).
fn no_block_migration<'a, R: BufRead>(
    source: &mut Source<R>,
) -> Result<RecordKind<'a>, StreamError> {
    let place = source.place();
    match source.u64("the end of the section \"block\"")? {
        BLK_MIG_FLAG_EOS => Ok(RecordKind::EndOfSection),
        _ => Err(StreamError::unsupported(place, "block migration")),
    }
}

/// Reads what follows the type of a section that begins or is whole (`save_section_header`).
pub(crate) fn read_section_header<R: BufRead>(
    source: &mut Source<R>,
) -> Result<SectionHeader, StreamError> {
    Ok(SectionHeader {
        id: source.u32("the id of a section")?,
        idstr: source.name("the name of a section")?,
        instance: source.u32("the instance of a section")?,
        version: source.u32("the version of a section")?,
    })
}

/// Reads the footer of the section `id`.
pub(crate) fn read_footer<R: BufRead>(source: &mut Source<R>, id: u32) -> Result<(), StreamError> {
    let place = source.place();
    let kind = source.u8("a section's footer")?;
    let found = source.u32("a section's footer")?;
    if (kind, found) == (SECTION_FOOTER, id) {
        return Ok(());
    }
    let found = format!("type {kind:#04x}, id {found}");
    Err(StreamError::malformed(place, format!("the footer of section {id}"), found))
}
