//! What is watched: a workspace, its configuration in a session that stays, and what it selects.

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::outline::Outline;
use vtbuild_engine::session::{ExtraLine, Layout, Session};

use super::files::below;
use super::queue::Order;
use crate::analysis::{Analysis, added, broken, layout, opened, refused};
use crate::cli::SelectArgs;
use crate::command::changes::{Change, Counts, Kind, differences, pairs};
use crate::command::warn;
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;

/// How many variants are looked into, key by key, before anything is told: that takes time.
const LOOKED_INTO: usize = 200;

/// A configuration under watch.
pub struct Scene {
    select: SelectArgs,
    workspace: Arc<Workspace>,
    layout: Layout,
    session: Session,
    /// What is selected; nothing as long as the configuration has never made sense.
    outline: Option<Outline>,
    /// Whether the last look found a mistake: the selection is one from before it.
    broken: bool,
}

/// What a look found.
pub enum Look {
    /// The first selection of this many variants: what was broken from the start is mended.
    Begun(usize),
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
            outline: None,
            broken: false,
        })
    }

    /// Expands the configuration for the first time. A mistake in it is told, since an edit can mend it: the configuration
    /// is tried again at the next look. One on the command line is an error.
    pub fn first(&mut self) -> Result<Option<String>, Failure> {
        match self.outlined() {
            Ok(outline) if outline.is_empty() => Err(self.nothing()?),
            Ok(outline) => {
                self.outline = Some(outline);
                Ok(None)
            }
            Err(failure) if failure.exit == Exit::Config => {
                self.broken = true;
                Ok(Some(failure.message))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether there is a selection.
    pub fn has_begun(&self) -> bool {
        self.outline.is_some()
    }

    /// Why nothing is selected.
    fn nothing(&self) -> Result<Failure, Failure> {
        let workspace = (*self.workspace).clone();
        Ok(Analysis::in_workspace(workspace, &self.select)?.nothing())
    }

    fn outlined(&self) -> Result<Outline, Failure> {
        let lines = self.lines()?;
        self.session
            .outline(&lines)
            .map_err(|found| refused(&found, &lines))
    }

    fn lines(&self) -> Result<Vec<ExtraLine>, Failure> {
        added(&self.workspace, &self.session, &self.select)
    }

    /// Looks at all files again, after something became of these.
    pub fn look(&mut self, paths: &[Utf8PathBuf]) -> Look {
        match self.differs(paths) {
            Ok(look) => look,
            Err(failure) => {
                self.broken = true;
                Look::Broken(failure.message)
            }
        }
    }

    fn differs(&mut self, paths: &[Utf8PathBuf]) -> Result<Look, Failure> {
        self.reopen(paths)?;
        self.session.refresh();
        let now = self.outlined()?;
        let look = match &self.outline {
            Some(before) => look_into(before, &now)?,
            None if now.is_empty() => return Err(self.nothing()?),
            None => Look::Begun(now.len()),
        };
        let count = now.len();
        self.outline = Some(now);
        // Somebody who mended a mistake wants to hear of it.
        Ok(match (std::mem::take(&mut self.broken), look) {
            (true, Look::Same) => Look::Differs {
                changes: Vec::new(),
                counts: Counts::of(&[], count),
                beyond: 0,
            },
            (_, look) => look,
        })
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

    /// How many variants are selected.
    pub fn variants(&self) -> usize {
        self.outline.as_ref().map_or(0, Outline::len)
    }

    /// What is selected, with all parameters, to be planned; nothing where there are no tests to plan.
    pub fn selection(&self) -> Result<Option<Order>, Failure> {
        if self.workspace.is_bare_set() {
            return Ok(None);
        }
        let variants = self
            .session
            .select(&self.lines()?)
            .map_err(|found| broken(&found))?;
        Ok(Some(Order::Plan(self.workspace.clone(), variants.into())))
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
