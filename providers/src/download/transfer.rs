//! One transfer over HTTP, from where the last one ended.
//!
//! What a server says about itself is not believed: the length, the range, and whether it resumes. The bytes go to a file
//! that is not yet the wanted one; its digest decides later.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use camino::Utf8Path;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How long finding and reaching a server may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long one transfer may take before it is cut and resumed.
const WHOLE: Duration = Duration::from_secs(3600);
/// How large a list of digests may be.
const LIST: u64 = 1 << 20;
/// Where hosts keep the certificates that they trust.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How a transfer ended that did not bring the whole file.
#[derive(Debug)]
pub(super) enum Broken {
    /// It may go on from where it ended.
    Cut(String),
    /// This address has nothing for us.
    Refused(String),
    /// The file could not be written.
    Disk(std::io::Error),
    /// Whoever hears of the progress wanted no more of it.
    Stopped,
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Hears how many bytes there are by now, and how many there will be. It may end the transfer.
pub(super) type Arrived<'a> = dyn FnMut(u64, Option<u64>) -> ControlFlow<()> + 'a;

/// What the thread that talks to a server tells.
enum Told {
    Head(StatusCode, HeaderMap),
    Bytes(Vec<u8>),
    End,
    Failed(String),
}

/// Talks to servers.
pub(super) struct Client {
    agent: Agent,
    silence: Duration,
}

impl Client {
    /// A client that gives up on a server which sends nothing for `silence`.
    pub(super) fn new(silence: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(silence))
            .timeout_recv_body(Some(WHOLE))
            .tls_config(TlsConfig::builder().root_certs(roots()).build())
            .user_agent(concat!("vtbuild/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            silence,
        }
    }

    /// A short text.
    pub(super) fn text(&self, url: &str) -> Result<String, String> {
        let mut answer = self.agent.get(url).call().map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("the server answered {}", answer.status()));
        }
        let body = answer.body_mut().with_config().limit(LIST);
        body.read_to_string().map_err(|error| error.to_string())
    }

    /// Brings what is missing of `part`.
    pub(super) fn fetch(
        &self,
        url: &str,
        part: &Utf8Path,
        most: Option<u64>,
        arrived: &mut Arrived<'_>,
    ) -> Result<(), Broken> {
        let mut file = OpenOptions::new().append(true).create(true).open(part)?;
        let have = file.metadata()?.len();
        let stream = self.start(url, have);
        let (status, headers) = match self.next(&stream)? {
            Told::Head(status, headers) => (status, headers),
            Told::Failed(reason) => return Err(Broken::Cut(reason)),
            Told::Bytes(_) | Told::End => return Err(Broken::Cut("the answer has no head".into())),
        };
        let range = content_range(&headers);
        let mut size = have;
        let total = match (status, range) {
            (StatusCode::PARTIAL_CONTENT, Some((from, total))) if from == have => total,
            (StatusCode::RANGE_NOT_SATISFIABLE, Some((_, Some(total)))) if total == have => return Ok(()),
            (StatusCode::OK, _) => {
                size = start_over(&mut file)?;
                content_length(&headers)
            }
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                start_over(&mut file)?;
                return Err(Broken::Cut(
                    "the server sent another range than it was asked for".into(),
                ));
            }
            (status, _) if status.is_server_error() => {
                return Err(Broken::Cut(format!("the server answered {status}")));
            }
            (status, _) => return Err(Broken::Refused(format!("the server answered {status}"))),
        };
        go_on(arrived(size, total))?;
        loop {
            match self.next(&stream)? {
                Told::Bytes(bytes) => {
                    size += bytes.len() as u64;
                    if most.is_some_and(|most| size > most) {
                        start_over(&mut file)?;
                        return Err(Broken::Refused("it is longer than what was locked".into()));
                    }
                    file.write_all(&bytes)?;
                    go_on(arrived(size, total))?;
                }
                Told::End if total.is_some_and(|total| size < total) => {
                    return Err(Broken::Cut(format!("it ended after {size} bytes")));
                }
                Told::End => return Ok(file.sync_all()?),
                Told::Failed(reason) => return Err(Broken::Cut(reason)),
                Told::Head(..) => return Err(Broken::Cut("the answer has two heads".into())),
            }
        }
    }

    fn next(&self, stream: &Receiver<Told>) -> Result<Told, Broken> {
        stream.recv_timeout(self.silence).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                Broken::Cut(format!("nothing came for {} s", self.silence.as_secs_f64()))
            }
            RecvTimeoutError::Disconnected => Broken::Cut("the transfer broke off".into()),
        })
    }

    /// Asks on a thread of its own, so that a server which falls silent holds up nobody.
    fn start(&self, url: &str, have: u64) -> Receiver<Told> {
        let (sender, receiver) = sync_channel(16);
        let (agent, url) = (self.agent.clone(), url.to_owned());
        std::thread::spawn(move || {
            let ended = match ask(&agent, &url, have, &sender) {
                Ok(()) => Told::End,
                Err(reason) => Told::Failed(reason),
            };
            // Nobody listens any more where it took too long.
            let _ = sender.send(ended);
        });
        receiver
    }
}

fn ask(agent: &Agent, url: &str, have: u64, sender: &SyncSender<Told>) -> Result<(), String> {
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let answer = request.call().map_err(|error| error.to_string())?;
    let (head, body) = answer.into_parts();
    let mut reader = body.into_reader();
    if sender.send(Told::Head(head.status, head.headers)).is_err() {
        return Ok(());
    }
    loop {
        let mut buffer = vec![0; 1 << 16];
        let read = reader.read(&mut buffer).map_err(|error| error.to_string())?;
        buffer.truncate(read);
        if read == 0 || sender.send(Told::Bytes(buffer)).is_err() {
            return Ok(());
        }
    }
}

fn go_on(heard: ControlFlow<()>) -> Result<(), Broken> {
    match heard {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Broken::Stopped),
    }
}

fn start_over(file: &mut File) -> Result<u64, Broken> {
    file.set_len(0)?;
    Ok(file.seek(SeekFrom::Start(0))?)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.trim().parse().ok()
}

/// `bytes FROM-TO/TOTAL` or `bytes */TOTAL`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get("content-range")?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let from = range.split('-').next().and_then(|from| from.trim().parse().ok());
    Some((from.unwrap_or(u64::MAX), total.trim().parse().ok()))
}

/// The certificates that the host trusts; without any, those that come with us.
fn roots() -> RootCerts {
    let asked = std::env::var("SSL_CERT_FILE").ok();
    let places = asked.iter().map(String::as_str).chain(TRUSTED);
    let text = places.into_iter().find_map(|path| std::fs::read(path).ok());
    let certificates: Vec<Certificate<'static>> = parse_pem(&text.unwrap_or_default())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        RootCerts::WebPki
    } else {
        RootCerts::new_with_certs(&certificates)
    }
}
