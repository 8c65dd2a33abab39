//! Standard input, byte by byte or line by line, and a terminal that passes keys through.

use std::io::Read;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Standard input. It is read by a thread, because a read of it cannot be given up.
pub struct Input {
    chunks: mpsc::Receiver<Vec<u8>>,
    pending: Vec<u8>,
}

impl Input {
    /// Standard input.
    pub fn stdin() -> Self {
        let (send, chunks) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut chunk = vec![0; 4096];
            while let Ok(read @ 1..) = std::io::stdin().lock().read(&mut chunk) {
                if send.blocking_send(chunk[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self::of(chunks)
    }

    fn of(chunks: mpsc::Receiver<Vec<u8>>) -> Self {
        Self {
            chunks,
            pending: Vec::new(),
        }
    }

    /// What has been typed; none at the end.
    pub async fn bytes(&mut self) -> Option<Vec<u8>> {
        if self.pending.is_empty() {
            self.chunks.recv().await
        } else {
            Some(std::mem::take(&mut self.pending))
        }
    }

    /// Gives back what was read too far.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.pending.splice(0..0, bytes.iter().copied());
    }

    /// A line without its end; none at the end of the input.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(
                    String::from_utf8_lossy(&line)
                        .trim_end_matches(['\r', '\n'])
                        .to_owned(),
                );
            }
            match self.chunks.recv().await {
                Some(chunk) => self.pending.extend(chunk),
                None if self.pending.is_empty() => return None,
                None => {
                    return Some(String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned());
                }
            }
        }
    }
}

/// While it lives, keys are neither echoed nor interpreted by our terminal.
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Makes it so. None where standard input is no terminal.
    pub fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_and_bytes_come_from_one_stream() {
        let (send, chunks) = mpsc::channel(8);
        for chunk in ["one\r\ntw", "o\nkeys", "last"] {
            send.send(chunk.as_bytes().to_vec()).await.unwrap();
        }
        drop(send);
        let mut input = Input::of(chunks);
        assert_eq!(input.line().await.as_deref(), Some("one"));
        assert_eq!(input.line().await.as_deref(), Some("two"));
        let keys = input.bytes().await.unwrap();
        assert_eq!(keys, b"keys");
        input.unread(&keys[2..]);
        assert_eq!(input.line().await.as_deref(), Some("yslast"));
        assert_eq!(input.line().await, None);
        assert_eq!(input.bytes().await, None);
    }
}
