//! A RAM file that fails under its guest is an error that is told, and no silent damage: it was cut
//! short, or cannot be read any more.

use super::Finding;
use super::party::{Party, Side};
use super::trial::Trial;
use super::watched::Watched;
use crate::machine::Machine;
use crate::machine::deadline::Deadline;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs::File;
use std::time::Duration;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0072;
/// How long QEMU may take to tell, and how often it is looked at.
const TELL: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CutShort {
    /// What happens to the file.
    how: Mishap,
    /// What QEMU says, in part. `{path}` and `{ram}` (the machine's, in bytes) stand for what they
    /// say.
    message: String,
}

/// What happens to the file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Mishap {
    /// Half of it is cut off.
    CutShort,
    /// Its file system fails to read it (EIO).
    Unreadable,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    /// How QEMU ended, where it did; whether that was without an error.
    ended: Option<(String, bool)>,
    /// The run state of a QEMU that goes on.
    status: Option<String>,
    /// How often the guest had written all its RAM after the mishap.
    swept: u64,
    /// What QEMU said.
    said: String,
    /// By how many bytes the length of the file differs from what was left of it.
    regrown: i64,
}

impl CutShort {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let party = Party::new(trial, Side::With, "qemu", trial.board.ram_mib)?;
        let file = party.ram_file.clone().context("there is no RAM file")?;
        let watched = match self.how {
            Mishap::CutShort => None,
            Mishap::Unreadable => Some(Watched::new(&file)?),
        };
        let path = watched.as_ref().map_or(&*file, Watched::path).to_owned();
        let party = Party::on(trial, path.clone(), "qemu")?;
        let mut machine = party.start(&party.launch(&[]))?;
        machine.guest.seed(SEED, 0)?;
        let left = match &watched {
            None => {
                machine.guest.stamp()?;
                let left = trial.ram() / 2;
                File::options().write(true).open(&file)?.set_len(left)?;
                left
            }
            Some(watched) => {
                watched.fail_from_now_on();
                trial.ram()
            }
        };
        let mut told = provoke(&mut machine)?;
        told.regrown = file.metadata()?.len() as i64 - left as i64;
        let message = self.message.replace("{path}", &path.to_string_lossy());
        let message = message.replace("{ram}", &trial.ram().to_string());
        let mut finding = judge(&message, &told).with("bytes left of the file", left);
        finding.summary = finding.summary.replace(&*path.to_string_lossy(), "PATH");
        Ok(finding)
    }
}

impl Told {
    /// Whether nothing more is to be heard of a QEMU that has not ended: its guest came through, or
    /// stands.
    fn is_all(&self) -> bool {
        let stands = self.status.as_deref().is_some_and(|status| status != "running");
        self.swept > 0 || stands
    }
}

/// Has the guest write all its RAM, and waits for what comes of it.
fn provoke(machine: &mut Machine) -> Result<Told> {
    let mut told = Told::default();
    machine.guest.dirty()?;
    let deadline = Deadline::after(TELL, "QEMU to tell");
    while deadline.left().is_ok() {
        if let Some(status) = machine.ended_within(LOOK_AGAIN)? {
            told.ended = Some((status.to_string(), status.success()));
            break;
        }
        told.swept = machine.guest.swept();
        // A monitor that is closed is that of a QEMU that is about to end.
        told.status = machine.status().ok();
        if told.is_all() {
            break;
        }
    }
    if told.ended.is_some() {
        told.status = None;
        machine.guest.hear_out();
    }
    told.swept = machine.guest.swept();
    machine.kill()?;
    told.said = machine.said();
    Ok(told)
}

fn judge(message: &str, told: &Told) -> Finding {
    let Told { ended, status, swept, said, regrown } = told;
    let mut wrong = Vec::new();
    if *swept > 0 {
        wrong.push(format!("the guest wrote all its RAM {swept} times, without a word"));
    }
    match (ended, status.as_deref()) {
        (Some((how, true)), _) => wrong.push(format!("QEMU ended without an error: {how}")),
        (None, None | Some("running")) => wrong.push("the guest runs on".into()),
        _ => {}
    }
    if !said.contains(message) {
        wrong.push(format!("QEMU said {said:?}, and not {message:?}"));
    }
    if *regrown != 0 {
        wrong.push(format!("the file's length has changed by {regrown} bytes"));
    }
    let end = match (ended, status) {
        (Some((how, _)), _) => format!("QEMU ended with {how}"),
        (None, status) => format!("the guest stands, {}", status.as_deref().unwrap_or_default()),
    };
    let line = said.lines().find(|line| line.contains(message)).unwrap_or_default();
    Finding::new(wrong, format!("{end}: `{}`", line.trim()))
        .with("end", &end)
        .with("what QEMU said", said)
        .with("sweeps of the guest", swept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(damage: impl Fn(&mut Told)) -> Finding {
        let ended = Some(("signal: 7 (SIGBUS)".to_owned(), false));
        let said = "qemu-system-x86_64: the file was cut short".to_owned();
        let mut told = Told { ended, said, ..Told::default() };
        damage(&mut told);
        judge("cut short", &told)
    }

    #[test]
    fn an_error_that_is_told_holds_and_a_guest_that_runs_on_fails() {
        let finding = judged(|_| ());
        assert_eq!(finding.verdict, Verdict::Held);
        assert!(finding.summary.starts_with("QEMU ended with signal: 7 (SIGBUS): `qemu-system"));
        let stopped = judged(|it| (it.ended, it.status) = (None, Some("internal-error".into())));
        assert!(stopped.summary.starts_with("the guest stands, internal-error"));
        assert_eq!(stopped.verdict, Verdict::Held);
        let running = judged(|it| (it.ended, it.status) = (None, Some("running".into())));
        assert_eq!(running.summary, "the guest runs on");
        assert_eq!(judged(|it| it.said.clear()).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.swept = 1).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.regrown = 4096).verdict, Verdict::Failed);
        let success = judged(|it| it.ended = Some(("exit status: 0".into(), true)));
        assert_eq!(success.verdict, Verdict::Failed);
    }

    #[test]
    fn a_guest_that_came_through_or_stands_is_waited_for_no_longer() {
        let is_all = |swept, status: Option<&str>| {
            Told { swept, status: status.map(str::to_owned), ..Told::default() }.is_all()
        };
        assert!(is_all(1, Some("running")) && is_all(2, None));
        assert!(is_all(0, Some("internal-error")));
        assert!(!is_all(0, Some("running")) && !is_all(0, None));
    }
}
