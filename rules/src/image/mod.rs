//! The image rule: a recipe's folder goes in, a verified disk and what belongs to it come out.
//!
//! Every byte of the recipe enters the key, and so do the size asked for and the host's qemu-img. The recipe's `build`
//! program runs in an empty scratch folder with `PATH`, `RECIPE_DIR`, `OUT`, `SOURCE_DATE_EPOCH` and `IMAGE_SIZE` and nothing
//! else of our environment but proxies and locale. A recipe that extends another one is that one's, with its own files laid
//! over. Lines `step: …` on its standard output are shown while it works.

mod build;
mod recipe;

use std::sync::Arc;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use vtbuild_engine::outcome::Outcome;
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{Claim, RuleName, SourceFile, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::process::Launcher;

use crate::test::Tools;

pub use recipe::{DISK, Recipe, RecipeError, RecipeFile};

/// The rule's name and version.
pub const NAME: RuleName = RuleName {
    name: "image",
    version: 1,
};

/// Memory that unpacking packages and compressing a disk take, in MiB.
const BUILD_MEMORY_MIB: u32 = 1024;

/// The image rule.
pub struct ImageRule {
    launcher: Launcher,
    recipes: Vec<Utf8PathBuf>,
    tools: Arc<Tools>,
}

impl ImageRule {
    /// A rule that finds recipes by name in the folders `recipes`, the first that has it, on a host with these tools.
    #[must_use]
    pub fn new(launcher: Launcher, recipes: Vec<Utf8PathBuf>, tools: Arc<Tools>) -> Self {
        Self {
            launcher,
            recipes,
            tools,
        }
    }
}

/// The action that builds `recipe`, with a disk of `size` (as the recipe's `IMAGE_SIZE` has it), with these tools.
#[must_use]
pub fn spec(recipe: &Recipe, size: Option<&str>, tools: &Tools) -> Spec {
    let size = size.unwrap_or(&recipe.image_size);
    let mut spec = Spec::new(NAME, format!("{} {size}", recipe.name));
    spec.title = Arc::from(recipe.name.as_str());
    let declared = [("image_size", size), ("recipe", &recipe.name)];
    spec.declared = declared
        .map(|(name, value)| (Arc::from(name), Some(Arc::from(value))))
        .into();
    let source =
        |file: &RecipeFile| SourceFile::new(format!("recipe/{}/{}", file.recipe, file.inside), &file.path);
    spec.sources = recipe.files.iter().map(source).collect();
    spec.host = tools.of_image();
    spec.claim = Claim {
        memory_mib: BUILD_MEMORY_MIB,
        vcpus: 1,
    };
    spec.payload = Arc::new(recipe.clone());
    spec
}

#[async_trait]
impl Rule for ImageRule {
    fn name(&self) -> RuleName {
        NAME
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        let value = |key: &str| {
            variant
                .params
                .iter()
                .find(|(name, _)| &**name == key)
                .map(|(_, value)| &**value)
        };
        let error = |message: String| DeclareError {
            variant: variant.name.to_string(),
            param: Some("image_recipe".into()),
            message,
        };
        let name = value("image_recipe").ok_or_else(|| error("it names no `image_recipe`".into()))?;
        let recipe = Recipe::named(name, &self.recipes).map_err(|e| error(format!("failed to {e}")))?;
        Ok(spec(&recipe, value("image_size"), &self.tools))
    }

    async fn execute(&self, job: Job) -> Outcome {
        build::build(&self.launcher, &job).await
    }
}
