//! What is another on a QEMU line than for all: checks under names of the table's, and machines.

use super::board::Differences;
use super::catalogue::{Catalogue, Check, Untried};
use serde::Deserialize;

/// The file's name, in a series' folder.
pub const FILE: &str = "instead.toml";

/// What the file holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Instead {
    /// Checks that stand for those of the same names.
    #[serde(rename = "check", default)]
    checks: Vec<Check>,
    /// What is not tried beside what is not tried anywhere.
    #[serde(rename = "untried", default)]
    untried: Vec<Untried>,
    /// Where checks run on other machines.
    #[serde(rename = "machine", default)]
    machines: Vec<Elsewhere>,
}

/// Checks that run on another machine than the table says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Elsewhere {
    /// A check's name, or a pattern of names with `*`.
    checks: String,
    /// Where that machine differs from the one that the table says.
    on: Differences,
}

impl Instead {
    /// Changes `catalogue`.
    ///
    /// # Errors
    /// A name that none of its checks has.
    pub fn change(self, catalogue: &mut Catalogue) -> Result<(), String> {
        for check in self.checks {
            let Some(place) = catalogue.checks.iter_mut().find(|it| it.id == check.id) else {
                return Err(format!("no check is named {}, which is to be another here", check.id));
            };
            *place = check;
        }
        for Elsewhere { checks, on } in self.machines {
            let named = catalogue.matcher(&checks)?;
            let those = catalogue.checks.iter_mut().filter(|check| named.is_match(&check.id));
            those.for_each(|check| check.on = check.on.with(&on));
        }
        catalogue.untried.extend(self.untried);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::catalogue::reach;

    const TABLE: &str = r#"
        layout = 1
        block = "pc.ram"
        ram-file = ["-pcram-file", "{opt-path}"]
        board = { machine = "pc", accel = "tcg", ram-mib = 64 }
        promise = [{ id = "P2", title = "Mapping" }]
        [[check]]
        id = "p2.a"
        promise = "P2"
        title = "t"
        does = "prefilled"
        on = { ram-mib = 256, cpus = 2 }
        [[check]]
        id = "p2.b"
        promise = "P2"
        title = "t"
        does = "prefilled"
        on = { cpus = 2 }
    "#;

    fn changed(instead: &str) -> Result<Catalogue, String> {
        let mut catalogue = Catalogue::parse(TABLE).unwrap();
        toml::from_str::<Instead>(instead).unwrap().change(&mut catalogue).map(|()| catalogue)
    }

    #[test]
    fn a_series_has_another_check_under_a_name_that_there_is() {
        let check = |id: &str| {
            let rest = "promise = 'P2'\ntitle = 't'\ndoes = 'each-patch-builds'";
            format!("[[check]]\nid = '{id}'\n{rest}")
        };
        let catalogue = changed(&check("p2.a")).unwrap();
        assert!(reach(&catalogue.checks).each_patch && catalogue.checks.len() == 2);
        assert!(!reach(&changed("").unwrap().checks).each_patch);
        let error = changed(&check("p2.c")).unwrap_err();
        assert_eq!(error, "no check is named p2.c, which is to be another here");
    }

    #[test]
    fn a_series_has_checks_on_another_machine() {
        let machine =
            |checks: &str| format!("[[machine]]\nchecks = '{checks}'\non = {{ cpus = 1 }}");
        let machines = |instead: &str| {
            let catalogue = changed(instead).unwrap();
            let boards = catalogue.checks.iter().map(|check| catalogue.board.with(&check.on));
            boards.map(|board| (board.ram_mib, board.cpus)).collect::<Vec<_>>()
        };
        assert_eq!(machines(""), [(256, 2), (64, 2)]);
        assert_eq!(machines(&machine("p2.a")), [(256, 1), (64, 2)]);
        assert_eq!(machines(&machine("p2.*")), [(256, 1), (64, 1)]);
        assert!(changed(&machine("p3.*")).unwrap_err().contains("no check is named p3.*"));
    }
}
