//! The protocol: what a client may ask when, and who answers.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use crossbeam_channel::{at, never, select};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::Notification as _;
use lsp_types::request::Request as _;
use lsp_types::{
    ClientCapabilities, Diagnostic as Told, DidChangeTextDocumentParams, DidChangeWatchedFilesParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DocumentSymbolParams, GotoDefinitionParams,
    GotoDefinitionResponse, Hover, HoverContents, HoverParams, InitializeParams, InitializeResult,
    LogMessageParams, MarkupContent, MarkupKind, MessageType, PrepareRenameResponse,
    PublishDiagnosticsParams, ReferenceParams, Registration, RegistrationParams, RenameParams, ServerInfo,
    TextDocumentPositionParams, Uri, notification, request,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::document::{Document, Shared};
use super::text::Text;
use super::world::World;
use super::{advice, capabilities, check, complete, hover, navigate, symbols, uri};
use crate::cli::PlaceArgs;
use crate::exit::Exit;

/// How long the client must be quiet before mistakes are looked for anew, and before advice is.
const QUIET: Duration = Duration::from_millis(15);
const QUIET_FOR_ADVICE: Duration = Duration::from_millis(400);

/// An answer, or the error that the client gets.
type Answer<T> = Result<T, (ErrorCode, String)>;

/// Where the conversation stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Uninitialized,
    Running,
    ShutDown,
}

/// What the server is woken by.
enum Event {
    Message(Message),
    /// The client is gone.
    Gone,
    /// The client has been quiet for long enough.
    Quiet,
    /// Advice has come; nothing at its end.
    Advice(Option<Vec<Told>>),
}

/// The server of one client.
pub struct Server<'c> {
    connection: &'c Connection,
    place: PlaceArgs,
    folders: Vec<Utf8PathBuf>,
    phase: Phase,
    client: ClientCapabilities,
    world: World,
    /// The addresses that the client uses for the files that it has open.
    addresses: HashMap<Utf8PathBuf, (Uri, i32)>,
    /// Open files whose diagnostics may have changed.
    unchecked: HashSet<Utf8PathBuf>,
    search: hover::Search,
    /// When the client last said something.
    heard: Instant,
    /// Whether advice is wanted at all.
    advises: bool,
    /// Open files about which no advice was looked for since they changed; what they are, once they have no mistakes.
    unadvised: HashMap<Utf8PathBuf, Option<check::Sound>>,
    looking: Option<advice::Search>,
    /// The advice about each open file.
    advice: HashMap<Utf8PathBuf, Vec<Told>>,
}

impl<'c> Server<'c> {
    /// A server that has not been spoken to.
    pub fn new(connection: &'c Connection, place: &PlaceArgs) -> Self {
        Self {
            connection,
            place: place.clone(),
            folders: Vec::new(),
            phase: Phase::Uninitialized,
            client: ClientCapabilities::default(),
            world: World::default(),
            addresses: HashMap::new(),
            unchecked: HashSet::new(),
            search: None,
            heard: Instant::now(),
            advises: true,
            unadvised: HashMap::new(),
            looking: None,
            advice: HashMap::new(),
        }
    }

    /// Serves until `exit` comes, or the client is gone. To leave without `shutdown` before is a failure.
    pub fn run(mut self) -> Exit {
        loop {
            match self.next() {
                Event::Message(Message::Request(request)) => self.request(request),
                Event::Message(Message::Notification(told)) if told.method == notification::Exit::METHOD => {
                    break;
                }
                Event::Message(Message::Notification(told)) => self.notified(told),
                // The only thing ever asked of the client can do without an answer.
                Event::Message(Message::Response(_)) => {}
                Event::Gone => break,
                Event::Quiet if self.unchecked.is_empty() => self.look_for_advice(),
                Event::Quiet => self.check(),
                Event::Advice(Some(found)) => self.advise(found),
                Event::Advice(None) => self.looking = None,
            }
        }
        if self.phase == Phase::ShutDown {
            Exit::Good
        } else {
            Exit::Failed
        }
    }

    fn next(&mut self) -> Event {
        let messages = &self.connection.receiver;
        // What the client says comes before all else.
        let event = match messages.try_recv() {
            Ok(message) => Event::Message(message),
            Err(_) => {
                let advice = self
                    .looking
                    .as_ref()
                    .map_or_else(never, |looking| looking.found.clone());
                let quiet = self.quiet_from().map_or_else(never, at);
                select! {
                    recv(messages) -> message => message.map_or(Event::Gone, Event::Message),
                    recv(advice) -> found => Event::Advice(found.ok()),
                    recv(quiet) -> _ => Event::Quiet,
                }
            }
        };
        if matches!(event, Event::Message(_)) {
            self.heard = Instant::now();
        }
        event
    }

    /// When the client has been quiet for long enough for what there is to do.
    fn quiet_from(&self) -> Option<Instant> {
        if !self.unchecked.is_empty() {
            return Some(self.heard + QUIET);
        }
        let waiting = self.looking.is_none() && self.unadvised.values().any(Option::is_some);
        waiting.then(|| self.heard + QUIET_FOR_ADVICE)
    }

    fn send(&self, message: impl Into<Message>) {
        // A client that is gone is noticed where it is listened to.
        let _ = self.connection.sender.send(message.into());
    }

    fn log(&self, kind: MessageType, message: String) {
        let params = LogMessageParams { typ: kind, message };
        self.send(Notification::new(
            notification::LogMessage::METHOD.to_owned(),
            params,
        ));
    }

    fn request(&mut self, request: Request) {
        let id = request.id.clone();
        let refused = match (self.phase, request.method.as_str()) {
            (Phase::Uninitialized, request::Initialize::METHOD) => None,
            (Phase::Uninitialized, _) => Some((ErrorCode::ServerNotInitialized, "`initialize` comes first")),
            (Phase::ShutDown, _) => Some((ErrorCode::InvalidRequest, "the server was told to shut down")),
            (Phase::Running, request::Initialize::METHOD) => {
                Some((ErrorCode::InvalidRequest, "`initialize` comes once"))
            }
            (Phase::Running, _) => None,
        };
        if let Some((code, message)) = refused {
            return self.send(Response::new_err(id, code as i32, message.to_owned()));
        }
        // A mistake of ours must cost one answer, not the editor's session.
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(request)));
        let answer = answer.unwrap_or_else(|_| {
            let message = "vtbuild has failed on this request; the panic is on its standard error".to_owned();
            Response::new_err(id, ErrorCode::InternalError as i32, message)
        });
        self.send(answer);
    }

    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        match method.as_str() {
            request::Initialize::METHOD => respond(id, params, |params| self.initialize(&params)),
            request::Shutdown::METHOD => {
                self.phase = Phase::ShutDown;
                Response::new_ok(id, ())
            }
            request::GotoDefinition::METHOD => respond(id, params, |params| self.definition(&params)),
            request::References::METHOD => respond(id, params, |params| self.references(&params)),
            request::HoverRequest::METHOD => respond(id, params, |params| self.hover(&params)),
            request::Completion::METHOD => respond(id, params, |params: lsp_types::CompletionParams| {
                let (document, offset) = self.at(&params.text_document_position)?;
                Ok(complete::complete(&mut self.world, &document, offset))
            }),
            request::DocumentSymbolRequest::METHOD => respond(id, params, |params| self.symbols(&params)),
            request::PrepareRenameRequest::METHOD => {
                respond(id, params, |params| self.prepare_rename(&params))
            }
            request::Rename::METHOD => respond(id, params, |params| self.rename(&params)),
            _ => Response::new_err(
                id,
                ErrorCode::MethodNotFound as i32,
                format!("vtbuild does not answer `{method}`"),
            ),
        }
    }

    fn initialize(&mut self, params: &InitializeParams) -> Answer<InitializeResult> {
        self.client = params.capabilities.clone();
        let folders = params
            .workspace_folders
            .iter()
            .flatten()
            .map(|folder| &folder.uri);
        let mut folders: Vec<Utf8PathBuf> = folders.map(uri::path).collect();
        if folders.is_empty() {
            #[expect(deprecated, reason = "older clients send nothing else")]
            folders.extend(params.root_uri.as_ref().map(uri::path));
        }
        self.folders = folders;
        let options = params.initialization_options.as_ref();
        self.advises = options.and_then(|options| options["lint"].as_bool()) != Some(false);
        self.open_world();
        self.phase = Phase::Running;
        Ok(InitializeResult {
            capabilities: capabilities::capabilities(),
            server_info: Some(ServerInfo {
                name: "vtbuild".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        })
    }

    /// Looks at the workspace anew; what is open in the editor stays open.
    fn open_world(&mut self) {
        let (mut world, warnings) = World::open(self.folders.clone(), &self.place);
        world.take_over(std::mem::take(&mut self.world).into_files());
        self.world = world;
        for warning in warnings {
            self.log(MessageType::WARNING, warning);
        }
    }

    /// Asks to be told when files change by other hands, where the client can do that.
    fn watch(&self) {
        if !capabilities::watches(&self.client) {
            return;
        }
        let watchers = ["**/*.cfg", "**/vtbuild.toml", "**/test-providers.d/*.ini"];
        let watchers = watchers.map(|glob| serde_json::json!({ "globPattern": glob }));
        let registration = Registration {
            id: "files".to_owned(),
            method: notification::DidChangeWatchedFiles::METHOD.to_owned(),
            register_options: Some(serde_json::json!({ "watchers": watchers })),
        };
        self.send(Request::new(
            RequestId::from("watch".to_owned()),
            request::RegisterCapability::METHOD.to_owned(),
            RegistrationParams {
                registrations: vec![registration],
            },
        ));
    }

    fn document(&mut self, uri: &Uri) -> Answer<Shared> {
        let path = uri::path(uri);
        let document = self.world.document(&path);
        document.ok_or_else(|| (ErrorCode::InvalidParams, format!("there is no file {path}")))
    }

    fn at(&mut self, params: &TextDocumentPositionParams) -> Answer<(Shared, usize)> {
        let document = self.document(&params.text_document.uri)?;
        let offset = document.text.offset(params.position);
        Ok((document, offset))
    }

    fn definition(&mut self, params: &GotoDefinitionParams) -> Answer<GotoDefinitionResponse> {
        let (document, offset) = self.at(&params.text_document_position_params)?;
        let places = navigate::definition(&mut self.world, &document, offset);
        Ok(GotoDefinitionResponse::Array(places))
    }

    fn references(&mut self, params: &ReferenceParams) -> Answer<Vec<lsp_types::Location>> {
        let (document, offset) = self.at(&params.text_document_position)?;
        let definitions = params.context.include_declaration;
        Ok(navigate::references(
            &mut self.world,
            &document,
            offset,
            definitions,
        ))
    }

    fn hover(&mut self, params: &HoverParams) -> Answer<Option<Hover>> {
        let (document, offset) = self.at(&params.text_document_position_params)?;
        let hovered = hover::hover(&mut self.world, &document, offset, &mut self.search);
        let kind = if capabilities::shows_markdown(&self.client) {
            MarkupKind::Markdown
        } else {
            MarkupKind::PlainText
        };
        Ok(hovered.map(|(mention, text)| Hover {
            contents: HoverContents::Markup(MarkupContent {
                value: if kind == MarkupKind::Markdown {
                    text
                } else {
                    text.replace("```\n", "").replace("```", "").replace('`', "")
                },
                kind,
            }),
            range: Some(document.text.span(&mention.range)),
        }))
    }

    fn symbols(&mut self, params: &DocumentSymbolParams) -> Answer<lsp_types::DocumentSymbolResponse> {
        let uri = &params.text_document.uri;
        let document = self.document(uri)?;
        let tree = capabilities::shows_trees(&self.client);
        Ok(symbols::symbols(&document, uri, tree))
    }

    fn prepare_rename(&mut self, params: &TextDocumentPositionParams) -> Answer<PrepareRenameResponse> {
        let (document, offset) = self.at(params)?;
        let mention = navigate::renamable(&mut self.world, &document, offset).map_err(failed)?;
        Ok(PrepareRenameResponse::RangeWithPlaceholder {
            range: document.text.span(&mention.range),
            placeholder: document.str()[mention.range].to_owned(),
        })
    }

    fn rename(&mut self, params: &RenameParams) -> Answer<lsp_types::WorkspaceEdit> {
        let (document, offset) = self.at(&params.text_document_position)?;
        let addresses = &self.addresses;
        let address = |document: &Document| {
            let open = addresses.get(&document.path);
            let open = open.map(|(uri, version)| (uri.clone(), Some(*version)));
            open.or_else(|| Some((uri::of(&document.path)?, None)))
        };
        let renamed = navigate::rename(&mut self.world, &document, offset, &params.new_name, address);
        let versions = capabilities::knows_versions(&self.client);
        renamed
            .map(|edits| navigate::workspace_edit(edits, versions))
            .map_err(failed)
    }

    /// Before `initialize` and after `shutdown` nothing that a client tells is heard.
    fn notified(&mut self, told: Notification) {
        if self.phase != Phase::Running {
            return;
        }
        let method = told.method.clone();
        let heard = catch_unwind(AssertUnwindSafe(|| self.hear(told)));
        let failed = match heard {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "vtbuild has failed on it; the panic is on its standard error".to_owned(),
        };
        self.log(MessageType::ERROR, format!("{method}: {failed}"));
    }

    fn hear(&mut self, told: Notification) -> Result<(), serde_json::Error> {
        match told.method.as_str() {
            notification::DidOpenTextDocument::METHOD => {
                let params: DidOpenTextDocumentParams = serde_json::from_value(told.params)?;
                let item = params.text_document;
                let path = uri::path(&item.uri);
                self.addresses.insert(path.clone(), (item.uri, item.version));
                self.changed(Document::new(path, item.text));
            }
            notification::DidChangeTextDocument::METHOD => {
                self.change(serde_json::from_value(told.params)?);
            }
            notification::DidCloseTextDocument::METHOD => {
                self.close(&serde_json::from_value(told.params)?);
            }
            notification::Initialized::METHOD => self.watch(),
            // What is on disk is looked at whenever it is needed; only what was told of it must be told anew.
            notification::DidSaveTextDocument::METHOD => {
                self.world.relist();
                self.unadvise_all();
                self.uncheck_all();
            }
            notification::DidChangeWatchedFiles::METHOD => {
                let params: DidChangeWatchedFilesParams = serde_json::from_value(told.params)?;
                let mut changed = params.changes.iter().map(|change| change.uri.as_str());
                if changed.any(|uri| uri.ends_with(".toml") || uri.ends_with(".ini")) {
                    self.open_world();
                }
                self.world.relist();
                self.unadvise_all();
                self.uncheck_all();
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, params: DidChangeTextDocumentParams) {
        let path = uri::path(&params.text_document.uri);
        let Some(document) = self.world.opened(&path) else {
            return;
        };
        let mut text: Text = document.text.clone();
        for change in params.content_changes {
            text.change(change.range, &change.text);
            if let Some(told) = self.advice.get_mut(&path) {
                advice::moved(told, &change);
            }
        }
        if let Some((_, version)) = self.addresses.get_mut(&path) {
            *version = params.text_document.version;
        }
        self.changed(Document::with_text(path, text));
    }

    fn changed(&mut self, document: Document) {
        self.unadvise(document.path.clone());
        self.world.open_document(document);
        self.uncheck_all();
    }

    /// What was found out about a file holds no more.
    fn unadvise(&mut self, path: Utf8PathBuf) {
        if self.advises {
            self.looking = None;
            self.unadvised.insert(path, None);
        }
    }

    fn unadvise_all(&mut self) {
        for path in self.addresses.keys().cloned().collect::<Vec<_>>() {
            self.unadvise(path);
        }
    }

    /// A closed file has no diagnostics: its owner looks at other things now.
    fn close(&mut self, params: &DidCloseTextDocumentParams) {
        let path = uri::path(&params.text_document.uri);
        self.world.close(&path);
        self.unchecked.remove(&path);
        self.unadvised.remove(&path);
        self.advice.remove(&path);
        if let Some((uri, _)) = self.addresses.remove(&path) {
            self.publish(PublishDiagnosticsParams::new(uri, Vec::new(), None));
        }
        self.uncheck_all();
    }

    /// A change of one file can be a mistake of those that include it.
    fn uncheck_all(&mut self) {
        self.unchecked.extend(self.addresses.keys().cloned());
    }

    fn check(&mut self) {
        for path in std::mem::take(&mut self.unchecked) {
            let (Some(document), Some((uri, version))) = (
                self.world.opened(&path).cloned(),
                self.addresses.get(&path).cloned(),
            ) else {
                continue;
            };
            let found = catch_unwind(AssertUnwindSafe(|| check::check(&mut self.world, &document)));
            match found {
                Ok((mut found, sound)) => {
                    // Advice that was given before stands until there is new.
                    found.extend(self.advice.get(&path).into_iter().flatten().cloned());
                    found.truncate(check::MOST);
                    self.publish(PublishDiagnosticsParams::new(uri, found, Some(version)));
                    if let Some(unadvised) = self.unadvised.get_mut(&path) {
                        *unadvised = sound;
                    }
                }
                Err(_) => self.log(MessageType::ERROR, format!("vtbuild has failed to check {path}")),
            }
        }
    }

    /// Starts to look for advice about one of the files that have changed.
    fn look_for_advice(&mut self) {
        if self.world.look_again() {
            return self.uncheck_all();
        }
        let sound = self.unadvised.iter().find(|(_, sound)| sound.is_some());
        let Some(path) = sound.map(|(path, _)| path.clone()) else {
            return;
        };
        let (Some(sound), Some(document)) = (
            self.unadvised.remove(&path).flatten(),
            self.world.opened(&path).cloned(),
        ) else {
            return;
        };
        let whole = catch_unwind(AssertUnwindSafe(|| self.world.program(&document)));
        self.looking = Some(advice::Search::start(advice::Subject {
            document,
            sound,
            whole: whole.unwrap_or_default(),
        }));
    }

    /// Tells of advice. A search that the file has changed under was dropped, and so this is about what the client has.
    fn advise(&mut self, found: Vec<Told>) {
        let Some(path) = self.looking.as_ref().map(|looking| looking.path.clone()) else {
            return;
        };
        let before = self
            .advice
            .insert(path.clone(), found.clone())
            .unwrap_or_default();
        if before != found
            && let Some((uri, version)) = self.addresses.get(&path)
        {
            self.publish(PublishDiagnosticsParams::new(uri.clone(), found, Some(*version)));
        }
    }

    fn publish(&self, params: PublishDiagnosticsParams) {
        self.send(Notification::new(
            notification::PublishDiagnostics::METHOD.to_owned(),
            params,
        ));
    }
}

/// A request that is in order, but cannot be done; the message says why.
fn failed(why: String) -> (ErrorCode, String) {
    (ErrorCode::RequestFailed, why)
}

fn respond<P: DeserializeOwned, T: Serialize>(
    id: RequestId,
    params: serde_json::Value,
    answer: impl FnOnce(P) -> Answer<T>,
) -> Response {
    let params =
        serde_json::from_value(params).map_err(|error| (ErrorCode::InvalidParams, error.to_string()));
    match params.and_then(answer) {
        Ok(answer) => Response::new_ok(id, answer),
        Err((code, message)) => Response::new_err(id, code as i32, message),
    }
}
