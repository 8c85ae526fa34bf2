//! A series that was applied, as commits: each with its patch's author, date and message.

use std::borrow::Cow;
use std::fs;

use anyhow::{Context, Result};

use super::apply::AppliedPatch;
use super::git::{Git, answer};
use super::{Patch, Series, subject};

/// The commits of a series, from the tree that it was applied to.
pub(super) struct Commits {
    /// The commit of the tree without the series.
    pub base: String,
    /// The last commit.
    pub head: String,
    /// How many there are between the two, the last counted.
    pub count: usize,
}

/// Commits `tree` with the message `what`, and on it each of the `applied`, which are the first
/// patches of `series`. A patch that changed nothing is no commit.
pub(super) fn commits(
    git: &Git,
    series: &Series,
    tree: &str,
    what: &str,
    applied: &[AppliedPatch],
) -> Result<Commits> {
    let base = git.commit(tree, None, what)?;
    let (mut head, mut before, mut count) = (base.clone(), tree, 0);
    for (patch, applied) in series.patches.iter().zip(applied) {
        if applied.tree != before {
            head = commit(git, patch, &applied.tree, &head)?;
            count += 1;
        }
        before = &applied.tree;
    }
    Ok(Commits { base, head, count })
}

fn commit(git: &Git, patch: &Patch, tree: &str, parent: &str) -> Result<String> {
    let (message, rest) = (git.path("message"), git.path("rest"));
    let [message, rest] = [&message, &rest].map(|path| path.to_string_lossy().into_owned());
    let told = git.ask(&["mailinfo", "-b", &message, &rest], &mail(patch))?;
    let field = |name: &str| {
        let mut lines = told.lines();
        lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let body = fs::read(&message).context("reading a patch's message")?;
    let text = [field("Subject: ").as_bytes(), b"\n\n", &body].concat();
    let text = git.ask(&["stripspace"], &text)?;
    let mut command = git.command()?;
    for (name, value) in [("NAME", "Author: "), ("EMAIL", "Email: "), ("DATE", "Date: ")] {
        let value = field(value);
        if !value.is_empty() {
            command.env(format!("GIT_AUTHOR_{name}"), value);
        }
    }
    command.args(["commit-tree", tree, "-p", parent, "-F", "-"]);
    answer(&mut command, text.as_bytes())
}

/// The patch as a mail: a plain diff gets a head that says whose it is not.
pub(super) fn mail(patch: &Patch) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(&patch.text);
    let mut head = text.lines().take_while(|line| !line.is_empty());
    if head.any(|line| line.starts_with("From: ")) && subject(&patch.text).is_some() {
        return Cow::Borrowed(&patch.text);
    }
    let head = format!("From: unknown <unknown>\nSubject: [PATCH] {}\n\n", patch.subject);
    Cow::Owned([head.as_bytes(), &patch.text].concat())
}
