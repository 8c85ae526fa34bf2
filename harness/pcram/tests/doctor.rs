//! `doctor` tells the truth of a machine, and leaves it as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

fn doctor(cache: &Path, path: Option<&Path>) -> Output {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_pcram"));
    tool.arg("doctor").arg("--cache").arg(cache);
    if let Some(path) = path {
        tool.env("PATH", path);
    }
    tool.output().expect("the tool starts")
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    format!("{out}{err}")
}

#[test]
fn a_machine_without_anything_is_told_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let [programs, cache] = ["programs", "cache"].map(|name| folder.path().join(name));
    fs::create_dir(&programs).unwrap();
    symlink("/bin/sh", programs.join("sh")).unwrap();
    let output = doctor(&cache, Some(&programs));
    let text = text(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for package in ["git", "gcc", "ninja-build", "zlib1g-dev"] {
        assert!(text.contains(&format!(": package {package}\n")), "{package}: {text}");
    }
    assert!(!text.contains("    there "), "{text}");
    assert!(text.contains("error: the system lacks perl, git, "), "{text}");
    assert!(!text.contains("dpkg-source"), "without apt, nobody needs it: {text}");
    assert!(!cache.exists(), "a cache was made");
}

#[test]
fn what_cannot_be_a_cache_is_missing_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter"), "dear").unwrap();
    let output = doctor(folder.path(), None);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("it cannot be used") && text.contains("is no cache of this tool"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn devices_and_revisions_are_told_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    let output = doctor(&folder.path().join("cache"), None);
    let text = text(&output);
    for told in ["/dev/kvm c", "/dev/fuse c", "/dev/shm is", "10.0: not built"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
