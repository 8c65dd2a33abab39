//! The framing, against a peer written out line by line.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::*;
use crate::host::protocol::{Dirs, PROTOCOL, Programs, Status};
use crate::process::Limits;

pub(crate) fn start() -> Start {
    let dirs = Dirs {
        debugdir: "/d".into(),
        logdir: "/d".into(),
        outputdir: "/d".into(),
        tmpdir: "/d".into(),
        bindir: "/d".into(),
        srcdir: "/d".into(),
        data_dir: "/d".into(),
        workdir: "/d".into(),
    };
    Start {
        protocol: PROTOCOL,
        name: "a.boot".to_owned(),
        shortname: "boot".to_owned(),
        params: serde_json::Map::new(),
        modules: Vec::new(),
        module_paths: Vec::new(),
        deps_dirs: Vec::new(),
        deps_builds: Vec::new(),
        dirs,
        log: "/d/debug.log".into(),
        vms: Vec::new(),
        qemu: Programs {
            binary: "/q".into(),
            img: "/i".into(),
            io: None,
        },
        accelerator: "tcg",
        limits: Limits::default(),
        probes: None,
        watched: Vec::new(),
    }
}

/// Answers `vm.state` after a while that the name gives, and nothing else.
struct Fake;

#[async_trait::async_trait]
impl Handler for Fake {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        match request {
            Request::VmState(state) => {
                let millis = state
                    .vm
                    .parse()
                    .map_err(|_| CallError::new("vm-unknown", "find the machine"))?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(json!(millis))
            }
            Request::VmDevices(_) => Ok(Value::String("x".repeat(LONGEST_LINE))),
            _ => Err(CallError::new("unsupported", "do that").with(json!({"output": "o"}))),
        }
    }
}

/// Serves a peer that says `lines`, and gives its side's bytes, one JSON value a line.
async fn converse(lines: &str) -> (Result<Served, ServeError>, Vec<Value>) {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let lines = lines.to_owned();
    let peer = tokio::spawn(async move {
        let (mut reader, mut writer) = theirs.into_split();
        writer.write_all(lines.as_bytes()).await.expect("writes");
        let expected = lines.matches("\"call\"").count() + 1;
        let mut text = Vec::new();
        while text.iter().filter(|byte| **byte == b'\n').count() < expected {
            if reader.read_buf(&mut text).await.unwrap_or(0) == 0 {
                break;
            }
        }
        text
    });
    let served = Mutex::new(Served::default());
    let result = serve(ours, &start(), Arc::new(Fake), &served).await;
    let served = result.map(|()| served.into_inner().expect("no panic"));
    let text = String::from_utf8(peer.await.expect("ends")).expect("UTF-8");
    (
        served,
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect(),
    )
}

#[tokio::test]
async fn the_first_line_is_the_start_and_notes_are_kept() {
    let (served, said) = converse(concat!(
        r#"{"note": "step", "text": "boot"}"#,
        "\n",
        r#"{"note": "step", "text": "migrate"}"#,
        "\n",
        r#"{"note": "whiteboard", "text": "w"}"#,
        "\n",
        r#"{"note": "verdict", "status": "FAIL", "reason": "r", "class": "TestFail", "traceback": null,
            "modules": ["/p/a.py"], "reads": {"keys": {"mem": "512", "x": null}, "scans": ["vm1"], "all": false}}"#,
    )
    .replace(",\n            ", ", ")
    .trim_end())
    .await;
    assert_eq!(said[0]["start"]["protocol"], 1);
    assert_eq!(said[0]["start"]["dirs"]["data_dir"], "/d");
    // The last line has no end: it is not a message.
    assert_eq!(served.expect("served").last_step.as_deref(), Some("migrate"));
    let verdict = r#"{"note": "verdict", "status": "PASS", "reason": null, "class": null, "traceback": null,
        "reads": {"keys": {"mem": "512", "x": null}, "scans": ["vm1"]}}"#;
    let (served, _) = converse(&format!("{}\n", verdict.replace('\n', " "))).await;
    let verdict = served.expect("served").verdict.expect("a verdict");
    assert_eq!(
        (verdict.status, verdict.reads.keys["x"].clone()),
        (Status::Pass, None)
    );
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_a_quick_one() {
    let (_, said) = converse(concat!(
        r#"{"id": 1, "call": "vm.state", "args": {"vm": "400"}}"#,
        "\n",
        r#"{"id": 2, "call": "vm.state", "args": {"vm": "1"}}"#,
        "\n",
    ))
    .await;
    assert_eq!(said[1], json!({"id": 2, "ok": 1}));
    assert_eq!(said[2], json!({"id": 1, "ok": 400}));
}

#[tokio::test]
async fn errors_have_a_kind_and_perhaps_data() {
    let (_, said) = converse("{\"id\": 7, \"call\": \"vm.state\", \"args\": {\"vm\": \"?\"}}\n").await;
    assert_eq!(
        said[1],
        json!({"id": 7, "error": {"kind": "vm-unknown", "message": "find the machine"}})
    );
    let (_, said) = converse("{\"id\": 8, \"call\": \"monitor.list\", \"args\": {\"vm\": \"a\"}}\n").await;
    assert_eq!(said[1]["error"]["data"]["output"], "o");
    let (_, said) = converse("{\"id\": 9, \"call\": \"vm.fly\"}\n").await;
    assert_eq!(said[1]["error"]["kind"], "call-unknown");
    let (_, said) = converse("{\"id\": 9, \"call\": \"vm.devices\", \"args\": {\"vm\": \"a\"}}\n").await;
    assert!(
        said[1]["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("64 MiB")),
        "{}",
        said[1]
    );
}

#[tokio::test]
async fn nonsense_ends_the_conversation_and_is_quoted() {
    let (served, _) = converse("Traceback (most recent call last):\n").await;
    let error = served.expect_err("not JSON");
    assert!(
        error
            .to_string()
            .ends_with("it said: Traceback (most recent call last):"),
        "{error}"
    );
}
