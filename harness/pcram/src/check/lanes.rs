//! Several checks at once, told in their order.

use super::Bench;
use super::catalogue::Check;
use crate::event::Row;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

impl Bench<'_> {
    /// Tries `checks`, as many at once as `lanes` says, but each that is to be `alone` with no
    /// other beside it. `repeat` gives the command line that repeats a check; `tell` gets the rows
    /// in the order of the checks, each as soon as those before it are there.
    pub fn try_all(
        &self,
        checks: &[&Check],
        lanes: usize,
        repeat: impl Fn(&Check) -> String + Sync,
        mut tell: impl FnMut(Row),
    ) {
        for (group, lanes) in groups(checks, |check| check.alone, lanes) {
            in_lanes(group, lanes, |check| self.try_check(check, repeat(check)), &mut tell);
        }
    }
}

/// The items in runs, each with its lanes: one for those that are to be `alone`.
fn groups<T>(
    items: &[T],
    alone: impl Fn(&T) -> bool,
    lanes: usize,
) -> impl Iterator<Item = (&[T], usize)> {
    let runs: Vec<_> = items.chunk_by(|a, b| alone(a) == alone(b)).collect();
    runs.into_iter().map(move |run| (run, if alone(&run[0]) { 1 } else { lanes }))
}

fn in_lanes<T: Sync, R: Send>(
    items: &[T],
    lanes: usize,
    work: impl Fn(&T) -> R + Sync,
    mut tell: impl FnMut(R),
) {
    let next = AtomicUsize::new(0);
    let (done, results) = channel();
    thread::scope(|scope| {
        for _ in 0..lanes.clamp(1, items.len().max(1)) {
            let (done, next, work) = (done.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(item) = items.get(at) else { return };
                    if done.send((at, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut told = 0;
        for (at, result) in results {
            early.insert(at, result);
            while let Some(result) = early.remove(&told) {
                tell(result);
                told += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn what_is_to_be_alone_has_one_lane_and_the_rest_have_all() {
        let odd = |number: &i32| number % 2 == 1;
        let found: Vec<_> = groups(&[2, 4, 1, 3, 6], odd, 5).collect();
        assert_eq!(found, [(&[2, 4][..], 5), (&[1, 3], 1), (&[6], 5)]);
        assert_eq!(groups(&[], odd, 5).count(), 0);
    }

    #[test]
    fn work_is_done_at_once_and_told_in_order() {
        let both = Barrier::new(2);
        let mut told = Vec::new();
        // Each waits for another one: with one lane this would never end.
        let work = |&number: &i32| {
            both.wait();
            number * 10
        };
        in_lanes(&[3, 1, 2, 4], 2, work, |result| told.push(result));
        assert_eq!(told, [30, 10, 20, 40]);
        in_lanes(&[], 2, |&number: &i32| number, |_| panic!("there was nothing to do"));
    }
}
