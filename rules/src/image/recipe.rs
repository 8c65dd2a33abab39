//! A recipe: a folder that says how an image is built.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use vtbuild_providers::qemu::find_program;

/// The role of the output that guests boot from.
pub const DISK: &str = "disk";
/// The file that makes a folder a recipe.
const FILE: &str = "recipe.toml";

/// Why a recipe cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// There is none of that name.
    #[error("find the recipe `{name}` in {folders}; there are: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where recipes are.
        folders: String,
        /// The names there are.
        known: String,
    },
    /// `recipe.toml` makes no sense.
    #[error("read {place}: {reason}")]
    Malformed {
        /// The file, with line and column where they are known.
        place: String,
        /// What is wrong there.
        reason: String,
    },
}

/// What `recipe.toml` says.
#[derive(Clone, Debug, Deserialize)]
struct Description {
    name: String,
    image_size: String,
    source_date_epoch: u64,
    outputs: BTreeMap<String, String>,
    #[serde(default)]
    programs: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// What a recipe says that is another one with a few files added or replaced.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extension {
    name: String,
    extends: String,
    /// For people.
    #[serde(rename = "summary")]
    _summary: Option<String>,
    image_size: Option<String>,
    /// Files that are added to the end of those of the same name, instead of replacing them.
    #[serde(default)]
    appends: Vec<Utf8PathBuf>,
}

/// One file of a recipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecipeFile {
    /// The recipe whose folder it is in.
    pub recipe: String,
    /// Its path in a recipe's folder.
    pub inside: Utf8PathBuf,
    /// Where it is.
    pub path: Utf8PathBuf,
}

/// A recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: Utf8PathBuf,
    /// Every file of it, in order: those of the recipe that it extends, except those that it replaces, then its own.
    pub files: Vec<RecipeFile>,
    /// The disk's size where nobody asks for another.
    pub image_size: String,
    /// The time that all files in the image get, in seconds since 1970.
    pub source_date_epoch: u64,
    /// Outputs: file name and role, sorted by file name.
    pub outputs: BTreeMap<String, String>,
    /// Programs and files of the host, with the Debian package that has each.
    host: Vec<(HostNeed, String)>,
}

#[derive(Clone, Debug)]
enum HostNeed {
    Program(String),
    File(Utf8PathBuf),
}

impl Recipe {
    /// The recipe `name` in the first of the folders `recipes` that has it.
    ///
    /// # Errors
    /// When there is none, or it makes no sense.
    pub fn named(name: &str, recipes: &[Utf8PathBuf]) -> Result<Self, RecipeError> {
        Self::find(name, recipes, &[])
    }

    /// The same, for the recipes `below` that extend each other and, in the end, it.
    fn find(name: &str, recipes: &[Utf8PathBuf], below: &[&str]) -> Result<Self, RecipeError> {
        // A name with a slash or dots could lead out of the folder of recipes.
        let sound = !name.contains('/') && !name.starts_with('.');
        let mut folders = recipes.iter().map(|folder| folder.join(name));
        match folders.find(|folder| sound && folder.join(FILE).is_file()) {
            Some(folder) => Self::in_folder(&folder, recipes, below),
            None => Err(RecipeError::Unknown {
                name: name.to_owned(),
                folders: recipes
                    .iter()
                    .map(|f| f.as_str())
                    .collect::<Vec<_>>()
                    .join(" or "),
                known: Self::names(recipes).join(", "),
            }),
        }
    }

    /// The names of the recipes in any of the folders `recipes`, sorted.
    #[must_use]
    pub fn names(recipes: &[Utf8PathBuf]) -> Vec<String> {
        let entries = recipes.iter().filter_map(|folder| folder.read_dir_utf8().ok());
        let mut names: Vec<String> = entries
            .flatten()
            .flatten()
            .filter(|entry| entry.path().join(FILE).is_file())
            .map(|entry| entry.file_name().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn in_folder(folder: &Utf8Path, recipes: &[Utf8PathBuf], below: &[&str]) -> Result<Self, RecipeError> {
        let path = folder.join(FILE);
        let malformed = |reason: String| RecipeError::Malformed {
            place: path.to_string(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| malformed(error.to_string()))?;
        let table: toml::Table = parsed(&path, &text)?;
        if table.contains_key("extends") {
            let extension: Extension = parsed(&path, &text)?;
            if below.contains(&extension.name.as_str()) {
                return Err(malformed(format!(
                    "it extends `{}`, which extends it",
                    extension.extends
                )));
            }
            let below: Vec<&str> = below.iter().copied().chain([extension.name.as_str()]).collect();
            let base = Self::find(&extension.extends, recipes, &below)?;
            return Ok(base.extended(folder, extension));
        }
        let description: Description = parsed(&path, &text)?;
        if !description.outputs.values().any(|role| role == DISK) {
            return Err(malformed(format!("no output has the role `{DISK}`")));
        }
        if description.outputs.keys().any(|file| file.contains('/')) {
            return Err(malformed("an output is a file name, without a folder".into()));
        }
        let programs = description
            .programs
            .into_iter()
            .map(|(name, package)| (HostNeed::Program(name), package));
        let files = description
            .files
            .into_iter()
            .map(|(path, package)| (HostNeed::File(path.into()), package));
        Ok(Self {
            folder: folder.to_owned(),
            files: files_below(folder, &description.name),
            name: description.name,
            image_size: description.image_size,
            source_date_epoch: description.source_date_epoch,
            outputs: description.outputs,
            host: programs.chain(files).collect(),
        })
    }

    /// This recipe with the files of `extension`, which are in `folder`, laid over its own.
    fn extended(self, folder: &Utf8Path, extension: Extension) -> Self {
        let own = files_below(folder, &extension.name);
        let appended = |inside: &Utf8PathBuf| extension.appends.contains(inside);
        let replaced = |file: &RecipeFile| {
            !appended(&file.inside)
                && file.inside != FILE
                && own.iter().any(|other| other.inside == file.inside)
        };
        let kept = self.files.iter().filter(|file| !replaced(file)).cloned();
        let files = kept.chain(own.iter().cloned()).collect();
        Self {
            files,
            name: extension.name,
            folder: folder.to_owned(),
            image_size: extension.image_size.unwrap_or(self.image_size),
            ..self
        }
    }

    /// The folder with all its files: its own where it extends nothing, else one that is made at `place`. What describes
    /// the recipe is there that of the recipe that builds.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn laid_out(&self, place: &Utf8Path) -> std::io::Result<Utf8PathBuf> {
        if self.files.iter().all(|file| file.recipe == self.name) {
            return Ok(self.folder.clone());
        }
        for file in &self.files {
            let to = place.join(&file.inside);
            to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            match (to.exists(), file.inside == FILE) {
                (false, _) => std::fs::copy(&file.path, &to).map(drop)?,
                (true, true) => {}
                (true, false) => {
                    let mut end = std::fs::OpenOptions::new().append(true).open(&to)?;
                    std::io::copy(&mut std::fs::File::open(&file.path)?, &mut end)?;
                }
            }
        }
        Ok(place.to_owned())
    }

    /// The file name of the disk.
    #[must_use]
    pub fn disk(&self) -> &str {
        let disk = self.outputs.iter().find(|(_, role)| *role == DISK);
        disk.map(|(file, _)| file.as_str())
            .expect("a recipe without a disk is refused when it is read")
    }

    /// The Debian packages that the host lacks for building it, each with what it has that is missing.
    #[must_use]
    pub fn missing(&self) -> Vec<(String, String)> {
        let absent = |need: &HostNeed| match need {
            HostNeed::Program(name) => (!on_path(name)).then(|| name.clone()),
            HostNeed::File(path) => (!path.exists()).then(|| path.to_string()),
        };
        self.host
            .iter()
            .filter_map(|(need, package)| Some((package.clone(), absent(need)?)))
            .collect()
    }
}

/// Tools of the administrator are often not on a user's `PATH` but can be run all the same.
fn on_path(program: &str) -> bool {
    find_program(program).is_some()
        || ["/usr/sbin", "/sbin"]
            .iter()
            .any(|dir| Utf8Path::new(dir).join(program).is_file())
}

fn files_below(folder: &Utf8Path, recipe: &str) -> Vec<RecipeFile> {
    let files = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .flatten();
    let file = |path: Utf8PathBuf| RecipeFile {
        recipe: recipe.to_owned(),
        inside: path.strip_prefix(folder).unwrap_or(&path).to_owned(),
        path,
    };
    files
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
        .map(file)
        .collect()
}

/// What the file at `path` says.
fn parsed<T: DeserializeOwned>(path: &Utf8Path, text: &str) -> Result<T, RecipeError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = before.map_or_else(
            || path.to_string(),
            |before| {
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                format!("{path}:{line}:{column}")
            },
        );
        let reason = error.message().to_owned();
        RecipeError::Malformed { place, reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> (tempfile::TempDir, [Utf8PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        std::fs::create_dir_all(root.join("mini/overlay")).unwrap();
        std::fs::write(root.join("mini/recipe.toml"), text).unwrap();
        std::fs::write(root.join("mini/overlay/inittab"), "").unwrap();
        let empty = root.join("own");
        (dir, [empty, root])
    }

    const GOOD: &str = "name = 'mini'\nimage_size = '1G'\nsource_date_epoch = 1\n\
        [outputs]\n'disk.qcow2' = 'disk'\n'vmlinuz' = 'kernel'\n\
        [programs]\nsh = 'dash'\nno-such-program = 'such'\n[files]\n'/no/such/file' = 'files'\n";

    #[test]
    fn every_file_of_the_folder_counts() {
        let (_dir, folders) = recipe(GOOD);
        let recipe = Recipe::named("mini", &folders).unwrap();
        let names: Vec<_> = recipe.files.iter().map(|file| file.inside.as_str()).collect();
        assert_eq!(names, ["overlay/inittab", "recipe.toml"]);
        assert_eq!(recipe.disk(), "disk.qcow2");
        let missing = recipe.missing();
        assert_eq!(
            missing,
            [
                ("such".into(), "no-such-program".into()),
                ("files".into(), "/no/such/file".into())
            ]
        );
    }

    #[test]
    fn the_first_folder_that_has_a_recipe_wins() {
        let (_dir, folders) = recipe(GOOD);
        std::fs::create_dir_all(folders[0].join("mini")).unwrap();
        std::fs::write(folders[0].join("mini/recipe.toml"), GOOD.replace("1G", "7G")).unwrap();
        assert_eq!(Recipe::named("mini", &folders).unwrap().image_size, "7G");
        assert_eq!(Recipe::names(&folders), ["mini"]);
    }

    #[test]
    fn a_recipe_may_be_another_one_and_a_little_more() {
        let (_dir, folders) = recipe(GOOD);
        std::fs::write(folders[1].join("mini/list"), "one\n").unwrap();
        let write = |name: &str, text: &str| {
            let path = folders[1].join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "more/recipe.toml",
            "name = 'more'\nextends = 'mini'\nimage_size = '3G'\nappends = ['list']\n",
        );
        write("more/list", "two\n");
        write("more/overlay/inittab", "other");
        let more = Recipe::named("more", &folders).unwrap();
        assert_eq!(
            (more.name.as_str(), more.image_size.as_str(), more.disk()),
            ("more", "3G", "disk.qcow2")
        );
        assert_eq!(more.missing().len(), 2, "what the host must have is inherited");
        let names: Vec<String> = more
            .files
            .iter()
            .map(|file| format!("{}/{}", file.recipe, file.inside))
            .collect();
        assert_eq!(
            names,
            [
                "mini/list",
                "mini/recipe.toml",
                "more/list",
                "more/overlay/inittab",
                "more/recipe.toml"
            ]
        );
        let place = more.laid_out(&folders[1].join("laid")).unwrap();
        let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
        assert_eq!(
            (read("list").as_str(), read("overlay/inittab").as_str()),
            ("one\ntwo\n", "other")
        );
        assert_eq!(read("recipe.toml"), GOOD);
        let mini = Recipe::named("mini", &folders).unwrap();
        assert_eq!(mini.laid_out(&folders[1].join("unused")).unwrap(), mini.folder);

        write("round/recipe.toml", "name = 'round'\nextends = 'and'\n");
        write("and/recipe.toml", "name = 'and'\nextends = 'round'\n");
        let error = Recipe::named("round", &folders).unwrap_err().to_string();
        assert!(error.contains("which extends it"), "{error}");
    }

    #[test]
    fn mistakes_are_said() {
        let (_dir, folders) =
            recipe("name = 'mini'\nimage_size = '1G'\nsource_date_epoch = 1\n[outputs]\nx = 'kernel'\n");
        let error = Recipe::named("mini", &folders).unwrap_err().to_string();
        assert!(
            error.contains("recipe.toml") && error.contains("no output has the role `disk`"),
            "{error}"
        );
        std::fs::write(
            folders[1].join("mini/recipe.toml"),
            GOOD.replace("= 1\n", "= 'x'\n"),
        )
        .unwrap();
        let error = Recipe::named("mini", &folders).unwrap_err().to_string();
        assert!(
            error.contains("recipe.toml:3:21: invalid type: string \"x\", expected u64"),
            "{error}"
        );
        let error = Recipe::named("maxi", &folders).unwrap_err().to_string();
        assert!(error.contains("there are: mini"), "{error}");
        assert!(matches!(
            Recipe::named("../mini", &folders),
            Err(RecipeError::Unknown { .. })
        ));
    }
}
