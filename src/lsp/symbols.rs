//! The outline of a file: its tree of variants.

use lsp_types::{DocumentSymbol, DocumentSymbolResponse, Location, SymbolInformation, SymbolKind, Uri};

use super::document::{Document, Entry};

/// The outline, as a tree or as a list.
#[expect(
    deprecated,
    reason = "the protocol's types have no other constructor than one that names all fields"
)]
pub fn symbols(document: &Document, uri: &Uri, tree: bool) -> DocumentSymbolResponse {
    let entries = document.outline();
    if tree {
        return DocumentSymbolResponse::Nested(nested(document, &entries));
    }
    let flat = entries.iter().map(|entry| SymbolInformation {
        name: document.str()[entry.name.clone()].to_owned(),
        kind: kind(entry),
        tags: None,
        deprecated: None,
        location: Location::new(uri.clone(), document.text.span(&entry.range)),
        container_name: entry
            .parent
            .map(|parent| document.str()[entries[parent].name.clone()].to_owned()),
    });
    DocumentSymbolResponse::Flat(flat.collect())
}

/// Children come after their parents: going backwards, each is complete before it is handed up.
fn nested(document: &Document, entries: &[Entry]) -> Vec<DocumentSymbol> {
    let mut children: Vec<Vec<DocumentSymbol>> = vec![Vec::new(); entries.len()];
    let mut roots = Vec::new();
    for (index, entry) in entries.iter().enumerate().rev() {
        let mut inner = std::mem::take(&mut children[index]);
        inner.reverse();
        let symbol = symbol(document, entry, inner);
        match entry.parent {
            Some(parent) => children[parent].push(symbol),
            None => roots.push(symbol),
        }
    }
    roots.reverse();
    roots
}

#[expect(
    deprecated,
    reason = "the protocol's type has no other constructor than one that names all fields"
)]
fn symbol(document: &Document, entry: &Entry, children: Vec<DocumentSymbol>) -> DocumentSymbol {
    DocumentSymbol {
        name: document.str()[entry.name.clone()].to_owned(),
        detail: entry.block.then(|| "variants".to_owned()),
        kind: kind(entry),
        tags: None,
        deprecated: None,
        range: document.text.span(&entry.range),
        selection_range: document.text.span(&entry.name),
        children: Some(children),
    }
}

fn kind(entry: &Entry) -> SymbolKind {
    if entry.block {
        SymbolKind::NAMESPACE
    } else {
        SymbolKind::CLASS
    }
}
