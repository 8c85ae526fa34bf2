//! What a check needs of the host and of the QEMU under test, and whether it is there.
//!
//! What a QEMU can do is asked of stock, where there is one: a series that takes something away
//! must not turn its own checks into skips.

use super::Bench;
use crate::cache::{begin_in, end_in};
use crate::machine::binary::Binary;
use crate::machine::kvm;
use crate::machine::offers::Offers;
use anyhow::Result;
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

/// Something without which a check cannot be tried.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Need {
    /// The unpatched QEMU of the same source, to compare with.
    Stock,
    /// KVM, under which the bare guest has counted on this host.
    Kvm,
    /// A migration capability, e.g. `capability multifd`.
    Capability(String),
    /// A migration parameter, e.g. `parameter multifd-channels`.
    Parameter(String),
    /// A mode of migration, e.g. `mode cpr-reboot`.
    Mode(String),
    /// A machine type, e.g. `machine isapc`.
    Machine(String),
    /// A device, e.g. `device vmgenid`.
    Device(String),
    /// An option, with its dash, e.g. `option -add-fd`.
    Option(String),
    /// Something that stands in the help, e.g. `help rr=record`.
    Help(String),
    /// A kind of URI that a migration can come from, e.g. `incoming file:`.
    Incoming(String),
    /// A file or device of the host's that can be opened for reading and writing.
    Host(String),
    /// So many MiB free in the folder, e.g. `space 5120 /dev/shm`; `.` is the run's own.
    Space(u64, String),
}

impl TryFrom<String> for Need {
    type Error = String;

    fn try_from(text: String) -> Result<Need, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        Ok(match words[..] {
            ["stock"] => Need::Stock,
            ["kvm"] => Need::Kvm,
            ["capability", name] => Need::Capability(name.into()),
            ["parameter", name] => Need::Parameter(name.into()),
            ["mode", name] => Need::Mode(name.into()),
            ["machine", name] => Need::Machine(name.into()),
            ["device", name] => Need::Device(name.into()),
            ["option", name] => Need::Option(name.into()),
            ["help", text] => Need::Help(text.into()),
            ["incoming", kind] => Need::Incoming(kind.into()),
            ["host", path] => Need::Host(path.into()),
            ["space", mib, path] => {
                let mib = mib.parse().map_err(|_| format!("{mib:?} is no number of MiB"))?;
                Need::Space(mib, path.into())
            }
            _ => return Err(format!("a check cannot need {text:?}")),
        })
    }
}

impl Need {
    /// The reason why it is not met; `None` where it is.
    pub(super) fn unmet(&self, bench: &Bench) -> Result<Option<String>> {
        let side = if bench.stock.is_some() { "stock" } else { "this" };
        let binary = bench.reference();
        let lacking =
            |there: bool, what: String| (!there).then(|| format!("{side} QEMU has no {what}"));
        let offers = || Offers::of(&binary.path);
        Ok(match self {
            Need::Stock if bench.stock.is_none() => {
                Some("there is no unpatched QEMU to compare with".into())
            }
            Need::Stock => None,
            Need::Kvm => without_kvm(binary, bench.folder),
            Need::Capability(name) => {
                lacking(offers()?.capabilities.contains(name), format!("capability {name}"))
            }
            Need::Parameter(name) => {
                lacking(offers()?.parameters.contains(name), format!("migration parameter {name}"))
            }
            Need::Mode(name) => {
                lacking(offers()?.modes.contains(name), format!("migration mode {name}"))
            }
            Need::Machine(name) => {
                lacking(offers()?.machines.contains(name), format!("machine type {name}"))
            }
            Need::Device(name) => {
                lacking(offers()?.devices.contains(name), format!("device {name}"))
            }
            Need::Option(name) => {
                lacking(binary.option_help(name).is_some(), format!("option {name}"))
            }
            Need::Help(text) => lacking(binary.help.contains(text), format!("{text} in its help")),
            Need::Incoming(kind) => {
                let there = binary.help.contains(&format!("-incoming {kind}"));
                lacking(there, format!("migration from {kind}"))
            }
            Need::Host(path) => unusable(path),
            Need::Space(mib, path) => {
                let folder = if path == "." { bench.folder } else { Path::new(path) };
                too_full(*mib, folder)
            }
        })
    }
}

/// Why KVM is of no use, found out once in a run.
fn without_kvm(binary: &Binary, run: &Path) -> Option<String> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let folder = run.join("kvm");
        let begun = begin_in(&folder).map_err(anyhow::Error::from);
        let found = begun.and_then(|()| kvm::usable(binary, &folder).map_err(Into::into));
        end_in(&folder, false);
        found.err().map(|why| why.to_string())
    };
    FOUND.get_or_init(find).clone()
}

fn unusable(path: &str) -> Option<String> {
    let opened = std::fs::File::options().read(true).write(true).open(path);
    opened.err().map(|error| format!("{path} cannot be used: {error}"))
}

fn too_full(mib: u64, folder: &Path) -> Option<String> {
    let place = folder.display();
    match rustix::fs::statvfs(folder) {
        Ok(stat) => lacks(place, stat.f_bavail.saturating_mul(stat.f_frsize), mib),
        Err(error) => Some(format!("{place} cannot be used: {error}")),
    }
}

fn lacks(place: impl fmt::Display, free: u64, mib: u64) -> Option<String> {
    let free = free >> 20;
    (free < mib).then(|| format!("{place} has {free} MiB free, {mib} MiB are needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_a_few_words_and_anything_else_is_refused() {
        let need = |text: &str| Need::try_from(text.to_owned());
        assert_eq!(need("stock"), Ok(Need::Stock));
        assert_eq!(need("kvm"), Ok(Need::Kvm));
        type Named = fn(String) -> Need;
        let named: [(&str, Named); 9] = [
            ("capability", Need::Capability),
            ("parameter", Need::Parameter),
            ("mode", Need::Mode),
            ("machine", Need::Machine),
            ("device", Need::Device),
            ("option", Need::Option),
            ("help", Need::Help),
            ("incoming", Need::Incoming),
            ("host", Need::Host),
        ];
        for (word, of) in named {
            assert_eq!(need(&format!("{word} name")), Ok(of("name".into())));
        }
        assert_eq!(need("space 5120 /dev/shm"), Ok(Need::Space(5120, "/dev/shm".into())));
        assert!(need("space much /dev/shm").is_err());
        assert!(need("luck").unwrap_err().contains("cannot need \"luck\""));
    }

    #[test]
    fn what_the_host_lacks_is_named() {
        assert!(unusable("/nowhere").unwrap().starts_with("/nowhere cannot be used: No such"));
        assert_eq!(unusable("/dev/null"), None);
        assert_eq!(too_full(0, Path::new("/")), None);
        assert_eq!(lacks("/x", 5 << 20, 5), None);
        let lacking = lacks("/x", (5 << 20) - 1, 5);
        assert_eq!(lacking.as_deref(), Some("/x has 4 MiB free, 5 MiB are needed"));
        assert!(too_full(1 << 60, Path::new("/")).unwrap().contains("MiB are needed"));
        assert!(too_full(0, Path::new("/nowhere")).unwrap().contains("cannot be used"));
    }
}
