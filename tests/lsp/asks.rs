//! The files of these tests, and what a client asks about them.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use lsp_types::request::{Completion, GotoDefinition, HoverRequest, Rename};
use lsp_types::{
    CompletionParams, CompletionResponse, Diagnostic, GotoDefinitionParams, GotoDefinitionResponse,
    HoverContents, HoverParams, Location, NumberOrString, Position, Range, RenameParams, TextEdit,
};
use serde_json::Value;

use crate::editor::{Editor, place};
use crate::support::Sandbox;

/// A configuration that includes [`GUESTS`].
pub(crate) const MAIN: &str = "\
include guests.cfg
image_name = disk
variants test:
    - boot:
        kill_vm = no
        Größe:
            image_name = \"${image_name}-𝄞${kill_vm}\"
    - migrate: boot
        only (guest=small)..boot
        no big
        mem += 5
";

/// What [`MAIN`] includes.
pub(crate) const GUESTS: &str = "\
variants guest [default=small]:
    - small:
        mem = 512
        \tdisk = ${mem}
    - big:
        mem = 4096
        !small: mem_max = 8192
    - Größe:
";

/// A sandbox with two files that stand for themselves.
pub(crate) fn files() -> (Sandbox, Utf8PathBuf, Utf8PathBuf) {
    let sandbox = Sandbox::new();
    sandbox.write("own/main.cfg", MAIN);
    sandbox.write("own/guests.cfg", GUESTS);
    let (main, guests) = (sandbox.path("own/main.cfg"), sandbox.path("own/guests.cfg"));
    (sandbox, main, guests)
}

/// Where what stands at a place is defined.
pub(crate) fn definitions(editor: &mut Editor, path: &Utf8PathBuf, at: Position) -> Vec<Location> {
    let params = GotoDefinitionParams {
        text_document_position_params: place(path, at),
        work_done_progress_params: Default::default(),
        partial_result_params: Default::default(),
    };
    match editor.request::<GotoDefinition>(params) {
        Some(GotoDefinitionResponse::Array(places)) => places,
        other => panic!("{other:?}"),
    }
}

/// What is said of a place, and the range that it is said of.
pub(crate) fn hover(editor: &mut Editor, path: &Utf8PathBuf, at: Position) -> (String, Range) {
    let params = HoverParams {
        text_document_position_params: place(path, at),
        work_done_progress_params: Default::default(),
    };
    let hover = editor
        .request::<HoverRequest>(params)
        .expect("there is something to say");
    match hover.contents {
        HoverContents::Markup(text) => (text.value, hover.range.unwrap()),
        other => panic!("{other:?}"),
    }
}

/// What is proposed: names, with the range that each replaces.
pub(crate) fn proposals(editor: &mut Editor, path: &Utf8PathBuf, at: Position) -> Vec<(String, Value)> {
    let params = CompletionParams {
        text_document_position: place(path, at),
        work_done_progress_params: Default::default(),
        partial_result_params: Default::default(),
        context: None,
    };
    let Some(CompletionResponse::List(list)) = editor.request::<Completion>(params) else {
        panic!("no list");
    };
    let items = list.items.into_iter();
    items
        .map(|item| {
            (
                item.label,
                serde_json::to_value(item.text_edit).unwrap()["range"].clone(),
            )
        })
        .collect()
}

/// The names among proposals.
pub(crate) fn names(proposals: &[(String, Value)]) -> Vec<&str> {
    proposals.iter().map(|(name, _)| name.as_str()).collect()
}

/// A request for another name.
pub(crate) fn rename_params(path: &Utf8PathBuf, at: Position, name: &str) -> RenameParams {
    RenameParams {
        text_document_position: place(path, at),
        new_name: name.to_owned(),
        work_done_progress_params: Default::default(),
    }
}

/// The edits of each file that a new name asks for.
pub(crate) fn renamed(
    editor: &mut Editor,
    path: &Utf8PathBuf,
    at: Position,
    name: &str,
) -> BTreeMap<String, Vec<TextEdit>> {
    let edit = editor.request::<Rename>(rename_params(path, at, name)).unwrap();
    let changes = edit.changes.unwrap().into_iter();
    changes.map(|(uri, edits)| (uri.to_string(), edits)).collect()
}

/// A text with edits of the protocol applied, as an editor does it.
pub(crate) fn edited(text: &str, mut edits: Vec<TextEdit>) -> String {
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.range.start));
    let mut lines: Vec<Vec<u16>> = text
        .split('\n')
        .map(|line| line.encode_utf16().collect())
        .collect();
    for edit in edits {
        let (start, end) = (edit.range.start, edit.range.end);
        assert_eq!(start.line, end.line, "a name is on one line");
        let columns = start.character as usize..end.character as usize;
        lines[start.line as usize].splice(columns, edit.new_text.encode_utf16());
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|line| String::from_utf16(line).unwrap())
        .collect();
    lines.join("\n")
}

/// The name of a diagnostic's kind.
pub(crate) fn code(diagnostic: &Diagnostic) -> &str {
    match &diagnostic.code {
        Some(NumberOrString::String(code)) => code,
        other => panic!("{other:?}"),
    }
}
