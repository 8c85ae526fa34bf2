//! Streams that stock and patched make the same way in the same run, for checks to compare.

mod before;
mod beside;
#[cfg(test)]
pub(super) mod built;
mod load;
mod making;
mod pace;
mod stream;
mod way;

pub use before::Torn;
pub use beside::Kept;
pub(super) use beside::{Beside, plugged_at};
pub(super) use load::Load;
pub use load::Loaded;
pub(super) use pace::{AT_ONCE, SLOWLY};
pub use stream::{Saved, Stream};

use super::Finding;
use super::trial::Trial;
use crate::machine::NoStream;
use crate::machine::qmp::QmpError;
use anyhow::{Context, Result};
use before::Before;
use making::Making;
use pcram_stream::StreamError;
use serde::Deserialize;
use serde_json::{Map, Value};
use way::Via;

/// How a stream is made: what a check's own keys say.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recipe {
    /// Which way it takes.
    via: Via,
    /// What the guest does meanwhile.
    guest: Load,
    /// Migration capabilities that are on, on both sides.
    #[serde(default)]
    with: Vec<String>,
    /// Migration parameters that are set, on both sides.
    #[serde(default)]
    set: Map<String, Value>,
    /// Other blocks beside RAM. The guest writes the first of them, where it writes any. So much
    /// has to be sent of one that is not ignored that the migration can be held back.
    #[serde(default)]
    beside: Vec<Beside>,
    /// A try that came before.
    #[serde(default)]
    before: Option<Before>,
    /// Whether the block itself is not looked at, but all else is.
    #[serde(default)]
    others_only: bool,
}

/// What both QEMUs made.
pub enum Made {
    /// Both made a stream.
    Both {
        /// Stock's.
        stock: Box<Stream>,
        /// The patched QEMU's.
        patched: Box<Stream>,
    },
    /// The patched QEMU would not, or what it made cannot be read; stock did.
    StockOnly(String),
}

impl Recipe {
    /// Has both QEMUs make a stream.
    pub fn make(&self, trial: &Trial) -> Result<Made> {
        let making = |side: &str, ram_file| {
            let folder = trial.folder.join(side);
            Making { trial, recipe: self, folder, ram_file }
        };
        let (stock, patched) = (making("stock", None), making("patched", Some(trial.ram_file()?)));
        let stock = stock.make(trial.stock()?).context("with the stock QEMU")?;
        match patched.make(trial.patched()).context("with the patched QEMU") {
            Ok(patched) => Ok(Made::Both { stock: Box::new(stock), patched: Box::new(patched) }),
            Err(error) => no_stream(error).map(Made::StockOnly),
        }
    }

    /// Has both make a stream, and `judge` compare them.
    pub fn judged(
        &self,
        trial: &Trial,
        judge: impl FnOnce(&Terms, &Stream, &Stream) -> Finding,
    ) -> Result<Finding> {
        Ok(match self.make(trial)? {
            Made::Both { stock, patched } => judge(&self.terms(trial.block()), &stock, &patched),
            Made::StockOnly(reason) => Finding::new(vec![reason], ""),
        })
    }

    /// What is to be seen in the streams. `block` is the one that the patched QEMU leaves out.
    fn terms(&self, block: &str) -> Terms {
        let with = |name: &str| self.with.iter().any(|each| each == name);
        let shared = self.beside.iter().find_map(|beside| beside.shared());
        let channels = self.set.get("multifd-channels").and_then(Value::as_u64);
        Terms {
            block: block.to_owned(),
            ignored: shared.filter(|_| with("x-ignore-shared")),
            mapped: with("mapped-ram"),
            differences: with("xbzrle"),
            // On their way into a mapped-ram file, its channels are not seen.
            channels: channels.filter(|_| with("multifd") && !with("mapped-ram")),
            // A page has one place in a mapped-ram file, however often it is written.
            resent: self.guest.writes_beside() && !with("mapped-ram"),
            others_only: self.others_only,
        }
    }
}

/// The reason, where a QEMU that ran refused to make a stream, or made none that can be read. Where
/// stock does, that is a broken promise, and not a check that could not be tried.
///
/// # Errors
/// The error itself, where it is any other.
pub(super) fn no_stream(error: anyhow::Error) -> Result<String> {
    let is_one = error
        .chain()
        .any(|cause| cause.is::<NoStream>() || cause.is::<StreamError>() || cause.is::<QmpError>());
    if is_one { Ok(format!("{error:#}")) } else { Err(error) }
}

/// What is to be seen in two streams, beside the block that the patched one leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The idstr of that block.
    pub block: String,
    /// The idstr of another block that both leave out.
    pub ignored: Option<String>,
    /// Whether pages of zeros are left out, too, as in a mapped-ram file.
    pub mapped: bool,
    /// Whether some pages are to be sent as differences.
    pub differences: bool,
    /// How many multifd channels there are to be, each with its part of the pages.
    pub channels: Option<u64>,
    /// Whether the guest wrote another block, so that pages of it are to be sent again.
    pub resent: bool,
    /// Whether it is left open what the patched stream has of that block.
    pub others_only: bool,
}

impl Terms {
    /// Nothing is to be seen but that the patched stream leaves `block` out.
    pub fn plain(block: &str) -> Terms {
        Terms { block: block.to_owned(), ..Terms::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(recipe: &str) -> Terms {
        let text = format!("via = 'migrate-unix'\n{recipe}");
        toml::from_str::<Recipe>(&text).unwrap().terms("pc.ram")
    }

    #[test]
    fn what_is_to_be_seen_follows_from_how_a_stream_is_made() {
        let plain = Terms::plain("pc.ram");
        assert_eq!(terms("guest = 'dirtying'"), plain);
        let shared = "guest = 'stopped'\nbeside = ['shared-dimm']";
        assert_eq!(terms(shared), plain, "nobody ignores it");
        let ignored = Terms { ignored: Some("shared-dimm".into()), ..plain.clone() };
        assert_eq!(terms(&format!("{shared}\nwith = ['x-ignore-shared']")), ignored);
        let beside = "guest = 'dirtying-beside'\nbeside = ['dimm']";
        let resent = Terms { resent: true, ..plain.clone() };
        assert_eq!(terms(beside), resent);
        let multifd = "set = { multifd-channels = 2 }";
        assert_eq!(terms(&format!("{beside}\n{multifd}")), resent, "it is not turned on");
        let channels = Terms { channels: Some(2), ..resent.clone() };
        assert_eq!(terms(&format!("{beside}\n{multifd}\nwith = ['multifd']")), channels);
        let mapped = Terms { mapped: true, ..plain.clone() };
        let both = "with = ['multifd', 'mapped-ram']";
        assert_eq!(terms(&format!("{beside}\n{multifd}\n{both}")), mapped);
        let others = Terms { others_only: true, ..plain.clone() };
        assert_eq!(terms("guest = 'stopped'\nothers-only = true"), others);
        let differences = Terms { differences: true, ..plain };
        assert_eq!(terms("guest = 'stopped'\nwith = ['xbzrle']"), differences);
    }

    #[test]
    fn a_qemu_that_makes_no_stream_is_told_from_one_that_could_not_be_tried() {
        let failed = |error: anyhow::Error| no_stream(error.context("making a stream")).is_ok();
        assert!(failed(NoStream("no".into()).into()));
        assert!(failed(pcram_stream::Summary::read(&b"no stream"[..]).unwrap_err().into()));
        let refused = QmpError { command: "migrate".into(), text: "no".into() };
        assert!(failed(refused.into()));
        assert!(!failed(anyhow::anyhow!("QEMU did not boot")));
    }
}
