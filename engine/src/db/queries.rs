//! The pure steps from files to a linked program.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{Diagnostic, LineOrigin, Parsed, Program, Spans, Unit};

use super::{Db, FileText, Setup, Source};
use crate::generate::{
    Generated, GuestEntry, GuestFolder, Piece, ProviderPieces, foreign, guest_os, subtests,
};
use crate::session::{ProviderLayout, SET};

/// A linked program or all that is wrong with its files.
type LinkResult = Result<Program, Arc<[Diagnostic]>>;

/// Names of the files that are generated.
const SUBTESTS: &str = "subtests.cfg";
const GUEST_OS: &str = "guest-os.cfg";

/// A configuration file, parsed. Per file: an edit of one re-parses one.
#[salsa::tracked(returns(ref), no_eq)]
fn parsed(db: &dyn Db, source: Source) -> Unit {
    source.text(db).unit(source.path(db))
}

/// What a file says, without where: cut-off for edits of comments and layout.
#[derive(Clone, PartialEq, Eq, Debug)]
enum FileItems {
    /// A file without mistakes.
    Sound(Parsed),
    /// Anything else that is there.
    Broken,
    Absent,
}

impl FileItems {
    fn of(parsed: &Parsed) -> Self {
        if parsed.diagnostics().is_empty() {
            Self::Sound(parsed.unplaced())
        } else {
            Self::Broken
        }
    }
}

#[salsa::tracked(returns(ref))]
fn items(db: &dyn Db, source: Source) -> FileItems {
    match parsed(db, source) {
        Unit::File(parsed) => FileItems::of(parsed),
        Unit::Absent => FileItems::Absent,
        Unit::NotAFile | Unit::Unreadable(_) => FileItems::Broken,
    }
}

/// `subtests.cfg` as text.
#[salsa::tracked(returns(ref))]
pub(crate) fn generated_subtests(db: &dyn Db, setup: Setup) -> Generated {
    subtests(&pieces(db, setup), &setup.layout(db).backend)
}

/// The names of the tests that say themselves that they are for other backends.
#[salsa::tracked(returns(ref))]
pub(crate) fn foreign_tests(db: &dyn Db, setup: Setup) -> Vec<Arc<str>> {
    foreign(&pieces(db, setup), &setup.layout(db).backend)
}

fn pieces(db: &dyn Db, setup: Setup) -> Vec<ProviderPieces> {
    let read = |folders: &[Utf8PathBuf]| -> Vec<Piece> {
        folders
            .iter()
            .flat_map(|folder| pieces_below(db, folder))
            .collect()
    };
    let providers = setup.layout(db).providers.iter();
    let of = |provider: &ProviderLayout| ProviderPieces {
        name: provider.name.as_str().into(),
        specific: read(&provider.specific),
        generic: read(&provider.generic),
    };
    providers.map(of).collect()
}

/// `guest-os.cfg` as text.
#[salsa::tracked(returns(ref))]
fn generated_guest_os(db: &dyn Db, setup: Setup) -> Generated {
    let roots: Vec<Utf8PathBuf> = setup
        .layout(db)
        .config_dirs
        .iter()
        .map(|dir| dir.join("guest-os"))
        .collect();
    guest_os(&guest_folder(db, &roots))
}

#[salsa::tracked(returns(ref), no_eq)]
fn parsed_subtests(db: &dyn Db, setup: Setup) -> Parsed {
    parse_generated(SUBTESTS, generated_subtests(db, setup))
}

#[salsa::tracked(returns(ref), no_eq)]
fn parsed_guest_os(db: &dyn Db, setup: Setup) -> Parsed {
    parse_generated(GUEST_OS, generated_guest_os(db, setup))
}

#[salsa::tracked(returns(ref))]
fn items_subtests(db: &dyn Db, setup: Setup) -> FileItems {
    FileItems::of(parsed_subtests(db, setup))
}

#[salsa::tracked(returns(ref))]
fn items_guest_os(db: &dyn Db, setup: Setup) -> FileItems {
    FileItems::of(parsed_guest_os(db, setup))
}

/// Who supplies a file of the virtual set.
#[derive(Clone, Copy)]
enum Supplier {
    Source(Source),
    Subtests,
    GuestOs,
}

impl Supplier {
    /// A generated file, the first folder that has it, or the path itself.
    fn of(db: &dyn Db, setup: Setup, path: &Utf8Path) -> Option<Self> {
        let Ok(name) = path.strip_prefix(SET) else {
            return Some(Self::Source(db.source(path)));
        };
        let places = setup.layout(db).config_dirs.iter();
        let found = places
            .map(|dir| db.source(&dir.join(name)))
            .find(|&source| *items(db, source) != FileItems::Absent);
        match (found, name.as_str()) {
            (Some(source), _) => Some(Self::Source(source)),
            (None, SUBTESTS) => Some(Self::Subtests),
            (None, GUEST_OS) => Some(Self::GuestOs),
            (None, _) => None,
        }
    }

    fn items(self, db: &dyn Db, setup: Setup) -> &FileItems {
        match self {
            Self::Source(source) => items(db, source),
            Self::Subtests => items_subtests(db, setup),
            Self::GuestOs => items_guest_os(db, setup),
        }
    }

    fn unit(self, db: &dyn Db, setup: Setup) -> Unit {
        match self {
            Self::Source(source) => parsed(db, source).clone(),
            Self::Subtests => Unit::File(parsed_subtests(db, setup).clone()),
            Self::GuestOs => Unit::File(parsed_guest_os(db, setup).clone()),
        }
    }

    fn spans(self, db: &dyn Db, setup: Setup) -> Option<Arc<Spans>> {
        match self.unit(db, setup) {
            Unit::File(parsed) => Some(parsed.spans()),
            Unit::Absent | Unit::NotAFile | Unit::Unreadable(_) => None,
        }
    }
}

/// A configuration in which something is wrong. What it is, only diagnostics say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, salsa::SalsaValue)]
pub(crate) struct Broken;

/// A linked configuration whose places are left out, and who can tell them.
pub(super) struct Linked {
    pub(super) program: Program,
    files: Vec<Supplier>,
}

/// `tests.cfg` and all that it includes, without places.
#[salsa::tracked(returns(ref), no_eq)]
pub(super) fn linked(db: &dyn Db, setup: Setup) -> Result<Linked, Broken> {
    let mut files = Vec::new();
    let mut get = |path: &Utf8Path| {
        let Some(supplier) = Supplier::of(db, setup, path) else {
            return Unit::Absent;
        };
        match supplier.items(db, setup) {
            FileItems::Sound(parsed) => {
                files.push(supplier);
                Unit::File(parsed.clone())
            }
            FileItems::Broken => Unit::NotAFile,
            FileItems::Absent => Unit::Absent,
        }
    };
    let program = Program::link(&root(), &mut get).map_err(|_| Broken)?;
    Ok(Linked { program, files })
}

/// The whole configuration with its places: `tests.cfg` and all that it includes.
#[salsa::tracked(returns(ref), no_eq)]
pub(crate) fn program(db: &dyn Db, setup: Setup) -> LinkResult {
    match linked(db, setup) {
        Ok(linked) => {
            let spans = linked.files.iter().filter_map(|file| file.spans(db, setup));
            Ok(linked.program.clone().with_spans(spans))
        }
        Err(Broken) => Program::link(&root(), &mut |path| unit(db, setup, path)).map_err(Into::into),
    }
}

/// A configuration of another first file, whose text is `text`; it includes files as `tests.cfg` does.
pub(crate) fn program_of(db: &dyn Db, setup: Setup, name: &str, text: &str) -> LinkResult {
    let parsed = vtbuild_cfg::parse(name, text.as_bytes());
    program_from(db, setup, &Utf8Path::new(SET).join(name), &parsed)
}

/// A configuration whose first file is `first`, as if it stood at `root`.
pub(crate) fn program_from(db: &dyn Db, setup: Setup, root: &Utf8Path, first: &Parsed) -> LinkResult {
    let mut get = |path: &Utf8Path| {
        if path == root {
            Unit::File(first.clone())
        } else {
            unit(db, setup, path)
        }
    };
    Program::link(root, &mut get).map_err(Into::into)
}

/// Where a file of the virtual set is on disk; nothing for one that is generated or absent.
pub(crate) fn located(db: &dyn Db, setup: Setup, path: &Utf8Path) -> Option<Utf8PathBuf> {
    match Supplier::of(db, setup, path)? {
        Supplier::Source(source) => {
            matches!(parsed(db, source), Unit::File(_)).then(|| source.path(db).clone())
        }
        Supplier::Subtests | Supplier::GuestOs => None,
    }
}

/// A file of a program by its name in messages, parsed.
pub(crate) fn file(db: &dyn Db, setup: Setup, name: &str) -> Option<Parsed> {
    let supplier = match name {
        SUBTESTS => Supplier::Subtests,
        GUEST_OS => Supplier::GuestOs,
        path => Supplier::Source(db.source(Utf8Path::new(path))),
    };
    match supplier.unit(db, setup) {
        Unit::File(parsed) => Some(parsed),
        Unit::Absent | Unit::NotAFile | Unit::Unreadable(_) => None,
    }
}

fn root() -> Utf8PathBuf {
    Utf8Path::new(SET).join("tests.cfg")
}

/// A file of the virtual set, with its places.
fn unit(db: &dyn Db, setup: Setup, path: &Utf8Path) -> Unit {
    Supplier::of(db, setup, path).map_or(Unit::Absent, |supplier| supplier.unit(db, setup))
}

fn parse_generated(name: &str, generated: &Generated) -> Parsed {
    vtbuild_cfg::parse(name, generated.text.as_bytes()).with_origins(origins(generated))
}

/// Runs of lines that came from consecutive lines of one file.
fn origins(generated: &Generated) -> Vec<LineOrigin> {
    let mut stretches: Vec<LineOrigin> = Vec::new();
    for (first, origin) in (1..).zip(&generated.origins) {
        let Some((file, line, indent)) = origin else {
            continue;
        };
        let follows = stretches.last().is_some_and(|last| {
            last.file == *file && last.line + (first - last.first) == *line && last.indent == *indent
        });
        if !follows {
            stretches.push(LineOrigin {
                first,
                file: file.clone(),
                line: *line,
                indent: *indent,
            });
        }
    }
    stretches
}

/// Every `.cfg` file below a folder, sorted by path.
fn pieces_below(db: &dyn Db, folder: &Utf8Path) -> Vec<Piece> {
    let list = db.folder(folder).list(db).clone();
    let mut pieces: Vec<Piece> = list
        .files
        .iter()
        .filter(|name| name.ends_with(".cfg"))
        .filter_map(|name| piece(db, &folder.join(name)))
        .collect();
    for name in &list.folders {
        pieces.extend(pieces_below(db, &folder.join(name)));
    }
    pieces
}

fn piece(db: &dyn Db, path: &Utf8Path) -> Option<Piece> {
    let text: Arc<str> = match db.source(path).text(db) {
        FileText::Text(text) => text.as_str().into(),
        FileText::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        FileText::Absent | FileText::NotAFile | FileText::Unreadable(_) => return None,
    };
    let file = path.as_str().into();
    Some(Piece { file, text })
}

/// The guest definitions of several folders seen as one: the first that has a file wins, folders are merged.
fn guest_folder(db: &dyn Db, folders: &[Utf8PathBuf]) -> GuestFolder {
    let lists: Vec<_> = folders
        .iter()
        .map(|folder| db.folder(folder).list(db).clone())
        .collect();
    let stems = lists
        .iter()
        .flat_map(|list| list.files.iter().filter_map(|name| name.strip_suffix(".cfg")));
    let inner = lists
        .iter()
        .flat_map(|list| list.folders.iter().map(String::as_str));
    let names: std::collections::BTreeSet<&str> = stems.chain(inner).collect();
    let entry = |name: &str| {
        let file = format!("{name}.cfg");
        let below: Vec<Utf8PathBuf> = folders
            .iter()
            .zip(&lists)
            .filter(|(_, list)| list.folders.iter().any(|folder| folder == name))
            .map(|(folder, _)| folder.join(name))
            .collect();
        GuestEntry {
            name: name.into(),
            piece: folders.iter().find_map(|folder| piece(db, &folder.join(&file))),
            folder: (!below.is_empty()).then(|| guest_folder(db, &below)),
        }
    };
    GuestFolder {
        entries: names.into_iter().map(entry).collect(),
    }
}
