//! A serial console: the unix socket at which QEMU offers a guest's serial port.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use camino::Utf8Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{Notify, mpsc};

use super::{Feed, Line, Terminal};

/// Connects to a serial port. To be called inside a tokio runtime.
///
/// QEMU serves one client at a time: a second one is connected by the system and hears nothing.
pub async fn connect(
    path: &Utf8Path,
    name: impl Into<String>,
    log: Option<File>,
) -> std::io::Result<Terminal> {
    let (reader, mut writer) = UnixStream::connect(path).await?.into_split();
    let (typed, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
    let hang_up = Arc::new(Notify::new());
    let (terminal, feed) = Terminal::new(
        name,
        log,
        Box::new(SerialLine {
            typed,
            hang_up: Arc::clone(&hang_up),
        }),
    );
    let writing = tokio::spawn(async move {
        while let Some(bytes) = queue.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        tokio::select! {
            reason = read_all(reader, &feed) => feed.end(None, reason),
            () = hang_up.notified() => feed.end(None, "the session was closed"),
        }
        writing.abort();
    });
    Ok(terminal)
}

async fn read_all(mut reader: OwnedReadHalf, feed: &Feed) -> String {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return closed(),
            // What was typed last was never read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return closed(),
            Ok(count) => feed.data(&buffer[..count]),
            Err(error) => return format!("the serial console broke: {error}"),
        }
    }
}

fn closed() -> String {
    "the serial console was closed by the machine".to_owned()
}

struct SerialLine {
    typed: mpsc::UnboundedSender<Vec<u8>>,
    hang_up: Arc<Notify>,
}

impl Line for SerialLine {
    fn send(&self, bytes: &[u8]) -> bool {
        self.typed.send(bytes.to_vec()).is_ok()
    }

    fn hang_up(&self) {
        self.hang_up.notify_one();
    }
}
