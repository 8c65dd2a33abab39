//! What the open files belong to: a workspace with its virtual configuration set, or nothing but their folders.
//!
//! A file is read the way a run reads it: as a member of the set, as a piece of one of its generated files, or by itself.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::analysis::layout;
use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{Parsed, Program};
use vtbuild_engine::generate::{GuestEntry, GuestFolder, Origin, Piece, ProviderPieces, guest_os, subtests};
use vtbuild_engine::session::{Diagnostics, Layout, ProviderLayout, SET, Session};

use super::document::{Document, Shared, is_guest};
use super::files::{Files, configs_below};
use super::settings;
use super::text::Text;
use crate::cli::PlaceArgs;
use crate::workspace::Workspace;

const SUBTESTS: &str = "subtests.cfg";
const GUEST_OS: &str = "guest-os.cfg";

/// The files under the server's eyes.
#[derive(Default)]
pub struct World {
    /// All files, as texts.
    files: Files,
    /// All files, as configurations.
    session: Session,
    /// Whether files may have changed on disk since the session looked at them, and until when it need not look again
    /// unless they have.
    stale: bool,
    looked: Option<Instant>,
    /// The folders that the editor works in.
    folders: Vec<Utf8PathBuf>,
    /// Where the workspace's configuration comes from.
    layout: Layout,
    /// The lines that a plain run adds to the configuration.
    lines: Vec<String>,
    /// The folder of files that the program carries in itself.
    bundled: Option<Utf8PathBuf>,
    /// The settings of the workspace.
    settings: Option<Utf8PathBuf>,
    /// The configuration files that were found on disk, and how long they are believed to be all.
    listed: Option<(Instant, BTreeSet<Utf8PathBuf>)>,
}

/// For each line of a generated text the file and the line that it came from.
pub type Origins = Vec<Option<Origin>>;

/// A file as the language reads it.
pub struct Reading {
    /// The path that its includes are relative to.
    root: Utf8PathBuf,
    /// The text that is parsed in its place, with the origins of its lines, where it is a piece of a generated file.
    pub generated: Option<(Text, Origins)>,
    parsed: Parsed,
}

impl World {
    /// Looks for a workspace around the first folder, or where `place` says. What is wrong with it is returned as text.
    pub fn open(folders: Vec<Utf8PathBuf>, place: &PlaceArgs) -> (Self, Vec<String>) {
        let mut world = Self {
            folders,
            ..Self::default()
        };
        let mut place = place.clone();
        if place.workspace.is_none() {
            let around = world.folders.first().and_then(|folder| {
                let mut above = folder.ancestors();
                above.find(|dir| dir.join("vtbuild.toml").is_file())
            });
            place.workspace = around
                .or(world.folders.first().map(|folder| &**folder))
                .map(Utf8Path::to_owned);
        }
        let warnings = match Workspace::open_offline(&place) {
            Ok(workspace) => world.adopt(&workspace),
            Err(failure) => vec![failure.message],
        };
        (world, warnings)
    }

    fn adopt(&mut self, workspace: &Workspace) -> Vec<String> {
        let said = &workspace.settings;
        self.layout = layout(workspace);
        self.session = Session::new(self.layout.clone());
        self.settings = Some(workspace.root.join(settings::FILE));
        self.bundled = workspace.bundled.sets().parent().map(Utf8Path::to_owned);
        if !self.folders.contains(&workspace.root) {
            self.folders.push(workspace.root.clone());
        }
        let only = std::iter::once(&said.guest_os).chain(&said.only);
        self.lines = only.map(|filter| format!("only {filter}")).collect();
        self.lines
            .extend(said.no.iter().map(|filter| format!("no {filter}")));
        let params = said.params.iter();
        self.lines
            .extend(params.map(|(key, value)| format!("{key} = {value}")));
        workspace.problems.iter().map(ToString::to_string).collect()
    }

    /// Takes over what an editor has open in another world.
    pub fn take_over(&mut self, files: Files) {
        for document in files.all_opened() {
            self.session.overlay(&document.path, Some(document.str()));
        }
        self.files = files;
    }

    /// Gives up the texts of files.
    pub fn into_files(self) -> Files {
        self.files
    }

    /// The editor has this text for a path now.
    pub fn open_document(&mut self, document: Document) {
        self.session.overlay(&document.path, Some(document.str()));
        self.files.open(document);
    }

    /// The editor has closed a file: what is on disk counts again.
    pub fn close(&mut self, path: &Utf8Path) {
        self.files.close(path);
        self.session.overlay(path, None);
    }

    /// A document that is open in the editor.
    pub fn opened(&self, path: &Utf8Path) -> Option<&Shared> {
        self.files.opened(path)
    }

    /// The document at a path, if there is a file.
    pub fn document(&mut self, path: &Utf8Path) -> Option<Shared> {
        self.files.document(path)
    }

    /// Looks for changes on disk, the less often, the longer it takes. Whether there are any.
    pub fn look_again(&mut self) -> bool {
        let started = Instant::now();
        if self.looked.is_some_and(|until| started < until) {
            return false;
        }
        let changed = !self.session.refresh().is_empty();
        self.looked = Some(Instant::now() + started.elapsed() * 20);
        self.stale = false;
        changed
    }

    /// Looks at the disk if the editor has said that files have changed there.
    fn catch_up(&mut self) {
        if self.stale {
            self.looked = None;
            self.look_again();
        }
    }

    /// The lines that a plain run adds to the configuration.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether a file is one of those that the program carries in itself, which nobody edits.
    pub fn is_bundled(&self, path: &Utf8Path) -> bool {
        self.bundled
            .as_ref()
            .is_some_and(|bundled| path.starts_with(bundled))
    }

    /// Every configuration file of the workspace, the bundled ones and open ones included.
    pub fn documents(&mut self) -> Vec<Shared> {
        let mut paths = self.listed();
        paths.extend(self.files.all_opened().map(|document| document.path.clone()));
        paths
            .iter()
            .filter_map(|path| self.files.document(path))
            .collect()
    }

    /// The configuration files on disk. Large folders are walked through the less often, the longer it takes.
    fn listed(&mut self) -> BTreeSet<Utf8PathBuf> {
        let started = Instant::now();
        if let Some((until, paths)) = &self.listed
            && started < *until
        {
            return paths.clone();
        }
        let provided = self
            .layout
            .providers
            .iter()
            .flat_map(|provider| [&provider.specific, &provider.generic]);
        let roots = self
            .folders
            .iter()
            .chain(&self.layout.config_dirs)
            .chain(provided.flatten());
        let paths: BTreeSet<Utf8PathBuf> = roots.flat_map(|root| configs_below(root)).collect();
        let until = Instant::now() + started.elapsed() * 20;
        self.listed = Some((until, paths.clone()));
        paths
    }

    /// Files have changed, come or gone on disk.
    pub fn relist(&mut self) {
        self.listed = None;
        self.stale = true;
    }

    /// The provider whose tests a file defines.
    fn provider(&self, path: &Utf8Path) -> Option<&ProviderLayout> {
        self.layout.providers.iter().find(|provider| {
            let mut folders = provider.specific.iter().chain(&provider.generic);
            folders.any(|folder| path.starts_with(folder))
        })
    }

    /// The path that a file's includes are relative to.
    fn root(&self, document: &Document) -> Utf8PathBuf {
        let path = &document.path;
        let member = self
            .layout
            .config_dirs
            .iter()
            .find_map(|dir| path.strip_prefix(dir).ok());
        let generated = if is_guest(path) {
            Some((GUEST_OS, member.is_some()))
        } else if self.provider(path).is_some() {
            Some((SUBTESTS, true))
        } else {
            document.is_headless().then_some((SUBTESTS, false))
        };
        match (generated, member) {
            (Some((name, true)), _) => Utf8Path::new(SET).join(name),
            (Some((name, false)), _) => path.with_file_name(name),
            (None, Some(name)) => Utf8Path::new(SET).join(name),
            (None, None) => path.clone(),
        }
    }

    /// A file as the language reads it.
    pub fn reading(&self, document: &Document) -> Reading {
        let root = self.root(document);
        let generated = if is_guest(&document.path) {
            let guest = GuestEntry {
                name: "guest".into(),
                piece: Some(piece(document)),
                folder: None,
            };
            guest_os(&GuestFolder { entries: vec![guest] })
        } else if root.file_name() == Some(SUBTESTS) && document.path.file_name() != Some(SUBTESTS) {
            let provider = self.provider(&document.path);
            subtests(
                &[ProviderPieces {
                    name: provider.map_or("provider", |provider| &provider.name).into(),
                    specific: Vec::new(),
                    generic: vec![piece(document)],
                }],
                &self.layout.backend,
            )
        } else {
            return Reading {
                root,
                generated: None,
                parsed: self.parsed(document),
            };
        };
        Reading {
            root,
            parsed: vtbuild_cfg::parse(document.path.as_str(), generated.text.as_bytes()),
            generated: Some((Text::new(generated.text), generated.origins)),
        }
    }

    /// A file as its own text says, whatever it is a piece of.
    fn parsed(&self, document: &Document) -> Parsed {
        let parsed = self.session.file(&document.path);
        parsed.unwrap_or_else(|| vtbuild_cfg::parse(document.path.as_str(), document.str().as_bytes()))
    }

    /// Whether a file belongs to the workspace's configuration set, of which its settings are the end.
    fn is_in_set(&self, path: &Utf8Path) -> bool {
        let provided = self
            .layout
            .providers
            .iter()
            .flat_map(|provider| [&provider.specific, &provider.generic]);
        let mut folders = provided.flatten().chain(&self.layout.config_dirs);
        self.settings.as_deref() == Some(path) || folders.any(|folder| path.starts_with(folder))
    }

    /// The files whose names mean the same as those of a document, itself first: those of the configuration set, or
    /// all others of the workspace; and what they include.
    pub fn relatives(&mut self, document: &Document) -> Vec<Shared> {
        let in_set = self.is_in_set(&document.path);
        let mut found = self.documents();
        found.retain(|file| !file.is_settings() && self.is_in_set(&file.path) == in_set);
        let settings = self.settings.clone().filter(|_| in_set);
        found.extend(settings.and_then(|path| self.files.document(&path)));
        let mut known: BTreeSet<Utf8PathBuf> = found.iter().map(|file| file.path.clone()).collect();
        let mut next = 0;
        while let Some(file) = found.get(next).cloned() {
            next += 1;
            for written in &file.names().includes {
                let included = self.included(&file, written);
                found.extend(included.filter(|included| known.insert(included.path.clone())));
            }
        }
        found.sort_by_key(|file| file.path != document.path);
        found
    }

    /// A file with all that it includes.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn link(&mut self, reading: &Reading) -> Result<Program, Diagnostics> {
        self.catch_up();
        if reading.parsed.includes().next().is_none() && !reading.parsed.diagnostics().is_empty() {
            return Err(reading.parsed.diagnostics().into());
        }
        self.session.program_from(&reading.root, &reading.parsed)
    }

    /// The configuration that a file is a part of: the workspace's, or that of the outermost file that includes it.
    pub fn program(&mut self, document: &Document) -> Option<Program> {
        self.catch_up();
        if self.is_in_set(&document.path)
            && let Ok(program) = self.session.program(&[])
        {
            return Some(program);
        }
        let outermost = self.outermost(document);
        let reading = self.reading(outermost.as_deref().unwrap_or(document));
        self.link(&reading).ok()
    }

    /// The outermost file that includes a file, through however many others.
    fn outermost(&mut self, document: &Document) -> Option<Shared> {
        let all = self.documents();
        let mut seen = BTreeSet::from([document.path.clone()]);
        let mut found: Option<Shared> = None;
        loop {
            let inner = found.as_ref().map_or(&document.path, |found| &found.path).clone();
            let includes = |outer: &&Shared| {
                !seen.contains(&outer.path)
                    && outer
                        .names()
                        .includes
                        .iter()
                        .any(|written| beside(&outer.path, written) == inner)
            };
            let Some(outer) = all.iter().find(includes).cloned() else {
                return found;
            };
            seen.insert(outer.path.clone());
            found = Some(outer);
        }
    }

    /// The file that an include statement of a document means, if there is one on disk.
    pub fn included(&mut self, document: &Document, written: &str) -> Option<Shared> {
        let path = self.session.locate(&beside(&self.root(document), written))?;
        self.files.document(&path)
    }
}

fn piece(document: &Document) -> Piece {
    Piece {
        file: document.path.as_str().into(),
        text: document.str().into(),
    }
}

/// The path that an include statement in the file at `path` means.
fn beside(path: &Utf8Path, written: &str) -> Utf8PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    match written.strip_prefix('~') {
        Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => {
            format!("{}{rest}", home.trim_end_matches('/')).into()
        }
        _ => path.with_file_name(written),
    }
}
