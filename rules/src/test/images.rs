//! The images of a test: which there are, and what each stands on.

use std::sync::Arc;

use camino::Utf8Path;
use vtbuild_engine::resolve::FILE;
use vtbuild_engine::spec::{Need, SourceFile, Spec};
use vtbuild_providers::host::Runtime;
use vtbuild_providers::image::ImageSpec;
use vtbuild_providers::params::{ParamError, Params};

use super::declare::HostFacts;
use super::modules::Known;
use crate::download;

/// One image of one machine, or of a test that has no machine.
#[derive(Clone, Debug)]
pub(crate) struct ImageUse {
    /// Its role: `image1 of vm1`, or `image1` alone.
    pub(crate) role: Arc<str>,
    /// The machine that has it.
    pub(crate) vm: Option<String>,
    /// What the parameters say about it; its file is relative to the data folder.
    pub(crate) spec: ImageSpec,
    /// How it comes to be there.
    pub(crate) origin: Origin,
    /// Whether it stays when the test has passed, for those that depend on it.
    pub(crate) published: bool,
    /// Whether `qemu-img check` looks at it afterwards.
    pub(crate) check: bool,
    /// Whether clusters that it finds leaked are no reason to warn.
    pub(crate) may_leak: bool,
}

/// How an image comes to be in a test's data folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// It is an input.
    Input,
    /// It is an input where there is one, else it is created.
    InputOrCreated,
    /// It is an input where there is one, else the test does without.
    InputIfThere,
    /// It is created, whatever there is.
    Created,
    /// It is no file.
    Ignored,
}

/// Parameters that put an image onto a server: it is no file of the data folder.
const SERVERS: [&str; 6] = [
    "enable_nbd",
    "enable_iscsi",
    "enable_ceph",
    "enable_gluster",
    "enable_curl",
    "enable_ssh",
];

/// The images of all machines, or where a test has no machine, its own.
pub(crate) fn all(params: &Params) -> Result<Vec<ImageUse>, ParamError> {
    let machines = params.objects("vms");
    if machines.is_empty() {
        return images(None, params);
    }
    let mut all = Vec::new();
    for vm in machines {
        all.extend(images(Some(vm), &params.object(vm))?);
    }
    Ok(all)
}

fn images(vm: Option<&str>, view: &Params) -> Result<Vec<ImageUse>, ParamError> {
    let untouched = view.switch("not_preprocess")?.unwrap_or(false)
        || view.switch("skip_image_processing")?.unwrap_or(false);
    let mut images: Vec<ImageUse> = Vec::new();
    for name in with_chains(view)? {
        let params = view.object(&name);
        let spec = ImageSpec::from_params(&name, &params, Utf8Path::new(""))?;
        let on = |key: &str| Ok::<_, ParamError>(params.switch(key)?.unwrap_or(false));
        let origin = match (
            untouched,
            on("force_create_image")? || spec.backing().is_some(),
            on("create_image")?,
        ) {
            _ if is_served(&params) => Origin::Ignored,
            // Not made, and not missed; machines may well start on it.
            (true, ..) => Origin::InputIfThere,
            (_, true, _) => Origin::Created,
            (_, _, true) => Origin::InputOrCreated,
            // Nothing starts on it: whether it is missed is for the test to say, which may be about to make it.
            _ if vm.is_none() => Origin::InputIfThere,
            _ if is_another(&params, view) && !view.switch("start_vm")?.unwrap_or(false) => {
                Origin::InputIfThere
            }
            _ => Origin::Input,
        };
        let made = origin == Origin::Created && spec.backing().is_none();
        let published = made && !params.switch("remove_image")?.unwrap_or(true);
        let check = on("check_image")?;
        let may_leak = check && on("skip_cluster_leak_warn")?;
        images.push(ImageUse {
            role: vm.map_or_else(
                || Arc::from(name.as_str()),
                |vm| Arc::from(format!("{name} of {vm}")),
            ),
            vm: vm.map(str::to_owned),
            spec,
            origin,
            published,
            check,
            may_leak,
        });
    }
    Ok(images)
}

/// The images of a machine, each after those that `image_chain` puts it on. Those need not be in `images` themselves.
fn with_chains(view: &Params) -> Result<Vec<String>, ParamError> {
    let mut names: Vec<String> = Vec::new();
    for name in view.objects("images") {
        let spec = ImageSpec::from_params(name, &view.object(name), Utf8Path::new(""))?;
        let below = spec.chain.iter().take_while(|member| *member != name);
        let below: Vec<&str> = if spec.backing().is_some() {
            below.map(String::as_str).collect()
        } else {
            Vec::new()
        };
        for member in below.into_iter().chain([name]) {
            if !names.iter().any(|known| known == member) {
                names.push(member.to_owned());
            }
        }
    }
    Ok(names)
}

/// Whether an image is reached over a network.
pub(super) fn is_served(image: &Params) -> bool {
    SERVERS.iter().any(|key| image.text(key) == Some("yes"))
}

/// The one runtime whose machines can be what the parameters say, where not all can: upstream's, for one with an image over
/// a network.
pub(crate) fn runtime(params: &Params) -> Option<Runtime> {
    let served = |vm: &str| {
        let view = params.object(vm);
        view.objects("images")
            .into_iter()
            .any(|image| is_served(&view.object(image)))
    };
    params
        .objects("vms")
        .into_iter()
        .any(served)
        .then_some(Runtime::Upstream)
}

/// Whether an image is not the one that its machine has without being asked: the guest's own.
fn is_another(image: &Params, machine: &Params) -> bool {
    image.text("image_name") != machine.text("image_name")
}

/// What an image stands on: the one that a dependency made, else a recipe's disk, else the file in the data folder.
pub(crate) fn need(
    image: &ImageUse,
    params: &Params,
    facts: &HostFacts,
    known: &Known,
) -> Result<Option<Need>, String> {
    if matches!(image.origin, Origin::Created | Origin::Ignored) {
        return Ok(None);
    }
    let machine = params.object(image.vm.as_deref().unwrap_or_default());
    let view = machine.object(&image.spec.name);
    // A recipe makes the file that is named beside it, not every file of a machine.
    let of_another =
        || is_another(&view, &machine) && view.text("image_recipe") == machine.text("image_recipe");
    let otherwise = match view.text("image_recipe").filter(|_| !of_another()) {
        Some(recipe) => known.image(recipe, view.text("image_size"), facts)?,
        None => Arc::new(owned_file(&image.spec.file, facts, image.origin != Origin::Input)),
    };
    let made = Some(output_name(&image.spec));
    Ok(Some(Need {
        role: image.role.clone(),
        made,
        otherwise: Some(otherwise),
    }))
}

/// An image file that a person put into the data folder, or that a download brings there.
fn owned_file(file: &Utf8Path, facts: &HostFacts, optional: bool) -> Spec {
    let mut spec = Spec::new(FILE, file.as_str());
    spec.sources = Box::new([SourceFile::new(file.as_str(), &facts.data_dir.join(file))]);
    let optional = if optional { "yes" } else { "no" };
    spec.declared = Box::new([(
        Arc::from(vtbuild_engine::resolve::OPTIONAL),
        Some(Arc::from(optional)),
    )]);
    if let Some(download) = facts.downloads.making(file) {
        spec.needs = Box::new([Need {
            role: Arc::from(download::ROLE),
            made: None,
            otherwise: Some(download.clone()),
        }]);
    }
    spec
}

/// The name under which an image is passed on: its file, relative to the data folder.
pub(crate) fn output_name(image: &ImageSpec) -> Arc<str> {
    Arc::from(image.file.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(entries: &[(&str, &str)]) -> Vec<Origin> {
        let given = [
            ("vms", "vm1"),
            ("images", "image1"),
            ("image_name", "images/guest"),
            ("image_name_data", "images/data"),
        ];
        let params: Params = given.iter().chain(entries).copied().collect();
        let images = all(&params).unwrap();
        images.iter().map(|image| image.origin).collect()
    }

    #[test]
    fn what_nothing_starts_on_may_be_made_by_the_test() {
        let data = ("images", "image1 data");
        let both = |start| origins(&[data, ("start_vm", start)]);
        assert_eq!(both("yes"), [Origin::Input, Origin::Input]);
        assert_eq!(both("no"), [Origin::Input, Origin::InputIfThere]);
        assert_eq!(origins(&[("vms", "")]), [Origin::InputIfThere]);
        let untouched = [("not_preprocess", "yes"), ("create_image", "yes")];
        assert_eq!(origins(&untouched), [Origin::InputIfThere]);
    }

    #[test]
    fn what_a_server_has_is_no_file() {
        let data = [("images", "image1 data"), ("enable_nbd_data", "yes")];
        assert_eq!(origins(&data), [Origin::Input, Origin::Ignored]);
        let params: Params = data.into_iter().chain([("vms", "vm1")]).collect();
        assert_eq!(runtime(&params), Some(Runtime::Upstream));
        let files = [("vms", "vm1"), ("images", "image1")];
        assert_eq!(runtime(&files.into_iter().collect()), None);
    }
}
