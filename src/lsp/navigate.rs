//! Where names are defined, where they are used, and renaming them.

use lsp_types::{
    AnnotatedTextEdit, DocumentChanges, Location, OneOf, OptionalVersionedTextDocumentIdentifier,
    TextDocumentEdit, TextEdit, Uri, WorkspaceEdit,
};
use regex::Regex;

use super::document::{Document, Shared};
use super::scan::{KEYWORDS, Mention, Role, is_word};
use super::uri;
use super::world::World;

/// A key that bounds another, by the end of its name.
const BOUNDS: [&str; 3] = ["_min", "_max", "_fixed"];

/// A name in one of the workspace's files.
pub struct Hit {
    /// The file.
    pub document: Shared,
    /// The name's place in it.
    pub mention: Mention,
}

impl Hit {
    /// Where it is, for a client.
    pub fn location(&self) -> Option<Location> {
        let range = self.document.text.span(&self.mention.range);
        Some(Location::new(uri::of(&self.document.path)?, range))
    }
}

/// Where what stands at `offset` is defined: the variants of a label, the assignments of a key, an included file.
pub fn definition(world: &mut World, document: &Document, offset: usize) -> Vec<Location> {
    let Some(mention) = document.mention_at(offset) else {
        return Vec::new();
    };
    let name = &document.str()[mention.range.clone()];
    if mention.role == Role::Include {
        let file = world.included(document, name);
        let start = file.and_then(|file| Some(Location::new(uri::of(&file.path)?, file.text.span(&(0..0)))));
        return start.into_iter().collect();
    }
    let hits = if mention.role.is_label() {
        labels(world, document, name, |role| role == Role::Label)
    } else {
        assignments(world, document, name)
    };
    hits.iter().filter_map(Hit::location).collect()
}

/// Where what stands at `offset` is mentioned; its definitions among them if they are wanted.
pub fn references(world: &mut World, document: &Document, offset: usize, definitions: bool) -> Vec<Location> {
    let Some(mention) = document.mention_at(offset) else {
        return Vec::new();
    };
    let name = &document.str()[mention.range.clone()];
    let hits = if mention.role.is_label() {
        labels(world, document, name, |role| definitions || role != Role::Label)
    } else {
        keys(world, document, name, |known, role| {
            known == name && (definitions || !role.sets_key())
        })
    };
    hits.iter().filter_map(Hit::location).collect()
}

/// Every place of a label that has a wanted role, those of `document` first.
pub fn labels(world: &mut World, document: &Document, name: &str, wanted: impl Fn(Role) -> bool) -> Vec<Hit> {
    let mut hits = Vec::new();
    for file in world.relatives(document) {
        let mentions = file.names().labels.get(name).into_iter().flatten();
        hits.extend(
            mentions
                .filter(|mention| wanted(mention.role))
                .map(|mention| Hit {
                    document: file.clone(),
                    mention: mention.clone(),
                }),
        );
    }
    hits
}

/// Every statement that gives a key its value: assignments, patterns that match it, its bounds, blocks of that name.
pub fn assignments(world: &mut World, document: &Document, key: &str) -> Vec<Hit> {
    keys(world, document, key, |known, role| match role {
        // What such a statement says at its own place is what it makes.
        Role::KeyPattern => known == key || pattern_matches(known, key),
        Role::Key | Role::Variable => {
            known == key || BOUNDS.iter().any(|end| known.strip_suffix(end) == Some(key))
        }
        _ => false,
    })
}

fn keys(world: &mut World, document: &Document, key: &str, wanted: impl Fn(&str, Role) -> bool) -> Vec<Hit> {
    let mut hits = Vec::new();
    for file in world.relatives(document) {
        let mut mentions: Vec<&Mention> = Vec::new();
        for (known, places) in &file.names().keys {
            // Only a pattern or a bound can mean a key that it does not spell.
            let near =
                known == key || known.starts_with(key) || places.iter().any(|at| at.role == Role::KeyPattern);
            if near {
                mentions.extend(places.iter().filter(|mention| wanted(known, mention.role)));
            }
        }
        mentions.sort_by_key(|mention| mention.range.start);
        hits.extend(mentions.into_iter().map(|mention| Hit {
            document: file.clone(),
            mention: mention.clone(),
        }));
    }
    hits
}

/// Whether a pattern of `?=` matches a key: from its start, to its end for the last alternative.
fn pattern_matches(pattern: &str, key: &str) -> bool {
    let plain = pattern.chars().all(is_word);
    !plain && Regex::new(&format!("^(?:{pattern}$)")).is_ok_and(|regex| regex.is_match(key))
}

/// The label at `offset` that can be renamed.
///
/// # Errors
/// Why it cannot.
pub fn renamable(world: &mut World, document: &Document, offset: usize) -> Result<Mention, String> {
    let mention = document
        .mention_at(offset)
        .filter(|mention| mention.role.is_label());
    let mention = mention.ok_or("only the names of variants can be renamed; none stands here")?;
    let name = &document.str()[mention.range.clone()];
    let hits = labels(world, document, name, |_| true);
    match hits.iter().find(|hit| world.is_bundled(&hit.document.path)) {
        None => Ok(mention),
        Some(hit) => Err(format!(
            "`{name}` cannot be renamed: it also stands in {}, which comes with vtbuild",
            hit.document.path
        )),
    }
}

/// The edits that give a label another name wherever it stands. `addresses` are those that the client uses for open files.
///
/// # Errors
/// Why it cannot have that name, or be renamed at all.
pub fn rename(
    world: &mut World,
    document: &Document,
    offset: usize,
    new: &str,
    address: impl Fn(&Document) -> Option<(Uri, Option<i32>)>,
) -> Result<Vec<TextDocumentEdit>, String> {
    let mention = renamable(world, document, offset)?;
    let name = document.str()[mention.range].to_owned();
    fits(new)?;
    if new != name && !labels(world, document, new, |_| true).is_empty() {
        return Err(format!(
            "there is a variant `{new}` already, or a filter that asks for one; the two would become one"
        ));
    }
    let mut changes: Vec<TextDocumentEdit> = Vec::new();
    // The places of one file come together.
    for hit in labels(world, document, &name, |_| true) {
        let Some((uri, version)) = address(&hit.document) else {
            continue;
        };
        let edit = TextEdit::new(hit.document.text.span(&hit.mention.range), new.to_owned());
        match changes.last_mut().filter(|last| last.text_document.uri == uri) {
            Some(last) => last.edits.push(OneOf::Left(edit)),
            None => changes.push(TextDocumentEdit {
                text_document: OptionalVersionedTextDocumentIdentifier { uri, version },
                edits: vec![OneOf::Left(edit)],
            }),
        }
    }
    Ok(changes)
}

/// The edits of files in the protocol's words: with the versions that they are made for, or for clients that know none.
pub fn workspace_edit(edits: Vec<TextDocumentEdit>, versions: bool) -> WorkspaceEdit {
    if versions {
        return WorkspaceEdit {
            document_changes: Some(DocumentChanges::Edits(edits)),
            ..WorkspaceEdit::default()
        };
    }
    let plain = |edit| match edit {
        OneOf::Left(edit) => edit,
        OneOf::Right(AnnotatedTextEdit { text_edit, .. }) => text_edit,
    };
    let files = edits.into_iter().map(|file| {
        let edits = file.edits.into_iter().map(plain).collect();
        (file.text_document.uri, edits)
    });
    WorkspaceEdit::new(files.collect())
}

/// Whether a label may be called so, wherever it stands.
fn fits(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(format!(
            "`{name}` cannot be the name of a variant: only letters, digits, `_` and `-` can be in it"
        ));
    }
    // At the start of a line it would be read as something else.
    if name.starts_with('-') || KEYWORDS.contains(&name) {
        return Err(format!(
            "`{name}` cannot be the name of a variant: a line cannot start with it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_language_has_it() {
        assert!(pattern_matches("vm_.*", "vm_x"));
        assert!(
            pattern_matches("a|b", "abc"),
            "the end binds to the last alternative alone"
        );
        assert!(!pattern_matches("a|b", "bc"));
        assert!(!pattern_matches("(", "("));
    }

    #[test]
    fn names_that_a_variant_cannot_have() {
        for name in ["", "a b", "a.b", "-x", "variants", "only", "a:"] {
            assert!(fits(name).is_err(), "{name}");
        }
        assert!(fits("Größe_2-x").is_ok());
    }
}
