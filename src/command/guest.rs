//! `vtbuild guest add`: a guest of one's own, from an image to a definition that is known to work.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::image::QemuImg;
use vtbuild_providers::process::Launcher;
use vtbuild_providers::qemu::Qemu;
use vtbuild_rules::state::Policy;
use vtbuild_rules::test::{Scene, Visitor};

use super::{print, visit};
use crate::analysis::Analysis;
use crate::cli::{ConfigArgs, GuestAddArgs, GuestArgs, GuestCommand, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::report::seconds;
use crate::workspace::Workspace;

/// How many variants are looked through for one that boots the guest.
const LOOKED_AT: usize = 1000;

/// Does what is asked for about guests.
pub fn guest(args: &GuestArgs) -> Result<Exit, Failure> {
    match &args.command {
        GuestCommand::Add(args) => add(args),
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

fn add(args: &GuestAddArgs) -> Result<Exit, Failure> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || ['-', '_'].contains(&letter);
    if args.name.is_empty() || !args.name.chars().all(letter) {
        return Err(usage(format!(
            "`{}` cannot be a guest's name: it is a label of variants, and may hold letters, digits, - and _",
            args.name
        )));
    }
    let workspace = Workspace::open(&args.place)?;
    let (folder, custom) = if args.windows {
        ("Windows/WindowsCustom", "WindowsCustom")
    } else {
        ("Linux/LinuxCustom", "LinuxCustom")
    };
    let path = workspace
        .root
        .join("shared/cfg/guest-os")
        .join(folder)
        .join(format!("{}.cfg", args.name));
    if path.exists() && !args.force {
        return Err(usage(format!("there is a {path} already; --force replaces it")));
    }
    let image = image(&workspace, &args.image)?;
    let full = format!("{custom}.{}", args.name);
    let definition = Definition::write(path, &definition(args, &image))?;
    let checked = check(args, &full, &image);
    match checked {
        Ok(Some(exit)) => {
            super::note("stopped; no guest was added");
            Ok(exit)
        }
        Ok(None) => {
            let path = definition.keep();
            let shown = path.strip_prefix(&workspace.root).unwrap_or(&path);
            print(&format!("made {shown}\nnext: vtbuild //boot --guest-os {full}\n"))?;
            Ok(Exit::Good)
        }
        Err(failure) => Err(Failure::new(
            failure.exit,
            format!(
                "{}\n  no guest was added; --no-verify adds it all the same",
                failure.message
            ),
        )),
    }
}

/// An image as parameters name it.
struct Image {
    /// `image_name` and what belongs to it.
    params: Vec<(&'static str, String)>,
    format: String,
}

/// Looks at an image. One below the data folder is named as all images are; any other by its whole path.
fn image(workspace: &Workspace, file: &Utf8Path) -> Result<Image, Failure> {
    let file = file
        .canonicalize_utf8()
        .map_err(|error| usage(format!("failed to find the image {file}: {error}")))?;
    let failed = |error: String| Failure::environment(format!("failed to {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let info = runtime.block_on(async {
        let launcher = Launcher::this_program();
        let qemu = Qemu::find(&launcher, None, None)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let info = QemuImg::new(&launcher, &qemu).info(&file).await;
        info.map_err(|error| failed(error.to_string()))
    })?;
    let data_dir = workspace.data_dir();
    let data_dir = data_dir.canonicalize_utf8().unwrap_or(data_dir);
    let inside = file.strip_prefix(&data_dir).unwrap_or(&file);
    let mut params = Vec::new();
    if file.extension() == Some(info.format.as_str()) {
        params.push(("image_name", inside.with_extension("").into_string()));
    } else {
        params.push(("image_name", inside.as_str().to_owned()));
        params.push(("image_raw_device", "yes".to_owned()));
    }
    if info.format != "qcow2" {
        // For the first disk alone: the block of formats in guest-hw.cfg comes later and sets the plain key.
        params.push(("image_format_image1", info.format.clone()));
    }
    Ok(Image {
        params,
        format: info.format,
    })
}

fn definition(args: &GuestAddArgs, image: &Image) -> String {
    let mut text = format!("- {}:\n", args.name);
    let given = [
        ("username", &args.username),
        ("password", &args.password),
        ("shell_prompt", &args.prompt),
        ("mem", &args.mem),
    ];
    let given = given
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)));
    for (key, value) in image.params.iter().cloned().chain(given) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {key} = \"{value}\"");
    }
    text
}

/// A definition file that goes again, or is what it was, unless it is kept.
struct Definition {
    path: Utf8PathBuf,
    before: Option<Vec<u8>>,
    kept: bool,
}

impl Definition {
    fn write(path: Utf8PathBuf, text: &str) -> Result<Self, Failure> {
        let before = std::fs::read(&path).ok();
        let failed = |error: std::io::Error| Failure::environment(format!("failed to write {path}: {error}"));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&path, text).map_err(failed)?;
        Ok(Self {
            path,
            before,
            kept: false,
        })
    }

    fn keep(mut self) -> Utf8PathBuf {
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for Definition {
    fn drop(&mut self) {
        // The reason why it is not kept is on its way to the user already.
        let _ = match (&self.before, self.kept) {
            (_, true) => Ok(()),
            (Some(before), false) => std::fs::write(&self.path, before),
            (None, false) => std::fs::remove_file(&self.path),
        };
    }
}

/// Reads the definition back, and boots the guest unless that is not wanted.
fn check(args: &GuestAddArgs, full: &str, image: &Image) -> Result<Option<Exit>, Failure> {
    let select = SelectArgs {
        targets: vec!["//...".into()],
        config: ConfigArgs {
            guest_os: Some(full.to_owned()),
            place: args.place.clone(),
            ..ConfigArgs::default()
        },
    };
    let analysis = Analysis::of(&select)?;
    let variants = analysis.variants(Some(LOOKED_AT))?;
    let value = |variant: &Variant, key: &str| {
        let found = variant.params.iter().find(|(name, _)| &**name == key);
        found.map(|(_, value)| value.to_string())
    };
    let boots = |variant: &&Variant| value(variant, "type").as_deref() == Some("boot");
    let has_machine = |variant: &&Variant| !visit::words(variant, "vms").is_empty();
    let chosen = variants
        .iter()
        .filter(has_machine)
        .find(boots)
        .or_else(|| variants.iter().find(has_machine));
    let Some(variant) = chosen else {
        return Err(usage(format!(
            "no test of this workspace has a machine with the guest {full}"
        )));
    };
    let given = [("password", &args.password), ("shell_prompt", &args.prompt)];
    for (key, wanted) in given {
        let read = value(variant, key);
        if wanted.is_some() && *wanted != read {
            return Err(usage(format!(
                "{key} cannot be written in a configuration: it would be read as {:?}",
                read.unwrap_or_default()
            )));
        }
    }
    if args.no_verify {
        return Ok(None);
    }
    if image.format == "raw" {
        super::warn(
            "each test copies a raw image; `qemu-img convert -O qcow2` makes one that is covered at once",
        );
    }
    let began = Instant::now();
    let login = Arc::new(Login::default());
    // It is about whether the guest boots.
    let stopped = visit::visit(
        &analysis.workspace,
        variant.clone(),
        args.accel,
        Policy::Never,
        login.clone(),
    )?;
    if stopped.is_some() {
        return Ok(stopped);
    }
    let result = login.result.lock().unwrap_or_else(PoisonError::into_inner).take();
    match result {
        Some(Ok(said)) => {
            let took = seconds(began.elapsed().as_secs_f64());
            print(&format!("{full} boots and lets {said} in ({took})\n"))?;
            Ok(None)
        }
        Some(Err(reason)) => Err(Failure::new(Exit::Failed, format!("{full}: failed to {reason}"))),
        None => Err(Failure::new(Exit::Bug, "the guest was never visited")),
    }
}

/// Logs in once.
#[derive(Default)]
struct Login {
    result: Mutex<Option<Result<String, String>>>,
}

#[async_trait]
impl Visitor for Login {
    async fn visit(&self, scene: Scene<'_>) {
        // A guest that never answers is waited for as long as its parameters say.
        super::note(&format!("# logging in to {}", scene.main_vm));
        let entered = async {
            let session = scene.desk.log_in(scene.main_vm, false).await?;
            let (status, output) = scene.desk.run_command(session, "echo vtbuild").await?;
            Ok((status, output))
        };
        let result = entered
            .await
            .map_err(|error: vtbuild_providers::host::CallError| error.message);
        let result = result.and_then(|(status, output)| match (status, output.trim()) {
            (0, "vtbuild") => {
                let ways = scene.desk.ways_in(scene.main_vm).ok().and_then(|ways| ways.ssh);
                Ok(ways.map_or_else(|| "us".to_owned(), |ssh| ssh.username))
            }
            _ => Err(format!(
                "run a command in its shell: `echo vtbuild` gave status {status} and {output:?} (check --prompt)"
            )),
        });
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}
