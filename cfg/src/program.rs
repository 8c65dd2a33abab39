//! Resolves includes and links files into one [`Program`].

mod link;
mod stored;

use std::sync::Arc;

use camino::Utf8Path;

use crate::diagnostic::Diagnostic;
pub use crate::graph::Sources;
use crate::graph::{Graph, LinkedFile};
use crate::parser::{Parsed, parse, parse_shared};
use crate::spans::Spans;
use link::Linker;
pub(crate) use link::resolve;

/// What a [`Loader`] found at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// A regular file's bytes.
    Text(Vec<u8>),
    /// There is nothing.
    Absent,
    /// There is something, but no regular file.
    NotAFile,
    /// A file that could not be read, and why.
    Unreadable(String),
}

/// Where files come from; the language itself knows no file system.
pub trait Loader {
    /// Reads the file at `path`.
    fn load(&self, path: &Utf8Path) -> Loaded;
}

/// What the caller of [`Program::link`] knows of a path.
#[derive(Clone, Debug)]
pub enum Unit {
    /// A parsed file.
    File(Parsed),
    /// There is nothing.
    Absent,
    /// There is something, but no regular file.
    NotAFile,
    /// A file that could not be read, and why.
    Unreadable(String),
}

/// A linked configuration: all files, with the tree of variants. Cheap to clone, shareable between threads.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) graph: Arc<Graph>,
}

impl Program {
    /// Links the file at `root` and all that it includes; `get` supplies each parsed file, by its joined path.
    ///
    /// # Errors
    /// Every error of every file, in the order in which the statements are met.
    pub fn link(root: &Utf8Path, get: &mut dyn FnMut(&Utf8Path) -> Unit) -> Result<Program, Vec<Diagnostic>> {
        Linker::new(Graph::default(), get).root(root)
    }

    /// Loads, parses and links the file at `root` and all that it includes.
    ///
    /// # Errors
    /// Every error of every file, in the order in which the statements are met.
    pub fn load(root: &Utf8Path, loader: &dyn Loader) -> Result<Program, Vec<Diagnostic>> {
        Program::link(root, &mut |path| unit(path, loader))
    }

    /// A program of one text, named `origin` in messages. Its includes are relative to the current directory.
    ///
    /// # Errors
    /// Every error of the text and of what it includes.
    pub fn from_text(origin: &str, text: &str, loader: &dyn Loader) -> Result<Program, Vec<Diagnostic>> {
        let parsed = parse(origin, text.as_bytes());
        Linker::new(Graph::default(), &mut |path| unit(path, loader)).text(&parsed)
    }

    /// The program with further text after its end: filters and assignments of a command line.
    ///
    /// The text may not include files; use [`Program::with_parsed`] for that.
    ///
    /// # Errors
    /// Every error of the text.
    pub fn with_text(&self, origin: &str, text: &str) -> Result<Program, Vec<Diagnostic>> {
        self.with_parsed(&[parse(origin, text.as_bytes())], &mut |_| Unit::Absent)
    }

    /// The program with further parsed texts after its end, one after the other; `get` supplies what they include.
    ///
    /// # Errors
    /// Every error of the first text that has any.
    pub fn with_parsed(
        &self,
        texts: &[Parsed],
        get: &mut dyn FnMut(&Utf8Path) -> Unit,
    ) -> Result<Program, Vec<Diagnostic>> {
        self.clone().extend(texts, get)
    }

    /// Like [`Program::with_parsed`], but without a copy if nobody else holds the program.
    ///
    /// # Errors
    /// Every error of the first text that has any.
    pub fn extend(
        self,
        texts: &[Parsed],
        get: &mut dyn FnMut(&Utf8Path) -> Unit,
    ) -> Result<Program, Vec<Diagnostic>> {
        let mut program = self;
        for text in texts {
            let graph = Arc::try_unwrap(program.graph).unwrap_or_else(|shared| Graph::clone(&shared));
            program = Linker::new(graph, get).text(text)?;
        }
        Ok(program)
    }

    /// The same program with its places in `spans`, one for each of its files: the way to link
    /// [unplaced](Parsed::unplaced) files once and to learn where things stand only when somebody asks.
    #[must_use]
    pub fn with_spans(self, spans: impl IntoIterator<Item = Arc<Spans>>) -> Program {
        let mut graph = Arc::unwrap_or_clone(self.graph);
        for (file, spans) in graph.files.iter_mut().zip(spans) {
            if let LinkedFile::Parsed { spans: places, .. } = file {
                *places = spans;
            }
        }
        Program {
            graph: Arc::new(graph),
        }
    }

    /// The files that were linked, in the order in which they were first met.
    pub fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.graph.files.iter().map(LinkedFile::name)
    }
}

fn unit(path: &Utf8Path, loader: &dyn Loader) -> Unit {
    match loader.load(path) {
        Loaded::Text(bytes) => Unit::File(match String::from_utf8(bytes) {
            Ok(text) => parse_shared(path.as_str(), &Arc::new(text)),
            Err(other) => parse(path.as_str(), other.as_bytes()),
        }),
        Loaded::Absent => Unit::Absent,
        Loaded::NotAFile => Unit::NotAFile,
        Loaded::Unreadable(why) => Unit::Unreadable(why),
    }
}
