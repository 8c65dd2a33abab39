//! What the server says of itself, and what it reads out of what a client says.

use lsp_types::{
    ClientCapabilities, CompletionOptions, HoverProviderCapability, MarkupKind, OneOf, RenameOptions,
    SaveOptions, ServerCapabilities, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextDocumentSyncSaveOptions, WorkDoneProgressOptions,
};

/// Whether the client can be asked to watch files.
pub fn watches(client: &ClientCapabilities) -> bool {
    let workspace = client.workspace.as_ref();
    let watching = workspace.and_then(|client| client.did_change_watched_files.as_ref());
    watching.and_then(|client| client.dynamic_registration) == Some(true)
}

/// Whether edits of several files can say which versions they are for.
pub fn knows_versions(client: &ClientCapabilities) -> bool {
    let workspace = client.workspace.as_ref();
    let edits = workspace.and_then(|client| client.workspace_edit.as_ref());
    edits.and_then(|client| client.document_changes) == Some(true)
}

/// Whether hovers may be Markdown.
pub fn shows_markdown(client: &ClientCapabilities) -> bool {
    let documents = client.text_document.as_ref();
    let formats = documents
        .and_then(|client| client.hover.as_ref())
        .and_then(|hover| hover.content_format.as_ref());
    formats.is_some_and(|known| known.contains(&MarkupKind::Markdown))
}

/// Whether outlines may be trees.
pub fn shows_trees(client: &ClientCapabilities) -> bool {
    let documents = client.text_document.as_ref();
    let symbols = documents.and_then(|client| client.document_symbol.as_ref());
    symbols.and_then(|client| client.hierarchical_document_symbol_support) == Some(true)
}

/// What the server can do.
pub fn capabilities() -> ServerCapabilities {
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
