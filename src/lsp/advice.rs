//! Advice about files without mistakes: what their authors hardly meant, and what a strict reading refuses.
//!
//! It is looked for on a thread of its own when the editor has been quiet for a moment: first what the text alone shows,
//! then what takes searches through the whole configuration. The next edit ends it. Until new advice comes, the old one
//! moves with the text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use crossbeam_channel::{Receiver, Sender};
use lsp_types::{Diagnostic as Told, DiagnosticSeverity, Range as Span, TextDocumentContentChangeEvent};
use vtbuild_cfg::lint::{UNDECIDED, lint_text, lint_while};
use vtbuild_cfg::strict;
use vtbuild_cfg::{Diagnostic, Location, Program};

use super::check::{MOST, Sound, own};
use super::document::{Document, Shared};

/// How long the searches may take. Of a configuration that takes longer, only what the texts show is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// What advice is looked for.
pub struct Subject {
    /// The file.
    pub document: Shared,
    /// What it is by itself.
    pub sound: Sound,
    /// The configuration that it is a part of.
    pub whole: Option<Program>,
}

/// A search for advice that is going on. It ends when this is dropped.
pub struct Search {
    /// The file that it is about.
    pub path: Utf8PathBuf,
    /// Advice as it is found, each time all of it. Closed at the end.
    pub found: Receiver<Vec<Told>>,
    stop: Arc<AtomicBool>,
}

impl Drop for Search {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Search {
    /// Starts to look for advice.
    pub fn start(subject: Subject) -> Self {
        let (sender, found) = crossbeam_channel::unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let search = Self {
            path: subject.document.path.clone(),
            found,
            stop: stop.clone(),
        };
        std::thread::spawn(move || look(&subject, &stop, &sender));
        search
    }
}

fn look(subject: &Subject, stop: &AtomicBool, sender: &Sender<Vec<Told>>) {
    let Subject {
        document,
        sound,
        whole,
    } = subject;
    let mut told = of_text(document, sound);
    // Nobody may wait for it any more: then the flag is up as well.
    let _ = sender.send(told.clone());
    let until = Instant::now() + PATIENCE;
    let mut go_on = || !stop.load(Ordering::Relaxed) && Instant::now() < until;
    let searched = whole.as_ref().and_then(|whole| lint_while(whole, &mut go_on));
    let Some(found) = searched else { return };
    let here = found
        .iter()
        .filter(|one| *one.location.file == *document.path && one.code != UNDECIDED);
    for one in here {
        let one = at_its_line(document, sound, one);
        let known = |other: &Told| other.code == one.code && other.range.start.line == one.range.start.line;
        if !told.iter().any(known) {
            told.push(one);
        }
    }
    let _ = sender.send(in_order(told));
}

/// What the text alone shows.
fn of_text(document: &Document, sound: &Sound) -> Vec<Told> {
    let Sound { reading, program } = sound;
    let refused = strict::check_file(program, document.path.as_str());
    let refused = refused.iter().map(|one| Told {
        severity: Some(DiagnosticSeverity::INFORMATION),
        message: format!("{}\nnote: `vtbuild cartesian --strict` refuses this", one.message),
        ..own(document, reading, one)
    });
    let warned = lint_text(program, document.path.as_str());
    let warned = warned.iter().map(|one| own(document, reading, one));
    in_order(refused.chain(warned).collect())
}

/// What is said of a place in the whole configuration, said of the statement on that line of the file.
fn at_its_line(document: &Document, sound: &Sound, one: &Diagnostic) -> Told {
    let (start, _) = document.text.language_line(one.location.line);
    let line = document.line_around(start);
    let line = line.map_or(start..start, |line| line.range);
    let nowhere = Diagnostic {
        location: Location {
            text: String::new(),
            ..one.location.clone()
        },
        ..one.clone()
    };
    Told {
        range: document.text.span(&line),
        ..own(document, &sound.reading, &nowhere)
    }
}

fn in_order(mut told: Vec<Told>) -> Vec<Told> {
    told.sort_by_key(|one| (one.range.start, one.range.end));
    told.truncate(MOST);
    told
}

/// Moves what was said of a text along with an edit of it. What was said of the edited lines is forgotten.
pub fn moved(told: &mut Vec<Told>, change: &TextDocumentContentChangeEvent) {
    let Some(Span { start, end }) = change.range else {
        return told.clear();
    };
    let breaks = change.text.matches('\n').count() as u32;
    told.retain_mut(|one| {
        if one.range.end.line < start.line {
            return true;
        }
        let behind = one.range.start.line > end.line;
        if behind {
            for at in [&mut one.range.start, &mut one.range.end] {
                at.line = (at.line + breaks).saturating_sub(end.line - start.line);
            }
        }
        behind
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsp_types::Position;

    #[test]
    fn advice_moves_with_its_lines() {
        let at = |line| {
            Told::new_simple(
                Span::new(Position::new(line, 0), Position::new(line, 4)),
                String::new(),
            )
        };
        let mut told = vec![at(1), at(3), at(4), at(9)];
        let change = |from, to, text: &str| TextDocumentContentChangeEvent {
            range: Some(Span::new(Position::new(from, 2), Position::new(to, 1))),
            range_length: None,
            text: text.to_owned(),
        };
        moved(&mut told, &change(3, 4, "x\ny\nz\n"));
        assert_eq!(told, [at(1), at(11)]);
        moved(&mut told, &change(2, 5, ""));
        assert_eq!(told, [at(1), at(8)]);
        moved(
            &mut told,
            &TextDocumentContentChangeEvent {
                range: None,
                ..change(0, 0, "all\n")
            },
        );
        assert_eq!(told, []);
    }
}
