//! Guests, and whether their images are there.

use std::fmt::Write;

use camino::Utf8PathBuf;
use serde_json::json;
use vtbuild_cfg::filter::Filter;
use vtbuild_cfg::provenance::{explain, unknown_labels};
use vtbuild_cfg::{Diagnostic, ExpandOptions, Params, Program, Variant};
use vtbuild_rules::image::Recipe;

use crate::analysis::{Analysis, broken, guest_filter, unknown_names, wrong};
use crate::cli::ListArgs;
use crate::command::{Output, plural};
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;

/// The machine type that guests are shown with where nobody asks for another.
const MACHINE: &str = "i440fx";
/// The variant that all guests are in; it says nothing. What follows is their whole name, which `--guest-os` understands.
const ALL: &str = "Guest.";

/// Lists guests. The filters that choose tests, and the guest that tests usually run in, are no concern of it.
pub fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let mut select = args.select.clone();
    let wanted = std::mem::take(&mut select.targets);
    let analysis = Analysis::of(&select)?;
    let filters = filters(args, &wanted)?;
    let (program, lines) = program(&analysis, filters)?;
    if args.count {
        let count = program
            .count(&ExpandOptions::default())
            .map_err(|error| wrong(&error))?;
        crate::command::print(&format!("{count}\n"))?;
        return Ok(Exit::Good);
    }
    let mut out = Output::new();
    let (mut number, mut without) = (0_usize, 0_usize);
    for variant in program.variants(&ExpandOptions::default()) {
        let variant = variant.map_err(|error| wrong(&error))?;
        if !args.verbose && !args.json && !has_image(&variant).map_err(|error| wrong(&error))? {
            without += 1;
            continue;
        }
        let guest = guest(&variant, &analysis.workspace).map_err(|error| wrong(&error))?;
        if number == 0 && !args.json {
            out.write(&lines.iter().map(|line| format!("# {line}\n")).collect::<String>())?;
        }
        number += 1;
        out.write(&guest.line(args))?;
    }
    if number + without == 0 {
        let mut message = format!("no guest passes these filters:\n  {}", lines.join("\n  "));
        lines
            .iter()
            .for_each(|line| message.push_str(&unknown_names(&program, line)));
        return Err(Failure::new(Exit::NothingSelected, message));
    }
    if !args.json {
        out.write(&format!("\n{}\n", plural(&number, "guest")))?;
        if without > 0 {
            out.write(&format!(
                "{without} more without an image of their own; -v shows them\n"
            ))?;
        }
    }
    out.finish()?;
    Ok(Exit::Good)
}

/// The filter lines of the command line.
fn filters(args: &ListArgs, targets: &[String]) -> Result<Vec<String>, Failure> {
    let config = &args.select.config;
    let guest = config
        .guest_os
        .iter()
        .map(|guest| format!("only {}", guest_filter(guest)));
    let only = config.only.iter().map(|filter| format!("only {filter}"));
    let no = config.no.iter().map(|filter| format!("no {filter}"));
    let mut lines: Vec<String> = guest.chain(only).chain(no).collect();
    for target in targets.iter().filter(|target| *target != "//...") {
        lines.push(match (target.strip_prefix("//"), target.strip_prefix("!//")) {
            (Some(filter), _) => format!("only {filter}"),
            (None, Some(filter)) => format!("no {filter}"),
            (None, None) => {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("targets start with //: write //{target}"),
                ));
            }
        });
    }
    Ok(lines)
}

/// The configuration of guests alone, and the filters that it was given.
fn program(analysis: &Analysis, mut lines: Vec<String>) -> Result<(Program, Vec<String>), Failure> {
    let exists = |name: &str| {
        let mut dirs = analysis.workspace.config_dirs().into_iter();
        name == "guest-os.cfg" || dirs.any(|dir| dir.join(name).is_file())
    };
    let files = ["base.cfg", "machines.cfg", "guest-os.cfg"];
    let text: String = files
        .iter()
        .filter(|name| exists(name))
        .map(|name| format!("include {name}\n"))
        .collect();
    let mut program = analysis
        .session
        .program_of("guests.cfg", &text)
        .map_err(|found| broken(&found))?;
    let machine: Filter = MACHINE
        .parse()
        .map_err(|error| Failure::new(Exit::Bug, format!("failed to {error}")))?;
    if unknown_labels(&program, &machine).is_empty() && lines.iter().all(|line| !line.starts_with("only ")) {
        lines.push(format!("only {MACHINE}"));
    }
    for line in &lines {
        program = program
            .with_text("the command line", line)
            .map_err(|found| broken(&found.into()))?;
    }
    Ok((program, lines))
}

/// Whether a guest's own definition says which image it has. A family that waits for custom guests does not.
fn has_image(variant: &Variant) -> Result<bool, Box<Diagnostic>> {
    let steps = explain(variant, "image_name")?;
    Ok(steps.iter().any(|step| step.statement.file.contains("guest-os")))
}

/// A guest and its images.
struct Guest {
    name: String,
    full: String,
    images: Vec<Image>,
}

/// An image of a guest.
pub struct Image {
    /// Its file.
    pub file: Utf8PathBuf,
    /// Whether the file is there.
    pub there: bool,
    /// The recipe that builds it.
    pub recipe: Option<String>,
    /// How large it is to be.
    pub size: Option<String>,
}

/// The images of one guest, by the names that choose it.
pub fn images_of(analysis: &Analysis, guest_os: &str) -> Result<Vec<Image>, Failure> {
    let lines = vec![format!("only {guest_os}"), format!("only {MACHINE}")];
    let (program, _) = program(analysis, lines)?;
    let first = program.variants(&ExpandOptions::default()).next();
    let Some(variant) = first else {
        let message =
            format!("no guest is called {guest_os}; `vtbuild list --guests` shows the names there are");
        return Err(Failure::new(Exit::NothingSelected, message));
    };
    let found = variant.and_then(|variant| guest(&variant, &analysis.workspace));
    found.map(|guest| guest.images).map_err(|error| wrong(&error))
}

fn guest(variant: &Variant, workspace: &Workspace) -> Result<Guest, Box<Diagnostic>> {
    let params = variant.params().map_err(|error| Box::new(error.clone()))?;
    let name = variant.name();
    let recipes = Recipe::names(&workspace.recipe_dirs());
    let images = words(params, "images").map(|name| image(params, name, workspace, &recipes));
    Ok(Guest {
        name: name.strip_prefix(ALL).unwrap_or(name).to_owned(),
        full: name.to_owned(),
        images: images.collect(),
    })
}

fn words<'p>(params: &'p Params, key: &str) -> impl Iterator<Item = &'p str> {
    params.get(key).unwrap_or_default().split_whitespace()
}

fn image(params: &Params, name: &str, workspace: &Workspace, recipes: &[String]) -> Image {
    let param = |key: &str| params.get(&format!("{key}_{name}")).or_else(|| params.get(key));
    let format = param("image_format").unwrap_or("qcow2");
    let path = param("image_name").unwrap_or(name);
    // Told without the `.` of a data folder that is the workspace.
    let whole = param("image_raw_device").is_some_and(|value| ["yes", "on", "true", "1"].contains(&value));
    let file = if whole {
        path.to_owned()
    } else {
        format!("{path}.{format}")
    };
    let file: Utf8PathBuf = workspace.data_dir().join(file).components().collect();
    let recipe = param("image_recipe").filter(|recipe| recipes.iter().any(|known| known == recipe));
    Image {
        there: file.exists(),
        recipe: recipe.map(str::to_owned),
        size: param("image_size").map(str::to_owned),
        file,
    }
}

impl Guest {
    fn line(&self, args: &ListArgs) -> String {
        if args.json {
            return format!("{}\n", self.json());
        }
        let mut text = self.name.clone();
        let missing = self
            .images
            .iter()
            .filter(|image| !image.there && image.recipe.is_none());
        let names: Vec<&str> = missing.filter_map(|image| image.file.file_name()).collect();
        // Writing to a string cannot fail.
        if !names.is_empty() {
            let _ = write!(text, " (missing {})", names.join(", "));
        }
        text.push('\n');
        if args.verbose {
            let _ = writeln!(text, "    {}", self.full);
            for image in &self.images {
                let state = match (&image.recipe, image.there) {
                    (Some(recipe), _) => format!("built by the recipe {recipe}"),
                    (None, true) => "there".to_owned(),
                    (None, false) => "missing".to_owned(),
                };
                let _ = writeln!(text, "    {}: {state}", image.file);
            }
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let images = self
            .images
            .iter()
            .map(|image| json!({ "file": image.file, "there": image.there, "recipe": image.recipe }));
        json!({ "guest": self.name, "name": self.full, "images": images.collect::<Vec<_>>() })
    }
}
