//! A snapshot says that the RAM is not in it, and only where it is not.

use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::trial::Trial;
use super::{Finding, NotTried};
use crate::machine::Machine;
use crate::machine::deadline::Deadline;
use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// How long a job may take, and how often it is asked for.
const JOB: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SnapshotWarning {
    /// How the snapshot is made.
    via: Via,
    /// What is said, in part.
    message: String,
}

/// How a snapshot is made.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// The human monitor's `savevm`, which answers in the monitor.
    Savevm,
    /// QMP's `snapshot-save`, a job, which speaks on the standard error.
    SnapshotSave,
}

impl SnapshotWarning {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let said = |side, name| {
            let party = Party::new(trial, side, name, trial.board.ram_mib)?;
            party.create_disk()?;
            let mut launch = party.launch(&[]);
            launch.disk = Some(DISK.into());
            let mut machine = party.start(&launch)?;
            machine.stop()?;
            let said = match self.via {
                Via::Savevm => party::savevm(&mut machine)?,
                Via::SnapshotSave => snapshot_save(&mut machine)?,
            };
            machine.quit()?;
            anyhow::Ok(said)
        };
        let with = said(Side::With, "with")?;
        let without = said(Side::Without, "without")?;
        Ok(judge(&self.message, &with, &without))
    }
}

/// Makes a snapshot by a job, and gives what QEMU printed meanwhile.
fn snapshot_save(machine: &mut Machine) -> Result<String> {
    if !machine.qmp.knows("snapshot-save") {
        return Err(NotTried("this QEMU has no snapshot-save".into()).into());
    }
    // A job names nodes of the block layer, and a -drive has one whose name is QEMU's own.
    let nodes = machine.qmp.execute("query-named-block-nodes", json!({}))?;
    let is_disk = |node: &&serde_json::Value| node["drv"] == "qcow2";
    let node = nodes.as_array().into_iter().flatten().find(is_disk);
    let node = node.map(|node| node["node-name"].clone()).unwrap_or_default();
    let before = machine.said();
    let job = json!({ "job-id": "j", "tag": SNAPSHOT, "vmstate": node, "devices": [node] });
    machine.qmp.execute("snapshot-save", job)?;
    let deadline = Deadline::after(JOB, "the job snapshot-save to conclude");
    loop {
        let jobs = machine.qmp.execute("query-jobs", json!({}))?;
        if jobs[0]["status"] == "concluded" {
            ensure!(jobs[0]["error"].is_null(), "snapshot-save failed: {}", jobs[0]["error"]);
            break;
        }
        std::thread::sleep(deadline.left()?.min(ASK_AGAIN));
    }
    let said = machine.said();
    Ok(if said == before { String::new() } else { said })
}

fn judge(message: &str, with: &str, without: &str) -> Finding {
    let mut wrong = Vec::new();
    if !with.contains(message) {
        wrong.push(format!("it said {with:?}, and not {message:?}"));
    }
    if !without.is_empty() {
        wrong.push(format!("without the file it said {without:?}"));
    }
    let line = with.lines().find(|line| line.contains(message)).unwrap_or_default();
    Finding::new(wrong, format!("`{}`; without the file, nothing", line.trim()))
        .with("with the file", with)
        .with("without", without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn it_is_said_with_the_file_and_only_then() {
        let judged = |with: &str, without: &str| judge("is not in", with, without).verdict;
        assert_eq!(judged("warning: RAM is not in it", ""), Verdict::Held);
        assert_eq!(judged("", ""), Verdict::Failed);
        assert_eq!(judged("warning: RAM is not in it", "RAM is not in it"), Verdict::Failed);
    }
}
