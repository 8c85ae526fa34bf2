//! What a QEMU binary offers beyond its options: asked once of each binary, and remembered.

use super::binary::{Ended, run_to_end};
use super::deadline::Deadline;
use super::kind::Kind;
use super::kind::bare::Bare;
use super::launch::opt_value;
use super::qmp::{Qmp, QmpError};
use super::{START, accept_from, sockets};
use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// What the monitor is asked about migration.
const QUESTIONS: [&str; 3] =
    ["query-migrate-capabilities", "query-migrate-parameters", "query-qmp-schema"];

/// Machine types, devices, and what its migration knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Machine types (`-machine help`).
    pub machines: BTreeSet<String>,
    /// Machine types that are another name of one, and which.
    pub aliases: BTreeMap<String, String>,
    /// Devices (`-device help`).
    pub devices: BTreeSet<String>,
    /// Migration capabilities (`query-migrate-capabilities`).
    pub capabilities: BTreeSet<String>,
    /// Migration parameters (`query-migrate-parameters`).
    pub parameters: BTreeSet<String>,
    /// Of those questions, which the monitor answers at all.
    pub answered: BTreeSet<String>,
    /// Modes of migration (`query-qmp-schema`); none before 8.2, where there is but one.
    pub modes: BTreeSet<String>,
}

static KNOWN: Mutex<BTreeMap<PathBuf, Arc<Offers>>> = Mutex::new(BTreeMap::new());

impl Offers {
    /// What the binary at `path` offers.
    ///
    /// # Errors
    /// A [`Failure`] where it does not run, or does not end.
    pub fn of(path: &Path) -> Result<Arc<Offers>> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offers) = known.get(path) {
            return Ok(Arc::clone(offers));
        }
        let offers = Arc::new(ask(path)?);
        known.insert(path.to_owned(), Arc::clone(&offers));
        Ok(offers)
    }

    /// What the machine type `machine` is called in full: `pc` is `pc-i440fx-10.0`, say.
    pub fn in_full<'a>(&'a self, machine: &'a str) -> &'a str {
        self.aliases.get(machine).map_or(machine, String::as_str)
    }
}

/// Whether the device `device` of the binary at `path` has the property `property`.
///
/// # Errors
/// A [`Failure`] where the binary does not run, or lists no property of it.
pub fn has_property(path: &Path, device: &str, property: &str) -> Result<bool> {
    // A QEMU of 2011 takes `help` for a property, and would run.
    let said =
        listed(path, "-device", [format!("{device},?"), format!("{device},help")], |said| {
            said.contains('=')
        })?;
    Ok(properties(&said).contains(property))
}

fn ask(path: &Path) -> Result<Offers> {
    let words = || ["help", "?"].map(str::to_owned);
    let boards = listed(path, "-machine", words(), |said| !machines(said).is_empty())?;
    let listed = listed(path, "-device", words(), |said| !devices(said).is_empty())?;
    let (machines, devices) = (machines(&boards), devices(&listed));
    let migration = migration(&monitor(path, &machines)?);
    Ok(Offers { machines, aliases: aliases(&boards), devices, ..migration })
}

/// What an option lists, asked for by the first of `words` that is answered by what `is_it`. Older
/// QEMUs are asked for it by `?`, print it to standard error, and may end with an error all the same.
fn listed(
    path: &Path,
    option: &str,
    words: [String; 2],
    is_it: fn(&str) -> bool,
) -> Result<String> {
    let mut said = Vec::new();
    for word in words {
        let ended = run_to_end(Command::new(path).args([option, &word]), "")?;
        let answer = format!("{}{}", ended.stdout, ended.stderr);
        if is_it(&answer) {
            return Ok(answer);
        }
        let Ended { stderr, .. } = &ended;
        said.push(format!("{option} {word} {}, saying: {}", ended.how(), stderr.trim()));
    }
    let text = format!("{} lists nothing: {}", path.display(), said.join("; "));
    Err(Failure::new(Exit::DidNotBoot, text).into())
}

/// What the monitor answers to the questions of migration, in their order; null where it does not
/// know one. Without the machine that is none (before 1.3), there has to be one with a firmware. It
/// is asked over a socket, question by question: a QEMU that is told to quit loses what it has not
/// written yet, and its description of QMP is longer than a pipe takes.
fn monitor(path: &Path, machines: &BTreeSet<String>) -> Result<[Value; 3]> {
    let sockets = sockets::folder()?;
    let board = if machines.contains("none") { "none" } else { "isapc" };
    let socket = sockets.path().join("monitor");
    let listener = UnixListener::bind(&socket)?;
    let chardev = format!("socket,id=monitor,path={}", opt_value(&socket));
    let mut command = Command::new(path);
    command.args(["-machine", board, "-nodefaults", "-display", "none", "-chardev", &chardev]);
    if board != "none" {
        command.arg("-S").args(Bare.args(board, sockets.path())?).current_dir(sockets.path());
    }
    command.args(["-mon", "chardev=monitor,mode=control"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let program = path.display();
    let failure = |why: String| Failure::new(Exit::DidNotBoot, format!("{program} {why}"));
    let mut group = Group::spawn(&mut command)
        .map_err(|error| failure(format!("cannot be started: {error}")))?;
    let deadline = Deadline::after(START, "QEMU to connect its monitor");
    let connected = accept_from(&mut group, &listener, &deadline)?;
    let stream = connected.ok_or_else(|| failure("ended before it had a monitor".into()))?;
    let mut qmp = Qmp::greet(stream, Path::new("/dev/null"))?;
    let mut answers = [const { Value::Null }; 3];
    for (answer, question) in answers.iter_mut().zip(QUESTIONS) {
        match qmp.execute(question, json!({})) {
            Ok(value) => *answer = value,
            Err(error) if error.is::<QmpError>() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

/// `pc-i440fx-10.0  Standard PC (i440FX + PIIX, 1996) (default)`, below a heading.
fn machines(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != "Supported machines are:").skip(1);
    lines.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// `pc  Standard PC (alias of pc-1.0)`.
fn aliases(help: &str) -> BTreeMap<String, String> {
    let of = |line: &str| {
        let (_, rest) = line.split_once("(alias of ")?;
        Some((line.split_whitespace().next()?.to_owned(), rest.split_once(')')?.0.to_owned()))
    };
    help.lines().filter_map(of).collect()
}

/// `  vgamem_mb=<uint32>`, and in 2011 `VGA.romfile=string`.
fn properties(help: &str) -> BTreeSet<String> {
    let names = help.lines().filter_map(|line| line.split_once('='));
    names.map(|(name, _)| name.trim().rsplit('.').next().unwrap_or(name).to_owned()).collect()
}

/// `name "virtio-balloon-pci", bus PCI, alias "virtio-balloon"`.
fn devices(help: &str) -> BTreeSet<String> {
    let names = help.lines().filter_map(|line| line.strip_prefix("name \""));
    names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// The answers to [`QUESTIONS`]: a list of capabilities, an object of parameters, and a list that
/// describes QMP.
fn migration([capabilities, parameters, schema]: &[Value; 3]) -> Offers {
    let list = |answer: &Value| answer.as_array().cloned().unwrap_or_default();
    let capability = |each: &Value| Some(each["capability"].as_str()?.to_owned());
    let answers = QUESTIONS.iter().zip([capabilities, parameters, schema]);
    let answered = answers.filter(|(_, answer)| !answer.is_null());
    Offers {
        answered: answered.map(|(question, _)| (*question).to_owned()).collect(),
        capabilities: list(capabilities).iter().filter_map(capability).collect(),
        parameters: parameters.as_object().into_iter().flatten().map(|it| it.0.clone()).collect(),
        modes: list(schema).iter().flat_map(modes).collect(),
        ..Offers::default()
    }
}

/// The values of an enumeration of the schema, where it is the one that cpr-reboot is a mode of:
/// types have no names there.
fn modes(described: &Value) -> Vec<String> {
    let values = described["values"].as_array().into_iter().flatten();
    let values = values.filter_map(|value| Some(value.as_str()?.to_owned()));
    let values: Vec<_> = values.collect();
    if values.iter().any(|value| value == "cpr-reboot") { values } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&each| each.to_owned()).collect()
    }

    #[test]
    fn helps_and_answers_are_read_as_qemu_writes_them() {
        let help = "Supported machines are:\npc      Standard PC (alias of pc-i440fx-10.0)\n\
                    none                 empty machine\n";
        assert_eq!(machines(help), set(&["pc", "none"]));
        assert_eq!(aliases(help), [("pc".to_owned(), "pc-i440fx-10.0".to_owned())].into());
        let offers = Offers { aliases: aliases(help), ..Offers::default() };
        assert_eq!([offers.in_full("pc"), offers.in_full("none")], ["pc-i440fx-10.0", "none"]);
        let help = "VGA options:\n  vgamem_mb=<uint32>      -  (default: 16)\n";
        assert_eq!(properties(help), set(&["vgamem_mb"]));
        assert_eq!(
            properties("VGA.addr=pci-devfn\nVGA.romfile=string\n"),
            set(&["addr", "romfile"])
        );
        assert_eq!(machines("qemu: error while loading shared libraries: libfoo.so"), set(&[]));
        let help = "Controller/Bridge/Hub devices:\n\
                    name \"i82801b11-bridge\", bus PCI\n\nname \"vmgenid\"\n";
        assert_eq!(devices(help), set(&["i82801b11-bridge", "vmgenid"]));
        let offers = migration(&[
            json!([{ "state": false, "capability": "xbzrle" }]),
            json!({ "max-bandwidth": 1, "mode": "normal" }),
            json!([{ "meta-type": "enum", "values": ["normal", "cpr-reboot"] },
                   { "meta-type": "enum", "values": ["on", "off"] }]),
        ]);
        assert_eq!(offers.capabilities, set(&["xbzrle"]));
        assert_eq!(offers.parameters, set(&["max-bandwidth", "mode"]));
        assert_eq!(offers.modes, set(&["normal", "cpr-reboot"]));
        assert!(offers.answered.contains("query-migrate-capabilities"));
        assert_eq!(migration(&[const { Value::Null }; 3]), Offers::default());
    }
}
