//! Capabilities that are refused, and those that are not.

use super::{SETTINGS, guest, said, today};
use crate::around::Tree;
use crate::around::capabilities::{Answer, Checks};
use crate::around::external::Capability;
use crate::ram::Kind;

/// What a guest of one block says to capabilities, of which none was on.
fn asked(checks: Checks, kind: Kind, new: &[Capability], answers: &[Answer]) -> Vec<String> {
    let mut guest = guest(Tree { checks, ..today(true) }, SETTINGS, &[kind]);
    let allowed = guest.migrate_caps_check(&[], new, answers);
    let said = said(&guest);
    assert_eq!(allowed, said.is_empty());
    said
}

#[test]
fn what_external_ram_does_not_go_with_is_refused_first() {
    let new = [Capability::PostcopyRam, Capability::XIgnoreShared];
    let said = asked(Checks::Started, Kind::External, &new, &[]);
    assert!(said[0].starts_with("postcopy-ram cannot be used with RAM block 'a'"), "{said:?}");
    let said = asked(Checks::Started, Kind::Plain, &new, &[]);
    assert_eq!(said, ["Postcopy is not compatible with ignore-shared"]);
}

#[test]
fn postcopy_asks_the_host_that_waits_for_a_stream() {
    let new = [Capability::PostcopyRam];
    let refused = |checks| asked(checks, Kind::Plain, &new, &[Answer::Incoming]);
    assert_eq!(refused(Checks::Started), ["Postcopy is not supported: no userfaultfd"]);
    assert_eq!(refused(Checks::Compress), ["no userfaultfd", "Postcopy is not supported"]);
    let answers = [Answer::Incoming, Answer::Postcopy];
    assert!(asked(Checks::Started, Kind::Plain, &new, &answers).is_empty());
    let mut guest = guest(today(true), SETTINGS, &[Kind::Plain]);
    assert!(guest.migrate_caps_check(&new, &new, &[Answer::Incoming]), "it was on");
}

#[test]
fn each_version_has_pairs_that_it_refuses() {
    let pair = |checks, a, b| asked(checks, Kind::Plain, &[a, b], &[Answer::Rdma]).concat();
    let multifd = |checks| pair(checks, Capability::Multifd, Capability::PostcopyRam);
    assert_eq!(multifd(Checks::Postcopy), "");
    assert_eq!(multifd(Checks::Compress), "");
    assert_eq!(multifd(Checks::Started), "Postcopy is not yet compatible with multifd");
    assert_eq!(multifd(Checks::Rdma), "RDMA and multifd can't be used together");
    let compress = |checks| pair(checks, Capability::Multifd, Capability::Compress);
    assert_eq!(compress(Checks::Compress), "Multifd is not compatible with compress");
    assert_eq!(compress(Checks::Started), "");
}
