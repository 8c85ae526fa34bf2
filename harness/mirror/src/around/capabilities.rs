//! The capabilities that a user sets, in migration/options.c (before 8.0, migration/migration.c), checked
//! against each other and against what the rest of QEMU and the host have.

use super::Guest;
use super::external::Capability;
use serde::{Deserialize, Serialize};

/// What `migrate_caps_check` looks at, more with each version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checks {
    /// At postcopy alone: 5.2.
    #[default]
    Postcopy,
    /// At background snapshots, zero copy and what does not go with compression: 7.2.
    Compress,
    /// At what has to be set before a stream comes in, and not at compression any more: 10.0.
    Started,
    /// At what RDMA does not have, and not at postcopy with multifd any more: 10.2.
    Rdma,
}

/// What is asked of the rest of QEMU and of the host, where the answer is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A migration is waited for (`RUN_STATE_INMIGRATE`).
    Incoming,
    /// `postcopy_ram_supported_by_host`.
    Postcopy,
    /// `ram_write_tracking_available`.
    WriteTracking,
    /// `ram_write_tracking_compatible`.
    WriteTrackingCompatible,
    /// `migrate_multifd_compression`.
    Compression,
    /// `migrate_tls`.
    Tls,
    /// `migrate_multi_channels_is_allowed`.
    Channels,
    /// `migrate_incoming_started`.
    Started,
    /// `kvm_enabled`.
    Kvm,
    /// `kvm_dirty_ring_enabled`.
    DirtyRing,
    /// `migrate_rdma`.
    Rdma,
}

impl Answer {
    /// All of them.
    pub const ALL: [Answer; 11] = [
        Answer::Incoming,
        Answer::Postcopy,
        Answer::WriteTracking,
        Answer::WriteTrackingCompatible,
        Answer::Compression,
        Answer::Tls,
        Answer::Channels,
        Answer::Started,
        Answer::Kvm,
        Answer::DirtyRing,
        Answer::Rdma,
    ];
}

/// `check_caps_background_snapshot`.
const CHECK_CAPS_BACKGROUND_SNAPSHOT: [Capability; 15] = [
    Capability::PostcopyRam,
    Capability::DirtyBitmaps,
    Capability::PostcopyBlocktime,
    Capability::LateBlockActivate,
    Capability::ReturnPath,
    Capability::Multifd,
    Capability::PauseBeforeSwitchover,
    Capability::AutoConverge,
    Capability::ReleaseRam,
    Capability::RdmaPinAll,
    Capability::Compress,
    Capability::Xbzrle,
    Capability::XColo,
    Capability::ValidateUuid,
    Capability::ZeroCopySend,
];

/// Why the host has no postcopy.
const NO_POSTCOPY: &str = "no userfaultfd";

impl Guest {
    /// Whether capabilities go with each other, and with what is there; `on` are those that were on
    /// before (`migrate_caps_check`).
    pub fn migrate_caps_check(
        &mut self,
        on: &[Capability],
        new: &[Capability],
        answers: &[Answer],
    ) -> bool {
        if let Some(block) = self.ram_external_block() {
            let idstr = String::from_utf8_lossy(&self.blocks[block].idstr).into_owned();
            if !self.caps_allow_external_ram(new, &idstr) {
                return false;
            }
        }
        let checks = self.tree.checks;
        if checks >= Checks::Started && new.contains(&Capability::ZeroBlocks) {
            self.say("zero-blocks capability is deprecated");
        }
        if lacks_postcopy(on, new, answers) {
            match checks >= Checks::Started {
                true => self.say(format!("Postcopy is not supported: {NO_POSTCOPY}")),
                false => {
                    self.say(NO_POSTCOPY);
                    self.say("Postcopy is not supported");
                }
            }
            return false;
        }
        let why = refused(checks, on, new, answers);
        why.iter().for_each(|why| self.say(why));
        why.is_none()
    }
}

/// Whether postcopy is new here, and the host does not have it.
fn lacks_postcopy(on: &[Capability], new: &[Capability], answers: &[Answer]) -> bool {
    let is_new = new.contains(&Capability::PostcopyRam) && !on.contains(&Capability::PostcopyRam);
    is_new && answers.contains(&Answer::Incoming) && !answers.contains(&Answer::Postcopy)
}

/// Why the capabilities are refused, where they are: the first reason.
fn refused(
    checks: Checks,
    on: &[Capability],
    new: &[Capability],
    answers: &[Answer],
) -> Option<String> {
    let has = |capability| new.contains(&capability);
    let is = |answer| answers.contains(&answer);
    let compress = checks == Checks::Compress && has(Capability::Compress);
    let later = checks >= Checks::Compress;
    let today = checks >= Checks::Started;
    let [postcopy, multifd, xbzrle] =
        [Capability::PostcopyRam, Capability::Multifd, Capability::Xbzrle].map(has);
    let snapshot = later && has(Capability::BackgroundSnapshot);
    let zero_copy = later && has(Capability::ZeroCopySend);
    let preempt = later && has(Capability::PostcopyPreempt);
    let limit = today && has(Capability::DirtyLimit);
    let mapped = today && has(Capability::MappedRam);
    let rdma = checks >= Checks::Rdma && is(Answer::Rdma);
    let late = |capability| today && !on.contains(&capability) && is(Answer::Started);

    let mut beside = CHECK_CAPS_BACKGROUND_SNAPSHOT.into_iter();
    let beside = beside.find(|&it| if it == Capability::Compress { compress } else { has(it) });
    let beside_snapshot = beside.map_or(String::new(), |it| {
        format!("Background-snapshot is not compatible with {}", it.name())
    });
    let all = [
        (
            postcopy && has(Capability::XIgnoreShared),
            "Postcopy is not compatible with ignore-shared",
        ),
        (
            postcopy && multifd && checks == Checks::Started,
            "Postcopy is not yet compatible with multifd",
        ),
        (
            snapshot && !is(Answer::WriteTracking),
            "Background-snapshot is not supported by host kernel",
        ),
        (
            snapshot && !is(Answer::WriteTrackingCompatible),
            "Background-snapshot is not compatible with guest memory configuration",
        ),
        (snapshot && beside.is_some(), &beside_snapshot),
        (
            zero_copy
                && (!multifd || compress || xbzrle || is(Answer::Compression) || is(Answer::Tls)),
            "Zero copy only available for non-compressed non-TLS multifd migration",
        ),
        (
            multifd && checks == Checks::Compress && is(Answer::Incoming) && !is(Answer::Channels),
            "multifd is not supported by current protocol",
        ),
        (preempt && !postcopy, "Postcopy preempt requires postcopy-ram"),
        (preempt && compress, "Postcopy preempt not compatible with compress"),
        (
            preempt && late(Capability::PostcopyPreempt),
            "Postcopy preempt must be set before incoming starts",
        ),
        (multifd && compress, "Multifd is not compatible with compress"),
        (multifd && late(Capability::Multifd), "Multifd must be set before incoming starts"),
        (
            today && has(Capability::SwitchoverAck) && !has(Capability::ReturnPath),
            "Capability 'switchover-ack' requires capability 'return-path'",
        ),
        (
            limit && has(Capability::AutoConverge),
            "dirty-limit conflicts with auto-converge either of then available currently",
        ),
        (
            limit && !(is(Answer::Kvm) && is(Answer::DirtyRing)),
            "dirty-limit requires KVM with accelerator property 'dirty-ring-size' set",
        ),
        (today && multifd && xbzrle, "Multifd is not compatible with xbzrle"),
        (mapped && xbzrle, "Mapped-ram migration is incompatible with xbzrle"),
        (mapped && postcopy, "Mapped-ram migration is incompatible with postcopy"),
        (rdma && xbzrle, "RDMA and XBZRLE can't be used together"),
        (rdma && multifd, "RDMA and multifd can't be used together"),
        (rdma && postcopy, "RDMA and postcopy-ram can't be used together"),
    ];
    all.into_iter().find(|(is, _)| *is).map(|(_, why)| why.to_owned())
}
