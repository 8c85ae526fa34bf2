//! A file as memory: what nobody looks at is not read. One that is cut short meanwhile is an error.

use crate::failure::Failure;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{mem, ptr, slice};

/// The bytes of a file, as long as it was when it was opened.
pub struct Mapped {
    path: PathBuf,
    file: File,
    start: *mut c_void,
    length: usize,
    place: &'static Place,
}

/// What the handler of SIGBUS knows of a mapping. Nobody's has no length.
struct Place {
    taken: AtomicBool,
    start: AtomicUsize,
    length: AtomicUsize,
    gone: AtomicBool,
}

/// More than anybody needs: two streams are compared.
static PLACES: [Place; 32] = [const { Place::nobodys() }; 32];

/// What was done about SIGBUS before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

impl Mapped {
    /// Maps `file`, which is called `path` in messages; `None` where it cannot be mapped.
    pub fn of(path: &Path, file: &File) -> io::Result<Option<Mapped>> {
        let about = file.metadata()?;
        let length = usize::try_from(about.len()).unwrap_or(0);
        if !about.is_file() || length == 0 {
            return Ok(None);
        }
        let free = |place: &&Place| !place.taken.swap(true, Ordering::SeqCst);
        handle_sigbus()?;
        let kept = file.try_clone()?;
        let Some(place) = PLACES.iter().find(free) else { return Ok(None) };
        let flags = (ProtFlags::READ, MapFlags::PRIVATE);
        // SAFETY: a new mapping is nobody's memory.
        let mapped = unsafe { mmap(ptr::null_mut(), length, flags.0, flags.1, file, 0) };
        let Ok(start) = mapped else {
            place.taken.store(false, Ordering::SeqCst);
            return Ok(None);
        };
        place.gone.store(false, Ordering::SeqCst);
        place.start.store(start as usize, Ordering::SeqCst);
        place.length.store(length, Ordering::SeqCst);
        Ok(Some(Mapped { path: path.to_owned(), file: kept, start, length, place }))
    }

    /// The bytes. Whoever has read of them has to ask whether it was [`intact`](Mapped::intact).
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length until it is dropped, and is never written through. What
        // another process writes into the file may be seen here; who reads leans on no byte's being
        // the same at a second look.
        unsafe { slice::from_raw_parts(self.start.cast(), self.length) }
    }

    /// Whether what was read so far was in the file.
    ///
    /// # Errors
    /// A [`Failure`] where it was not: zeros were read in its place.
    pub fn intact(&self) -> Result<(), Failure> {
        // Behind its new end, but on its last page, zeros are read without a fault.
        let is_long = self.file.metadata().is_ok_and(|now| now.len() >= self.length as u64);
        if is_long && !self.place.gone.load(Ordering::SeqCst) {
            return Ok(());
        }
        let path = self.path.display();
        Err(Failure::usage(format!(
            "{path}: it was cut short while it was read, or its disk failed; once nobody writes it, try \
             again"
        )))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.place.length.store(0, Ordering::SeqCst);
        // SAFETY: it is ours, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.start, self.length) };
        self.place.taken.store(false, Ordering::SeqCst);
    }
}

impl Place {
    const fn nobodys() -> Place {
        Place {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        }
    }

    fn has(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::SeqCst);
        (start..start + self.length.load(Ordering::SeqCst)).contains(&address)
    }

    /// Puts zeros in the place of the whole file. It is called in a signal handler.
    fn go(&self) -> bool {
        self.gone.store(true, Ordering::SeqCst);
        let start = self.start.load(Ordering::SeqCst) as *mut c_void;
        let length = self.length.load(Ordering::SeqCst);
        let flags = (ProtFlags::READ, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: it replaces the mapping that this is about, by one as long, which is read the same way.
        unsafe { mmap_anonymous(start, length, flags.0, flags.1) }.is_ok()
    }
}

/// Has [`on_sigbus`] called, once and for all: the standard library's own would end the process.
fn handle_sigbus() -> io::Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    // SAFETY: a `sigaction` of zeros is a valid one, and both are initialised before they are used; the
    // handler does nothing but what signal-safety(7) lists.
    unsafe {
        let (mut ours, mut before): (libc::sigaction, libc::sigaction) =
            (mem::zeroed(), mem::zeroed());
        ours.sa_sigaction = on_sigbus as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        if libc::sigaction(libc::SIGBUS, &ours, &mut before) != 0 {
            return Err(io::Error::last_os_error());
        }
        let _ = BEFORE.set(before);
    }
    Ok(())
}

extern "C" fn on_sigbus(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO where the fault was.
    let address = unsafe { (*info).si_addr() } as usize;
    if PLACES.iter().find(|place| place.has(address)).is_some_and(Place::go) {
        return;
    }
    // Not ours: the same access faults again, and what was there before is asked.
    // SAFETY: `BEFORE` is what the kernel gave; all zeros is the default action.
    unsafe {
        let default = mem::zeroed();
        libc::sigaction(libc::SIGBUS, BEFORE.get().unwrap_or(&default), ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    fn file_of(bytes: &[u8]) -> (tempfile::NamedTempFile, Mapped) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mapped = Mapped::of(file.path(), file.as_file()).unwrap().unwrap();
        (file, mapped)
    }

    #[test]
    fn a_file_that_is_cut_short_ends_nobody_and_is_told() {
        let ((file, cut), (_other, whole)) = (file_of(&[7; 12_288]), file_of(&[8; 12_288]));
        assert!(cut.bytes().iter().all(|&byte| byte == 7));
        assert!(cut.intact().is_ok());
        file.as_file().set_len(4096).unwrap();
        assert_eq!(cut.bytes()[8192], 0);
        assert!(cut.intact().unwrap_err().to_string().contains("cut short while it was read"));
        assert_eq!((whole.bytes()[8192], whole.intact().is_ok()), (8, true));
        // And so is another one, later, and one that loses less than a page.
        drop(cut);
        let (file, little) = file_of(&[6; 12_288]);
        file.as_file().set_len(12_280).unwrap();
        assert_eq!((little.bytes()[12_287], little.intact().is_ok()), (0, false));
        let (file, again) = file_of(&[9; 12_288]);
        assert!(again.intact().is_ok());
        file.as_file().set_len(0).unwrap();
        assert_eq!((again.bytes()[0], again.intact().is_ok()), (0, false));
    }

    #[test]
    fn what_is_no_file_or_has_nothing_is_not_mapped() {
        let not =
            |path: &str| Mapped::of(Path::new(path), &File::open(path).unwrap()).unwrap().is_none();
        assert!(not("/dev/null") && not("/"));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Mapped::of(file.path(), file.as_file()).unwrap().is_none());
    }

    #[test]
    fn a_fault_in_other_memory_ends_the_process_as_ever() {
        const ASKED: &str = "PCRAM_TEST_FAULTS";
        if env::var_os(ASKED).is_some() {
            let (_file, _mapped) = file_of(&[1; 4096]);
            let other = tempfile::tempfile().unwrap();
            other.set_len(4096).unwrap();
            let flags = (ProtFlags::READ, MapFlags::SHARED);
            // SAFETY: a new mapping; what is read of it is gone, which is what this is about.
            unsafe {
                let start = mmap(ptr::null_mut(), 4096, flags.0, flags.1, &other, 0).unwrap();
                other.set_len(0).unwrap();
                ptr::read_volatile(start.cast::<u8>());
            }
            return;
        }
        let name = "a_fault_in_other_memory_ends_the_process_as_ever";
        let mut child = Command::new(env::current_exe().unwrap());
        child.arg(name).env(ASKED, "1");
        let ended = child.output().unwrap().status;
        assert_eq!(ended.signal(), Some(libc::SIGBUS), "{ended}");
    }
}
