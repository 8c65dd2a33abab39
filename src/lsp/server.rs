//! The protocol: what a client may ask when, and who answers.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use camino::Utf8PathBuf;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::Notification as _;
use lsp_types::request::Request as _;
use lsp_types::{
    ClientCapabilities, CompletionOptions, DidChangeTextDocumentParams, DidChangeWatchedFilesParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DocumentSymbolParams, GotoDefinitionParams,
    GotoDefinitionResponse, Hover, HoverContents, HoverParams, HoverProviderCapability, InitializeParams,
    InitializeResult, LogMessageParams, MarkupContent, MarkupKind, MessageType, OneOf, PrepareRenameResponse,
    PublishDiagnosticsParams, ReferenceParams, Registration, RegistrationParams, RenameOptions, RenameParams,
    SaveOptions, ServerCapabilities, ServerInfo, TextDocumentPositionParams, TextDocumentSyncCapability,
    TextDocumentSyncKind, TextDocumentSyncOptions, TextDocumentSyncSaveOptions, Uri, WorkDoneProgressOptions,
    notification, request,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::document::{Document, Shared};
use super::text::Text;
use super::world::World;
use super::{check, complete, hover, navigate, symbols, uri};
use crate::cli::PlaceArgs;
use crate::exit::Exit;

/// How long the client must be quiet before diagnostics are computed anew.
const QUIET: Duration = Duration::from_millis(60);

/// An answer, or the error that the client gets.
type Answer<T> = Result<T, (ErrorCode, String)>;

/// Where the conversation stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Uninitialized,
    Running,
    ShutDown,
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
        }
    }

    /// Serves until `exit` comes, or the client is gone. To leave without `shutdown` before is a failure.
    pub fn run(mut self) -> Exit {
        loop {
            let message = if self.unchecked.is_empty() {
                self.connection.receiver.recv().ok()
            } else {
                match self.connection.receiver.recv_timeout(QUIET) {
                    Ok(message) => Some(message),
                    Err(error) if error.is_timeout() => {
                        self.check();
                        continue;
                    }
                    Err(_) => None,
                }
            };
            match message {
                Some(Message::Request(request)) => self.request(request),
                Some(Message::Notification(told)) if told.method == notification::Exit::METHOD => break,
                Some(Message::Notification(told)) => self.notified(told),
                // The only thing ever asked of the client can do without an answer.
                Some(Message::Response(_)) => {}
                None => break,
            }
        }
        if self.phase == Phase::ShutDown {
            Exit::Good
        } else {
            Exit::Failed
        }
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
        self.open_world();
        self.phase = Phase::Running;
        Ok(InitializeResult {
            capabilities: capabilities(),
            server_info: Some(ServerInfo {
                name: "vtbuild".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        })
    }

    /// Looks at the workspace anew; what is open in the editor stays open.
    fn open_world(&mut self) {
        let (mut world, warnings) = World::open(self.folders.clone(), &self.place);
        world.files = std::mem::take(&mut self.world.files);
        self.world = world;
        for warning in warnings {
            self.log(MessageType::WARNING, warning);
        }
    }

    /// Asks to be told when files change by other hands, where the client can do that.
    fn watch(&self) {
        let workspace = self.client.workspace.as_ref();
        let watching = workspace.and_then(|client| client.did_change_watched_files.as_ref());
        if watching.and_then(|client| client.dynamic_registration) != Some(true) {
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
        let document = self.world.files.document(&path);
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
        let formats = self
            .client
            .text_document
            .as_ref()
            .and_then(|client| client.hover.as_ref());
        let formats = formats.and_then(|hover| hover.content_format.as_ref());
        let kind = if formats.is_some_and(|known| known.contains(&MarkupKind::Markdown)) {
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
        let client = self
            .client
            .text_document
            .as_ref()
            .and_then(|client| client.document_symbol.as_ref());
        let tree = client.and_then(|client| client.hierarchical_document_symbol_support);
        Ok(symbols::symbols(&document, uri, tree.unwrap_or_default()))
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
            let open = addresses.get(&document.path).map(|(uri, _)| uri.clone());
            open.or_else(|| uri::of(&document.path))
        };
        navigate::rename(&mut self.world, &document, offset, &params.new_name, address).map_err(failed)
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
            notification::DidSaveTextDocument::METHOD => self.uncheck_all(),
            notification::DidChangeWatchedFiles::METHOD => {
                let params: DidChangeWatchedFilesParams = serde_json::from_value(told.params)?;
                let mut changed = params.changes.iter().map(|change| change.uri.as_str());
                if changed.any(|uri| uri.ends_with(".toml") || uri.ends_with(".ini")) {
                    self.open_world();
                }
                self.world.relist();
                self.uncheck_all();
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, params: DidChangeTextDocumentParams) {
        let path = uri::path(&params.text_document.uri);
        let Some(document) = self.world.files.opened(&path) else {
            return;
        };
        let mut text: Text = document.text.clone();
        for change in params.content_changes {
            text.change(change.range, &change.text);
        }
        if let Some((_, version)) = self.addresses.get_mut(&path) {
            *version = params.text_document.version;
        }
        self.changed(Document::with_text(path, text));
    }

    fn changed(&mut self, document: Document) {
        self.world.files.open(document);
        self.uncheck_all();
    }

    /// A closed file has no diagnostics: its owner looks at other things now.
    fn close(&mut self, params: &DidCloseTextDocumentParams) {
        let path = uri::path(&params.text_document.uri);
        self.world.files.close(&path);
        self.unchecked.remove(&path);
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
                self.world.files.opened(&path).cloned(),
                self.addresses.get(&path).cloned(),
            ) else {
                continue;
            };
            let found = catch_unwind(AssertUnwindSafe(|| check::check(&mut self.world, &document)));
            match found {
                Ok(found) => self.publish(PublishDiagnosticsParams::new(uri, found, Some(version))),
                Err(_) => self.log(MessageType::ERROR, format!("vtbuild has failed to check {path}")),
            }
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

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions {
                include_text: Some(false),
            })),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(["{", "(", ".", "="].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        ..ServerCapabilities::default()
    }
}
