//! What CI systems are told of a run.

use super::*;
use crate::failure::Exit;
use crate::report::example;

fn document(events: &[Event]) -> Document {
    let mut run = Told::default();
    for event in events {
        run.take(event);
    }
    run.document()
}

/// The case of the run itself: its kind of error, and the message.
fn own_case(events: &[Event]) -> Option<(String, String)> {
    let document = document(events);
    let case = document.test_suites[0].test_cases.iter().find(|case| case.name == *"run")?.clone();
    let TestCaseStatus::NonSuccess { message, ty, .. } = case.status else { panic!("{case:?}") };
    Some((ty.unwrap().into(), message.unwrap().into()))
}

#[test]
fn a_run_is_a_suite_of_its_steps_and_one_of_each_promise() {
    insta::assert_snapshot!(document(&example::run()).to_string().unwrap());
}

#[test]
fn a_run_that_has_not_ended_is_an_error_until_it_has() {
    let mut events = vec![example::started(), example::step_started("build stock", "a tree")];
    let under_way = "the run did not come to its end; under way was build stock: a tree";
    assert_eq!(own_case(&events), Some(("unfinished".into(), under_way.into())));
    events.pop();
    let unfinished = "the run did not come to its end";
    assert_eq!(own_case(&events), Some(("unfinished".into(), unfinished.into())));
    events.push(example::finished(Exit::AllHeld, None));
    assert_eq!(own_case(&events), None);
}

#[test]
fn an_end_that_nothing_else_explains_is_told_by_its_error() {
    let ended = |error| own_case(&[example::finished(Exit::BadUsage, error)]);
    let unknown = Some(("exit 2".into(), "there is no release \"9\"".into()));
    assert_eq!(ended(Some("there is no release \"9\"\nthere is 10.0")), unknown);
    assert_eq!(ended(None), Some(("exit 2".into(), "bad usage".into())));
    let failed = Event::StepFailed { step: "build".into(), error: "ram.c:1: oh".into() };
    let events = [failed, example::finished(Exit::DidNotBuild, Some("ram.c:1: oh"))];
    assert_eq!(own_case(&events), None);
    assert_eq!(document(&events).errors, 1);
}

#[test]
fn the_file_is_whole_after_every_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("junit.xml");
    let mut junit = Junit::create(&path).unwrap();
    let is_whole = || {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<?xml") && text.ends_with("</testsuites>\n"), "{text}");
        text
    };
    assert!(is_whole().contains("did not come to its end"));
    for event in example::run() {
        junit.take(&event);
        is_whole();
    }
    assert!(!is_whole().contains("did not come to its end"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let [link, file] = ["link", "file"].map(|name| folder.path().join(name));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    Junit::create(&link).unwrap();
    assert!(link.is_symlink() && fs::read_to_string(&file).unwrap().starts_with("<?xml"));
}

#[test]
fn what_cannot_be_a_report_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/junit.xml");
    for path in [folder.path(), &missing, Path::new("/dev/null")] {
        let error = Junit::create(path).map(drop).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
        assert!(error.to_string().contains("cannot write the JUnit report"), "{error}");
    }
}
