//! From the command line to variants: the lines that are added to a configuration, and what they select.

use camino::Utf8Path;
use vtbuild_cfg::filter::Filter;
use vtbuild_cfg::provenance::{Statement, alone_in_the_way, unknown_labels};
use vtbuild_cfg::{Count, Diagnostic, ExpandOptions, Program, Variants};
use vtbuild_engine::session::{Diagnostics, ExtraLine, Layout, ProviderLayout, Session};
use vtbuild_engine::shelf::Shelf;
use vtbuild_engine::variant::Variant;
use vtbuild_providers::provider::GENERIC;

use crate::cli::SelectArgs;
use crate::command::plural;
use crate::exit::{Exit, Failure};
use crate::report::diagnostics;
use crate::workspace::Workspace;

/// How the origins of lines end that stand in the workspace's file.
const SETTINGS: &str = "in vtbuild.toml";

/// The machine types of machines.cfg.
const MACHINES: [&str; 2] = ["i440fx", "q35"];

/// A workspace with its configuration read and the wanted variants chosen.
pub struct Analysis {
    /// The workspace.
    pub workspace: Workspace,
    /// Its files under analysis.
    pub session: Session,
    /// The configuration with all added lines.
    pub program: Program,
    /// The lines that were added, filters that nobody typed included.
    pub lines: Vec<ExtraLine>,
}

impl Analysis {
    /// Reads the configuration of the workspace that the arguments mean, and adds the lines that they ask for.
    pub fn of(select: &SelectArgs) -> Result<Self, Failure> {
        Self::in_workspace(opened(select)?, select)
    }

    /// Reads the configuration of a workspace that is open already.
    pub fn in_workspace(workspace: Workspace, select: &SelectArgs) -> Result<Self, Failure> {
        let lines = lines(&workspace, select)?;
        Self::with_lines(workspace, lines)
    }

    /// The files of the workspace that the arguments mean, where no configuration needs to make sense.
    pub fn session(select: &SelectArgs) -> Result<Session, Failure> {
        Ok(Session::new(layout(&opened(select)?)))
    }

    /// Reads the configuration of a workspace with these lines at its end.
    pub fn with_lines(workspace: Workspace, mut lines: Vec<ExtraLine>) -> Result<Self, Failure> {
        let session = Session::new(layout(&workspace)).with_shelf(Shelf::new(&workspace.cache));
        lines.extend(without_foreign(&session, &workspace.settings.vt_type));
        let program = session.program(&lines).map_err(|found| refused(&found, &lines))?;
        Ok(Self {
            workspace,
            session,
            program,
            lines,
        })
    }

    /// The selected variants, in order; at most `most`.
    ///
    /// Selecting nothing is an error that names labels like those asked for.
    pub fn variants(&self, most: Option<usize>) -> Result<Vec<Variant>, Failure> {
        let variants = self
            .session
            .variants(&self.program, most)
            .map_err(|found| broken(&found))?;
        if variants.is_empty() {
            Err(self.nothing())
        } else {
            Ok(variants)
        }
    }

    /// The selected variants as they come, in order.
    pub fn stream(&self) -> Variants {
        self.program.variants(&ExpandOptions::default())
    }

    /// How many variants are selected. They are not listed for that.
    pub fn count(&self) -> Result<Count, Failure> {
        self.program
            .count(&ExpandOptions::default())
            .map_err(|error| wrong(&error))
    }

    /// The selected variants, unless they are more than `most`: then an error that says how many there are and how to
    /// have fewer. `doing` completes "that is too many to …".
    pub fn at_most(&self, most: usize, doing: &str) -> Result<Vec<Variant>, Failure> {
        self.refuse_more(most, doing)?;
        self.variants(None)
    }

    /// The same without making them.
    pub fn refuse_more(&self, most: usize, doing: &str) -> Result<(), Failure> {
        // Finding out that there are too many must not take as long as making them all.
        if self.stream().nth(most).is_some() {
            let message = format!(
                "the target selects {} variants, too many to {doing} by mistake (more than {most})\n{NARROW}\n  or insist with --all",
                self.count()?
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(())
    }

    /// A statement's place as people find it: files of the workspace relative to it, lines of a command line by the
    /// option that they came from.
    pub fn place(&self, statement: &Statement) -> String {
        if let Some(line) = self.lines.iter().find(|line| *line.origin == *statement.file) {
            let many = line.text.trim_end().contains('\n');
            return if many {
                format!("{}, line {}", line.origin, statement.line)
            } else {
                line.origin.clone()
            };
        }
        let file = Utf8Path::new(&*statement.file);
        let shown = file.strip_prefix(&self.workspace.root).unwrap_or(file);
        format!("{shown}:{}", statement.line)
    }

    /// The filters that alone keep everything away, and what to do about them.
    fn in_the_way(&self) -> String {
        let mut found = alone_in_the_way(&self.program, &ExpandOptions::default());
        // What somebody has just typed is hardly what they have forgotten.
        found.retain(|(statement, _)| {
            let typed =
                |line: &ExtraLine| *line.origin == *statement.file && !line.origin.ends_with(SETTINGS);
            !self.lines.iter().any(typed)
        });
        if found.is_empty() {
            return "\n  help: `vtbuild why-not //TARGET` names the filters that are in the way".to_owned();
        }
        let mut text = String::new();
        for (statement, lifted) in &found {
            let example = lifted.example.as_ref().map(|name| format!(", such as {name}"));
            text.push_str(&format!(
                "\n  {}: `{}` alone is in the way of {}{}",
                self.place(statement),
                statement.text,
                plural(&lifted.variants, "variant"),
                example.unwrap_or_default()
            ));
        }
        let bundled = self.workspace.bundled.sets();
        let theirs = |statement: &Statement| Utf8Path::new(&*statement.file).starts_with(&bundled);
        if found.iter().any(|(statement, _)| theirs(statement)) {
            text.push_str(&format!(
                "\n  help: to choose otherwise than the built-in set does, write a tests.cfg of your own into {}/cfg of the workspace: it may say `include tests-shared.cfg`, then filters of its own",
                self.workspace.settings.vt_type
            ));
        }
        text
    }

    /// Why nothing is selected, as well as can be told.
    pub fn nothing(&self) -> Failure {
        let mut message = "nothing is selected".to_owned();
        let mut unknown = String::new();
        for line in &self.lines {
            message.push_str(&format!(
                "\n  {}  (from {})",
                line.text.trim().replace('\n', "\n  "),
                line.origin
            ));
            unknown.push_str(&unknown_names(&self.program, &line.text));
        }
        if unknown.is_empty() {
            message.push_str(
                "\n  every name in these filters exists, but no variant passes them all together with the filters of the configuration",
            );
            message.push_str(&self.in_the_way());
        }
        message.push_str(&unknown);
        for problem in &self.workspace.problems {
            message.push_str(&format!(
                "\n  the test provider `{}` is left out: {problem}",
                problem.name
            ));
        }
        Failure::new(Exit::NothingSelected, message)
    }
}

/// The workspace that the arguments mean, for the backend that they ask for.
pub fn opened(select: &SelectArgs) -> Result<Workspace, Failure> {
    let mut workspace = Workspace::open(&select.config.place)?;
    if let Some(vt_type) = &select.config.vt_type {
        workspace.settings.vt_type.clone_from(vt_type);
    }
    Ok(workspace)
}

/// How a selection is made smaller.
pub const NARROW: &str =
    "  help: narrow it with a target (//migrate..tcp), --guest-os NAME, --only FILTER or --no FILTER";

/// For each name in a filter line that no variant carries: a line that says so and offers the nearest ones.
pub fn unknown_names(program: &Program, line: &str) -> String {
    let filter = ["only ", "no "].iter().find_map(|word| line.strip_prefix(word));
    let parsed: Option<Filter> = filter.and_then(|filter| filter.parse().ok());
    let unknown = parsed.map(|filter| unknown_labels(program, &filter));
    unknown.unwrap_or_default().iter().map(no_such_name).collect()
}

/// A line that says that no variant has a name, and offers the nearest ones.
pub fn no_such_name(unknown: &vtbuild_cfg::provenance::UnknownLabel) -> String {
    let nearest: Vec<String> = unknown.nearest.iter().map(|name| format!("`{name}`")).collect();
    let hint = match nearest.as_slice() {
        [] => "; `vtbuild list --tree` shows the names there are".to_owned(),
        names => format!("; did you mean {}?", names.join(" or ")),
    };
    format!("\n  no variant is called `{}`{hint}", unknown.label)
}

/// A configuration that cannot be used because of one mistake.
pub fn wrong(error: &Diagnostic) -> Failure {
    Failure::config(diagnostics::render(std::slice::from_ref(error)))
}

/// A configuration that cannot be used, with everything that is wrong with it.
pub fn broken(found: &Diagnostics) -> Failure {
    Failure::config(diagnostics::render(found))
}

/// The same, where what is wrong may be a line of the command line.
pub fn refused(found: &Diagnostics, lines: &[ExtraLine]) -> Failure {
    let file = found.first().map(|diagnostic| &*diagnostic.location.file);
    let typed = lines
        .iter()
        .any(|line| Some(&*line.origin) == file && !line.origin.ends_with(SETTINGS));
    let exit = if typed { Exit::Usage } else { Exit::Config };
    Failure::new(exit, diagnostics::render(found))
}

/// Where the configuration of a workspace comes from.
pub fn layout(workspace: &Workspace) -> Layout {
    let backend = workspace.settings.vt_type.as_str();
    let providers = workspace.providers.iter().map(|provider| {
        let cfg = |backend: &str| provider.backend(backend).map(|folder| folder.join("tests/cfg"));
        ProviderLayout {
            name: provider.name.clone(),
            specific: cfg(backend)
                .filter(|_| !GENERIC.contains(&backend))
                .into_iter()
                .collect(),
            generic: GENERIC.into_iter().filter_map(cfg).collect(),
        }
    });
    Layout {
        config_dirs: workspace.config_dirs(),
        backend: backend.to_owned(),
        providers: providers.collect(),
    }
}

/// All lines that are added to the configuration of a workspace.
pub fn added(
    workspace: &Workspace,
    session: &Session,
    select: &SelectArgs,
) -> Result<Vec<ExtraLine>, Failure> {
    let mut lines = lines(workspace, select)?;
    lines.extend(without_foreign(session, &workspace.settings.vt_type));
    Ok(lines)
}

/// The filter that drops the tests whose `virt_test_type` does not name the chosen backend.
fn without_foreign(session: &Session, backend: &str) -> Option<ExtraLine> {
    let names: Vec<&str> = session.foreign_tests().iter().map(|name| &**name).collect();
    let origin = format!("virt_test_type: not for {backend}");
    (!names.is_empty()).then(|| line(&origin, format!("no {}", names.join(", "))))
}

/// The lines that are added to the configuration, in the order in which they take effect.
fn lines(workspace: &Workspace, select: &SelectArgs) -> Result<Vec<ExtraLine>, Failure> {
    let settings = &workspace.settings;
    let guest = || line("guest-os in vtbuild.toml", format!("only {}", settings.guest_os));
    let mut lines = vec![guest_of(select).unwrap_or_else(guest)];
    for (word, list) in [("only", &settings.only), ("no", &settings.no)] {
        let origin = format!("{word} in vtbuild.toml");
        lines.extend(
            list.iter()
                .map(|filter| line(&origin, format!("{word} {filter}"))),
        );
    }
    let params = settings.params.iter();
    lines.extend(params.map(|(key, value)| line("params in vtbuild.toml", format!("{key} = {value}"))));
    if !settings.config.trim().is_empty() {
        lines.push(line("config in vtbuild.toml", settings.config.clone()));
    }
    lines.extend(typed(select)?);
    Ok(lines)
}

/// The lines that the command line asks for by itself, without a workspace.
pub fn asked(select: &SelectArgs) -> Result<Vec<ExtraLine>, Failure> {
    let mut lines: Vec<ExtraLine> = guest_of(select).into_iter().collect();
    lines.extend(typed(select)?);
    Ok(lines)
}

fn line(origin: &str, text: String) -> ExtraLine {
    ExtraLine {
        origin: origin.to_owned(),
        text,
    }
}

fn guest_of(select: &SelectArgs) -> Option<ExtraLine> {
    let guest = select.config.guest_os.as_ref()?;
    Some(line("--guest-os", format!("only {}", guest_filter(guest))))
}

/// A guest as `list --guests` prints it ends in its machine type, which stands elsewhere in the names of tests.
pub fn guest_filter(guest: &str) -> String {
    let machine = MACHINES.iter().find_map(|machine| {
        let guest = guest.strip_suffix(machine)?.strip_suffix('.')?;
        Some(format!("{guest}..{machine}"))
    });
    machine.unwrap_or_else(|| guest.to_owned())
}

/// What the command line asks for beside the guest.
fn typed(select: &SelectArgs) -> Result<Vec<ExtraLine>, Failure> {
    let mut lines = Vec::new();
    for param in &select.config.params {
        let (key, value) = param.split_once('=').ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!("--param {param} has no `=`; write --param KEY=VALUE"),
            )
        })?;
        lines.push(line("--param", format!("{} = {}", key.trim(), value.trim())));
    }
    let targets = Targets::parse(&select.targets)?;
    let wanted = targets.wanted();
    let filters = [
        ("--only", "only", select.config.only.as_slice()),
        ("--no", "no", select.config.no.as_slice()),
        ("the target", "only", wanted.as_slice()),
        ("the target", "no", targets.unwanted.as_slice()),
    ];
    for (origin, word, list) in filters {
        lines.extend(list.iter().map(|filter| line(origin, format!("{word} {filter}"))));
    }
    Ok(lines)
}

/// What the targets of a command line mean.
#[derive(Default, Debug, PartialEq, Eq)]
struct Targets {
    wanted: Vec<String>,
    everything: bool,
    unwanted: Vec<String>,
}

impl Targets {
    fn parse(targets: &[String]) -> Result<Self, Failure> {
        let mut parsed = Self::default();
        for target in targets {
            let (list, filter) = match (target.strip_prefix("!//"), target.strip_prefix("//")) {
                (Some(filter), _) => (&mut parsed.unwanted, filter),
                (None, Some("...")) => {
                    parsed.everything = true;
                    continue;
                }
                (None, Some(filter)) => (&mut parsed.wanted, filter),
                (None, None) => return Err(no_target(target)),
            };
            if filter.is_empty() {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("the target `{target}` names nothing; `//...` means everything"),
                ));
            }
            list.push(filter.to_owned());
        }
        Ok(parsed)
    }

    fn wanted(&self) -> Option<String> {
        (!self.everything && !self.wanted.is_empty()).then(|| self.wanted.join(", "))
    }
}

fn no_target(word: &str) -> Failure {
    let hint = if word.starts_with('-') {
        "see `vtbuild --help`".to_owned()
    } else {
        format!("write //{word}")
    };
    Failure::new(
        Exit::Usage,
        format!("`{word}` is neither a command nor a target; targets start with //: {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(targets: &[&str]) -> Result<Targets, Failure> {
        Targets::parse(&targets.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_guest_may_be_named_as_it_is_listed() {
        let listed = guest_filter("Linux.CentOS.6.6.i386.i440fx");
        assert_eq!(listed, "Linux.CentOS.6.6.i386..i440fx");
        assert_eq!(guest_filter("CentOS.6.6.i386"), "CentOS.6.6.i386");
        assert_eq!(guest_filter("i440fx"), "i440fx");
    }

    #[test]
    fn targets_are_joined_and_subtracted() {
        let targets = parse(&["//migrate..tcp", "//boot,reboot", "!//unix"]).unwrap();
        assert_eq!(targets.wanted().as_deref(), Some("migrate..tcp, boot,reboot"));
        assert_eq!(targets.unwanted, ["unix"]);
        assert_eq!(parse(&["//..."]).unwrap().wanted(), None);
    }

    #[test]
    fn a_word_that_is_no_target_is_a_usage_error() {
        for word in ["migrate", "-x", "//", "!//"] {
            let failure = parse(&[word]).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{word}");
        }
        assert!(
            parse(&["migrate"])
                .unwrap_err()
                .message
                .contains("write //migrate")
        );
    }
}
