//! The client against a QEMU that misbehaves on demand.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::*;

const SOON: Duration = Duration::from_secs(10);
const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"major": 99}}, "capabilities": ["oob"]}}"#;

/// Answers each request with the lines that `answer` makes of its command and id. The connection closes after `bye`.
pub(in crate::qmp) async fn fake(
    answer: impl Fn(&str, u64) -> String + Send + 'static,
) -> (tempfile::TempDir, Result<Qmp, QmpError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().join("qmp")).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (read, mut write) = listener.accept().await.unwrap().0.into_split();
        write
            .write_all(format!("{GREETING}\r\n").as_bytes())
            .await
            .unwrap();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let request: Value = serde_json::from_str(&line).unwrap();
            let (name, id) = (
                request["execute"].as_str().unwrap(),
                request["id"].as_u64().unwrap(),
            );
            let text = match name {
                "qmp_capabilities" => format!("{}\r\n", json!({ "return": {}, "id": id })),
                "bye" => break,
                _ => answer(name, id),
            };
            write.write_all(text.as_bytes()).await.unwrap();
        }
    });
    let qmp = Qmp::connect(&path, None, SOON).await;
    (dir, qmp)
}

fn good(name: &str, id: u64) -> String {
    format!("{}\r\n", json!({ "return": { "was": name }, "id": id }))
}

#[tokio::test]
async fn events_between_replies_disturb_nobody() {
    let (_dir, qmp) = fake(|name, id| {
        let odd = r#"{"event": "FROM_THE_FUTURE", "data": {"x": [1]}, "timestamp": {"seconds": 1, "microseconds": 2}}"#;
        format!("{odd}\r\nnot even JSON\r\n{}{odd}\r\n", good(name, id))
    })
    .await;
    let qmp = qmp.unwrap();
    assert_eq!(qmp.greeting()["version"]["qemu"]["major"], 99);
    for _ in 0..3 {
        assert_eq!(qmp.command("work", None, SOON).await.unwrap()["was"], "work");
    }
    assert_eq!(
        qmp.wait_event("FROM_THE_FUTURE", SOON).await.unwrap().data,
        json!({ "x": [1] })
    );
    qmp.clear_events();
    assert!(qmp.wait_event("NEVER", Duration::from_millis(50)).await.is_none());
}

#[tokio::test]
async fn a_late_reply_is_dropped_and_the_next_command_works() {
    let (_dir, qmp) = fake(|name, id| {
        if name == "sleep" {
            String::new()
        } else {
            good("late", id - 1) + &good(name, id)
        }
    })
    .await;
    let qmp = qmp.unwrap();
    let error = qmp
        .command("sleep", None, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "get a reply to `sleep` within 0.05 s");
    assert_eq!(qmp.command("work", None, SOON).await.unwrap()["was"], "work");
    assert!(qmp.shared.waiting().is_empty());
}

#[tokio::test]
async fn a_connection_that_ends_fails_those_who_wait() {
    let (_dir, qmp) = fake(|_, _| String::new()).await;
    let qmp = qmp.unwrap();
    let (one, other) = tokio::join!(qmp.command("sleep", None, SOON), qmp.command("bye", None, SOON));
    assert!(matches!(one, Err(QmpError::Closed { .. })) && matches!(other, Err(QmpError::Closed { .. })));
    assert!(qmp.is_closed());
    assert!(qmp.wait_event("STOP", SOON).await.is_none());
    assert!(matches!(
        qmp.command("work", None, SOON).await,
        Err(QmpError::Closed { .. })
    ));
}

#[tokio::test]
async fn many_at_once_each_get_their_own_reply() {
    let (_dir, qmp) = fake(good).await;
    let qmp = qmp.unwrap();
    let names: Vec<String> = (0..100).map(|number| format!("command-{number}")).collect();
    let replies =
        futures_util::future::join_all(names.iter().map(|name| qmp.command(name, None, SOON))).await;
    for (name, reply) in names.iter().zip(replies) {
        assert_eq!(reply.unwrap()["was"], name.as_str());
    }
}

#[tokio::test]
async fn a_reply_of_the_wrong_form_is_told_from_a_refusal() {
    let (_dir, qmp) = fake(|name, id| {
        if name == "query-status" {
            good(name, id)
        } else {
            String::new()
        }
    })
    .await;
    let error = qmp
        .unwrap()
        .execute(qapi::qmp::query_status {})
        .await
        .unwrap_err();
    assert!(
        matches!(&error, QmpError::Reply { command, .. } if command == "query-status"),
        "{error}"
    );
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_named() {
    let error = Qmp::connect("/nowhere/qmp".into(), None, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "connect to the monitor at /nowhere/qmp: No such file or directory (os error 2)"
    );
}
