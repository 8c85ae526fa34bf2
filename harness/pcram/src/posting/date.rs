//! The dates of letters and commits.

use std::sync::LazyLock;

use mail_parser::DateTime;
use regex::Regex;

/// A letter's date in seconds since 1970: as a mail has it (RFC 5322), or as a patchwork page does,
/// which tells UTC.
pub(crate) fn seconds(date: &str) -> Option<i64> {
    if let Some(seconds) = of_page(date) {
        return Some(seconds);
    }
    let header = format!("Date: {date}\n\n");
    let message = mail_parser::MessageParser::default().parse(header.as_bytes())?;
    let date = message.date()?;
    date.is_valid().then(|| date.to_timestamp())
}

/// `Nov. 25, 2011, 7:02 p.m.`
fn of_page(date: &str) -> Option<i64> {
    static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([A-Z][a-z]{2})[a-z]*\.? (\d{1,2}), (\d{4}), (?:(\d{1,2})(?::(\d\d))? ([ap])\.m\.|(noon)|(midnight))")
            .expect("is one")
    });
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts = SHAPE.captures(date.trim())?;
    let number = |at: usize| parts.get(at).and_then(|it| it.as_str().parse::<u8>().ok());
    let month = MONTHS.iter().position(|month| *month == &parts[1])? as u8 + 1;
    let hour = match (number(4), parts.get(6).map(|it| it.as_str()), parts.get(7)) {
        (Some(hour), Some("p"), _) => hour % 12 + 12,
        (Some(hour), _, _) => hour % 12,
        (None, _, Some(_)) => 12,
        (None, _, None) => 0,
    };
    let date = DateTime {
        year: parts[3].parse().ok()?,
        month,
        day: number(2)?,
        hour,
        minute: number(5).unwrap_or(0),
        second: 0,
        tz_before_gmt: false,
        tz_hour: 0,
        tz_minute: 0,
    };
    date.is_valid().then(|| date.to_timestamp())
}

/// A time as a mail's header has it, in UTC.
pub(crate) fn header(seconds: i64) -> String {
    DateTime::from_timestamp(seconds).to_rfc822()
}

/// The day, as `2011-11-25`, in UTC.
pub(crate) fn day(seconds: i64) -> String {
    let date = DateTime::from_timestamp(seconds);
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_pages_and_mails_are_read() {
        let posted = 1_322_247_720;
        assert_eq!(seconds("Nov. 25, 2011, 7:02 p.m."), Some(posted));
        assert_eq!(seconds("Fri, 25 Nov 2011 14:02:00 -0500"), Some(posted));
        assert_eq!(seconds("May 1, 2012, noon"), Some(1_335_873_600));
        assert_eq!(seconds("May 1, 2012, midnight UTC"), Some(1_335_830_400));
        assert_eq!(seconds("Dec. 1, 2011, 12:30 a.m."), Some(1_322_699_400));
        assert_eq!(seconds("some day"), None);
        assert_eq!(day(posted), "2011-11-25");
        assert!(header(posted).starts_with("Fri, 25 Nov 2011 19:02:00"), "{}", header(posted));
    }
}
