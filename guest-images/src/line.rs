//! Lines that the guests write: a word, then fields of the form `name=`, each with 16 lower-case
//! hexadecimal digits.

use std::str::Split;

/// How a field says that there is no such page.
const NO_PAGE: u64 = u64::MAX;

/// The fields of a line that were not taken yet.
pub struct Fields<'a>(Split<'a, char>);

impl<'a> Fields<'a> {
    /// The word of a line, and its fields.
    #[must_use]
    pub fn of(line: &'a str) -> (&'a str, Self) {
        let mut parts = line.split(' ');
        (parts.next().unwrap_or_default(), Self(parts))
    }

    /// Takes the next field, which must be of this name, and gives its digits as they are.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        self.0.next()?.strip_prefix(name)?.strip_prefix('=')
    }

    /// Takes the next field, which must be of this name, as a number.
    pub fn number(&mut self, name: &str) -> Option<u64> {
        number(self.text(name)?)
    }

    /// `value`, if all fields were taken.
    pub fn ended<T>(mut self, value: T) -> Option<T> {
        self.0.next().is_none().then_some(value)
    }
}

/// Reads exactly 16 lower-case hexadecimal digits.
fn number(digits: &str) -> Option<u64> {
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let well_formed = digits.len() == 16 && digits.bytes().all(lower_hex);
    well_formed.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// The page that a field's number tells of, if any.
#[must_use]
pub fn page(number: u64) -> Option<u64> {
    Some(number).filter(|&number| number != NO_PAGE)
}

/// The number by which a field tells of a page, or of none.
#[must_use]
pub fn number_of(page: Option<u64>) -> u64 {
    page.unwrap_or(NO_PAGE)
}
