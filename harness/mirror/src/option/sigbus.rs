//! A SIGBUS, as the handler of QEMU 5.2 and later takes it: system/cpus.c (softmmu/ before 10.0).

use serde::{Deserialize, Serialize};

/// Why there is a signal (`si_code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiCode {
    /// No memory is behind the address: `BUS_ADRERR`.
    Adrerr,
    /// The address is not aligned: `BUS_ADRALN`.
    Adraln,
    /// The hardware has lost what is asked for: `BUS_MCEERR_AR`.
    MceerrAr,
    /// The hardware has lost what is yet to be asked for: `BUS_MCEERR_AO`.
    MceerrAo,
}

impl SiCode {
    /// Every code; its place is its number in C.
    pub const ALL: [SiCode; 4] =
        [SiCode::Adrerr, SiCode::Adraln, SiCode::MceerrAr, SiCode::MceerrAo];
}

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sigbus {
    /// Why it is there.
    pub code: SiCode,
    /// Whether it comes to a processor's thread (`current_cpu`).
    pub cpu: bool,
    /// Whether KVM knows nothing to do about it.
    pub kvm_fails: bool,
}

/// Which of KVM's functions is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `kvm_on_sigbus_vcpu`.
    Vcpu,
    /// `kvm_on_sigbus`.
    Other,
}

/// What is done about a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Who is asked.
    pub asked: Option<Asked>,
    /// Whether it is raised again, which ends QEMU.
    pub raised: bool,
}

impl Sigbus {
    /// Whether the user is told of the file (`hostmem_pcram_report_sigbus`).
    pub fn is_told(self) -> bool {
        self.code == SiCode::Adrerr
    }

    /// What is done then (`sigbus_handler`).
    pub fn handled(self) -> Handled {
        let asked = match (self.code, self.cpu) {
            (SiCode::Adrerr | SiCode::Adraln, _) => None,
            (_, true) => Some(Asked::Vcpu),
            (SiCode::MceerrAo, false) => Some(Asked::Other),
            (SiCode::MceerrAr, false) => None,
        };
        Handled { asked, raised: asked.is_none() || self.kvm_fails }
    }
}
