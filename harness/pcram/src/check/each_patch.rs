//! Each patch of the series builds alone, on top of those before it.

use super::Finding;
use super::trial::Trial;
use crate::build::beyond::Alone;
use anyhow::Result;
use serde::Deserialize;

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EachPatchBuilds {}

impl EachPatchBuilds {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        Ok(judge(&trial.beyond()?.alone))
    }
}

fn judge(alone: &[Alone]) -> Finding {
    let broken = alone.iter().filter_map(|each| Some((each, each.error.as_ref()?)));
    let wrong = broken.map(|(Alone { file, .. }, error)| format!("{file}: {error}")).collect();
    let finding = Finding::new(wrong, format!("each of {} patches builds alone", alone.len()));
    alone.iter().fold(finding, |finding, Alone { file, tree, compiled, error }| {
        let how = match error {
            None => format!("tree {}, {compiled} steps", &tree[..12.min(tree.len())]),
            Some(error) => error.clone(),
        };
        finding.with(file, how)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn one_patch_that_does_not_build_fails_and_is_named() {
        let alone = |file: &str, error: Option<&str>| {
            let (file, error) = (file.to_owned(), error.map(str::to_owned));
            Alone { file, tree: "0123456789abcdef".into(), compiled: 3, error }
        };
        let good = judge(&[alone("a", None), alone("b", None)]);
        assert_eq!(
            (good.verdict, &*good.summary),
            (Verdict::Held, "each of 2 patches builds alone")
        );
        let bad = judge(&[alone("a", None), alone("b", Some("x.c:1: error"))]);
        assert_eq!((bad.verdict, &*bad.summary), (Verdict::Failed, "b: x.c:1: error"));
    }
}
