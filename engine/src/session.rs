//! A workspace under analysis: files as inputs, and what they expand to.

use std::sync::Arc;

use camino::Utf8PathBuf;
use vtbuild_cfg::{Diagnostic, ExpandOptions, Program};

use crate::db::{Database, Setup, program, program_of};
use crate::variant::Variant;

/// Where a workspace's configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// The folders in which a configuration file is looked for, first to last.
    pub config_dirs: Vec<Utf8PathBuf>,
    /// The providers whose tests are put together into `subtests.cfg`.
    pub providers: Vec<ProviderLayout>,
}

/// The configuration folders of one provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderLayout {
    /// Its name.
    pub name: String,
    /// The folder `tests/cfg` of the chosen backend.
    pub specific: Option<Utf8PathBuf>,
    /// The folder `tests/cfg` of the generic backend.
    pub generic: Option<Utf8PathBuf>,
}

/// One line that is added after the configuration, and where people find it (`--guest-os`, `vtbuild.toml`).
#[derive(Clone, PartialEq, Eq, Debug)]
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
}

impl Session {
    /// Starts to look at a workspace. Nothing is read yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let db = Database::default();
        let setup = Setup::new(&db, layout);
        Self { db, setup }
    }

    /// Looks at all files again that were looked at before. Returns those that changed.
    pub fn refresh(&mut self) -> Vec<Utf8PathBuf> {
        self.db.refresh()
    }

    /// The configuration with `lines` after it.
    ///
    /// # Errors
    /// All that is wrong with its files, or with a line.
    pub fn program(&self, lines: &[ExtraLine]) -> Result<Program, Diagnostics> {
        let mut linked = program(&self.db, self.setup).clone()?;
        for line in lines {
            linked = linked
                .with_text(&line.origin, &line.text)
                .map_err(Diagnostics::from)?;
        }
        Ok(linked)
    }

    /// The configuration that `text` is, as if it stood in a file `name` beside `tests.cfg`: it may include any file of
    /// the set, generated ones too.
    ///
    /// # Errors
    /// All that is wrong with it or with a file that it includes.
    pub fn program_of(&self, name: &str, text: &str) -> Result<Program, Diagnostics> {
        program_of(&self.db, self.setup, name, text)
    }

    /// The variants of a program, in order; at most `most` of them.
    ///
    /// # Errors
    /// What went wrong while expanding.
    pub fn variants(&self, program: &Program, most: Option<usize>) -> Result<Vec<Variant>, Diagnostics> {
        let variants = program
            .variants(&ExpandOptions::default())
            .take(most.unwrap_or(usize::MAX));
        let mut shared = Shared::default();
        let viewed = variants.map(|variant| view(&variant?, &mut shared));
        viewed
            .collect::<Result<Vec<_>, _>>()
            .map_err(|diagnostic| Arc::from([*diagnostic]))
    }
}

/// Texts that stand in many variants, kept once.
#[derive(Default)]
struct Shared {
    texts: rustc_hash::FxHashSet<Arc<str>>,
}

impl Shared {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text: Arc<str> = Arc::from(text);
        self.texts.insert(text.clone());
        text
    }
}

fn view(variant: &vtbuild_cfg::Variant, shared: &mut Shared) -> Result<Variant, Box<Diagnostic>> {
    let params = variant
        .params()
        .map_err(|diagnostic| Box::new(diagnostic.clone()))?;
    Ok(Variant {
        name: variant.name().into(),
        shortname: variant.shortname().into(),
        test_id: variant.test_name().into(),
        dep: variant.dep().into_iter().map(Arc::from).collect(),
        name_map: variant.name_map(),
        short_name_map: variant.short_name_map(),
        params: Arc::new(
            params
                .iter()
                .map(|(key, value)| (shared.text(key), shared.text(value)))
                .collect(),
        ),
    })
}
