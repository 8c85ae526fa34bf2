//! A running QEMU with a RAM file refuses a migration capability by name.

use super::Finding;
use super::trial::Trial;
use crate::machine::qmp::QmpError;
use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CapabilityRefused {
    /// The capability.
    capability: String,
    /// The monitor's reason, whole.
    message: String,
}

impl CapabilityRefused {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let CapabilityRefused { capability, message } = self;
        let path = trial.ram_file()?;
        let mut machine = trial.start_patched(&path)?;
        let arguments = json!({ "capabilities": [{ "capability": capability, "state": true }] });
        let said = match machine.qmp.execute("migrate-set-capabilities", arguments) {
            Ok(_) => None,
            Err(error) => Some(error.downcast::<QmpError>()?.text),
        };
        machine.kill()?;
        Ok(judge(capability, said, message))
    }
}

fn judge(capability: &str, said: Option<String>, expected: &str) -> Finding {
    let wrong = match &said {
        None => vec![format!("{capability} was accepted")],
        Some(said) if said != expected => vec![format!("it said {said:?}, not {expected:?}")],
        Some(_) => Vec::new(),
    };
    let said = said.unwrap_or_default();
    Finding::new(wrong, format!("{capability}: `{said}`")).with("message", said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn a_capability_that_is_accepted_or_refused_for_another_reason_fails() {
        let judged = |said: Option<&str>| judge("x", said.map(str::to_owned), "no x").verdict;
        assert_eq!(judged(Some("no x")), Verdict::Held);
        assert_eq!(judged(Some("busy")), Verdict::Failed);
        assert_eq!(judged(None), Verdict::Failed);
    }
}
