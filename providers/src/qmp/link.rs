//! The socket under a monitor: lines out, lines in, and descriptors beside them.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::UnboundedReceiver;

/// Connects to a socket that QEMU may be about to create.
pub(super) async fn connect(path: &Utf8Path, patience: Duration) -> io::Result<UnixStream> {
    let deadline = Instant::now() + patience;
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Writes lines until there are no more senders, or QEMU reads no longer: the reading side notices that, too.
pub(super) async fn write(
    mut outgoing: OwnedWriteHalf,
    mut lines: UnboundedReceiver<(String, Option<OwnedFd>)>,
) {
    while let Some((line, fd)) = lines.recv().await {
        if write_line(&mut outgoing, line.as_bytes(), fd).await.is_err() {
            break;
        }
    }
}

async fn write_line(outgoing: &mut OwnedWriteHalf, line: &[u8], fd: Option<OwnedFd>) -> io::Result<()> {
    let mut written = 0;
    if let Some(fd) = fd {
        let stream: &UnixStream = outgoing.as_ref();
        written = stream
            .async_io(Interest::WRITABLE, || send(stream, line, fd.as_fd()))
            .await?;
    }
    outgoing.write_all(&line[written..]).await
}

/// Sends what fits, with a descriptor beside the first byte.
fn send(stream: &UnixStream, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for a descriptor beside the message"));
    }
    Ok(rustix::net::sendmsg(
        stream,
        &[IoSlice::new(bytes)],
        &mut beside,
        SendFlags::NOSIGNAL,
    )?)
}
