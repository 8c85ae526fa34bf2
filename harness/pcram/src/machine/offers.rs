//! What a QEMU binary offers beyond its options: asked once of each binary, and remembered.

use super::binary::{Ended, run_to_end};
use crate::failure::{Exit, Failure};
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// Machine types, devices, and what its migration knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Machine types (`-machine help`).
    pub machines: BTreeSet<String>,
    /// Devices (`-device help`).
    pub devices: BTreeSet<String>,
    /// Migration capabilities (`query-migrate-capabilities`).
    pub capabilities: BTreeSet<String>,
    /// Migration parameters (`query-migrate-parameters`).
    pub parameters: BTreeSet<String>,
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
}

fn ask(path: &Path) -> Result<Offers> {
    let run = |args: &[&str], input: &str| {
        let ended = run_to_end(Command::new(path).args(args), input)?;
        if ended.status.is_some_and(|status| status.success()) {
            return Ok(ended.stdout);
        }
        let Ended { stderr, .. } = &ended;
        let how = ended.how();
        let text = format!("{} {} {how}, saying: {stderr}", path.display(), args.join(" "));
        Err(anyhow::Error::from(Failure::new(Exit::DidNotBoot, text)))
    };
    let monitor = ["-machine", "none", "-nodefaults", "-display", "none"];
    let monitor = [&monitor[..], &["-chardev", "stdio,id=m", "-mon", "chardev=m,mode=control"]];
    let queries =
        ["query-migrate-capabilities", "query-migrate-parameters", "query-qmp-schema", "quit"];
    let queries = ["qmp_capabilities"].iter().chain(&queries);
    let queries: String = queries.map(|each| format!("{{\"execute\":\"{each}\"}}\n")).collect();
    let answers = run(&monitor.concat(), &queries)?;
    Ok(Offers {
        machines: machines(&run(&["-machine", "help"], "")?),
        devices: devices(&run(&["-device", "help"], "")?),
        ..migration(&answers)
    })
}

/// `pc-i440fx-10.0  Standard PC (i440FX + PIIX, 1996) (default)`, below a heading.
fn machines(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter(|line| !line.ends_with(':'));
    lines.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// `name "virtio-balloon-pci", bus PCI, alias "virtio-balloon"`.
fn devices(help: &str) -> BTreeSet<String> {
    let names = help.lines().filter_map(|line| line.strip_prefix("name \""));
    names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// The answers are a list of capabilities, an object of parameters, and a list that describes QMP;
/// a QEMU that does not know a question answers it with an error, and offers nothing there.
fn migration(answers: &str) -> Offers {
    let mut offers = Offers::default();
    let messages = answers.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for answer in messages.filter_map(|mut message| Some(message.get_mut("return")?.take())) {
        match answer {
            Value::Array(list) => {
                let named = |each: &Value| Some(each["capability"].as_str()?.to_owned());
                offers.capabilities.extend(list.iter().filter_map(named));
                offers.modes.extend(list.iter().flat_map(modes));
            }
            Value::Object(map) => offers.parameters.extend(map.into_iter().map(|(name, _)| name)),
            _ => {}
        }
    }
    offers
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
        let help = "Controller/Bridge/Hub devices:\n\
                    name \"i82801b11-bridge\", bus PCI\n\nname \"vmgenid\"\n";
        assert_eq!(devices(help), set(&["i82801b11-bridge", "vmgenid"]));
        let answers = "{\"QMP\": {}}\n{\"return\": {}}\n\
             {\"return\": [{\"state\": false, \"capability\": \"xbzrle\"}]}\n\
             {\"return\": {\"max-bandwidth\": 1, \"mode\": \"normal\"}}\n\
             {\"return\": [{\"meta-type\": \"enum\", \"values\": [\"normal\", \"cpr-reboot\"]},\
                          {\"meta-type\": \"enum\", \"values\": [\"on\", \"off\"]}]}\n\
             {\"return\": {}}\n";
        let offers = migration(answers);
        assert_eq!(offers.capabilities, set(&["xbzrle"]));
        assert_eq!(offers.parameters, set(&["max-bandwidth", "mode"]));
        assert_eq!(offers.modes, set(&["normal", "cpr-reboot"]));
        assert_eq!(migration("{\"error\": {}}\n"), Offers::default());
    }
}
