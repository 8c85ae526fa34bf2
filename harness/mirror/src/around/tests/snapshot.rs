//! Of a snapshot that was made, and of none else, what it lacks is told.

use super::{SETTINGS, guest, said, today};
use crate::around::Tree;
use crate::around::snapshot::{Fails, Snapshot};
use crate::ram::Kind;

/// What comes of a snapshot beside external RAM: what is returned, and what is said.
fn made(tree: Tree, fails: Option<Fails>) -> (i32, Vec<String>) {
    let mut guest = guest(tree, SETTINGS, &[Kind::External]);
    let it = Snapshot { named: true, overwrite: false, replay: false, fails };
    (guest.save_snapshot(&it), said(&guest))
}

#[test]
fn it_is_warned_of_what_is_made_and_of_nothing_else() {
    for fails in Fails::ALL.into_iter().map(Some).chain([None]) {
        let (ret, said) = made(Tree { asks_capabilities: true, ..today(true) }, fails);
        let is_made = matches!(fails, None | Some(Fails::GlobalState | Fails::Delete));
        assert_eq!(ret == 1, is_made, "{fails:?}: {said:?}");
        let warned = said.iter().any(|it| it.contains("is not in snapshot 's'"));
        assert_eq!(warned, is_made, "{fails:?}: {said:?}");
    }
}

#[test]
fn in_7_2_a_file_that_does_not_open_may_leave_no_error_behind() {
    let old = Tree { stores_global_state: true, ..today(true) };
    let (ret, said) = made(old, Some(Fails::Open));
    assert_eq!((ret, said.last().unwrap().as_str()), (1, "Could not open VM state file"));
    assert_eq!(made(today(true), Some(Fails::Open)).0, 0);
}
