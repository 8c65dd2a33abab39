//! A server of one page on loopback. Its address has a part that nobody can guess, and requests that were made for another host
//! name are refused: a page from elsewhere in the same browser can neither find it nor read it.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::state::State;

/// Changes are told at most so often.
const PACE: Duration = Duration::from_millis(100);
/// How long somebody who looks may take to hear of the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a browser may take to say what it wants.
const HEADERS: Duration = Duration::from_secs(10);

/// A server at work.
pub struct Server {
    address: SocketAddr,
    token: String,
    accepting: JoinHandle<()>,
    /// Ends once all connections have.
    connections: mpsc::Receiver<Infallible>,
}

/// What is served.
struct Site {
    page: Bytes,
    state: Arc<State>,
    token: String,
    hosts: [String; 2],
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Server {
    /// Serves a page at a port that the system chooses.
    pub async fn start(page: String, state: Arc<State>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let token = token()?;
        let site = Arc::new(Site {
            page: page.into(),
            state,
            token: token.clone(),
            hosts: [format!("{address}"), format!("localhost:{}", address.port())],
        });
        let (open, connections) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, site, open));
        Ok(Self {
            address,
            token,
            accepting,
            connections,
        })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.address, self.token)
    }

    /// Takes no more connections, and waits a moment for those that there are.
    pub async fn finish(mut self) {
        self.accepting.abort();
        // It ends by being cancelled.
        let _ = self.accepting.await;
        // Who is too slow sees the connection end.
        let _ = tokio::time::timeout(PATIENCE, self.connections.recv()).await;
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, open: mpsc::Sender<Infallible>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open, say; that passes.
            tokio::time::sleep(PACE).await;
            continue;
        };
        let (site, open) = (site.clone(), open.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = site.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            // A browser that goes away is no mistake.
            let _ = connection.await;
            drop(open);
        });
    }
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let path = request.uri().path().strip_prefix('/');
        let inside = path.and_then(|path| path.strip_prefix(&self.token));
        if !host.is_some_and(|host| self.hosts.iter().any(|known| known == host)) {
            return plain(StatusCode::FORBIDDEN, "this page is for this machine alone\n");
        }
        match (request.method(), inside) {
            (&Method::GET, Some("/")) => answer(
                StatusCode::OK,
                "text/html; charset=utf-8",
                Full::new(self.page.clone()).boxed(),
            ),
            (&Method::GET, Some("/events")) => answer(StatusCode::OK, "text/event-stream", self.events()),
            (_, Some("/" | "/events")) => plain(StatusCode::METHOD_NOT_ALLOWED, "GET alone is answered\n"),
            _ => plain(
                StatusCode::NOT_FOUND,
                "there is nothing here; vtbuild has said where the page is\n",
            ),
        }
    }

    /// All that has happened, then what happens, up to the end of the run.
    fn events(&self) -> BoxBody<Bytes, Infallible> {
        let (mut sender, body) = Channel::new(1);
        let state = self.state.clone();
        let mut changes = state.changes();
        tokio::spawn(async move {
            let mut version = 0;
            loop {
                changes.mark_unchanged();
                let since = state.since(version);
                version = since.version;
                let message = format!("data: {}\n\n", since.told);
                let told = sender.send_data(Bytes::from(message)).await;
                if told.is_err() || since.over {
                    return;
                }
                tokio::time::sleep(PACE).await;
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        body.boxed()
    }
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    answer(
        status,
        "text/plain; charset=utf-8",
        Full::new(Bytes::from_static(text.as_bytes())).boxed(),
    )
}

fn answer(status: StatusCode, kind: &'static str, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// 128 bits that nobody can guess.
fn token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(server: &Server, method: &str, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_who_knows_the_address_gets_the_page() {
        let server = Server::start("<p>page".into(), Arc::new(State::new()))
            .await
            .unwrap();
        assert!(server.address.ip().is_loopback());
        let here = server.address.to_string();
        let inside = format!("/{}/", server.token);
        let page = ask(&server, "GET", &inside, &here).await;
        assert!(
            page.starts_with("HTTP/1.1 200") && page.ends_with("<p>page"),
            "{page}"
        );
        let refused = [
            ("GET", "/", here.as_str(), "404"),
            ("GET", "/00000000000000000000000000000000/", &here, "404"),
            ("GET", &format!("/{}/../etc", server.token), &here, "404"),
            ("POST", &inside, &here, "405"),
            ("GET", &inside, "evil.example", "403"),
            (
                "GET",
                &inside,
                &format!("evil.example:{}", server.address.port()),
                "403",
            ),
        ];
        for (method, path, host, code) in refused {
            let answer = ask(&server, method, path, host).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {code}")),
                "{method} {path} {host}: {answer}"
            );
            assert!(!answer.contains("<p>page"));
        }
    }

    #[tokio::test]
    async fn whoever_listens_hears_of_the_end_before_the_server_is_gone() {
        use crate::report::Reporter;
        let state = Arc::new(State::new());
        let server = Server::start(String::new(), state.clone()).await.unwrap();
        let (here, path) = (server.address.to_string(), format!("/{}/events", server.token));
        let (answer, ()) = tokio::join!(ask(&server, "GET", &path, &here), async {
            super::super::state::Feed(state.clone()).close();
        });
        assert!(
            answer.contains("text/event-stream") && answer.contains("\"over\":\"PASS 0"),
            "{answer}"
        );
        let address = server.address;
        server.finish().await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
