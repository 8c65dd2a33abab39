//! A headless Chromium, driven over its own debugging pipe: JSON messages, each with a zero byte behind it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde_json::{Value, json};

/// How long any one answer may take: the machine may be busy with guests.
const DEADLINE: Duration = Duration::from_secs(120);

/// Says something to whoever runs the tests.
pub(crate) fn say(text: &str) {
    // With nobody to tell there is nothing to do.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A browser with one page.
pub(crate) struct Chromium {
    child: Child,
    to: File,
    from: Receiver<Value>,
    events: VecDeque<Value>,
    session: Option<String>,
    last: u64,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// The browser, where Debian's is installed; else says loudly that there is none.
    pub(crate) fn start() -> Option<Self> {
        let there = |name: &&str| {
            Command::new(name)
                .arg("--version")
                .output()
                .is_ok_and(|it| it.status.success())
        };
        let Some(program) = ["chromium", "chromium-browser"]
            .into_iter()
            .find(|name| there(name))
        else {
            say(
                "SKIPPED: there is no chromium here, so no page was looked at; `apt install chromium` mends that",
            );
            return None;
        };
        let profile = tempfile::Builder::new().prefix("vtbchromium").tempdir().unwrap();
        let pipe = |name: &str| Utf8Path::from_path(profile.path()).unwrap().join(name);
        let made = Command::new("mkfifo")
            .args([pipe("to"), pipe("from")])
            .status()
            .unwrap();
        assert!(made.success());
        // The browser reads descriptor 3 and writes descriptor 4. It gets a process group of its own: it has many children.
        let script = "exec 3<\"$1/to\" 4>\"$1/from\"; shift; exec \"$@\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(profile.path())
            .args([
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--remote-debugging-pipe",
                "--window-size=1500,900",
            ])
            .arg(format!("--user-data-dir={}", pipe("profile")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let to = fs::OpenOptions::new().write(true).open(pipe("to")).unwrap();
        let from = File::open(pipe("from")).unwrap();
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else {
                    break;
                };
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from: receive,
            events: VecDeque::new(),
            session: None,
            last: 0,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Runtime.enable", "Log.enable", "Page.enable", "Network.enable"] {
            browser.call(domain, &json!({}));
        }
        Some(browser)
    }

    /// Asks for something and waits for the answer; events that come meanwhile are kept.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let until = Instant::now() + DEADLINE;
        loop {
            let answer = self.receive(until, method);
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    fn receive(&mut self, until: Instant, what: &str) -> Value {
        let left = until.saturating_duration_since(Instant::now());
        let message = self.from.recv_timeout(left);
        message.unwrap_or_else(|error| panic!("{what}: no answer from the browser: {error}"))
    }

    /// Opens a file and waits until it is loaded.
    pub(crate) fn open(&mut self, path: &Utf8Path) {
        self.visit(&format!("file://{path}"));
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn visit(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        let until = Instant::now() + DEADLINE;
        while !self
            .events
            .iter()
            .any(|event| event["method"] == "Page.loadEventFired")
        {
            let event = self.receive(until, "the page did not load");
            self.events.push_back(event);
        }
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// A click with the mouse.
    pub(crate) fn click(&mut self, x: f64, y: f64) {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// A key, by its name; a single character is typed.
    pub(crate) fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key });
            if kind == "keyDown" && key.chars().count() == 1 {
                event["text"] = key.into();
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types a text, wherever the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// The page as a PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        data_encoding::BASE64
            .decode(shot["data"].as_str().unwrap().as_bytes())
            .unwrap()
    }

    /// What the page complained about so far: exceptions, errors and warnings, and what its policy refused.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let complains = |event: &&Value| {
            let params = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => {
                    ["error", "warning", "assert"].contains(&params["type"].as_str().unwrap())
                }
                Some("Log.entryAdded") => {
                    ["error", "warning"].contains(&params["entry"]["level"].as_str().unwrap())
                }
                _ => false,
            }
        };
        self.events
            .iter()
            .filter(complains)
            .map(Value::to_string)
            .collect()
    }

    /// The addresses that were asked for so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        // It may be gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}
