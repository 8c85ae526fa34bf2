//! The catalogue promises what the feature's description promises, where that is at hand.

use pcram::check::catalogue::Catalogue;
use qemu_tests::{REVISION, root, skip};
use std::fs;

#[test]
fn the_catalogue_has_every_promise_of_the_description() {
    let Ok(page) = fs::read_to_string(root().join("../shared/FEATURE.md")) else {
        return skip("the_catalogue_has_every_promise_of_the_description", "no ../shared here");
    };
    let described = page.lines().filter_map(|line| {
        let (id, rest) = line.strip_prefix("**")?.split_once(' ')?;
        let is_promise = id.starts_with('P') && id[1..].parse::<u32>().is_ok();
        is_promise.then(|| (id.to_owned(), rest.split_once(".**").unwrap_or_default().0.to_owned()))
    });
    let described: Vec<_> = described.collect();
    assert_eq!(described.len(), 9, "{described:?}");

    let catalogue = Catalogue::of_series(&root().join("patches").join(REVISION)).unwrap();
    let ids: Vec<_> = catalogue.promises.iter().map(|promise| promise.id.clone()).collect();
    assert_eq!(ids, described.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
    for (promise, (_, title)) in catalogue.promises.iter().zip(&described) {
        assert!(promise.title.starts_with(title), "{}: {} / {title}", promise.id, promise.title);
    }
}
