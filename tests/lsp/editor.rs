//! An editor: a client of the language server, which speaks the protocol with the real program over pipes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use lsp_types::notification::{self, Notification};
use lsp_types::request::{self, Request};
use lsp_types::{
    Diagnostic, Position, PublishDiagnosticsParams, Range, TextDocumentIdentifier,
    TextDocumentPositionParams, Uri,
};
use serde_json::{Value, json};

use crate::support::Sandbox;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A client and the server that it started.
pub(crate) struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// What came while something else was waited for.
    told: VecDeque<Value>,
    last_id: i32,
    errors: Utf8PathBuf,
}

impl Editor {
    /// Starts a server in a sandbox, without a word to it.
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
        command
            .args(["lsp", "--stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(sandbox.root().join("stderr")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            messages,
            told: VecDeque::new(),
            last_id: 0,
            errors: sandbox.root().join("stderr"),
        }
    }

    /// Starts a server and opens the sandbox's workspace in it.
    pub(crate) fn open_workspace(sandbox: &Sandbox) -> Self {
        let mut editor = Self::start(sandbox);
        let capabilities = json!({ "textDocument": {
            "hover": { "contentFormat": ["markdown"] },
            "documentSymbol": { "hierarchicalDocumentSymbolSupport": true },
        }});
        let answer = editor.initialize(sandbox, capabilities);
        assert_eq!(answer["serverInfo"]["name"], "vtbuild");
        editor
    }

    /// Starts a server in the sandbox's workspace that also gives advice; this client knows versions.
    pub(crate) fn open_advised(sandbox: &Sandbox) -> Self {
        let mut editor = Self::start(sandbox);
        let capabilities = json!({ "workspace": { "workspaceEdit": { "documentChanges": true } } });
        editor.initialize_with(sandbox, capabilities, json!({ "lint": true }));
        editor
    }

    /// `initialize` with these capabilities, and `initialized`. Advice, which comes when it comes, is not wanted.
    pub(crate) fn initialize(&mut self, sandbox: &Sandbox, capabilities: Value) -> Value {
        self.initialize_with(sandbox, capabilities, json!({ "lint": false }))
    }

    fn initialize_with(&mut self, sandbox: &Sandbox, capabilities: Value, options: Value) -> Value {
        let folder = json!({ "uri": uri(&sandbox.path("")), "name": "work" });
        let mut params = json!({ "processId": null, "workspaceFolders": [folder] });
        params["capabilities"] = capabilities;
        params["initializationOptions"] = options;
        let answer = self.ask("initialize", params).unwrap();
        self.tell("initialized", json!({}));
        answer
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    /// A notification.
    pub(crate) fn tell(&mut self, method: &str, params: Value) {
        let mut message = json!({ "jsonrpc": "2.0", "method": method });
        message["params"] = params;
        self.send(&message);
    }

    /// Says yes to a request of the server's.
    pub(crate) fn answer(&mut self, id: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": null }));
    }

    /// A request and its answer: the result, or the error.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        message["params"] = params;
        self.send(&message);
        let answer = self.wait(&format!("an answer to {method}"), |message| message["id"] == id);
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].clone()),
        }
    }

    /// A request of the protocol with its own types.
    pub(crate) fn request<R: Request>(&mut self, params: R::Params) -> R::Result {
        let answer = self.ask(R::METHOD, serde_json::to_value(params).unwrap());
        let answer = answer.unwrap_or_else(|error| panic!("{} was refused: {error}", R::METHOD));
        serde_json::from_value(answer).unwrap()
    }

    /// The next message of some kind, when it comes.
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.told.iter().position(&wanted) {
            return self.told.remove(at).unwrap();
        }
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let message = message.unwrap_or_else(|error| panic!("{what} did not come: {error}"));
            if wanted(&message) {
                return message;
            }
            self.told.push_back(message);
        }
    }

    /// Opens a file of the workspace as it is on disk.
    pub(crate) fn open(&mut self, path: &Utf8Path) {
        let text = std::fs::read_to_string(path).unwrap();
        self.open_text(path, &text);
    }

    /// Opens a file with a text of its own.
    pub(crate) fn open_text(&mut self, path: &Utf8Path, text: &str) {
        let item = json!({ "uri": uri(path), "languageId": "cartesian", "version": 1, "text": text });
        self.tell(
            notification::DidOpenTextDocument::METHOD,
            json!({ "textDocument": item }),
        );
    }

    /// Replaces a part of an open file.
    pub(crate) fn change(&mut self, path: &Utf8Path, version: i32, range: Range, text: &str) {
        let params = json!({
            "textDocument": { "uri": uri(path), "version": version },
            "contentChanges": [{ "range": range, "text": text }],
        });
        self.tell(notification::DidChangeTextDocument::METHOD, params);
    }

    /// The diagnostics of a version of a file, when they come.
    pub(crate) fn diagnostics(&mut self, path: &Utf8Path, version: i32) -> Vec<Diagnostic> {
        let uri = uri(path);
        let message = self.wait(&format!("diagnostics of {path}"), |message| {
            message["method"] == notification::PublishDiagnostics::METHOD
                && message["params"]["uri"] == uri.as_str()
                && message["params"]["version"] == version
        });
        let params: PublishDiagnosticsParams = serde_json::from_value(message["params"].clone()).unwrap();
        params.diagnostics
    }

    /// Whether nothing has been said that nobody has listened to.
    pub(crate) fn has_heard_all(&mut self) -> bool {
        self.told.extend(self.messages.try_iter());
        self.told.is_empty()
    }

    /// `shutdown` and `exit`. The server ends well, and has complained of nothing.
    #[track_caller]
    pub(crate) fn quit(mut self) {
        self.request::<request::Shutdown>(());
        self.tell(notification::Exit::METHOD, Value::Null);
        let errors = self.errors.clone();
        assert_eq!(self.end().code(), Some(0));
        assert_eq!(std::fs::read_to_string(errors).unwrap(), "");
    }

    /// How the server ends by itself.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.input = None;
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // After a failed assertion it would live on; after a good end there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

/// The address of a path that needs no escapes.
pub(crate) fn uri(path: &Utf8Path) -> Uri {
    format!("file://{path}").parse().unwrap()
}

/// The position of the `n`th occurrence (from 0) of `word` in `text`, `shift` characters into it.
pub(crate) fn position(text: &str, word: &str, n: usize, shift: usize) -> Position {
    let (at, _) = text
        .match_indices(word)
        .nth(n)
        .unwrap_or_else(|| panic!("{word:?} in {text}"));
    let at = at + word.chars().take(shift).map(char::len_utf8).sum::<usize>();
    let line = text[..at].matches('\n').count();
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    Position::new(line as u32, text[start..at].encode_utf16().count() as u32)
}

/// The range of the `n`th occurrence of `word`.
pub(crate) fn range(text: &str, word: &str, n: usize) -> Range {
    Range::new(
        position(text, word, n, 0),
        position(text, word, n, word.chars().count()),
    )
}

/// A place in a file, as requests name it.
pub(crate) fn place(path: &Utf8Path, position: Position) -> TextDocumentPositionParams {
    TextDocumentPositionParams::new(TextDocumentIdentifier::new(uri(path)), position)
}
