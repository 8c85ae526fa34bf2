//! The QEMU Machine Protocol: one command at a time, events kept aside.

use super::deadline::Deadline;
use super::wire::Lines;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a monitor may take to answer one command.
const ANSWER: Duration = Duration::from_secs(30);

/// How many events are kept for whoever waits for one.
const KEPT: usize = 1024;

/// A monitor in command mode.
pub struct Qmp {
    lines: Lines,
    writer: UnixStream,
    commands: BTreeSet<String>,
    events: VecDeque<Value>,
}

impl Qmp {
    /// Greets the monitor behind `stream`; its traffic is logged to `log`.
    pub fn greet(stream: UnixStream, log: &Path) -> Result<Qmp> {
        let writer = stream.try_clone()?;
        let lines = Lines::new(stream, log, "monitor")?;
        let mut qmp = Qmp { lines, writer, commands: BTreeSet::new(), events: VecDeque::new() };
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
        self.execute_with(command, arguments, None)
    }

    /// Gives this QEMU an open file under a name, for `fd:NAME` (`getfd`).
    pub fn give_file(&mut self, name: &str, file: impl AsFd) -> Result<()> {
        self.execute_with("getfd", json!({ "fdname": name }), Some(file.as_fd())).map(drop)
    }

    fn execute_with(
        &mut self,
        command: &str,
        arguments: Value,
        file: Option<BorrowedFd>,
    ) -> Result<Value> {
        let mut request = json!({ "execute": command });
        if arguments.as_object().is_some_and(|map| !map.is_empty()) {
            request["arguments"] = arguments;
        }
        self.lines.log(&format!("-> {request}"));
        match self.send(&format!("{request}\n"), file) {
            // QEMU is gone: the wait below tells so, as it does where QEMU goes later.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            sent => sent.with_context(|| format!("cannot send {command} to the monitor"))?,
        }
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
            self.keep(answer);
        }
    }

    /// Waits until QEMU tells of an event of this name that was not asked for before, and gives
    /// all that it told, `data` and `timestamp` among it. Other events are kept.
    ///
    /// A migration tells its states (`MIGRATION`) only where the capability `events` is set.
    pub fn await_event(&mut self, name: &str, limit: Duration) -> Result<Value> {
        let deadline = Deadline::after(limit, format!("the monitor's event {name}"));
        let is_it = |event: &Value| event["event"] == name;
        if let Some(at) = self.events.iter().position(is_it) {
            return Ok(self.events.remove(at).unwrap_or_default());
        }
        loop {
            let event = self.message(&deadline)?;
            if is_it(&event) {
                return Ok(event);
            }
            self.keep(event);
        }
    }

    /// Sends `text`, and with it an open file, which is handed over together with the first byte.
    fn send(&mut self, text: &str, file: Option<BorrowedFd>) -> io::Result<()> {
        let mut sent = 0;
        if let Some(file) = file {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let files = [file];
            control.push(SendAncillaryMessage::ScmRights(&files));
            let data = [IoSlice::new(text.as_bytes())];
            sent = sendmsg(&self.writer, &data, &mut control, SendFlags::empty())?;
        }
        self.writer.write_all(&text.as_bytes()[sent..])
    }

    /// Keeps an event; of a monitor that floods, the newest.
    fn keep(&mut self, event: Value) {
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::fs::File;
    use std::io::{BufRead, BufReader, IoSliceMut, Read, Seek};
    use std::thread;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A monitor that greets, answers every command in turn with one of `answers`, and hands back
    /// the socket.
    fn monitor(answers: &'static [&'static str]) -> (Qmp, thread::JoinHandle<UnixStream>) {
        let (near, mut far) = UnixStream::pair().unwrap();
        let answering = thread::spawn(move || {
            writeln!(far, r#"{{"QMP": {{}}}}"#).unwrap();
            let mut requests = BufReader::new(far.try_clone().unwrap()).lines();
            for answer in [r#"{"return": {}}"#, r#"{"return": []}"#].iter().chain(answers) {
                requests.next().unwrap().unwrap();
                writeln!(far, "{answer}").unwrap();
            }
            far
        });
        let folder = tempfile::tempdir().unwrap();
        (Qmp::greet(near, &folder.path().join("log")).unwrap(), answering)
    }

    #[test]
    fn an_event_that_came_before_it_was_awaited_is_kept_and_told_once() {
        let (mut qmp, far) = monitor(&["{\"event\": \"STOP\"}\n{\"return\": 1}"]);
        assert_eq!(qmp.execute("stop", json!({})).unwrap(), 1);
        let mut far = far.join().unwrap();
        writeln!(far, r#"{{"event": "RESUME"}}"#).unwrap();
        assert_eq!(qmp.await_event("RESUME", LIMIT).unwrap()["event"], "RESUME");
        assert_eq!(qmp.await_event("STOP", LIMIT).unwrap()["event"], "STOP");
        drop(far);
        let error = qmp.await_event("STOP", LIMIT).unwrap_err().to_string();
        assert!(error.ends_with("while waiting for the monitor's event STOP"), "{error}");
    }

    #[test]
    fn a_monitor_that_is_gone_is_told_alike_before_a_command_and_after_it() {
        let (mut qmp, far) = monitor(&[]);
        drop(far.join().unwrap());
        let error = qmp.execute("stop", json!({})).unwrap_err().to_string();
        assert_eq!(error, "QEMU closed its monitor while waiting for the monitor's answer to stop");
        let file = tempfile::tempfile().unwrap();
        let error = qmp.give_file("out", &file).unwrap_err().to_string();
        assert!(error.starts_with("QEMU closed its monitor"), "{error}");
    }

    #[test]
    fn an_open_file_arrives_with_the_command() {
        let (mut qmp, far) = monitor(&[]);
        let far = far.join().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"stream").unwrap();
        let answering = thread::spawn(move || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [0; 200];
            let mut data = [IoSliceMut::new(&mut bytes)];
            recvmsg(&far, &mut data, &mut control, RecvFlags::empty()).unwrap();
            let RecvAncillaryMessage::ScmRights(mut files) = control.drain().next().unwrap() else {
                panic!("no file came");
            };
            let mut file = File::from(files.next().unwrap());
            (&far).write_all(b"{\"return\": {}}\n").unwrap();
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            (text, String::from_utf8_lossy(&bytes).into_owned())
        });
        qmp.give_file("out", &file).unwrap();
        let (text, request) = answering.join().unwrap();
        assert_eq!(text, "stream");
        assert!(request.starts_with(r#"{"arguments":{"fdname":"out"},"execute":"getfd"}"#));
    }
}
