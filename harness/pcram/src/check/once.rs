//! What is done once in the course of a migration.

/// Something that is done the first time that its moment has come.
#[derive(Default)]
pub(super) struct Once {
    /// Whether it was done.
    pub done: bool,
}

impl Once {
    /// Whether it is to be done now; `when` is its moment.
    pub fn now(&mut self, when: bool) -> bool {
        let now = when && !self.done;
        self.done |= now;
        now
    }
}
