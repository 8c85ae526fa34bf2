//! What a migration is to keep, whoever's code it is.

use super::Undefined;
use std::fmt;

/// A property of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// A block that is left out has no page in the stream.
    LeftOut,
    /// Every page of every other block is in the stream with its last content.
    Complete,
    /// Every call returns, and QEMU goes on.
    Ends,
    /// Nothing outside a block is read or written, and no NULL is followed.
    Inside,
    /// What is counted as remaining is what is yet to be sent.
    Accounting,
}

impl Property {
    /// Every property.
    pub const ALL: [Property; 5] = [
        Property::LeftOut,
        Property::Complete,
        Property::Ends,
        Property::Inside,
        Property::Accounting,
    ];

    /// Its name, in a word.
    pub fn name(self) -> &'static str {
        match self {
            Property::LeftOut => "left-out",
            Property::Complete => "complete",
            Property::Ends => "ends",
            Property::Inside => "inside",
            Property::Accounting => "accounting",
        }
    }

    /// Which property is broken by what C leaves undefined, or by what ends QEMU.
    pub fn broken_by(undefined: Undefined) -> Property {
        match undefined {
            Undefined::NullBlock
            | Undefined::Freed
            | Undefined::NullPage
            | Undefined::Wild(_)
            | Undefined::Unread => Property::Inside,
            Undefined::Endless
            | Undefined::BadRamOffset(_)
            | Undefined::NoGap(_)
            | Undefined::Registered => Property::Ends,
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::LeftOut => "a block that is left out has no page in the stream",
            Property::Complete => {
                "every page of every other block is in the stream with its last content"
            }
            Property::Ends => "every call returns, and QEMU goes on",
            Property::Inside => "nothing outside a block is read or written",
            Property::Accounting => "what is counted as remaining is what is yet to be sent",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_property_has_a_name_and_a_sentence_of_its_own() {
        let names: BTreeSet<_> = Property::ALL.map(Property::name).into();
        let sentences: BTreeSet<_> = Property::ALL.map(|it| it.to_string()).into();
        assert_eq!((names.len(), sentences.len()), (5, 5));
        assert_eq!(Property::Ends.to_string(), "every call returns, and QEMU goes on");
    }
}
