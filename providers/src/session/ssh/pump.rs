//! The thread that moves bytes between an ssh channel and a terminal.
//!
//! It never blocks in libssh2: it polls the socket and a wake-up descriptor, so that typing is sent at once and hanging up
//! ends it at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use ssh2::{BlockDirections, Channel, Session};

use crate::session::{Feed, Line};

/// How much typed text goes to libssh2 at once.
const WRITE_SIZE: usize = 32 << 10;

/// What is to be typed, and the descriptor that wakes the thread for it.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    wake: OwnedFd,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    hung_up: bool,
}

impl Outbox {
    /// An empty one.
    pub(super) fn new() -> std::io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            queue: Mutex::default(),
            wake,
        })
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        // A full counter already wakes the thread.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

pub(super) struct SshLine {
    pub(super) outbox: Arc<Outbox>,
    pub(super) socket: TcpStream,
}

impl Line for SshLine {
    fn send(&self, bytes: &[u8]) -> bool {
        self.outbox.change(|queue| queue.bytes.extend_from_slice(bytes));
        true
    }

    fn hang_up(&self) {
        self.outbox.change(|queue| queue.hung_up = true);
        // It may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Which operation libssh2 has left half done. It must be repeated before the other is begun.
#[derive(PartialEq)]
enum HalfDone {
    Nothing,
    Write,
    Read,
}

pub(super) struct Pump {
    pub(super) session: Session,
    pub(super) channel: Channel,
    pub(super) socket: TcpStream,
    pub(super) outbox: Arc<Outbox>,
}

impl Pump {
    pub(super) fn run(mut self, feed: Feed) {
        match self.pump(&feed) {
            Ok(()) => {
                let status = self.exit_status();
                let reason = match status {
                    Some(status) => format!("the shell exited with status {status}"),
                    None => "the shell ended".to_owned(),
                };
                feed.end(status, reason);
            }
            Err(reason) => feed.end(None, reason),
        }
        // Dropping the session says goodbye over the socket, which must not wait for a guest that is gone.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Moves bytes until the shell ends (`Ok`) or the line breaks (`Err`, in words).
    fn pump(&mut self, feed: &Feed) -> Result<(), String> {
        let mut typed = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        let mut half_done = HalfDone::Nothing;
        loop {
            self.collect(&mut typed)?;
            if half_done != HalfDone::Read {
                half_done = self.write(&mut typed)?;
            }
            if half_done != HalfDone::Write {
                half_done = match self.read(&mut buffer, feed)? {
                    Some(half_done) => half_done,
                    None => return Ok(()),
                };
            }
            self.sleep()
                .map_err(|error| format!("cannot wait for the guest: {error}"))?;
        }
    }

    fn collect(&self, typed: &mut Vec<u8>) -> Result<(), String> {
        let mut queue = self.outbox.queue.lock().unwrap_or_else(PoisonError::into_inner);
        typed.append(&mut queue.bytes);
        if queue.hung_up {
            Err("the session was closed".to_owned())
        } else {
            Ok(())
        }
    }

    fn write(&mut self, typed: &mut Vec<u8>) -> Result<HalfDone, String> {
        while !typed.is_empty() {
            match self.channel.write(&typed[..typed.len().min(WRITE_SIZE)]) {
                Ok(count) => drop(typed.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(if self.wants_to_write() {
                        HalfDone::Write
                    } else {
                        HalfDone::Nothing
                    });
                }
                Err(error) => return Err(format!("the connection broke: {error}")),
            }
        }
        Ok(HalfDone::Nothing)
    }

    /// Reads all there is. `None` at the end.
    fn read(&mut self, buffer: &mut [u8], feed: &Feed) -> Result<Option<HalfDone>, String> {
        loop {
            match self.channel.read(buffer) {
                Ok(0) if self.channel.eof() => return Ok(None),
                Ok(0) => return Ok(Some(HalfDone::Nothing)),
                Ok(count) => feed.data(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let half = if self.wants_to_write() {
                        HalfDone::Read
                    } else {
                        HalfDone::Nothing
                    };
                    return Ok(Some(half));
                }
                Err(error) => return Err(format!("the connection broke: {error}")),
            }
        }
    }

    fn wants_to_write(&self) -> bool {
        matches!(
            self.session.block_directions(),
            BlockDirections::Outbound | BlockDirections::Both
        )
    }

    /// Until there is something to read or to type.
    fn sleep(&self) -> rustix::io::Result<()> {
        let mut interest = PollFlags::IN;
        interest.set(PollFlags::OUT, self.wants_to_write());
        let mut fds = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), interest),
            PollFd::new(&self.outbox.wake, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        // Nothing to read is as good as having read it.
        let _ = rustix::io::read(&self.outbox.wake, &mut [0; 8]);
        Ok(())
    }

    /// The shell's exit status, if the guest still tells.
    fn exit_status(&mut self) -> Option<i32> {
        self.session.set_blocking(true);
        self.session.set_timeout(2000);
        self.channel.close().ok()?;
        self.channel.wait_close().ok()?;
        self.channel.exit_status().ok()
    }
}
