//! The stream's tail: the state of the devices, told apart with the help of the VM description.

use serde::Deserialize;

use crate::configuration::SUBSECTION;
use crate::reader::{
    QEMU_VM_EOF, SECTION_FOOTER, SECTION_FULL, VMDESCRIPTION, read_footer, read_section_header,
};
use crate::record::{SectionHeader, StreamOffset};
use crate::source::Source;
use crate::{Place, StreamError};

/// What follows the RAM section, up to the end of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Every byte belongs to a section that the VM description names, in its order.
    Examined {
        /// The sections of the devices.
        sections: Vec<DeviceSection>,
        /// The VM description (since 2.3): JSON.
        description: String,
    },
    /// Before there was a VM description, nothing tells where a section ends but where the next one
    /// begins: each does with its name, and with an id above that of the one before.
    Listed {
        /// The sections of the devices.
        sections: Vec<DeviceSection>,
    },
    /// Without a VM description, and without that, nothing is known of it.
    Unexamined {
        /// The length, in bytes.
        length: u64,
    },
}

/// The section of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSection {
    /// Where it begins.
    pub offset: StreamOffset,
    /// Its name and numbers.
    pub header: SectionHeader,
    /// The length of what follows the header, without the footer, in bytes.
    pub length: u64,
}

impl DeviceSection {
    /// Where what follows its header begins.
    pub fn content(&self) -> StreamOffset {
        // Its type, id, the length of its name, instance, version.
        StreamOffset(self.offset.0 + 1 + 4 + 1 + self.header.idstr.len() as u64 + 4 + 4)
    }
}

/// Ids, instances and versions are less than that.
const SMALL: u32 = 10_000;

/// What the stream before the tail says of it.
pub(crate) struct Context {
    pub(crate) offset: u64,
    pub(crate) footers: bool,
    pub(crate) page_size: u64,
}

/// The parts of QEMU's `vmdesc` that tell lengths; fields nest, but their sizes include that.
#[derive(Deserialize)]
struct Description {
    page_size: u64,
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    name: String,
    instance_id: u32,
    version: Option<u32>,
    fields: Vec<Field>,
    #[serde(default)]
    subsections: Vec<Subsection>,
}

#[derive(Deserialize)]
struct Subsection {
    vmsd_name: String,
    version: u32,
    fields: Vec<Field>,
    #[serde(default)]
    subsections: Vec<Subsection>,
}

#[derive(Deserialize)]
struct Field {
    size: u64,
    /// Stands for this many fields of one size, one after the other.
    #[serde(default = "one")]
    array_len: u64,
}

fn one() -> u64 {
    1
}

/// Reads the tail of a stream, all of it.
pub(crate) fn read(tail: &[u8], context: Context) -> Result<DeviceState, StreamError> {
    let Some((sections, json)) = split(tail) else {
        return unexamined(tail, &context);
    };
    let place = Place::Stream(context.offset + (tail.len() - json.len()) as u64);
    let description: Description = serde_json::from_slice(json)
        .map_err(|error| StreamError::malformed(place, "a VM description", error.to_string()))?;
    if description.page_size != context.page_size {
        let expected = format!("a VM description with pages of {}", context.page_size);
        return Err(StreamError::malformed(place, expected, description.page_size.to_string()));
    }
    let mut walk = Walk { source: Source::new(sections, context.offset), footers: context.footers };
    Ok(DeviceState::Examined {
        sections: walk.sections(&description.devices)?,
        description: String::from_utf8_lossy(json).into_owned(),
    })
}

/// Splits the tail behind the EOF into its sections and the text of the VM description, which is
/// the last thing in the stream.
fn split(tail: &[u8]) -> Option<(&[u8], &[u8])> {
    (0..tail.len()).rev().find_map(|eof| {
        let (sections, rest) = tail.split_at(eof + 1);
        let (header, json) = rest.split_first_chunk::<5>()?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let found =
            tail[eof] == QEMU_VM_EOF && header[0] == VMDESCRIPTION && json.len() == length as usize;
        found.then_some((sections, json))
    })
}

/// Without a VM description only the end is known: the last section's footer, and the EOF.
fn unexamined(tail: &[u8], context: &Context) -> Result<DeviceState, StreamError> {
    let whole = match tail {
        [QEMU_VM_EOF] => true,
        [.., SECTION_FOOTER, _, _, _, _, QEMU_VM_EOF] => true,
        [.., QEMU_VM_EOF] => !context.footers,
        _ => false,
    };
    if whole {
        let sections = match context.footers {
            true => Vec::new(),
            false => listed(&tail[..tail.len() - 1], context.offset),
        };
        return Ok(match sections.is_empty() {
            true => DeviceState::Unexamined { length: tail.len() as u64 },
            false => DeviceState::Listed { sections },
        });
    }
    let end = &tail[tail.len().saturating_sub(6)..];
    Err(StreamError::malformed(
        Place::Stream(context.offset + tail.len() as u64),
        "the end of the device state before the end of the input",
        format!("the bytes {end:02x?}"),
    ))
}

/// The sections that begin one behind the other; none where the first does not begin at once.
fn listed(bytes: &[u8], offset: u64) -> Vec<DeviceSection> {
    let mut sections: Vec<DeviceSection> = Vec::new();
    let mut from = 0;
    while let Some((at, header, length)) = next_header(bytes, from, sections.last()) {
        if let Some(before) = sections.last_mut() {
            before.length = (at - from) as u64;
        }
        from = at + length;
        let offset = StreamOffset(offset + at as u64);
        sections.push(DeviceSection { offset, header, length: (bytes.len() - from) as u64 });
    }
    sections
}

/// The first header at or behind `from` that can follow the section `before`: where it begins, and
/// its length. The very first one has to be at `from`.
fn next_header(
    bytes: &[u8],
    from: usize,
    before: Option<&DeviceSection>,
) -> Option<(usize, SectionHeader, usize)> {
    let to = if before.is_some() { bytes.len() } else { from + 1 };
    let above = before.map_or(0, |section| section.header.id);
    (from..to).find_map(|at| {
        let (header, length) = header_at(bytes.get(at..)?)?;
        (before.is_none() || header.id > above).then_some((at, header, length))
    })
}

/// The header of a device's section that `bytes` begins with, and its length: with small numbers,
/// and a name that is a word. What a device saves may look like it, but hardly ever does.
fn header_at(bytes: &[u8]) -> Option<(SectionHeader, usize)> {
    let mut source = Source::new(bytes, 0);
    if source.u8("").ok()? != SECTION_FULL {
        return None;
    }
    let header = read_section_header(&mut source).ok()?;
    let is_name = header.idstr.len() > 1 && header.idstr.bytes().all(|it| it.is_ascii_graphic());
    let is_small = [header.id, header.instance, header.version].iter().all(|&it| it < SMALL);
    (is_name && is_small).then_some((header, source.offset() as usize))
}

/// Walks over the sections as their description says.
struct Walk<'a> {
    source: Source<&'a [u8]>,
    footers: bool,
}

impl Walk<'_> {
    fn sections(&mut self, devices: &[Device]) -> Result<Vec<DeviceSection>, StreamError> {
        let sections =
            devices.iter().map(|device| self.section(device)).collect::<Result<_, _>>()?;
        self.byte(QEMU_VM_EOF, "the end of the described sections")?;
        if !self.source.peek(1)?.is_empty() {
            let found = "more of the device state";
            return Err(StreamError::malformed(self.source.place(), "the VM description", found));
        }
        Ok(sections)
    }

    fn section(&mut self, device: &Device) -> Result<DeviceSection, StreamError> {
        let place = self.source.place();
        let of = format!("the section of {}, instance {}", device.name, device.instance_id);
        self.byte(SECTION_FULL, &of)?;
        let header = read_section_header(&mut self.source)?;
        let expected = (&device.name, device.instance_id, device.version.unwrap_or(header.version));
        if (&header.idstr, header.instance, header.version) != expected {
            return Err(StreamError::malformed(place, of, format!("{header:?}")));
        }
        let start = self.source.offset();
        self.body(&device.fields, &device.subsections, &of)?;
        let length = self.source.offset() - start;
        if self.footers {
            read_footer(&mut self.source, header.id)?;
        }
        Ok(DeviceSection { offset: StreamOffset(place.offset()), header, length })
    }

    /// Fields lie one behind the other; subsections follow, each with a header.
    fn body(&mut self, fields: &[Field], subs: &[Subsection], of: &str) -> Result<(), StreamError> {
        for field in fields {
            self.source.skip(field.size.saturating_mul(field.array_len), of)?;
        }
        for sub in subs {
            let place = self.source.place();
            self.byte(SUBSECTION, &sub.vmsd_name)?;
            let name = self.source.name("the name of a subsection")?;
            let version = self.source.u32("the version of a subsection")?;
            if (&name, version) != (&sub.vmsd_name, sub.version) {
                let expected = format!("subsection {} version {}", sub.vmsd_name, sub.version);
                let found = format!("{name} version {version}");
                return Err(StreamError::malformed(place, expected, found));
            }
            self.body(&sub.fields, &sub.subsections, of)?;
        }
        Ok(())
    }

    fn byte(&mut self, wanted: u8, what: &str) -> Result<(), StreamError> {
        let place = self.source.place();
        match self.source.u8(what)? {
            found if found == wanted => Ok(()),
            found => Err(StreamError::malformed(place, what, format!("type {found:#04x}"))),
        }
    }
}
