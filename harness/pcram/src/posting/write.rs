//! A mended posting as a series: git's own form, as `git format-patch` writes it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use regex::Regex;

use super::date;
use super::mend::{Mended, MendedPatch};

/// Writes the patches and the file `series` into `dir`, which is there and empty. Returns the names.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(mended: &Mended, dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (at, patch) in mended.patches.iter().enumerate() {
        let name = format!("{:04}-{}.patch", at + 1, slug(&patch.message.title));
        let path = dir.join(&name);
        fs::write(&path, text(patch)).with_context(|| format!("writing {}", path.display()))?;
        names.push(name);
    }
    let series = dir.join("series");
    let list: String = names.iter().map(|name| format!("{name}\n")).collect();
    fs::write(&series, list).with_context(|| format!("writing {}", series.display()))?;
    Ok(names)
}

/// A subject as git makes a file's name of it.
fn slug(title: &str) -> String {
    let plain = |each: char| each.is_ascii_alphanumeric() || matches!(each, '.' | '_');
    let words: Vec<_> = title.split(|each| !plain(each)).filter(|it| !it.is_empty()).collect();
    let slug: String = words.join("-").chars().take(52).collect();
    let slug = slug.trim_matches(['-', '.']).to_owned();
    if slug.is_empty() { "patch".to_owned() } else { slug }
}

/// The patch as a mail.
fn text(patch: &MendedPatch) -> Vec<u8> {
    let MendedPatch { letter, message, .. } = patch;
    let mut text =
        String::from("From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n");
    text += &format!("From: {}\n", author(patch));
    if let Some(seconds) = date::seconds(&letter.date) {
        text += &format!("Date: {}\n", date::header(seconds));
    }
    text += &format!("Subject: [PATCH] {}\n", message.title);
    if let Some(id) = &letter.id {
        text += &format!("Message-ID: <{id}>\n");
    }
    text += "\n";
    for line in &message.body {
        text += &format!("{line}\n");
    }
    text += "---\n";
    if !message.notes.is_empty() {
        text += &format!("\n{}\n\n", message.notes.join("\n"));
    }
    text += &format!(" {}\n\n", patch.stat());
    [text.into_bytes(), patch.diff()].concat()
}

/// Who sent it, with the address that the letter or a line of its own in it tells.
fn author(patch: &MendedPatch) -> String {
    let name = &patch.letter.name;
    let signed = || {
        let line = Regex::new(r"^[A-Z][a-z-]+-by: (.+) <([^<>\s]+@[^<>\s]+)>").expect("is one");
        let lines = patch.message.body.iter().filter_map(|text| line.captures(text));
        let of_name = |found: &regex::Captures| &found[1] == name.as_str();
        lines.filter(of_name).map(|found| found[2].to_owned()).next()
    };
    let address = patch.letter.address.clone().or_else(signed);
    let address = address.unwrap_or_else(|| "unknown@invalid".to_owned());
    let name = if name.is_empty() { "unknown" } else { name };
    format!("{name} <{address}>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posting::mend::mend;
    use crate::series::Series;
    use pcram_posting::letter::read;
    use pcram_posting::series::posting;

    #[test]
    fn a_posting_is_written_as_a_series_that_reads_back() {
        let mail = "From: A B <a@example.org>\nDate: Fri, 25 Nov 2011 14:02:00 -0500\n\
                    Message-ID: <1@example.org>\nSubject: [PATCH] pc: map \"x\" (really)\n\nWhy.\n---\n\
                    Note.\n\ndiff --git a/new b/new\nnew file mode 100644\nindex 0000000..7898192\n\
                    --- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+a\n-- \n1.7\n";
        let (_, letters) = read(mail.as_bytes()).unwrap();
        let mended = mend(&posting(letters).unwrap(), &[]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write(&mended, dir.path()).unwrap(), ["0001-pc-map-x-really.patch"]);
        let series = Series::load(dir.path()).unwrap();
        assert_eq!(series.patches[0].subject, "pc: map \"x\" (really)");
        let text = String::from_utf8(series.patches[0].text.clone()).unwrap();
        assert!(
            text.contains("From: A B <a@example.org>\nDate: Fri, 25 Nov 2011 19:02:00"),
            "{text}"
        );
        assert!(
            text.contains("\nMessage-ID: <1@example.org>\n\nWhy.\n---\n\nNote.\n\n 1 files, 1")
        );
        assert!(text.ends_with("@@ -0,0 +1 @@\n+a\n"), "{text}");
    }

    #[test]
    fn an_author_without_an_address_has_the_one_that_was_signed_with() {
        let page = "Patchwork x\nSubmitter A B\nMessage ID <1@example.org>\nComments\nA B - Nov. 25, 2011, noon\n\
                    Why.\nSigned-off-by: C <c@example.org>\nSigned-off-by: A B <ab@example.org>\nPatch\n\n\
                    diff --git a/new b/new\nnew file mode 100644\nindex 0000000..7898192\n\
                    --- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+a\n";
        let (_, letters) = read(page.as_bytes()).unwrap();
        let mended = mend(&posting(letters).unwrap(), &[]).unwrap();
        assert_eq!(author(&mended.patches[0]), "A B <ab@example.org>");
        assert_eq!(slug("a/b: c -- d..."), "a-b-c-d");
    }
}
