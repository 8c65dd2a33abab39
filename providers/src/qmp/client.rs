//! A connection to one monitor.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use qapi::Command as QapiCommand;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot, watch};

use super::error::QmpError;
use super::events::{Events, Mark};
use super::link;
use super::transcript::Transcript;
use super::wire::{Event, Failure, Message};

/// The time that a command gets unless the caller says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where our own numbers begin: far from those that a test may put into a line of its own.
const FIRST_ID: u64 = 1 << 40;

type Reply = Result<Value, Failure>;

/// A negotiated QMP connection. Clones share it; it closes with the last one, or when QEMU ends.
#[derive(Debug, Clone)]
pub struct Qmp {
    shared: Arc<Shared>,
    /// Ends the tasks with the last clone.
    _tasks: Arc<Tasks>,
}

#[derive(Debug)]
struct Tasks([tokio::task::JoinHandle<()>; 2]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[derive(Debug)]
struct Shared {
    path: Utf8PathBuf,
    /// What goes out, line by line. A command that is given up half-way through does not leave half a line.
    outgoing: mpsc::UnboundedSender<Line>,
    next_id: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
    /// Whoever has sent a line that is not ours to understand gets the next answer that nobody else waits for.
    raw: Mutex<Option<oneshot::Sender<Value>>>,
    /// One such line at a time.
    raw_turn: tokio::sync::Mutex<()>,
    events: Events,
    transcript: Option<Transcript>,
    closed: watch::Sender<bool>,
    greeting: watch::Sender<Option<Value>>,
}

/// One line to QEMU, and a descriptor beside it.
type Line = (String, Option<OwnedFd>);

impl Qmp {
    /// Connects to a monitor's socket, which may appear within `patience`, and negotiates.
    ///
    /// # Errors
    /// [`QmpError::Connect`] when the socket does not answer or says no greeting in time.
    pub async fn connect(
        path: &Utf8Path,
        transcript: Option<Transcript>,
        patience: Duration,
    ) -> Result<Qmp, QmpError> {
        let failed = |source| QmpError::Connect {
            path: path.to_owned(),
            source,
        };
        let stream = link::connect(path, patience).await.map_err(failed)?;
        let qmp = Qmp::over(stream, path, transcript);
        let mut greeting = qmp.shared.greeting.subscribe();
        let greeted = tokio::time::timeout(patience, async {
            let mut closed = qmp.shared.closed.subscribe();
            tokio::select! {
                found = greeting.wait_for(Option::is_some) => found.is_ok(),
                _ = closed.wait_for(|closed| *closed) => false,
            }
        });
        match greeted.await {
            Ok(true) => {}
            Ok(false) => return Err(failed(std::io::ErrorKind::ConnectionReset.into())),
            Err(_) => return Err(failed(std::io::ErrorKind::TimedOut.into())),
        }
        qmp.command("qmp_capabilities", None, patience).await?;
        Ok(qmp)
    }

    fn over(stream: UnixStream, path: &Utf8Path, transcript: Option<Transcript>) -> Qmp {
        let (outgoing, lines) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            outgoing,
            next_id: AtomicU64::new(FIRST_ID),
            waiting: Mutex::default(),
            raw: Mutex::default(),
            raw_turn: tokio::sync::Mutex::default(),
            events: Events::new(),
            transcript,
            closed: watch::Sender::new(false),
            greeting: watch::Sender::new(None),
        });
        let (incoming, outgoing) = stream.into_split();
        let tasks = [
            tokio::spawn(read(shared.clone(), incoming)),
            tokio::spawn(link::write(outgoing, lines)),
        ];
        Qmp {
            shared,
            _tasks: Arc::new(Tasks(tasks)),
        }
    }

    /// Executes one of the schema's commands within the default time of 30 s.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn execute<C: QapiCommand>(&self, command: C) -> Result<C::Ok, QmpError> {
        let reply = |source| QmpError::Reply {
            command: C::NAME.to_owned(),
            source,
        };
        let arguments = serde_json::to_value(&command).map_err(reply)?;
        let value = self.command(C::NAME, Some(arguments), PATIENCE).await?;
        serde_json::from_value(value).map_err(reply)
    }

    /// Executes a command by its name and returns what QEMU returns.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn command(
        &self,
        name: &str,
        arguments: Option<Value>,
        timeout: Duration,
    ) -> Result<Value, QmpError> {
        let mut request = Map::new();
        request.insert("execute".into(), name.into());
        if let Some(arguments) = arguments.filter(|arguments| !arguments.is_null()) {
            request.insert("arguments".into(), arguments);
        }
        self.exchange(name, request, None, timeout).await
    }

    /// Executes a command of the human monitor and returns what it prints.
    ///
    /// # Errors
    /// See [`QmpError`]. The human monitor reports its own errors as text.
    pub async fn hmp(&self, line: &str, timeout: Duration) -> Result<String, QmpError> {
        let name = "human-monitor-command";
        let value = self
            .command(name, Some(json!({ "command-line": line })), timeout)
            .await?;
        serde_json::from_value(value).map_err(|source| QmpError::Reply {
            command: name.into(),
            source,
        })
    }

    /// Hands a descriptor to QEMU, which keeps it under `name` (for `fd:NAME`).
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn give_fd(&self, name: &str, fd: BorrowedFd<'_>) -> Result<(), QmpError> {
        let request = json!({ "execute": "getfd", "arguments": { "fdname": name } });
        let Value::Object(request) = request else {
            unreachable!("an object was written above")
        };
        self.exchange("getfd", request, Some(fd), PATIENCE)
            .await
            .map(drop)
    }

    /// Sends a line as it is, right or wrong, and returns QEMU's whole answer.
    ///
    /// # Errors
    /// [`QmpError::Closed`] and [`QmpError::Timeout`]: QEMU's refusal is an answer.
    pub async fn raw(&self, line: &str, timeout: Duration) -> Result<Value, QmpError> {
        let shared = &self.shared;
        let _turn = shared.raw_turn.lock().await;
        let (tell, answer) = oneshot::channel();
        *shared.raw() = Some(tell);
        let command = || line.to_owned();
        let closed = || QmpError::Closed { command: command() };
        // A line is a line: what follows the first one would be answered on its own.
        let text = line.replace(['\r', '\n'], " ");
        let sent = if self.is_closed() {
            Err(closed())
        } else {
            shared.send(text, None).map_err(|_| closed())
        };
        let answered = match sent {
            Ok(()) => tokio::time::timeout(timeout, answer).await,
            Err(error) => return Err(error),
        };
        *shared.raw() = None;
        match answered {
            Ok(answer) => answer.map_err(|_| closed()),
            Err(_) => Err(QmpError::Timeout {
                command: command(),
                timeout,
            }),
        }
    }

    async fn exchange(
        &self,
        name: &str,
        mut request: Map<String, Value>,
        fd: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Value, QmpError> {
        let shared = &self.shared;
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        request.insert("id".into(), id.into());
        let (tell, reply) = oneshot::channel();
        shared.waiting().insert(id, tell);
        let _forget = Forget { shared, id };
        let closed = || QmpError::Closed {
            command: name.to_owned(),
        };
        if self.is_closed() {
            return Err(closed());
        }
        shared
            .send(Value::Object(request).to_string(), fd)
            .map_err(|_| closed())?;
        let answered = tokio::time::timeout(timeout, async { reply.await.map_err(|_| closed()) });
        match answered.await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(failure))) => Err(QmpError::Command {
                command: name.to_owned(),
                failure,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(QmpError::Timeout {
                command: name.to_owned(),
                timeout,
            }),
        }
    }

    /// The events that have come and were not cleared, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.shared.events.list()
    }

    /// Forgets the events that have come.
    pub fn clear_events(&self) {
        self.shared.events.clear();
    }

    /// Waits for an event of this name, also among those that have come and were not cleared.
    pub async fn wait_event(&self, name: &str, timeout: Duration) -> Option<Event> {
        let oldest = self.shared.events.oldest();
        self.wait_event_after(oldest, timeout, |event| event.name == name)
            .await
    }

    /// The present end of the stream of events.
    pub fn mark(&self) -> Mark {
        self.shared.events.mark()
    }

    /// Waits for a wanted event that comes after `mark`. `None` when the time is over or the monitor has closed.
    pub async fn wait_event_after(
        &self,
        mark: Mark,
        timeout: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Option<Event> {
        let event = self.shared.events.wait(mark, wanted);
        tokio::select! {
            biased;
            event = event => Some(event),
            () = self.closed() => None,
            () = tokio::time::sleep(timeout) => None,
        }
    }

    /// The next event after `mark`, and the point after it. `None` when the monitor has closed.
    pub(super) async fn next_event(&self, mark: Mark) -> Option<(Event, Mark)> {
        tokio::select! {
            biased;
            next = self.shared.events.next(mark, |_| true) => Some(next),
            () = self.closed() => None,
        }
    }

    /// Whether QEMU has closed the connection.
    pub fn is_closed(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Waits until QEMU has closed the connection.
    pub async fn closed(&self) {
        // The sender lives in `shared`, so the channel cannot close.
        let _ = self.shared.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// What QEMU said first: its version and capabilities.
    pub fn greeting(&self) -> Value {
        self.shared.greeting.borrow().clone().unwrap_or_default()
    }

    /// The socket.
    pub fn path(&self) -> &Utf8Path {
        &self.shared.path
    }
}

/// Takes a command off the list of those that wait, however its wait ended.
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.id);
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raw(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Value>>> {
        self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, line: String, fd: Option<BorrowedFd<'_>>) -> std::io::Result<()> {
        if let Some(transcript) = &self.transcript {
            transcript.line("->", &line);
        }
        let fd = fd.map(|fd| fd.try_clone_to_owned()).transpose()?;
        self.outgoing
            .send((line + "\n", fd))
            .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn take(&self, line: &str) {
        if let Some(transcript) = &self.transcript {
            transcript.line("<-", line);
        }
        match Message::parse(line) {
            Message::Greeting(greeting) => drop(self.greeting.send_replace(Some(greeting))),
            Message::Event(event) => self.events.push(event),
            Message::Reply(id, reply) => {
                if let Some(sender) = self.waiting().remove(&id) {
                    // The sender may have given up.
                    let _ = sender.send(reply);
                } else {
                    self.take_raw(line);
                }
            }
            Message::Other => self.take_raw(line),
        }
    }
}

impl Shared {
    fn take_raw(&self, line: &str) {
        if let Ok(answer) = serde_json::from_str(line)
            && let Some(sender) = self.raw().take()
        {
            // The sender may have given up.
            let _ = sender.send(answer);
        }
    }
}

async fn read(shared: Arc<Shared>, incoming: OwnedReadHalf) {
    let mut lines = BufReader::new(incoming).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        shared.take(String::from_utf8_lossy(&line).trim_end());
    }
    shared.closed.send_replace(true);
    shared.waiting().clear();
    shared.raw().take();
}

#[cfg(test)]
#[path = "client_tests.rs"]
pub(super) mod tests;
