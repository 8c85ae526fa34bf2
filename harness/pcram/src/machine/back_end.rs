//! A vhost-user back end: the other process of a device, which maps what a QEMU shares with it.
//!
//! It drives no device; it is there for the memory. In a vhost-user conversation QEMU sends a file
//! descriptor for each region of guest RAM that is shared (`vhost_user_set_mem_table` in
//! hw/virtio/vhost-user.c), and none for RAM that is not.

use super::launch::opt_value;
use super::sockets;
use anyhow::{Context, Result, anyhow};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error, VhostUserBackend, VhostUserDaemon, VringRwLock};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

/// How long what QEMU has sent may take to be read here: it sends it before the guest goes on.
const TELL: Duration = Duration::from_secs(5);
/// The device in QEMU.
const DEVICE: &str = "vhost-user-fs-pci";
/// The feature bit of virtio 1.0 (`VIRTIO_F_VERSION_1`).
const VERSION_1: u32 = 32;
/// The device's queues, each as long as QEMU makes it.
const QUEUES: usize = 2;
const QUEUE_SIZE: usize = 256;

/// The socket's name in its folder.
const SOCKET: &str = "back-end";

type Shared = GuestMemoryAtomic<GuestMemoryMmap>;

/// A back end that waits for a QEMU, or speaks with one. Dropping it ends it.
pub struct BackEnd {
    folder: TempDir,
    told: Receiver<GuestMemoryMmap>,
    conversation: Option<JoinHandle<Result<()>>>,
}

impl BackEnd {
    /// A back end that listens.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn listen() -> Result<BackEnd> {
        let folder = sockets::folder()?;
        let (tell, told) = mpsc::channel();
        let mut listener = Listener::new(folder.path().join(SOCKET), false)?;
        let memory = Shared::new(GuestMemoryMmap::new());
        let mut daemon = VhostUserDaemon::new(SOCKET.into(), Memory { tell }, memory)
            .map_err(|error| anyhow!("cannot make a vhost-user back end: {error}"))?;
        let conversation = std::thread::spawn(move || {
            match daemon.start(&mut listener).and_then(|()| daemon.wait()) {
                // It lasts as long as QEMU does.
                Ok(()) | Err(Error::HandleRequest(VhostUserError::Disconnected)) => Ok(()),
                Err(error) => Err(anyhow!("the vhost-user back end: {error}")),
            }
        });
        Ok(BackEnd { folder, told, conversation: Some(conversation) })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// The words that give a QEMU a file system with this back end: a device that asks nothing of
    /// it before it is started.
    pub fn args(&self) -> Vec<String> {
        let chardev = format!("socket,id=back-end,path={}", opt_value(&self.socket()));
        let device = format!("{DEVICE},chardev=back-end,tag=ram");
        ["-chardev", &chardev, "-device", &device].map(str::to_owned).to_vec()
    }

    /// The memory that the QEMU shares, mapped into this process, once the guest has started the
    /// device; `None` where it shares none.
    pub fn memory(&self) -> Option<GuestMemoryMmap> {
        self.told.recv_timeout(TELL).ok()
    }

    /// What was shared in the whole conversation with a QEMU that has ended; `None` where nothing
    /// was.
    ///
    /// # Errors
    /// Where the conversation broke off for another reason.
    pub fn shared_at_all(mut self) -> Result<Option<GuestMemoryMmap>> {
        let conversation = self.conversation.take().context("the back end has ended before")?;
        // A QEMU that never connected would be waited for without end.
        drop(UnixStream::connect(self.socket()));
        conversation.join().map_err(|_| anyhow!("the vhost-user back end panicked"))??;
        Ok(self.told.try_iter().last())
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        if let Some(conversation) = self.conversation.take() {
            drop(UnixStream::connect(self.socket()));
            // Nobody is left to be told.
            let _ = conversation.join();
        }
    }
}

/// Passes on each memory table that QEMU sends.
#[derive(Clone)]
struct Memory {
    tell: Sender<GuestMemoryMmap>,
}

impl VhostUserBackend for Memory {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        QUEUES
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE
    }

    /// Without the protocol's own features QEMU takes a back end for one that has no room for
    /// regions, and without virtio 1.0 it makes no such device of it.
    fn features(&self) -> u64 {
        VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() | 1 << VERSION_1
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::empty()
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn update_memory(&self, memory: Shared) -> io::Result<()> {
        // Who does not listen any more has seen enough.
        let _ = self.tell.send(GuestMemoryMmap::clone(&memory.memory()));
        Ok(())
    }

    /// No thread works on queues.
    fn queues_per_thread(&self) -> Vec<u64> {
        Vec::new()
    }

    fn handle_event(
        &self,
        _device_event: u16,
        _events: EventSet,
        _vrings: &[VringRwLock],
        _thread: usize,
    ) -> io::Result<()> {
        Ok(())
    }
}
