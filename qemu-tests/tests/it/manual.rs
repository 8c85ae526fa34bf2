//! The manual pages, as `man`'s own formatter reads them.

use qemu_tests::{skip, tool};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn man_formats_every_page_without_complaint() {
    if Command::new("groff").arg("--version").output().is_err() {
        return skip("man_formats_every_page_without_complaint", "there is no groff");
    }
    let manual = |args: &[&str]| {
        let output = tool().arg("manual").args(args).output().expect("the tool starts");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let overview = manual(&[]);
    let text = String::from_utf8(overview.clone()).expect("pages are UTF-8");
    let named = text.lines().filter_map(|line| line.strip_prefix("pcram\\-")?.strip_suffix("(1)"));
    let pages: Vec<_> = named.map(|name| manual(&[name])).chain([overview]).collect();
    assert!(pages.len() > 10, "only {} pages", pages.len());
    for page in &pages {
        assert_eq!(complaints(page), "");
    }
    assert_ne!(complaints(b".TH x 1\n.nosuchmacro\n"), "", "nothing is complained of");
}

fn complaints(page: &[u8]) -> String {
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut groff = groff.spawn().expect("groff starts");
    groff.stdin.take().expect("a pipe").write_all(page).expect("groff reads");
    let output = groff.wait_with_output().expect("groff ends");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
