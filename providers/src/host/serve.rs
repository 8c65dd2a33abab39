//! Moving messages: one JSON object on a line, requests served concurrently.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;

use super::Handler;
use super::protocol::{CallError, Note, Start, Verdict};
use super::request::Request;

/// No line is longer.
const LONGEST_LINE: usize = 64 << 20;

/// Why the conversation with a test host broke.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket.
    #[error("talk to the test host: {0}")]
    Socket(#[from] std::io::Error),
    /// It said something that is not of the protocol.
    #[error("understand the test host: {reason}; it said: {excerpt}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
        /// The beginning of the line.
        excerpt: String,
    },
}

/// What was said until the test host closed the socket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Served {
    /// How the test ended, if it came to say so.
    pub verdict: Option<Verdict>,
    /// The last whiteboard.
    pub whiteboard: Option<String>,
    /// The last step.
    pub last_step: Option<String>,
    /// How many requests were made.
    pub requests: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Call {
        id: Value,
        call: String,
        #[serde(default)]
        args: Value,
    },
    Note(Note),
}

/// Tells the test host to start and serves it until it closes the socket. What it says is kept in `served`, also when
/// the future is dropped. Requests that are being served at the end are dropped.
pub async fn serve<H: Handler + ?Sized>(
    stream: UnixStream,
    start: &Start,
    handler: Arc<H>,
    served: &Mutex<Served>,
) -> Result<(), ServeError> {
    let (reader, writer) = stream.into_split();
    let writer = Arc::new(AsyncMutex::new(writer));
    let mut reader = BufReader::new(reader);
    let mut calls = JoinSet::new();
    send(&writer, &json!({ "start": start })).await?;
    let mut line = Vec::new();
    loop {
        tokio::select! {
            more = read_line(&mut reader, &mut line) => {
                if !more? {
                    return Ok(());
                }
                match parse(&line)? {
                    Message::Note(note) => {
                        handler.note(&note);
                        lock(served).take(note);
                    }
                    Message::Call { id, call, args } => {
                        lock(served).requests += 1;
                        calls.spawn(answer(Arc::clone(&handler), Arc::clone(&writer), id, call, args));
                    }
                }
                line.clear();
            }
            Some(done) = calls.join_next() => if let Err(error) = done && error.is_panic() {
                std::panic::resume_unwind(error.into_panic());
            },
        }
    }
}

/// Reads one line (cancel safe: what was read stays in `line`). False at the end.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> Result<bool, ServeError> {
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(false);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(available.len(), |end| end + 1);
        line.extend_from_slice(&available[..count]);
        reader.consume(count);
        if end.is_some() {
            return Ok(true);
        }
        if line.len() > LONGEST_LINE {
            return Err(malformed("the line is longer than 64 MiB", line));
        }
    }
}

fn parse(line: &[u8]) -> Result<Message, ServeError> {
    serde_json::from_slice(line).map_err(|error| malformed(&error.to_string(), line))
}

fn malformed(reason: &str, line: &[u8]) -> ServeError {
    let excerpt = String::from_utf8_lossy(&line[..line.len().min(200)])
        .trim_end()
        .to_owned();
    ServeError::Malformed {
        reason: reason.to_owned(),
        excerpt,
    }
}

pub(super) fn lock(served: &Mutex<Served>) -> MutexGuard<'_, Served> {
    // Whole between any two statements under the lock.
    served.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Served {
    fn take(&mut self, note: Note) {
        match note {
            Note::Verdict(verdict) => self.verdict = Some(*verdict),
            Note::Step { text } => self.last_step = Some(text),
            Note::Whiteboard { text } => self.whiteboard = Some(text),
        }
    }
}

async fn answer<H: Handler + ?Sized>(
    handler: Arc<H>,
    writer: Arc<AsyncMutex<OwnedWriteHalf>>,
    id: Value,
    call: String,
    args: Value,
) {
    let result = match Request::decode(&call, args) {
        Ok(request) => handler.call(request).await,
        Err(error) => Err(error),
    };
    let reply = match result {
        Ok(value) => json!({ "id": id, "ok": value }),
        Err(error) => json!({ "id": id, "error": error }),
    };
    // A test host that is gone is noticed by the reader.
    let _ = reply_within_limit(&writer, &id, reply).await;
}

async fn reply_within_limit(
    writer: &AsyncMutex<OwnedWriteHalf>,
    id: &Value,
    reply: Value,
) -> Result<(), ServeError> {
    match send(writer, &reply).await {
        Err(ServeError::Malformed { reason, .. }) => {
            let error = CallError::new("argument", format!("send the answer: {reason}"));
            send(writer, &json!({ "id": id, "error": error })).await
        }
        result => result,
    }
}

async fn send(writer: &AsyncMutex<OwnedWriteHalf>, message: &Value) -> Result<(), ServeError> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    if line.len() > LONGEST_LINE {
        return Err(malformed("the line is longer than 64 MiB", &line));
    }
    Ok(writer.lock().await.write_all(&line).await?)
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
