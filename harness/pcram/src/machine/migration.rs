//! A migration as its source and its destination are told about it.

use super::deadline::Deadline;
use super::{Machine, NoStream};
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How long a migration may take.
pub(super) const MIGRATE: Duration = Duration::from_secs(60);
/// How many times faster a QEMU of before 1.3 copies pages than it sends them, at least: it takes the
/// one for the other where it foresees how long the guest would be stopped.
const COPIES_FASTER: f64 = 1000.0;
/// How often a migration's state is asked for: QEMU has told it by events only since 2.4.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(10);

/// How often a migration has gathered the dirty pages, by what `query-migrate` says of RAM. A QEMU of
/// before 1.7 does not say: each time that it has sent as much as there is to send, and as much again
/// as the guest writes in the meantime (`again`, in bytes), there was another round at least.
pub fn gathered(ram: &Value, again: u64) -> Option<u64> {
    let figure = |name: &str| ram[name].as_u64();
    figure("dirty-sync-count").or_else(|| {
        let more = figure("transferred")?.checked_sub(figure("total")?);
        Some(more.map_or(1, |more| 2 + more / again.max(1)))
    })
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The destination has everything.
    Completed,
    /// QEMU gave it up.
    Failed,
    /// It was told to give it up.
    Cancelled,
}

impl fmt::Display for End {
    /// QEMU's own word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Completed => "completed",
            End::Failed => "failed",
            End::Cancelled => "cancelled",
        })
    }
}

impl<G> Machine<G> {
    /// Turns migration capabilities on.
    pub fn set_capabilities(&mut self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let on = |name| json!({ "capability": name, "state": true });
        let list: Vec<_> = names.iter().map(on).collect();
        self.qmp.execute("migrate-set-capabilities", json!({ "capabilities": list })).map(drop)
    }

    /// Sets migration parameters, an object.
    pub fn set_parameters(&mut self, parameters: Value) -> Result<()> {
        if parameters.as_object().is_none_or(|map| map.is_empty()) {
            return Ok(());
        }
        self.qmp.execute("migrate-set-parameters", parameters).map(drop)
    }

    /// Begins a migration to `uri`.
    pub fn migrate(&mut self, uri: &str) -> Result<()> {
        self.qmp.execute("migrate", json!({ "uri": uri })).map(drop)
    }

    /// Gives a migration up that is under way.
    pub fn cancel_migration(&mut self) -> Result<()> {
        self.qmp.execute("migrate_cancel", json!({})).map(drop)
    }

    /// Limits what a migration sends in a second, in bytes.
    pub fn limit_migration(&mut self, bytes: u64) -> Result<()> {
        if self.qmp.knows("migrate-set-parameters") {
            self.set_parameters(json!({ "max-bandwidth": bytes }))
        } else {
            self.qmp.execute("migrate_set_speed", json!({ "value": bytes })).map(drop)
        }
    }

    /// Limits how long a migration may stop the guest at its end, in milliseconds.
    pub fn limit_downtime(&mut self, milliseconds: u64) -> Result<()> {
        if self.qmp.knows("migrate-set-parameters") {
            self.set_parameters(json!({ "downtime-limit": milliseconds }))
        } else {
            let seconds = Duration::from_millis(milliseconds).as_secs_f64() / COPIES_FASTER;
            self.qmp.execute("migrate_set_downtime", json!({ "value": seconds })).map(drop)
        }
    }

    /// Waits until the migration has ended, in whatever way; gives that, and what `query-migrate`
    /// says then. `meanwhile` is called with its answer each time it was asked before.
    pub fn migration_over(
        &mut self,
        mut meanwhile: impl FnMut(&mut Machine<G>, &Value) -> Result<()>,
    ) -> Result<(End, Value)> {
        let deadline = Deadline::after(MIGRATE, "the migration to end");
        loop {
            let state = self.qmp.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => return Ok((End::Completed, state)),
                Some("failed") => return Ok((End::Failed, state)),
                Some("cancelled") => return Ok((End::Cancelled, state)),
                _ => meanwhile(self, &state)?,
            }
            std::thread::sleep(deadline.left()?.min(ASK_AGAIN));
        }
    }

    /// Waits until the migration has completed, and gives what `query-migrate` says then;
    /// `meanwhile` is called with its answer each time it was asked before.
    ///
    /// # Errors
    /// [`NoStream`] where it ends in another way.
    pub fn migration_completed(
        &mut self,
        meanwhile: impl FnMut(&mut Machine<G>, &Value) -> Result<()>,
    ) -> Result<Value> {
        match self.migration_over(meanwhile)? {
            (End::Completed, state) => Ok(state),
            (_, state) => {
                let text = format!("the migration ended as {state}; QEMU said: {}", self.said());
                Err(NoStream(text).into())
            }
        }
    }

    /// Waits until the migration has completed; `meanwhile` is called each time its state was
    /// asked for.
    ///
    /// # Errors
    /// [`NoStream`] where it ends in another way.
    pub fn migrated(
        &mut self,
        mut meanwhile: impl FnMut(&mut Machine<G>) -> Result<()>,
    ) -> Result<()> {
        self.migration_completed(|machine, _| meanwhile(machine)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_told_or_follow_from_what_was_sent() {
        assert_eq!(gathered(&json!({ "dirty-sync-count": 7, "transferred": 1 }), 1), Some(7));
        let sent = |bytes: u64| gathered(&json!({ "transferred": bytes, "total": 100 }), 10);
        assert_eq!(
            [sent(0), sent(99), sent(100), sent(109), sent(110)].map(Option::unwrap),
            [1, 1, 2, 2, 3]
        );
        assert_eq!(gathered(&json!({}), 1), None);
    }
}
