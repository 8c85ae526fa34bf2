//! The object behind the option: QEMU tells its file, and nobody else makes one.

use super::trial::Trial;
use super::{Finding, ram_file};
use crate::machine::Machine;
use crate::machine::launch::opt_value;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Backend {
    /// Its type in QOM.
    class: String,
    /// Where it is in QOM.
    path: String,
    /// A type that `-object` does offer, so that its list is known to be one.
    offered: String,
}

/// What was asked of a QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// The type and the file of the object.
    class: String,
    file: String,
    /// The types that `-object help` lists.
    listed: Vec<String>,
    /// How one that should make such an object ended, and why, as it said.
    code: Option<i32>,
    said: String,
}

impl Backend {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let path = trial.folder.join(ram_file::NAME);
        ram_file::create(&path, trial.board.ram_mib << 20)?;
        let mut launch = trial.launch();
        launch.extra.extend(trial.ram_file_args(&path));
        let patched = trial.patched();
        let mut machine = Machine::start(patched, &launch, trial.folder)?;
        let mut get = |property: &str| -> Result<String> {
            let arguments = json!({ "path": self.path, "property": property });
            let told = machine.qmp.execute("qom-get", arguments)?;
            Ok(told.as_str().context("a property of QOM that is a text")?.to_owned())
        };
        let (class, file) = (get("type")?, get("path")?);
        machine.quit()?;

        let help = patched.run_to_end(&["-object".into(), "help".into()], trial.folder)?;
        let listed = help.stdout.lines().map(|line| line.trim().to_owned()).collect();
        // With all that one needs, so that only its type is left to refuse.
        let (mib, file_of_one) = (trial.board.ram_mib, opt_value(&path));
        let object = format!("{},id=one,size={mib}M,path={file_of_one}", self.class);
        let args = ["-machine".into(), "none".into(), "-object".into(), object.clone()];
        let refused = patched.run_to_end(&args, trial.folder)?;
        // The words are repeated before the reason.
        let reason = refused.stderr.trim().rsplit_once(&format!("{object}: "));
        let (code, said) = (refused.code(), reason.map_or("", |it| it.1).to_owned());
        Ok(self.judge(&path, &Told { class, file, listed, code, said }))
    }

    fn judge(&self, path: &Path, told: &Told) -> Finding {
        let Told { class, file, listed, code, said } = told;
        let mut wrong = Vec::new();
        if *class != self.class || Path::new(file) != path {
            wrong.push(format!("{} is a {class} of {file}, not of {}", self.path, path.display()));
        }
        let lists = |class: &String| listed.contains(class);
        if !lists(&self.offered) {
            wrong.push(format!("-object help does not list {}", self.offered));
        }
        if lists(&self.class) {
            wrong.push(format!("-object help lists {}, which nobody may make", self.class));
        }
        if *code != Some(1) || !said.contains(&self.class) {
            wrong.push(format!("-object {} is not refused: {said}", self.class));
        }
        let summary = format!(
            "{} tells its file; -object help lists {} types, not this one, and one is refused",
            self.path,
            listed.iter().filter(|line| !line.is_empty() && !line.ends_with(':')).count()
        );
        Finding::new(wrong, summary).with("what refuses one", said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(damage: impl Fn(&mut Told)) -> Finding {
        let backend = Backend {
            class: "its-class".into(),
            path: "/objects/it".into(),
            offered: "other-class".into(),
        };
        let mut told = Told {
            class: "its-class".into(),
            file: "/the/file".into(),
            listed: vec!["List:".into(), "other-class".into()],
            code: Some(1),
            said: "no its-class".into(),
        };
        damage(&mut told);
        backend.judge(Path::new("/the/file"), &told)
    }

    #[test]
    fn an_object_that_tells_another_file_or_that_anybody_makes_fails() {
        let held = judged(|_| ());
        assert_eq!(held.verdict, Verdict::Held);
        assert_eq!(
            held.summary,
            "/objects/it tells its file; -object help lists 1 types, not this one, and one is refused"
        );
        let failed = |damage: fn(&mut Told)| judged(damage).verdict == Verdict::Failed;
        assert!(failed(|told| told.file = "/another".into()));
        assert!(failed(|told| told.class = "another".into()));
        assert!(failed(|told| told.listed.push("its-class".into())));
        assert!(failed(|told| told.listed.truncate(1)));
        assert!(failed(|told| told.code = Some(0)));
        assert!(failed(|told| told.said = "something else".into()));
    }
}
