//! An HTTP server on loopback that misbehaves in every way that servers do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// What it should.
    Well,
    /// Promises all that is left, and closes after so many bytes.
    Cut(usize),
    /// Says that there are so many bytes more than there are; fewer, where it is negative.
    Lie(i64),
    /// Sends these bytes, well.
    Other(Vec<u8>),
    /// Points to another path.
    Redirect(String),
    /// Sends so many bytes, then nothing, and keeps the line.
    Silent(usize),
    /// Sends all, whatever part was asked for.
    Whole,
    /// Pauses between pieces.
    Slow(Duration),
    /// Nothing but a status.
    Status(u16),
}

/// A request: its path, and where it wants to go on.
pub(crate) type Request = (String, Option<usize>);

/// A server on loopback.
pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves `body` under every path; `plan` decides how, from the path and the number of requests before.
    pub(crate) fn new(body: Vec<u8>, plan: impl Fn(&str, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                let Some((path, from)) = request(&stream) else {
                    continue;
                };
                let before = log.lock().unwrap().len();
                log.lock().unwrap().push((path.clone(), from));
                let answer = plan(&path, before);
                // Whoever asked may be gone already.
                kept.extend(serve(stream, &body, from, &answer).ok().flatten());
            }
        });
        Self { port, seen }
    }

    /// The same, which treats the first request one way, and all others another.
    pub(crate) fn first_then(body: Vec<u8>, first: Answer, then: Answer) -> Self {
        Self::new(body, move |_, before| match before {
            0 => first.clone(),
            _ => then.clone(),
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let mut from = None;
    for line in lines {
        let line = line.ok()?.to_lowercase();
        if line.is_empty() {
            break;
        }
        let range = line.strip_prefix("range: bytes=");
        from = from.or(range.and_then(|range| range.trim_end_matches('-').parse().ok()));
    }
    Some((path, from))
}

/// Answers, and gives the connection back where it is to stay open.
fn serve(
    mut stream: TcpStream,
    body: &[u8],
    from: Option<usize>,
    answer: &Answer,
) -> std::io::Result<Option<TcpStream>> {
    let body = if let Answer::Other(other) = answer {
        other
    } else {
        body
    };
    let from = from.filter(|_| !matches!(answer, Answer::Whole));
    let total = body.len();
    let start = from.unwrap_or(0);
    match answer {
        Answer::Status(code) => {
            write!(
                stream,
                "HTTP/1.1 {code} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            return Ok(None);
        }
        Answer::Redirect(to) => {
            write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            return Ok(None);
        }
        _ if from.is_some() && start >= total => {
            write!(
                stream,
                "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            return Ok(None);
        }
        _ => {}
    }
    let rest = &body[start..];
    let more = if let Answer::Lie(more) = answer { *more } else { 0 };
    let length = i64::try_from(rest.len()).unwrap() + more;
    let claimed = i64::try_from(total).unwrap() + more;
    let head = match from {
        Some(_) => format!(
            "206 Partial Content\r\nContent-Range: bytes {start}-{}/{claimed}",
            claimed - 1
        ),
        None => "200 OK".to_owned(),
    };
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    match answer {
        Answer::Cut(after) => stream.write_all(&rest[..rest.len().min(*after)])?,
        Answer::Silent(after) => {
            stream.write_all(&rest[..rest.len().min(*after)])?;
            return Ok(Some(stream));
        }
        Answer::Slow(pause) => {
            for piece in rest.chunks(4096) {
                stream.write_all(piece)?;
                stream.flush()?;
                std::thread::sleep(*pause);
            }
        }
        _ => stream.write_all(rest)?,
    }
    Ok(None)
}
