//! Where a stream comes from: a file, standard input, or a snapshot in a qcow2 image.

use super::mapped::Mapped;
use crate::failure::Failure;
use anyhow::{Context, Result};
use pcram_stream::qcow2::{Image, Snapshot};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// What a qcow2 image begins with.
const QCOW2: &[u8; 4] = b"QFI\xfb";

/// A stream that can be read again and again.
pub enum Input {
    /// A migration stream, in memory.
    Stream(Mapped),
    /// One in a file that cannot be mapped.
    File(File),
    /// The VM state of a snapshot in an image.
    Snapshot {
        /// The image.
        image: Image<File>,
        /// The snapshot's id.
        id: String,
        /// How it is called in messages.
        name: String,
    },
}

impl Input {
    /// Opens the file at `path`, `-` for standard input. In an image, `snapshot` says by name or id
    /// which is meant, where there is more than one.
    pub fn open(path: &Path, snapshot: Option<&str>) -> Result<Input> {
        let mut file = open(path)?;
        let mut magic = Vec::new();
        (&mut file)
            .take(QCOW2.len() as u64)
            .read_to_end(&mut magic)
            .with_context(|| cannot(path))?;
        file.rewind().with_context(|| cannot(path))?;
        if magic == QCOW2 {
            return in_image(path, file, snapshot);
        }
        match snapshot {
            None => Ok(match Mapped::of(path, &file).with_context(|| cannot(path))? {
                Some(mapped) => Input::Stream(mapped),
                None => Input::File(file),
            }),
            Some(name) => {
                let path = path.display();
                Err(Failure::usage(format!("{path} is no qcow2 image with a snapshot {name}"))
                    .into())
            }
        }
    }

    /// The stream, from its beginning.
    pub fn reader(&mut self) -> Result<Box<dyn BufReadSeek + '_>> {
        Ok(match self {
            Input::Stream(mapped) => Box::new(Cursor::new(mapped.bytes())),
            Input::File(file) => {
                file.rewind()?;
                Box::new(buffered(file))
            }
            Input::Snapshot { image, id, .. } => Box::new(buffered(image.vm_state(id)?)),
        })
    }

    /// Whether all that was read of it was there.
    ///
    /// # Errors
    /// A [`Failure`] where its file was cut short meanwhile: whatever was found in it means nothing.
    pub fn intact(&self) -> Result<(), Failure> {
        match self {
            Input::Stream(mapped) => mapped.intact(),
            Input::File(_) | Input::Snapshot { .. } => Ok(()),
        }
    }

    /// So many bytes of the stream from `offset` on.
    pub fn bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut reader = self.reader()?;
        reader.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        reader.take(length).read_to_end(&mut bytes)?;
        self.intact()?;
        Ok(bytes)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stream(_) | Input::File(_) => f.write_str("a migration stream"),
            Input::Snapshot { name, .. } => write!(f, "the VM state of snapshot {name}"),
        }
    }
}

/// What can be read, and read again from elsewhere.
pub trait BufReadSeek: BufRead + Seek {}

impl<T: BufRead + Seek> BufReadSeek for T {}

/// The same, read in pieces that stay in a core's cache.
pub fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(256 << 10, input)
}

fn cannot(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn open(path: &Path) -> Result<File> {
    if path == Path::new("-") {
        // What cannot be read twice is kept for as long as it is needed.
        let mut kept = tempfile::tempfile().context("cannot keep standard input in a file")?;
        io::copy(&mut io::stdin().lock(), &mut kept).context("cannot keep standard input")?;
        kept.seek(SeekFrom::Start(0))?;
        return Ok(kept);
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file)));
    match opened {
        Ok((false, file)) => Ok(file),
        Ok((true, _)) => Err(Failure::usage(format!("{} is a folder", path.display())).into()),
        Err(error) => Err(Failure::usage(format!("{}: {error}", cannot(path))).into()),
    }
}

fn in_image(path: &Path, file: File, wanted: Option<&str>) -> Result<Input> {
    let bad = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let image = Image::open(file).map_err(|error| bad(error.to_string()))?;
    let with_state: Vec<&Snapshot> =
        image.snapshots().iter().filter(|it| it.vm_state_size > 0).collect();
    let list = || {
        let names = with_state.iter().map(|it| format!("{} (id {})", it.name, it.id));
        names.collect::<Vec<_>>().join(", ")
    };
    let snapshot = match (wanted, &with_state[..]) {
        (_, []) => return Err(bad("no snapshot in this image has a VM state".into()).into()),
        (None, [only]) => *only,
        (None, _) => {
            let text = format!("it has several snapshots; name one by --snapshot: {}", list());
            return Err(bad(text).into());
        }
        (Some(wanted), all) => {
            *all.iter().find(|it| it.name == wanted || it.id == wanted).ok_or_else(|| {
                bad(format!("no snapshot {wanted} with a VM state; there are: {}", list()))
            })?
        }
    };
    let (id, name) = (snapshot.id.clone(), snapshot.name.clone());
    Ok(Input::Snapshot { image, id, name })
}
