//! ssh: connections to guests, and a login shell on a pseudo-terminal.
//!
//! One ssh session and one thread for each terminal: libssh2 serialises everything that goes over a session, so two
//! terminals on one would wait for each other.
//!
//! A guest's host key is not checked, by design: a guest is made afresh with a key nobody has seen, it is reached over a
//! forwarded port on this host's loopback address, and its password stands in a public configuration file. The key of a
//! host that a person names is checked: see [`HostKey`].

mod auth;
pub mod exec;
mod host_key;
mod pump;

use std::fmt;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use ssh2::{ExtendedData, Session};

use self::auth::{prefer_cheap_methods, prove};
pub use self::host_key::HostKey;
use self::pump::{Outbox, Pump, SshLine};
use super::Terminal;

/// Wider than any command line, so that a shell never wraps the echo; and so high that no pager stops to ask.
const TERMINAL_SIZE: (u32, u32) = (8192, 2000);
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
    /// How the server proves that it is the one that is meant.
    pub host_key: HostKey,
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
    /// The server is not known to be the one that is meant.
    #[error("trust {address}: {reason}")]
    Untrusted {
        /// The server.
        address: SocketAddr,
        /// What its key is, and what to do.
        reason: String,
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
    pub(in crate::session) session: Session,
    pub(in crate::session) socket: TcpStream,
    address: SocketAddr,
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
        host_key::check(&session, &target.host_key)
            .map_err(|reason| SshError::Untrusted { address, reason })?;
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
        let outbox = Arc::new(Outbox::new().map_err(socket_error)?);
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
