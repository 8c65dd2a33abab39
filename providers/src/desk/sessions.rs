//! Sessions by number.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Desk, errors, settings};
use crate::host::protocol::CallError;
use crate::host::request::{SessionCmd, SessionConfigure, SessionId, SessionReadUntil, SessionSend};
use crate::session::{Pattern, PatternError, Shell, Terminal};

/// One session of a machine.
pub(super) struct Session {
    pub(super) vm: String,
    /// The serial port that it is on, if it is on one.
    pub(super) serial: Option<String>,
    /// One call at a time: the second of two threads waits for the first's command.
    pub(super) shell: Mutex<Shell>,
    /// The same terminal as the shell's, for closing it while somebody waits.
    pub(super) terminal: Terminal,
}

impl Session {
    fn is_on(&self, vm: &str, port: &str) -> bool {
        self.vm == vm && self.serial.as_deref() == Some(port)
    }
}

impl Desk {
    /// Gives a shell a number.
    pub(super) fn keep(&self, vm: &str, serial: Option<String>, shell: Shell) -> SessionId {
        let number = self.next_number();
        let terminal = shell.terminal().clone();
        let session = Session {
            vm: vm.to_owned(),
            serial,
            shell: Mutex::new(shell),
            terminal,
        };
        self.lock().sessions.insert(number, Arc::new(session));
        number
    }

    pub(super) fn session(&self, number: SessionId) -> Result<Arc<Session>, CallError> {
        self.lock().sessions.get(&number).cloned().ok_or_else(|| {
            CallError::new("shell-died", format!("use session {number}: it was closed"))
                .with(json!({ "output": "", "status": null }))
        })
    }

    /// Ends those sessions of a machine that fit.
    pub(super) fn hang_up(&self, vm: &str, fits: impl Fn(&Session) -> bool) {
        // Nobody asks for this but when a guest's connections are of no use any more.
        if let Some(shell) = self.lock().greeted.remove(vm) {
            shell.terminal().close();
        }
        let sessions: Vec<Arc<Session>> = self.lock().sessions.values().cloned().collect();
        for session in sessions
            .iter()
            .filter(|session| session.vm == vm && fits(session))
        {
            session.terminal.close();
        }
    }

    /// A shell of this machine that nobody is using, if there is one.
    pub(super) fn idle_session(&self, vm: &str) -> Option<Arc<Session>> {
        let state = self.lock();
        let mut sessions = state
            .sessions
            .values()
            .filter(|session| session.vm == vm && session.serial.is_none());
        sessions
            .find(|session| session.terminal.alive() && session.shell.try_lock().is_ok())
            .cloned()
    }

    /// The terminal of a session that lives on this serial port, if there is one.
    pub(super) fn serial_session(&self, vm: &str, port: &str) -> Option<Terminal> {
        let state = self.lock();
        let mut sessions = state.sessions.values().filter(|session| session.is_on(vm, port));
        sessions
            .find(|session| session.terminal.alive())
            .map(|session| session.terminal.clone())
    }

    pub(super) async fn session_cmd(&self, args: SessionCmd) -> Result<Value, CallError> {
        let session = self.session(args.session)?;
        let mut shell = session.shell.lock().await;
        let result = if args.status == Some(true) {
            let both = shell.cmd_status_output(&args.command, args.timeout.0).await;
            both.map(|(status, output)| json!({ "output": output, "status": status }))
        } else {
            let output = shell.cmd_output(&args.command, args.timeout.0).await;
            output.map(|output| json!({ "output": output, "status": null }))
        };
        if result.is_ok() {
            self.answered.get_or_init(std::time::Instant::now);
        }
        result.map_err(|error| errors::shell(error, "shell-timeout"))
    }

    pub(super) async fn session_send(&self, args: SessionSend) -> Result<(), CallError> {
        let session = self.session(args.session)?;
        let mut shell = session.shell.lock().await;
        let sent = match args.eol {
            Some(true) => shell.type_line(&args.text),
            _ => shell.send(&args.text),
        };
        sent.map_err(|error| errors::shell(error, "shell-timeout"))
    }

    pub(super) async fn session_read(&self, number: SessionId, idle: Duration) -> Result<String, CallError> {
        let session = self.session(number)?;
        let mut shell = session.shell.lock().await;
        Ok(shell.read(idle).await)
    }

    pub(super) async fn session_read_until(&self, args: SessionReadUntil) -> Result<Value, CallError> {
        let patterns: Result<Vec<Pattern>, PatternError> = args
            .patterns
            .iter()
            .map(|pattern| Pattern::python(pattern))
            .collect();
        let patterns = patterns.map_err(|error| errors::pattern(&error))?;
        let session = self.session(args.session)?;
        let mut shell = session.shell.lock().await;
        let found = shell.read_until(&patterns, args.scope, args.timeout.0).await;
        let (index, output) = found.map_err(|error| errors::shell(error, "expect-timeout"))?;
        let output = if args.filter_prompt == Some(true) {
            shell.without_prompt(&output)
        } else {
            &output
        };
        Ok(json!({ "match": index, "output": output }))
    }

    pub(super) async fn session_configure(&self, args: SessionConfigure) -> Result<(), CallError> {
        let prompt = args.prompt.as_deref().map(Pattern::python).transpose();
        let prompt = prompt.map_err(|error| errors::pattern(&error))?;
        let session = self.session(args.session)?;
        let mut shell = session.shell.lock().await;
        shell.configure(|setup| {
            if let Some(prompt) = prompt {
                setup.prompt = prompt;
            }
            if let Some(command) = args.status_command {
                setup.status_command = command;
            }
            if let Some(line_end) = args.linesep {
                setup.line_end = settings::unescaped(&line_end);
            }
        });
        Ok(())
    }

    pub(super) fn session_alive(&self, number: SessionId) -> bool {
        self.session(number).is_ok_and(|session| session.terminal.alive())
    }

    pub(super) fn session_close(&self, number: SessionId) {
        let mut state = self.lock();
        let Some(session) = state.sessions.remove(&number) else {
            return;
        };
        let port = session.serial.as_deref();
        // A serial port's terminal is shared: the last session on it ends it.
        if !port.is_some_and(|port| {
            state
                .sessions
                .values()
                .any(|other| other.is_on(&session.vm, port))
        }) {
            session.terminal.close();
        }
    }
}
