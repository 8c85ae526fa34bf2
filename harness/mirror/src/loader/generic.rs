//! The device `loader` of hw/core/generic-loader.c: what it takes and refuses, and what a reset writes of
//! it.

use super::{Did, Ends, Handler, Machine};
use serde::{Deserialize, Serialize};

/// No processor (`CPU_NONE`).
pub const CPU_NONE: u32 = u32::MAX;
/// What the file of a device is called.
pub const FILE: &str = "an image";

/// What a user says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// `data`.
    pub data: u64,
    /// `data-len`.
    pub data_len: u8,
    /// `data-be`.
    pub data_be: bool,
    /// `file`.
    pub file: Option<File>,
    /// `force-raw`.
    pub force_raw: bool,
    /// `addr`.
    pub addr: u64,
    /// `cpu-num`.
    pub cpu_num: u32,
}

/// A file that a device loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it is; `None` where it cannot be read.
    pub format: Option<Format>,
    /// Where what it holds begins, if it says so.
    pub entry: u64,
}

/// What a file can be loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `load_elf_as`.
    Elf,
    /// `load_uimage_as`.
    Uimage,
    /// `load_targphys_hex_as`.
    Hex,
    /// What any file can be taken for: `load_image_targphys_as`.
    Image,
}

/// A device that was made (`GenericLoaderState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericLoader {
    /// Its guest-physical address.
    pub addr: u64,
    /// What it writes there, the first byte lowest.
    pub data: u64,
    /// How many bytes of that, 8 at most.
    pub data_len: u8,
    /// The index of its processor.
    pub cpu: Option<u32>,
    /// Whether that one begins at the address.
    pub set_pc: bool,
    /// It was refused after its reset had been registered, so that the handler has no device any more.
    pub gone: bool,
}

impl Options {
    /// Whether the processor is to begin where the device writes; the text of the error where options do
    /// not go together. What the C asks of data in the other branches never holds there.
    fn validate(&self) -> Result<bool, &'static str> {
        if self.data != 0 || self.data_len != 0 || self.data_be {
            match self {
                _ if self.file.is_some() => {
                    Err("Specifying a file is not supported when loading memory values")
                }
                _ if self.force_raw => {
                    Err("Specifying force-raw is not supported when loading memory values")
                }
                _ if self.data_len == 0 => Err("Both data and data-len must be specified"),
                _ if self.data_len > 8 => Err("data-len cannot be greater then 8 bytes"),
                _ => Ok(false),
            }
        } else if self.file.is_some() || self.force_raw {
            Ok(self.cpu_num != CPU_NONE)
        } else if self.addr == 0 {
            Err("please include valid arguments")
        } else if self.cpu_num == CPU_NONE {
            Err("cpu_num must be specified when setting a program counter")
        } else {
            Ok(true)
        }
    }
}

impl Machine {
    /// Makes a device (`generic_loader_realize`).
    ///
    /// # Errors
    ///
    /// The text of the error, where it is refused.
    pub fn generic_loader_realize(&mut self, options: &Options) -> Result<(), String> {
        let set_pc = options.validate()?;
        let &Options { data, data_len, data_be, addr, cpu_num, .. } = options;
        let data = if data_be { data.swap_bytes() } else { data };
        let loader = GenericLoader { addr, data, data_len, cpu: None, set_pc, gone: true };
        self.handlers.push((Handler::Loader(self.loaders.len()), self.tree.left_out));
        self.loaders.push(loader);
        let cpu = match cpu_num {
            CPU_NONE => (self.cpus > 0).then_some(0),
            _ if cpu_num < self.cpus => Some(cpu_num),
            _ => return Err(format!("Specified boot CPU#{} is nonexistent", cpu_num as i32)),
        };
        let addr = match &options.file {
            Some(file) => self.load(file, options, cpu)?,
            None => addr,
        };
        self.loaders.pop();
        self.loaders.push(GenericLoader { addr, cpu, gone: false, ..loader });
        Ok(())
    }

    /// Loads a device's file, and gives its address.
    fn load(&mut self, file: &File, options: &Options, cpu: Option<u32>) -> Result<u64, String> {
        if !options.force_raw {
            for format in [Format::Elf, Format::Uimage, Format::Hex] {
                self.did.push(Did::Load { format, cpu, addr: 0, most: 0 });
                if file.format == Some(format) {
                    return Ok(file.entry);
                }
            }
        }
        let (addr, most) = (options.addr, self.ram_size);
        self.did.push(Did::Load { format: Format::Image, cpu, addr, most });
        let why = if self.tree.tells_why { ": it cannot be read" } else { "" };
        match file.format {
            Some(_) => Ok(addr),
            None => Err(format!("Cannot load specified image {FILE}{why}")),
        }
    }

    /// Resets a device (`generic_loader_reset`).
    pub(super) fn generic_loader_reset(&mut self, at: usize, incoming: bool) -> Result<(), Ends> {
        let GenericLoader { addr, data, data_len, cpu, set_pc, gone } = self.loaders[at];
        if gone {
            return Err(Ends::Gone);
        }
        // None begins where there is none.
        let Some(cpu) = cpu else {
            return if data_len > 0 { Err(Ends::NoProcessor) } else { Ok(()) };
        };
        if set_pc {
            self.did.push(Did::Begin(cpu, addr));
        }
        if data_len > 0 && !(self.tree.waits && (incoming || self.pending)) {
            if self.tree.refuses_eight && data_len == 8 {
                return Err(Ends::Asserts);
            }
            let data = data & (u64::MAX >> (64 - 8 * u32::from(data_len)));
            self.did.push(Did::Store { cpu, addr, length: data_len.into(), data });
        }
        Ok(())
    }
}
