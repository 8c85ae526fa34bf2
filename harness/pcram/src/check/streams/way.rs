//! The ways that a stream may take.

use serde::Deserialize;

/// Which way a stream takes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Via {
    /// `migrate exec:`, into a file.
    MigrateExec,
    /// `migrate unix:`, recorded on its way to a destination on the same file.
    MigrateUnix,
    /// `migrate fd:`, over a socket that QEMU was given, recorded as above.
    MigrateFd,
    /// `migrate file:`.
    MigrateFile,
    /// `migrate file:`, and a new QEMU that goes on from there.
    Restart,
    /// `savevm`, into a qcow2.
    Savevm,
}
