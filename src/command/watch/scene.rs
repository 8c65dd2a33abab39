//! What is watched: a workspace, its configuration in a session that stays, and what it selects.

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::selected::Selected;
use vtbuild_engine::session::{Layout, Session};
use vtbuild_engine::variant::Variant;

use super::Variants;
use super::files::below;
use super::queue::Order;
use crate::analysis::{Analysis, added, broken, layout, opened};
use crate::cli::SelectArgs;
use crate::command::changes::{Change, Counts, Kind, differences, pairs_of};
use crate::command::warn;
use crate::exit::Failure;
use crate::workspace::Workspace;

/// A configuration under watch.
pub struct Scene {
    select: SelectArgs,
    workspace: Arc<Workspace>,
    layout: Layout,
    session: Session,
    selected: Selected,
    /// Whether the last look found a mistake: the selection is one from before it.
    broken: bool,
}

/// What a look found.
pub enum Look {
    /// The same variants as before.
    Same,
    /// A mistake, as people are told of it.
    Broken(String),
    /// Other variants.
    Differs(Vec<Change>, Counts),
}

impl Scene {
    /// Opens the workspace. Nothing is expanded yet.
    pub fn open(select: &SelectArgs) -> Result<Self, Failure> {
        let workspace = opened(select)?;
        workspace
            .problems
            .iter()
            .for_each(|problem| warn(&problem.to_string()));
        let layout = layout(&workspace);
        Ok(Self {
            select: select.clone(),
            workspace: Arc::new(workspace),
            session: Session::new(layout.clone()),
            layout,
            selected: Selected::default(),
            broken: false,
        })
    }

    /// Expands the configuration for the first time.
    pub fn first(&mut self) -> Result<(), Failure> {
        self.selected = self.expand()?;
        if self.selected.is_empty() {
            let workspace = (*self.workspace).clone();
            return Err(Analysis::in_workspace(workspace, &self.select)?.nothing());
        }
        Ok(())
    }

    fn expand(&self) -> Result<Selected, Failure> {
        let lines = added(&self.workspace, &self.session, &self.select)?;
        self.session.select(&lines).map_err(|found| broken(&found))
    }

    /// Looks at all files again, after something became of these.
    pub fn look(&mut self, paths: &[Utf8PathBuf]) -> Look {
        let found = self.reopen(paths).and_then(|()| {
            self.session.refresh();
            self.expand()
        });
        let now = match found {
            Ok(now) => now,
            Err(failure) => {
                self.broken = true;
                return Look::Broken(failure.message);
            }
        };
        let changes = changes(&self.selected, &now);
        let counts = Counts::of(&changes, now.len());
        self.selected = now;
        // Somebody who mended a mistake wants to hear of it.
        match std::mem::take(&mut self.broken) {
            false if counts.nothing() => Look::Same,
            _ => Look::Differs(changes, counts),
        }
    }

    /// Opens the workspace again where something changed that says what belongs to it.
    fn reopen(&mut self, paths: &[Utf8PathBuf]) -> Result<(), Failure> {
        let says = |path: &Utf8PathBuf| {
            let inside = path.strip_prefix(&self.workspace.root).unwrap_or(path);
            ["vtbuild.toml", "vtbuild.lock"].contains(&inside.as_str())
                || inside.starts_with("test-providers.d")
                // A folder that comes or goes may be one of a provider.
                || path.extension().is_none()
        };
        let wrong = self.broken || !self.workspace.problems.is_empty();
        if !wrong && !paths.iter().any(says) {
            return Ok(());
        }
        let workspace = opened(&self.select)?;
        let layout = layout(&workspace);
        if layout != self.layout {
            self.session = Session::new(layout.clone());
            self.layout = layout;
        }
        self.workspace = Arc::new(workspace);
        Ok(())
    }

    /// The folders in which a file counts.
    pub fn folders(&self) -> BTreeSet<Utf8PathBuf> {
        let workspace = &self.workspace;
        let root = &workspace.root;
        let mut found = BTreeSet::from([root.clone()]);
        for name in [
            "test-providers.d",
            "recipes",
            "shared",
            &workspace.settings.vt_type,
        ] {
            below(&root.join(name), &mut found);
        }
        for provider in &workspace.providers {
            below(&provider.root, &mut found);
        }
        for path in self.session.looked_at() {
            // Where a file is a link, what it leads to is edited.
            let real = path.canonicalize_utf8().ok();
            let places = [Some(path), real].into_iter().flatten();
            found.extend(places.filter_map(|path| nearest(&path)));
        }
        // What is in the cache never changes.
        found.retain(|folder| !folder.starts_with(&workspace.cache));
        found
    }

    /// A path as people find it.
    pub fn shown<'p>(&self, path: &'p Utf8Path) -> &'p str {
        path.strip_prefix(&self.workspace.root).unwrap_or(path).as_str()
    }

    /// What is selected, to be planned.
    pub fn selection(&self) -> Order {
        let variants: Variants = self.selected.variants().cloned().collect();
        Order::Plan(self.workspace.clone(), variants)
    }
}

/// The folder itself, or the nearest one above that is there.
fn nearest(path: &Utf8Path) -> Option<Utf8PathBuf> {
    path.ancestors()
        .find(|folder| folder.is_dir())
        .map(Utf8Path::to_owned)
}

/// What differs between two selections: what is gone first.
fn changes(before: &Selected, after: &Selected) -> Vec<Change> {
    let found = after.since(before);
    let named = |variant: &Variant, kind: Kind| Change {
        name: variant.name.to_string(),
        kind,
    };
    let gone = found
        .removed
        .into_iter()
        .map(|variant| named(variant, Kind::Removed));
    let rest = found.rest.into_iter().filter_map(|(old, new)| match old {
        None => Some(named(new, Kind::Added)),
        Some(old) => {
            let differences = differences(&pairs_of(old), &pairs_of(new));
            // Names of files may differ, and nothing that a test could see.
            (!differences.is_empty()).then(|| named(new, Kind::Changed(differences)))
        }
    });
    gone.chain(rest).collect()
}
