//! A standing shell: one that waits in a guest's saved state, so that nobody has to log in to it again.
//!
//! A login over ssh is cheap for a processor and dear for a translated one: a restored QEMU knows none of the code of a key
//! exchange, of an authentication and of a shell's start. So the shell is started before the guest is saved ([`command`]), by a
//! small program that connects from inside the guest to an address of its user network. QEMU saves such a connection with
//! everything else, where it forgets those that come from outside; after it was restored, the other end of the connection is a
//! unix socket of the new QEMU, and whoever connects there talks to the same shell.
//!
//! What goes over it are frames: a kind, a length of two bytes, and so many bytes.
//!
//! | kind | to the guest | from the guest |
//! |---|---|---|
//! | `D` | typed | printed |
//! | `G` | a greeting: the time, and entropy | `done`, or what went wrong |
//! | `H` | hang up: the shell gets SIGHUP | |
//! | `E` | | the shell has ended; its exit status, where it has one |

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

use super::{Feed, Line, Terminal};

/// The program in the guest.
const PROGRAM: &str = include_str!("standing.pl");
/// The largest frame that is sent. The length has two bytes.
const LARGEST: usize = 16 << 10;
/// How long a shell that is hung up on may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The command that starts a standing shell in a guest whose user network has `address` and `port` on the other side.
pub fn command(address: &str, port: u16) -> String {
    let lines = PROGRAM.lines().map(str::trim);
    let program: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    format!("perl -e '{}' {address} {port}", program.join(" "))
}

/// A standing shell that somebody has connected to.
pub struct Standing {
    terminal: Terminal,
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    replies: mpsc::UnboundedReceiver<String>,
}

/// Connects to the socket at which QEMU offers a standing shell. To be called inside a tokio runtime.
///
/// # Errors
/// Where nobody listens there.
pub async fn connect(
    path: &Utf8Path,
    name: impl Into<String>,
    log: Option<File>,
) -> std::io::Result<Standing> {
    let (reader, writer) = UnixStream::connect(path).await?.into_split();
    Ok(Standing::over(reader, writer, name, log))
}

impl Standing {
    /// A standing shell at the other end of a stream.
    fn over(
        reader: impl AsyncRead + Unpin + Send + 'static,
        mut writer: impl AsyncWrite + Unpin + Send + 'static,
        name: impl Into<String>,
        log: Option<File>,
    ) -> Self {
        let (outbox, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
        let (reply, replies) = mpsc::unbounded_channel();
        let hang_up = Arc::new(Notify::new());
        let line = StandingLine {
            outbox: outbox.clone(),
            hang_up: hang_up.clone(),
        };
        let (terminal, feed) = Terminal::new(name, log, Box::new(line));
        let writing = tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                if writer.write_all(&frame).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let (status, reason) = {
                let mut listening = std::pin::pin!(listen(reader, &feed, &reply));
                tokio::select! {
                    end = &mut listening => end,
                    () = hang_up.notified() => {
                        // The connection stays until the guest has read that it ends.
                        let _ = tokio::time::timeout(GOODBYE, &mut listening).await;
                        (None, "the session was closed".to_owned())
                    }
                }
            };
            writing.abort();
            feed.end(status, reason);
        });
        Self {
            terminal,
            outbox,
            replies,
        }
    }

    /// The terminal that the shell is on.
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Sets the guest's clock to this host's and gives it `entropy`. That it answers is a proof of its health.
    ///
    /// # Errors
    /// What it said instead, as a fragment.
    pub async fn greet(&mut self, entropy: &[u8], patience: Duration) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Not before the year 292277026596.
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        // In the guest's byte order, which is that of all machines that the program knows.
        let mut greeting = seconds.to_le_bytes().to_vec();
        greeting.extend(i64::from(now.subsec_nanos()).to_le_bytes());
        greeting.extend(entropy);
        // Where nobody takes it, nobody answers.
        let _ = self.outbox.send(frame(b'G', &greeting));
        match tokio::time::timeout(patience, self.replies.recv()).await {
            Ok(Some(reply)) if reply == "done" => Ok(()),
            Ok(Some(reply)) => Err(format!("it said {reply:?}")),
            Ok(None) => {
                let end = self.terminal.end().map(|end| end.reason);
                Err(end.unwrap_or_else(|| "the session ended".into()))
            }
            Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
        }
    }
}

/// Takes frames in until the shell has ended: its status, and how.
async fn listen(
    mut reader: impl AsyncRead + Unpin,
    feed: &Feed,
    reply: &mpsc::UnboundedSender<String>,
) -> (Option<i32>, String) {
    loop {
        let (kind, bytes) = match read_frame(&mut reader).await {
            Ok(frame) => frame,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return (None, "the standing shell was closed by the machine".into());
            }
            Err(error) => return (None, format!("the standing shell broke: {error}")),
        };
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match kind {
            b'D' => feed.data(&bytes),
            // Nobody may be waiting for it.
            b'G' => drop(reply.send(text())),
            b'E' => {
                let status = text().parse().ok();
                let reason = status.map_or_else(
                    || "the shell ended".to_owned(),
                    |status: i32| format!("the shell exited with status {status}"),
                );
                return (status, reason);
            }
            other => return (None, format!("the standing shell said {:?}", char::from(other))),
        }
    }
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = reader.read_u8().await?;
    let length = reader.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    reader.read_exact(&mut bytes).await?;
    Ok((kind, bytes))
}

/// A frame of at most [`LARGEST`] bytes.
fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("frames are cut to fit");
    let mut frame = vec![kind];
    frame.extend(length.to_be_bytes());
    frame.extend(bytes);
    frame
}

struct StandingLine {
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    hang_up: Arc<Notify>,
}

impl Line for StandingLine {
    fn send(&self, bytes: &[u8]) -> bool {
        bytes
            .chunks(LARGEST)
            .all(|piece| self.outbox.send(frame(b'D', piece)).is_ok())
    }

    fn hang_up(&self) {
        // It may be gone already.
        let _ = self.outbox.send(frame(b'H', &[]));
        self.hang_up.notify_one();
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
