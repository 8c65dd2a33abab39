//! A monitor for others: a socket that speaks QMP as QEMU would, over the connection that we hold.
//!
//! QEMU serves one client at a time, and that is us. A person who wants to look at a machine meanwhile connects here, with
//! `socat` or any QMP program; any number of them may.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::{Qmp, QmpError};

/// How long a command of somebody else may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A socket at which a monitor is shared. It goes when this is dropped.
#[derive(Debug)]
pub struct Shared {
    path: Utf8PathBuf,
    serving: JoinHandle<()>,
}

impl Shared {
    /// The socket.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.serving.abort();
        // The folder that it is in may be gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Offers a monitor at the socket `path`, which must not exist.
///
/// # Errors
/// When the socket cannot be made: its path has at most 107 bytes.
pub fn share(qmp: &Qmp, path: &Utf8Path) -> std::io::Result<Shared> {
    let listener = UnixListener::bind(path)?;
    let qmp = qmp.clone();
    let serving = tokio::spawn(async move {
        let mut guests = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            guests.spawn(serve(qmp.clone(), stream));
        }
    });
    Ok(Shared {
        path: path.to_owned(),
        serving,
    })
}

/// Serves one client until it or the machine is gone.
async fn serve(qmp: Qmp, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mark = qmp.mark();
    let mut say = json!({ "QMP": qmp.greeting() });
    loop {
        if write.write_all(format!("{say}\r\n").as_bytes()).await.is_err() {
            return;
        }
        say = tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => answer(&qmp, &line).await,
                _ => return,
            },
            next = qmp.next_event(mark) => match next {
                Some((event, after)) => {
                    mark = after;
                    event.to_json()
                }
                None => return,
            },
        };
    }
}

/// What QEMU answers to a line.
async fn answer(qmp: &Qmp, line: &str) -> Value {
    let request: Value = match serde_json::from_str(line) {
        Ok(Value::Object(request)) => request.into(),
        _ => return refusal("GenericError", "expected one JSON object a line"),
    };
    let mut reply = match request["execute"].as_str() {
        None => refusal("GenericError", "the request names nothing to `execute`"),
        // We negotiated already; whoever asks again may.
        Some("qmp_capabilities") => json!({ "return": {} }),
        Some(name) => match qmp
            .command(name, request.get("arguments").cloned(), PATIENCE)
            .await
        {
            Ok(value) => json!({ "return": value }),
            Err(QmpError::Command { failure, .. }) => refusal(&failure.class, &failure.desc),
            Err(error) => refusal("GenericError", &error.to_string()),
        },
    };
    if let Some(id) = request.get("id") {
        reply["id"] = id.clone();
    }
    reply
}

fn refusal(class: &str, desc: &str) -> Value {
    json!({ "error": { "class": class, "desc": desc } })
}

#[cfg(test)]
mod tests {
    use tokio::io::Lines;
    use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

    use super::super::client::tests::fake;
    use super::*;

    struct Other(Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf);

    impl Other {
        async fn connect(path: &Utf8Path) -> Self {
            let (read, write) = UnixStream::connect(path).await.unwrap().into_split();
            Self(BufReader::new(read).lines(), write)
        }

        async fn ask(&mut self, line: &str) -> Value {
            self.1.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            self.hear().await
        }

        async fn hear(&mut self) -> Value {
            serde_json::from_str(&self.0.next_line().await.unwrap().unwrap()).unwrap()
        }
    }

    #[tokio::test]
    async fn others_are_served_beside_us_and_hear_the_events() {
        let (dir, qmp) = fake(|name, id| match name {
            "refuse" => {
                let error = json!({ "class": "DeviceNotFound", "desc": "no such thing" });
                format!("{}\r\n", json!({ "error": error, "id": id }))
            }
            _ => format!(
                "{}\r\n{}\r\n",
                json!({ "return": { "was": name }, "id": id }),
                json!({ "event": "HAPPENED", "timestamp": {} })
            ),
        })
        .await;
        let qmp = qmp.unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("shared")).unwrap();
        let shared = share(&qmp, &path).unwrap();
        let (mut one, mut two) = (
            Other::connect(shared.path()).await,
            Other::connect(shared.path()).await,
        );
        for other in [&mut one, &mut two] {
            assert_eq!(other.hear().await["QMP"]["version"]["qemu"]["major"], 99);
            let negotiated = other.ask(r#"{"execute": "qmp_capabilities"}"#).await;
            assert_eq!(negotiated, json!({ "return": {} }));
        }
        let refused = two.ask(r#"{"execute": "refuse", "id": "a"}"#).await;
        let error = json!({ "class": "DeviceNotFound", "desc": "no such thing" });
        assert_eq!(refused, json!({ "error": error, "id": "a" }));
        assert_eq!(two.ask("nonsense").await["error"]["class"], "GenericError");

        let mut heard = [
            one.ask(r#"{"execute": "work", "id": [1]}"#).await,
            one.hear().await,
        ];
        heard.sort_by_key(|it| it.get("event").is_some());
        assert_eq!(heard[0], json!({ "return": { "was": "work" }, "id": [1] }));
        assert_eq!(heard[1]["event"], "HAPPENED");
        assert_eq!(two.hear().await["event"], "HAPPENED");
        drop(shared);
        assert!(!path.exists());
    }
}
