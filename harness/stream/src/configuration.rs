//! The configuration section: which machine it was, and what changes the stream's layout.

use std::io::Read;

use crate::source::Source;
use crate::{Place, StreamError};

pub(crate) const SUBSECTION: u8 = 5;
/// No machine's name comes near this.
const LONGEST_NAME: u32 = 1024;
/// What a RAM block's name may take, with the NUL at its end (`RAMBlock.idstr`).
const PADDED: usize = 256;
/// Page sizes whose low bits have room for every RAM_SAVE_FLAG: 1 KiB to 64 KiB.
const PAGE_BITS: std::ops::RangeInclusive<u32> = 10..=16;

/// What the source says of itself (`vmstate_configuration` in QEMU's `migration/savevm.c`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The machine type, without its aliases.
    pub machine: String,
    /// The logarithm of the page size, where that is not the target's smallest.
    pub target_page_bits: Option<u32>,
    /// The migration capabilities that both sides must agree on.
    pub capabilities: Vec<String>,
    /// The guest's UUID, if it has one and it is to be validated.
    pub uuid: Option<[u8; 16]>,
    /// The RAM blocks whose pages are not in the stream, as the carried series says it.
    pub external_ram: Vec<String>,
}

impl Configuration {
    /// Reads what follows the section type.
    pub(crate) fn read<R: Read>(source: &mut Source<R>) -> Result<Self, StreamError> {
        let place = source.place();
        let length = source.u32("the length of the machine's name")?;
        if length > LONGEST_NAME {
            let found = format!("a name of {length} bytes");
            return Err(StreamError::malformed(place, "a machine's name", found));
        }
        let machine = source.text(length as usize, "the machine's name")?;
        let mut configuration = Configuration { machine, ..Configuration::default() };
        while source.peek(1)? == [SUBSECTION] {
            configuration.subsection(source)?;
        }
        Ok(configuration)
    }

    pub(crate) fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|name| name == capability)
    }

    fn subsection<R: Read>(&mut self, source: &mut Source<R>) -> Result<(), StreamError> {
        let place = source.place();
        source.u8("a subsection")?;
        let name = source.name("the name of a subsection of the configuration")?;
        let version = source.u32("the version of a subsection")?;
        match (name.as_str(), version) {
            ("configuration/target-page-bits", 1) => {
                self.target_page_bits = Some(page_bits(source)?);
            }
            ("configuration/capabilities", 1) => {
                for _ in 0..source.u32("the number of capabilities")? {
                    self.capabilities.push(source.name("a capability")?);
                }
            }
            ("configuration/uuid", 1) => self.uuid = Some(source.array("a UUID")?),
            ("configuration/external-ram", 1) => {
                for _ in 0..source.u32("the number of external RAM blocks")? {
                    self.external_ram.push(padded(source)?);
                }
            }
            // Its length is known only to those who know it.
            _ => {
                return Err(StreamError::unsupported(place, format!("{name} version {version}")));
            }
        }
        Ok(())
    }
}

/// A string that is filled up with NULs.
fn padded<R: Read>(source: &mut Source<R>) -> Result<String, StreamError> {
    let text = source.text(PADDED, "an external RAM block")?;
    Ok(text.trim_end_matches('\0').to_owned())
}

fn page_bits<R: Read>(source: &mut Source<R>) -> Result<u32, StreamError> {
    let place: Place = source.place();
    let bits = source.u32("the target's page bits")?;
    if PAGE_BITS.contains(&bits) {
        Ok(bits)
    } else {
        Err(StreamError::malformed(place, format!("page bits in {PAGE_BITS:?}"), bits.to_string()))
    }
}
