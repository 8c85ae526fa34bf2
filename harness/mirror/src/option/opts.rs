//! What stands behind an option: qemu-option.c of 1.0, util/qemu-option.c of 5.2 and later.

use super::Did;

/// Characters of a name that 1.0 keeps.
const NAME: usize = 127;
/// Characters of an id that 1.0 keeps.
const ID: usize = 1023;
const HINT: &str = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

/// One use of the option: its id, and its paths (`QemuOpts`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opts {
    id: Option<String>,
    /// The value of each `path`, in their order.
    pub paths: Vec<String>,
}

/// All uses of the option (`QemuOptsList`).
pub type List = Vec<Opts>;

/// The value up to a comma that is not doubled, and what follows (`get_opt_value`).
fn get_opt_value(text: &str) -> (String, &str) {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let (before, at) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
        value.push_str(before);
        match at.strip_prefix(",,") {
            Some(behind) => {
                value.push(',');
                rest = behind;
            }
            None => return (value, at),
        }
    }
}

/// A name and its value, of which either may be meant only.
struct Parameter {
    name: String,
    value: String,
    /// Whether it is a name alone.
    is_flag: bool,
}

/// The first parameter of `text`, and what follows (`get_opt_name_value`); `first` is its name where
/// it is a value alone.
fn get_opt_name_value<'a>(text: &'a str, first: Option<&str>) -> (Parameter, &'a str) {
    let end = text.find(['=', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if let Some(behind) = rest.strip_prefix('=') {
        let (value, rest) = get_opt_value(behind);
        return (Parameter { name: name.into(), value, is_flag: false }, rest);
    }
    if let Some(first) = first {
        let (value, rest) = get_opt_value(text);
        return (Parameter { name: first.into(), value, is_flag: false }, rest);
    }
    let (name, value) = match name.strip_prefix("no") {
        Some(name) => (name, "off"),
        None => (name, "on"),
    };
    (Parameter { name: name.into(), value: value.into(), is_flag: true }, rest)
}

fn id_wellformed(id: &str) -> bool {
    let mut all = id.bytes();
    all.next().is_some_and(|first| first.is_ascii_alphabetic())
        && all.all(|each| each.is_ascii_alphanumeric() || b"-._".contains(&each))
}

/// A new use (`qemu_opts_create`).
fn create(list: &List, id: Option<String>, did: &mut Did) -> Option<Opts> {
    if let Some(id) = &id {
        if !id_wellformed(id) {
            did.say("Parameter 'id' expects an identifier");
            did.say(HINT);
            return None;
        }
        if list.iter().any(|each| each.id.as_ref() == Some(id)) {
            did.say(format!("Duplicate ID '{id}' for pcram-file"));
            return None;
        }
    }
    Some(Opts { id, paths: Vec::new() })
}

/// Adds what stands behind one `-pcram-file` to the list, as QEMU 1.0 reads it (`qemu_opts_parse`,
/// `qemu_opts_do_parse`); whether it is one.
pub fn parse_v1_0(list: &mut List, text: &str, did: &mut Did) -> bool {
    // Wherever it stands, be it in a value.
    let id = match text.strip_prefix("id=") {
        Some(behind) => Some(behind),
        None => text.split_once(",id=").map(|(_, behind)| behind),
    };
    let id = id.map(|behind| get_opt_value(behind).0.chars().take(ID).collect());
    let Some(mut opts) = create(list, id, did) else { return false };
    let mut rest = text;
    while !rest.is_empty() {
        let first = (rest.len() == text.len()).then_some("path");
        let parameter;
        (parameter, rest) = get_opt_name_value(rest, first);
        // A name is cut off before what it says is looked at.
        let keep = if parameter.is_flag && parameter.value == "off" { NAME - 2 } else { NAME };
        let name: String = parameter.name.chars().take(keep).collect();
        match &*name {
            "path" => opts.paths.push(parameter.value),
            "id" => {}
            name => {
                did.say(format!("Invalid parameter '{name}'"));
                return false;
            }
        }
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    list.push(opts);
    true
}

/// Adds what stands behind one `-pcram-file` to the list, as QEMU reads it today
/// (`qemu_opts_parse_noisily`); whether it is one.
pub fn parse(list: &mut List, text: &str, warns_of_flags: bool, did: &mut Did) -> bool {
    let Some(mut opts) = create(list, parse_id(text), did) else { return false };
    let (mut rest, mut first) = (text, Some("path"));
    while !rest.is_empty() {
        let (Parameter { name, value, is_flag }, behind) = get_opt_name_value(rest, first);
        (rest, first) = (behind.strip_prefix(',').unwrap_or(behind), None);
        let asks_for_help = matches!(&*name, "help" | "?");
        if is_flag && warns_of_flags {
            if asks_for_help && value == "on" {
                did.say("help");
                return false;
            }
            let prefix = if value == "off" { "no" } else { "" };
            did.say(format!("warning: short-form boolean option '{prefix}{name}' deprecated"));
            let instead = match &*name {
                "delay" => format!("nodelay={}", if value == "off" { "on" } else { "off" }),
                name => format!("{name}={value}"),
            };
            did.say(format!("Please use {instead} instead"));
        }
        match &*name {
            "path" => opts.paths.push(value),
            "id" => {}
            _ if asks_for_help && !warns_of_flags => {
                did.say("help");
                return false;
            }
            name => {
                did.say(format!("Invalid parameter '{name}'"));
                return false;
            }
        }
    }
    list.push(opts);
    true
}

/// `opts_parse_id`.
fn parse_id(text: &str) -> Option<String> {
    let mut rest = text;
    while !rest.is_empty() {
        let (parameter, behind) = get_opt_name_value(rest, None);
        if parameter.name == "id" {
            return Some(parameter.value);
        }
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Result<Vec<String>, String> {
        let (mut list, mut did) = (List::new(), Did::default());
        let (mut old, mut old_did) = (List::new(), Did::default());
        let came = parse(&mut list, text, false, &mut did);
        assert_eq!(parse_v1_0(&mut old, text, &mut old_did), came, "{text}");
        assert_eq!((&old, &old_did), (&list, &did), "{text}");
        if came { Ok(list.remove(0).paths) } else { Err(did.said) }
    }

    #[test]
    fn a_path_has_its_commas_doubled_and_an_equals_sign_behind_path() {
        assert_eq!(paths("a,,b").unwrap(), ["a,b"]);
        assert_eq!(paths("path=x=y").unwrap(), ["x=y"]);
        assert_eq!(paths("path=a,path=b,id=c").unwrap(), ["a", "b"]);
        assert_eq!(paths("x=y").unwrap_err(), "Invalid parameter 'x'\n");
        assert_eq!(paths("").unwrap(), [""; 0]);
        assert_eq!(paths(",a").unwrap_err(), "Invalid parameter 'a'\n");
    }

    #[test]
    fn an_id_is_an_identifier_and_there_once() {
        assert!(paths("a,id=1").unwrap_err().starts_with("Parameter 'id' expects"));
        let (mut list, mut did) = (List::new(), Did::default());
        assert!(parse(&mut list, "a,id=b", true, &mut did));
        assert!(!parse(&mut list, "a,id=b", true, &mut did));
        assert_eq!(did.said, "Duplicate ID 'b' for pcram-file\n");
    }

    #[test]
    fn a_name_alone_is_warned_of_today_and_asks_for_help_where_it_is_help() {
        let said = |text: &str| {
            let mut did = Did::default();
            assert!(!parse(&mut List::new(), text, true, &mut did));
            did.said
        };
        assert!(said("a,nodelay").contains("Please use nodelay=on instead\n"));
        assert_eq!(said("a,help"), "help\n");
        assert_eq!(said("a,help=on"), "Invalid parameter 'help'\n");
    }
}
