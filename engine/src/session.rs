//! A workspace under analysis: files as inputs, and what they expand to.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{Diagnostic, ExpandOptions, Parsed, Program, Sources};

use crate::db::{
    Broken, Database, Selection, Setup, expanded, file, foreign_tests, generated_subtests, located, outlined,
    program, program_from, program_of, selected, with_lines,
};
use crate::outline::Outline;
use crate::shelf::{Answer, Shelf};
use crate::variant::{Texts, Variant};

/// The folder that the virtual configuration set is in. A path in it means a file of the set, whichever configuration
/// folder supplies it, or a generated one; includes are resolved against it.
pub const SET: &str = "cfg";

/// Where a workspace's configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// The folders in which a configuration file is looked for, first to last.
    pub config_dirs: Vec<Utf8PathBuf>,
    /// The chosen backend: `qemu`.
    pub backend: String,
    /// The providers whose tests are put together into `subtests.cfg`.
    pub providers: Vec<ProviderLayout>,
}

/// The configuration folders of one provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderLayout {
    /// Its name.
    pub name: String,
    /// The folders `tests/cfg` of the chosen backend.
    pub specific: Vec<Utf8PathBuf>,
    /// The folders `tests/cfg` of the generic backends.
    pub generic: Vec<Utf8PathBuf>,
}

/// One line that is added after the configuration, and where people find it (`--guest-os`, `vtbuild.toml`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExtraLine {
    /// Who asked for it.
    pub origin: String,
    /// The line.
    pub text: String,
}

/// The diagnostics of a configuration that cannot be used.
pub type Diagnostics = Arc<[Diagnostic]>;

/// A workspace under analysis.
pub struct Session {
    db: Database,
    setup: Setup,
    shelf: Option<Shelf>,
    /// What the shelf gave.
    kept: OnceCell<Answer>,
}

impl Default for Session {
    /// A workspace without a set.
    fn default() -> Self {
        Self::new(Layout::default())
    }
}

impl Session {
    /// Starts to look at a workspace. Nothing is read yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let db = Database::default();
        let setup = Setup::new(&db, layout);
        Self {
            db,
            setup,
            shelf: None,
            kept: OnceCell::new(),
        }
    }

    /// Takes the linked program from a shelf as long as its files are what they were, and keeps it there. For a process
    /// that looks once: after [`refresh`](Self::refresh) everything is read from the files.
    #[must_use]
    pub fn with_shelf(mut self, shelf: Shelf) -> Self {
        self.shelf = Some(shelf);
        self
    }

    /// Looks at all files again that were looked at before. Returns those that changed.
    pub fn refresh(&mut self) -> Vec<Utf8PathBuf> {
        self.shelf = None;
        self.kept.take();
        self.db.refresh()
    }

    /// Lays a text over the file at `path`, as an editor has it open: it counts as if it were on disk, though no file
    /// need be there. Without a text the disk counts again.
    pub fn overlay(&mut self, path: &Utf8Path, text: Option<&str>) {
        self.shelf = None;
        self.kept.take();
        self.db.overlay(path, text.map(|text| Arc::new(text.to_owned())));
    }

    /// The file at `path` on disk or laid over it, parsed; nothing where no file is.
    #[must_use]
    pub fn file(&self, path: &Utf8Path) -> Option<Parsed> {
        file(&self.db, self.setup, path.as_str())
    }

    /// The file that supplies a path of the set ([`SET`]), or the path itself where it is no such path. Nothing for what
    /// is generated or absent.
    #[must_use]
    pub fn locate(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        located(&self.db, self.setup, path)
    }

    /// The configuration with `lines` after it.
    ///
    /// # Errors
    /// All that is wrong with its files, or with a line.
    pub fn program(&self, lines: &[ExtraLine]) -> Result<Program, Diagnostics> {
        with_lines(self.linked()?, lines).map_err(Diagnostics::from)
    }

    /// The configuration itself: from the shelf if there is one.
    fn linked(&self) -> Result<&Program, Diagnostics> {
        match &self.shelf {
            Some(shelf) => Ok(&self.kept(shelf)?.program),
            None => self.parsed(),
        }
    }

    fn parsed(&self) -> Result<&Program, Diagnostics> {
        program(&self.db, self.setup).as_ref().map_err(Diagnostics::clone)
    }

    fn kept(&self, shelf: &Shelf) -> Result<&Answer, Diagnostics> {
        if let Some(kept) = self.kept.get() {
            return Ok(kept);
        }
        let layout = self.setup.layout(&self.db);
        let sources: Sources = Arc::new({
            let layout = layout.clone();
            move |name| {
                let other = Session::new(layout.clone());
                file(&other.db, other.setup, name)
            }
        });
        let kept = shelf.answer(&format!("{layout:?}"), &sources, || {
            let program = self.parsed()?.clone();
            let notes = foreign_tests(&self.db, self.setup).clone();
            Ok::<_, Diagnostics>((Answer { program, notes }, self.db.reads()))
        })?;
        Ok(self.kept.get_or_init(|| kept))
    }

    /// The configuration that `text` is, as if it stood in a file `name` beside `tests.cfg`: it may include any file of
    /// the set, generated ones too.
    ///
    /// # Errors
    /// All that is wrong with it or with a file that it includes.
    pub fn program_of(&self, name: &str, text: &str) -> Result<Program, Diagnostics> {
        program_of(&self.db, self.setup, name, text)
    }

    /// The configuration that begins with `first`, as if it stood at `root`: a path of the set ([`SET`]) includes files of
    /// the set, any other those beside it.
    ///
    /// # Errors
    /// All that is wrong with it or with a file that it includes.
    pub fn program_from(&self, root: &Utf8Path, first: &Parsed) -> Result<Program, Diagnostics> {
        program_from(&self.db, self.setup, root, first)
    }

    /// The variants that the configuration with `lines` after it has, in order. They are kept: after an edit only what
    /// it reached is made again.
    ///
    /// # Errors
    /// All that is wrong with its files or with a line, or what went wrong while expanding.
    pub fn select(&self, lines: &[ExtraLine]) -> Result<Vec<Variant>, Diagnostics> {
        let selection = Selection::new(&self.db, lines.to_vec());
        let made = || {
            let mut all = Vec::new();
            for &shard in selected(&self.db, self.setup, selection)
                .as_ref()
                .map_err(|&b| b)?
            {
                all.extend_from_slice(expanded(&self.db, shard).as_ref().map_err(|&b| b)?);
            }
            Ok(all)
        };
        // What is wrong is told with its place, which only the whole program knows.
        made().or_else(|Broken| self.variants(&self.program(lines)?, None))
    }

    /// The same before a parameter is computed: what an edit has reached can be told from that.
    ///
    /// # Errors
    /// All that is wrong with its files or with a line.
    pub fn outline(&self, lines: &[ExtraLine]) -> Result<Outline, Diagnostics> {
        let selection = Selection::new(&self.db, lines.to_vec());
        match outlined(&self.db, self.setup, selection) {
            Ok(stretches) => Ok(Outline::new(stretches)),
            Err(Broken) => {
                let program = self.program(lines)?;
                let mut variants = program.variants(&ExpandOptions::default());
                let wrong = variants.find_map(Result::err);
                Err(Arc::from(Vec::from_iter(wrong.map(|diagnostic| *diagnostic))))
            }
        }
    }

    /// The files and folders that were looked at so far, absent ones included.
    #[must_use]
    pub fn looked_at(&self) -> Vec<Utf8PathBuf> {
        self.db.looked_at()
    }

    /// The text of `subtests.cfg`, put together from the providers.
    #[must_use]
    pub fn subtests(&self) -> &str {
        &generated_subtests(&self.db, self.setup).text
    }

    /// The names of the tests that say themselves that they are for other backends.
    #[must_use]
    pub fn foreign_tests(&self) -> &[Arc<str>] {
        match self.shelf.as_ref().map(|shelf| self.kept(shelf)) {
            Some(Ok(kept)) => &kept.notes,
            _ => foreign_tests(&self.db, self.setup),
        }
    }

    /// How often each query ran since this was last asked, by the query's name.
    pub fn take_runs(&self) -> BTreeMap<String, usize> {
        self.db.take_runs()
    }

    /// The variants of a program, in order; at most `most` of them.
    ///
    /// # Errors
    /// What went wrong while expanding.
    pub fn variants(&self, program: &Program, most: Option<usize>) -> Result<Vec<Variant>, Diagnostics> {
        // Each core shares texts among the variants that it makes.
        let of_cores: Mutex<Vec<Texts>> = Mutex::default();
        let idle = || of_cores.lock().unwrap_or_else(PoisonError::into_inner);
        let viewed = program
            .variants(&ExpandOptions::default())
            .map_parallel(|variant| {
                let mut texts = idle().pop().unwrap_or_default();
                let viewed = variant.and_then(|variant| Variant::of(&variant, &mut texts));
                idle().push(texts);
                viewed
            });
        viewed
            .take(most.unwrap_or(usize::MAX))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|diagnostic| Arc::from([*diagnostic]))
    }
}
