//! A file of a program.

use std::sync::{Arc, OnceLock};

use crate::items::Items;
use crate::parser::Parsed;
use crate::spans::Spans;

/// What a stored program asks for a file's items and places by its name; nothing if the file is not what it was.
pub type Sources = Arc<dyn Fn(&str) -> Option<Parsed> + Send + Sync>;

/// One linked file.
#[derive(Clone)]
pub(crate) enum LinkedFile {
    /// It was parsed.
    Parsed { items: Arc<Items>, spans: Arc<Spans> },
    /// It was stored: only its values are here, the rest is parsed when it is asked for.
    Stored {
        name: Arc<str>,
        text: &'static str,
        sources: Sources,
        parsed: OnceLock<(Arc<Items>, Arc<Spans>)>,
    },
}

impl LinkedFile {
    /// Its name in messages.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            LinkedFile::Parsed { spans, .. } => spans.file(),
            LinkedFile::Stored { name, .. } => name,
        }
    }

    /// The text that its values are stretches of.
    #[inline]
    pub(crate) fn text(&self) -> &str {
        match self {
            LinkedFile::Parsed { items, .. } => &items.text,
            LinkedFile::Stored { text, .. } => text,
        }
    }

    pub(crate) fn items(&self) -> &Arc<Items> {
        self.parsed().0
    }

    pub(crate) fn spans(&self) -> &Arc<Spans> {
        self.parsed().1
    }

    fn parsed(&self) -> (&Arc<Items>, &Arc<Spans>) {
        match self {
            LinkedFile::Parsed { items, spans } => (items, spans),
            LinkedFile::Stored {
                name,
                sources,
                parsed,
                ..
            } => {
                // A file that changed since the program was read has no places that could be told.
                let unknown = || (Arc::default(), Arc::new(Spans::new(name.clone(), Arc::default())));
                let parse = || sources(name).map_or_else(unknown, |parsed| (parsed.items(), parsed.spans()));
                let (items, spans) = parsed.get_or_init(parse);
                (items, spans)
            }
        }
    }
}

impl std::fmt::Debug for LinkedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LinkedFile").field(self.name()).finish()
    }
}
