//! The QEMU Machine Protocol: one command at a time, events kept aside.

use super::deadline::Deadline;
use super::wire::Lines;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a monitor may take to answer one command.
const ANSWER: Duration = Duration::from_secs(30);

/// A monitor in command mode.
pub struct Qmp {
    lines: Lines,
    writer: UnixStream,
    commands: BTreeSet<String>,
}

impl Qmp {
    /// Greets the monitor behind `stream`; its traffic is logged to `log`.
    pub fn greet(stream: UnixStream, log: &Path) -> Result<Qmp> {
        let writer = stream.try_clone()?;
        let lines = Lines::new(stream, log, "monitor")?;
        let mut qmp = Qmp { lines, writer, commands: BTreeSet::new() };
        let greeting = qmp.message(&Deadline::after(ANSWER, "the monitor's greeting"))?;
        if greeting.get("QMP").is_none() {
            let found = format!("the monitor greeted with {greeting}, which is not QMP");
            return Err(Failure::new(Exit::DidNotBoot, found).into());
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        let commands = qmp.execute("query-commands", json!({}))?;
        let names = commands.as_array().into_iter().flatten();
        qmp.commands = names.filter_map(|each| Some(each["name"].as_str()?.to_owned())).collect();
        Ok(qmp)
    }

    /// Whether this QEMU knows the command (`query-commands`).
    pub fn knows(&self, command: &str) -> bool {
        self.commands.contains(command)
    }

    /// Executes a command and gives what it returned; the monitor's own error, if it gave one, is
    /// a [`QmpError`] in the chain.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut request = json!({ "execute": command });
        if arguments.as_object().is_some_and(|map| !map.is_empty()) {
            request["arguments"] = arguments;
        }
        self.lines.log(&format!("-> {request}"));
        writeln!(self.writer, "{request}")
            .with_context(|| format!("cannot send {command} to the monitor"))?;
        let deadline = Deadline::after(ANSWER, format!("the monitor's answer to {command}"));
        loop {
            let mut answer = self.message(&deadline)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let text = error["desc"].as_str().unwrap_or("no reason given").to_owned();
                return Err(QmpError { command: command.to_owned(), text }.into());
            }
            // Anything else is an event. The log has it; no check reads events yet.
        }
    }

    /// Executes a line of the human monitor and gives what it printed.
    pub fn human(&mut self, line: &str) -> Result<String> {
        let printed = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        Ok(printed.as_str().unwrap_or_default().trim().to_owned())
    }

    fn message(&mut self, deadline: &Deadline) -> Result<Value> {
        let line = self.lines.next(deadline)?;
        serde_json::from_str(&line)
            .with_context(|| format!("the monitor sent what is not JSON: {line:?}"))
    }
}

/// A command that the monitor refused.
#[derive(Debug, thiserror::Error)]
#[error("the monitor refused {command}: {text}")]
pub struct QmpError {
    /// The command.
    pub command: String,
    /// The monitor's reason.
    pub text: String,
}
