//! Waiting for an ssh server to speak.
//!
//! With user networking a TCP connection to a forwarded port succeeds long before the guest's ssh server answers, and a
//! connection that was made too early may hang for seconds after the server is up. So several connections are kept
//! waiting for a banner, a new one every quarter of a second; the first that hears one wins.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Alive, LoginError, Pace};

/// How many connections may wait for a banner. sshd starts to refuse at ten that have not logged in.
const WAITING: usize = 6;

/// Why no banner came.
pub(super) enum NoBanner {
    Late,
    Dead(String),
}

impl NoBanner {
    pub(super) fn into_error(self, address: SocketAddr, patience: Duration, last: &str) -> LoginError {
        match self {
            NoBanner::Dead(reason) => LoginError::MachineDead(reason),
            NoBanner::Late if last.is_empty() => LoginError::Timeout {
                patience,
                last: format!("the ssh server never answered at {address}"),
            },
            NoBanner::Late => LoginError::Timeout {
                patience,
                last: last.to_owned(),
            },
        }
    }
}

/// A connection on which the server has begun to speak.
pub(super) async fn banner(
    address: SocketAddr,
    pace: Pace,
    deadline: Instant,
    alive: Alive<'_>,
) -> Result<TcpStream, NoBanner> {
    let started = Instant::now();
    let mut waiting = FuturesUnordered::new();
    loop {
        alive().map_err(NoBanner::Dead)?;
        if Instant::now() >= deadline {
            return Err(NoBanner::Late);
        }
        if waiting.len() < WAITING {
            // A busy guest may take longer to say hello: give later connections more time.
            let patience = 6 * pace.between() + started.elapsed() / 10;
            waiting.push(async move { timeout(patience, first_byte(address)).await.ok()?.ok() });
        }
        let tick = sleep(pace.between());
        tokio::pin!(tick);
        loop {
            tokio::select! {
                () = &mut tick => break,
                Some(stream) = waiting.next(), if !waiting.is_empty() => if let Some(stream) = stream {
                    return Ok(stream);
                },
            }
        }
    }
}

/// Connects and waits until the other side has said something.
async fn first_byte(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    match stream.peek(&mut [0; 1]).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(stream),
    }
}
