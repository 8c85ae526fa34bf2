//! The configuration section: which machine it was, and what changes the stream's layout.

use std::io::BufRead;

use crate::source::Source;
use crate::{Place, StreamError};

pub(crate) const SUBSECTION: u8 = 5;
/// No machine's name comes near this.
const LONGEST_NAME: u32 = 1024;
/// The length of `RAMBlock.idstr`, and of every field that holds one whole.
const NAME_FIELD: usize = 256;
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
    /// The RAM blocks whose pages reach the other side by other means than the stream.
    pub external_ram: Vec<String>,
}

impl Configuration {
    /// Reads what follows the section type.
    pub(crate) fn read<R: BufRead>(source: &mut Source<R>) -> Result<Self, StreamError> {
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

    fn subsection<R: BufRead>(&mut self, source: &mut Source<R>) -> Result<(), StreamError> {
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
                    self.external_ram.push(padded_name(source, "an external RAM block")?);
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

/// Reads the name of a RAM block from a field of its longest length, padded with NULs.
pub(crate) fn padded_name<R: BufRead>(
    source: &mut Source<R>,
    expected: &str,
) -> Result<String, StreamError> {
    let field = source.text(NAME_FIELD, expected)?;
    Ok(field.trim_end_matches('\0').to_owned())
}

fn page_bits<R: BufRead>(source: &mut Source<R>) -> Result<u32, StreamError> {
    let place: Place = source.place();
    let bits = source.u32("the target's page bits")?;
    if PAGE_BITS.contains(&bits) {
        Ok(bits)
    } else {
        Err(StreamError::malformed(place, format!("page bits in {PAGE_BITS:?}"), bits.to_string()))
    }
}
