//! How a machine's state travels from one QEMU to the other.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use camino::Utf8PathBuf;
use rustix::fs::{CWD, FileType, Mode};
use serde_json::{Value, json};

use super::MigrateError;
use super::flow::{Ends, Side};

/// The name under which QEMU keeps a descriptor that it was handed.
const FD_NAME: &str = "vtbuild-migration";

/// How the state travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Over TCP on 127.0.0.1, on a port that the destination chooses.
    Tcp,
    /// Over a unix socket.
    Unix,
    /// Over a socket that both are handed.
    Fd,
    /// Through two shell commands joined by a named pipe. `%s` stands for the pipe.
    Exec {
        /// Run by the source; reads the state from standard input.
        source: String,
        /// Run by the destination; writes the state to standard output.
        destination: String,
    },
    /// Through a file, which is kept: the source writes all of it before the destination begins. `%s` stands for the file.
    ExecFile {
        /// Run by the source; reads the state from standard input.
        source: String,
        /// Run by the destination; writes the state to standard output.
        destination: String,
        /// The file.
        file: Utf8PathBuf,
    },
}

impl Transport {
    /// `exec` as plain as can be.
    pub fn exec() -> Transport {
        Transport::Exec {
            source: "cat > %s".into(),
            destination: "cat %s".into(),
        }
    }

    /// `exec` with the state compressed on its way.
    pub fn exec_gzip() -> Transport {
        Transport::Exec {
            source: "gzip -1 -c > %s".into(),
            destination: "gzip -d -c < %s".into(),
        }
    }

    /// Whether the destination can only begin when the source has finished.
    pub(super) fn in_two_steps(&self) -> bool {
        matches!(self, Transport::ExecFile { .. })
    }
}

/// The two ends of a transport, ready to be told to QEMU.
pub(super) struct Route {
    /// For `migrate` at the source; none yet for a destination that chooses its own address.
    outgoing: Option<String>,
    /// For `migrate-incoming` at the destination.
    incoming: String,
}

impl Route {
    /// Makes what the transport needs: sockets, pipes.
    pub(super) async fn prepare(ends: &Ends<'_>, transport: &Transport) -> Result<Route, MigrateError> {
        let dir = ends.destination.socket_dir();
        let both = |address: String| Route {
            outgoing: Some(address.clone()),
            incoming: address,
        };
        let quoted = |path: &Utf8PathBuf| shell_words::quote(path.as_str()).into_owned();
        Ok(match transport {
            Transport::Tcp => Route {
                outgoing: None,
                incoming: "tcp:127.0.0.1:0".into(),
            },
            Transport::Unix => both(format!("unix:{}", dir.join("migration"))),
            Transport::Fd => {
                give_socket(ends).await?;
                both(format!("fd:{FD_NAME}"))
            }
            Transport::Exec { source, destination } => {
                let pipe = dir.join("migration");
                let made = rustix::fs::mknodat(
                    CWD,
                    pipe.as_std_path(),
                    FileType::Fifo,
                    Mode::RUSR | Mode::WUSR,
                    0,
                );
                made.map_err(|error| ends.channel("pipe", error.into()))?;
                exec(source, destination, &quoted(&pipe))
            }
            Transport::ExecFile {
                source,
                destination,
                file,
            } => exec(source, destination, &quoted(file)),
        })
    }

    /// Has the destination listen.
    pub(super) async fn receive(&mut self, ends: &Ends<'_>) -> Result<(), MigrateError> {
        ends.command(
            Side::Destination,
            "migrate-incoming",
            json!({ "uri": self.incoming }),
        )
        .await?;
        if self.outgoing.is_none() {
            let state = ends
                .command(Side::Destination, "query-migrate", Value::Null)
                .await?;
            let port = state["socket-address"][0]["port"].as_str();
            let unknown = || ends.failed(format!("the destination does not tell its port: {state}"));
            self.outgoing = Some(format!("tcp:127.0.0.1:{}", port.ok_or_else(unknown)?));
        }
        Ok(())
    }

    /// Has the source send.
    pub(super) async fn send(&self, ends: &Ends<'_>) -> Result<(), MigrateError> {
        let uri = self
            .outgoing
            .as_ref()
            .ok_or_else(|| ends.failed("the destination does not listen".into()))?;
        ends.command(Side::Source, "migrate", json!({ "uri": uri }))
            .await
            .map(drop)
    }
}

fn exec(source: &str, destination: &str, path: &str) -> Route {
    let command = |text: &str| format!("exec:{}", text.replace("%s", path));
    Route {
        outgoing: Some(command(source)),
        incoming: command(destination),
    }
}

async fn give_socket(ends: &Ends<'_>) -> Result<(), MigrateError> {
    let pair: io::Result<_> = UnixStream::pair();
    let (ours, theirs) = pair.map_err(|error| ends.channel("socket", error))?;
    ends.give(Side::Source, FD_NAME, ours.as_fd()).await?;
    ends.give(Side::Destination, FD_NAME, theirs.as_fd()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_get_the_path() {
        let route = exec("gzip -c > %s", "gzip -dc %s", "'/tmp/a b'");
        assert_eq!(route.outgoing.as_deref(), Some("exec:gzip -c > '/tmp/a b'"));
        assert_eq!(route.incoming, "exec:gzip -dc '/tmp/a b'");
    }
}
