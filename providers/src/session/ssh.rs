//! ssh: connections to guests, and a login shell on a pseudo-terminal.
//!
//! One ssh session and one thread for each terminal: libssh2 serialises everything that goes over a session, so two
//! terminals on one would wait for each other. The thread never blocks in libssh2: it polls the socket and a wake-up
//! descriptor, so that typing is sent at once and hanging up ends it at once.
//!
//! The guest's host key is not checked, by design: a guest is made afresh with a key nobody has seen, it is reached over a
//! forwarded port on this host's loopback address, and its password stands in a public configuration file.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use ssh2::{BlockDirections, Channel, ErrorCode, ExtendedData, MethodType, Session};

use super::{Feed, Line, Terminal};

/// Wider than any command line, so that a shell never wraps the echo; and so high that no pager stops to ask.
const TERMINAL_SIZE: (u32, u32) = (8192, 2000);
/// How much typed text goes to libssh2 at once.
const WRITE_SIZE: usize = 32 << 10;
/// libssh2's code for credentials that the server refused.
const AUTHENTICATION_FAILED: i32 = -18;

/// How to prove who logs in.
#[derive(Clone)]
pub enum Credentials {
    /// A password; keyboard-interactive is used where the server wants that.
    Password(String),
    /// A private key file.
    Key {
        /// The private key, as OpenSSH writes it.
        private: Utf8PathBuf,
        /// Its passphrase, if it has one.
        passphrase: Option<String>,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Password(_) => f.write_str("Password(..)"),
            Credentials::Key { private, .. } => write!(f, "Key({private})"),
        }
    }
}

/// An ssh server and who to be there.
#[derive(Clone, Debug)]
pub struct SshTarget {
    /// Where it listens.
    pub address: SocketAddr,
    /// The user's name there.
    pub username: String,
    /// The proof.
    pub credentials: Credentials,
}

/// Why an ssh connection does not work.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The socket failed.
    #[error("talk to {address}: {source}")]
    Socket {
        /// The server.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The two sides did not agree on keys, or the other side went away meanwhile.
    #[error("set up ssh with {address}: {source}")]
    Handshake {
        /// The server.
        address: SocketAddr,
        /// What libssh2 says.
        source: ssh2::Error,
    },
    /// The server refused the credentials.
    #[error(
        "log in to {address} as `{username}`: the guest refused the {proof} (check username and password)"
    )]
    Refused {
        /// The server.
        address: SocketAddr,
        /// The user's name.
        username: String,
        /// "password" or "key FILE".
        proof: String,
    },
    /// A request after the login failed.
    #[error("{what} at {address}: {source}")]
    Request {
        /// The server.
        address: SocketAddr,
        /// What was asked for.
        what: &'static str,
        /// What libssh2 says.
        source: ssh2::Error,
    },
}

/// An authenticated connection.
pub struct Connection {
    pub(super) session: Session,
    pub(super) socket: TcpStream,
    pub(super) address: SocketAddr,
}

impl Connection {
    /// Turns a fresh TCP connection into an authenticated one. Blocks for at most about twice `patience`; shutting the
    /// socket down from elsewhere ends it at once.
    pub fn authenticate(stream: TcpStream, target: &SshTarget, patience: Duration) -> Result<Self, SshError> {
        let address = target.address;
        let socket_error = |source| SshError::Socket { address, source };
        stream.set_nonblocking(false).map_err(socket_error)?;
        stream.set_nodelay(true).map_err(socket_error)?;
        let socket = stream.try_clone().map_err(socket_error)?;
        let handshake_error = |source| SshError::Handshake { address, source };
        let mut session = Session::new().map_err(handshake_error)?;
        session.set_timeout(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX).max(1));
        prefer_cheap_methods(&session);
        session.set_tcp_stream(stream);
        session.handshake().map_err(handshake_error)?;
        prove(&session, target)?;
        Ok(Self {
            session,
            socket,
            address,
        })
    }

    /// Connects and authenticates, without retries.
    pub fn open(target: &SshTarget, patience: Duration) -> Result<Self, SshError> {
        let stream =
            TcpStream::connect_timeout(&target.address, patience).map_err(|source| SshError::Socket {
                address: target.address,
                source,
            })?;
        Self::authenticate(stream, target, patience)
    }

    /// Starts the login shell on a pseudo-terminal and hands the connection to its thread.
    pub fn shell(self, name: impl Into<String>, log: Option<File>) -> Result<Terminal, SshError> {
        let address = self.address;
        let request = |what| {
            move |source| SshError::Request {
                address,
                what,
                source,
            }
        };
        let mut channel = self
            .session
            .channel_session()
            .map_err(request("open a channel"))?;
        let (columns, rows) = TERMINAL_SIZE;
        // "dumb": no colours, no line editing tricks, no pagers.
        channel
            .request_pty("dumb", None, Some((columns, rows, 0, 0)))
            .map_err(request("get a pseudo-terminal"))?;
        channel
            .handle_extended_data(ExtendedData::Merge)
            .map_err(request("merge standard error"))?;
        channel.shell().map_err(request("start the login shell"))?;
        let socket_error = |source| SshError::Socket { address, source };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| socket_error(error.into()))?;
        let outbox = Arc::new(Outbox {
            queue: Mutex::default(),
            wake,
        });
        let line = SshLine {
            outbox: Arc::clone(&outbox),
            socket: self.socket.try_clone().map_err(socket_error)?,
        };
        let (terminal, feed) = Terminal::new(name, log, Box::new(line));
        self.session.set_blocking(false);
        let pump = Pump {
            session: self.session,
            channel,
            socket: self.socket,
            outbox,
        };
        std::thread::Builder::new()
            .name("ssh-terminal".to_owned())
            .spawn(move || pump.run(feed))
            .map_err(socket_error)?;
        Ok(terminal)
    }
}

/// An emulated processor feels the arithmetic of a key exchange: ask for the cheapest good methods first. A method that
/// this libssh2 was built without is skipped by it, and a refused list leaves the defaults.
fn prefer_cheap_methods(session: &Session) {
    let lists = [
        (
            MethodType::Kex,
            "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256",
        ),
        (
            MethodType::HostKey,
            "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
        ),
    ];
    for (method, first) in lists {
        let mut list: Vec<&str> = first.split(',').collect();
        let supported = session.supported_algs(method).unwrap_or_default();
        list.retain(|name| supported.contains(name));
        list.extend(
            supported
                .iter()
                .filter(|name| !first.split(',').any(|known| known == **name)),
        );
        if let Err(error) = session.method_pref(method, &list.join(",")) {
            tracing::debug!(%error, "libssh2 keeps its own order of methods");
        }
    }
}

fn prove(session: &Session, target: &SshTarget) -> Result<(), SshError> {
    let user = &target.username;
    let (proof, result) = match &target.credentials {
        Credentials::Password(password) => ("password".to_owned(), with_password(session, user, password)),
        Credentials::Key { private, passphrase } => (
            format!("key {private}"),
            session.userauth_pubkey_file(user, None, private.as_std_path(), passphrase.as_deref()),
        ),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.code() == ErrorCode::Session(AUTHENTICATION_FAILED) => Err(SshError::Refused {
            address: target.address,
            username: user.clone(),
            proof,
        }),
        Err(source) => Err(SshError::Handshake {
            address: target.address,
            source,
        }),
    }
}

fn with_password(session: &Session, user: &str, password: &str) -> Result<(), ssh2::Error> {
    // A server without any authentication is satisfied by being asked.
    let methods = session.auth_methods(user).unwrap_or_default().to_owned();
    if session.authenticated() {
        return Ok(());
    }
    if methods.contains("keyboard-interactive") && !methods.split(',').any(|method| method == "password") {
        return session.userauth_keyboard_interactive(user, &mut SamePassword(password));
    }
    session.userauth_password(user, password)
}

/// Answers every question with the password.
struct SamePassword<'a>(&'a str);

impl ssh2::KeyboardInteractivePrompt for SamePassword<'_> {
    fn prompt<'a>(&mut self, _: &str, _: &str, prompts: &[ssh2::Prompt<'a>]) -> Vec<String> {
        prompts.iter().map(|_| self.0.to_owned()).collect()
    }
}

/// What is to be typed, and the descriptor that wakes the thread for it.
struct Outbox {
    queue: Mutex<Queue>,
    wake: OwnedFd,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    hung_up: bool,
}

impl Outbox {
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        // A full counter already wakes the thread.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

struct SshLine {
    outbox: Arc<Outbox>,
    socket: TcpStream,
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

struct Pump {
    session: Session,
    channel: Channel,
    socket: TcpStream,
    outbox: Arc<Outbox>,
}

impl Pump {
    fn run(mut self, feed: Feed) {
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
