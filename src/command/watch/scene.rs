//! What is watched: a workspace, its configuration in a session that stays, and what it selects.

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::outline::Outline;
use vtbuild_engine::session::{ExtraLine, Layout, Session};

use super::files::below;
use super::queue::Order;
use crate::analysis::{Analysis, added, broken, layout, opened};
use crate::cli::SelectArgs;
use crate::command::changes::{Change, Counts, Kind, differences, pairs};
use crate::command::warn;
use crate::exit::Failure;
use crate::workspace::Workspace;

/// How many variants are looked into, key by key, before anything is told: that takes time.
const LOOKED_INTO: usize = 200;

/// A configuration under watch.
pub struct Scene {
    select: SelectArgs,
    workspace: Arc<Workspace>,
    layout: Layout,
    session: Session,
    outline: Outline,
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
    Differs {
        /// Those that were looked into.
        changes: Vec<Change>,
        /// How many these are.
        counts: Counts,
        /// How many more are made of other statements than before.
        beyond: usize,
    },
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
            outline: Outline::default(),
            broken: false,
        })
    }

    /// Expands the configuration for the first time.
    pub fn first(&mut self) -> Result<(), Failure> {
        self.outline = self.outlined()?;
        if self.outline.is_empty() {
            let workspace = (*self.workspace).clone();
            return Err(Analysis::in_workspace(workspace, &self.select)?.nothing());
        }
        Ok(())
    }

    fn outlined(&self) -> Result<Outline, Failure> {
        self.session
            .outline(&self.lines()?)
            .map_err(|found| broken(&found))
    }

    fn lines(&self) -> Result<Vec<ExtraLine>, Failure> {
        added(&self.workspace, &self.session, &self.select)
    }

    /// Looks at all files again, after something became of these.
    pub fn look(&mut self, paths: &[Utf8PathBuf]) -> Look {
        let found = self.reopen(paths).and_then(|()| {
            self.session.refresh();
            let now = self.outlined()?;
            Ok((look_into(&self.outline, &now)?, now))
        });
        let (look, now) = match found {
            Ok(found) => found,
            Err(failure) => {
                self.broken = true;
                return Look::Broken(failure.message);
            }
        };
        self.outline = now;
        // Somebody who mended a mistake wants to hear of it.
        match (std::mem::take(&mut self.broken), look) {
            (true, Look::Same) => Look::Differs {
                changes: Vec::new(),
                counts: Counts::of(&[], self.outline.len()),
                beyond: 0,
            },
            (_, look) => look,
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

    /// What is selected, with all parameters, to be planned.
    pub fn selection(&self) -> Result<Order, Failure> {
        let variants = self
            .session
            .select(&self.lines()?)
            .map_err(|found| broken(&found))?;
        Ok(Order::Plan(self.workspace.clone(), variants.into()))
    }
}

/// The folder itself, or the nearest one above that is there.
fn nearest(path: &Utf8Path) -> Option<Utf8PathBuf> {
    path.ancestors()
        .find(|folder| folder.is_dir())
        .map(Utf8Path::to_owned)
}

/// What differs between two selections: of what is told, the keys; of the first [`LOOKED_INTO`], whether they differ at all.
fn look_into(before: &Outline, after: &Outline) -> Result<Look, Failure> {
    let reached = after.since(before);
    let mut changes: Vec<Change> = Vec::new();
    let mut note = |name: &str, kind: Kind| {
        changes.push(Change {
            name: name.to_owned(),
            kind,
        });
    };
    for variant in &reached.removed {
        note(variant.name(), Kind::Removed);
    }
    let mut beyond = 0;
    for (at, (old, new)) in reached.rest.iter().enumerate() {
        match old {
            None => note(new.name(), Kind::Added),
            Some(old) if at < LOOKED_INTO => {
                let differences = differences(&pairs(old)?, &pairs(new)?);
                if !differences.is_empty() {
                    note(new.name(), Kind::Changed(differences));
                }
            }
            Some(_) => beyond += 1,
        }
    }
    let counts = Counts::of(&changes, after.len() - beyond);
    Ok(if counts.nothing() && beyond == 0 {
        Look::Same
    } else {
        Look::Differs {
            changes,
            counts,
            beyond,
        }
    })
}
