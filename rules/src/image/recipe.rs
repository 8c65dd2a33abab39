//! A recipe: a folder that says how an image is built.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
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
    #[error("read {path}: {reason}")]
    Malformed {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
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

/// A recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: Utf8PathBuf,
    /// Every file in it, sorted.
    pub files: Vec<Utf8PathBuf>,
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
        // A name with a slash or dots could lead out of the folder of recipes.
        let sound = !name.contains('/') && !name.starts_with('.');
        let mut folders = recipes.iter().map(|folder| folder.join(name));
        match folders.find(|folder| sound && folder.join(FILE).is_file()) {
            Some(folder) => Self::in_folder(&folder),
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

    fn in_folder(folder: &Utf8Path) -> Result<Self, RecipeError> {
        let path = folder.join(FILE);
        let malformed = |reason: String| RecipeError::Malformed {
            path: path.clone(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| malformed(error.to_string()))?;
        let description: Description = toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
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
            name: description.name,
            folder: folder.to_owned(),
            files: files_below(folder),
            image_size: description.image_size,
            source_date_epoch: description.source_date_epoch,
            outputs: description.outputs,
            host: programs.chain(files).collect(),
        })
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

fn files_below(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let files = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .flatten();
    files
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
        .collect()
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
        let names: Vec<_> = recipe
            .files
            .iter()
            .map(|f| f.strip_prefix(&recipe.folder).unwrap().as_str())
            .collect();
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
    fn mistakes_are_said() {
        let (_dir, folders) =
            recipe("name = 'mini'\nimage_size = '1G'\nsource_date_epoch = 1\n[outputs]\nx = 'kernel'\n");
        let error = Recipe::named("mini", &folders).unwrap_err().to_string();
        assert!(
            error.contains("recipe.toml") && error.contains("no output has the role `disk`"),
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
