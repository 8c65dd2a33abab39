//! The disks of a machine that may begin from a state: what they hold when it is powered on has to be known.
//!
//! | the image | when the machine is powered on it holds | in the state lies |
//! |---|---|---|
//! | an input | what it is made of, which is in the key | the layer that the guest has written upon it |
//! | made blank | nothing, in a size and format that are in the key | nothing: a guest that writes to it cannot be saved |
//!
//! A test makes its blank images itself, with or without a state: they have the format and the history that it expects.

use std::fmt::Write;
use std::sync::Arc;

use vtbuild_engine::spec::Declared;
use vtbuild_providers::image::{ImageSpec, Preallocation};
use vtbuild_providers::machine::MachineSpec;

use crate::test::images::{ImageUse, Origin};

/// Formats in which an image that nobody has written to reads as zeros.
const BLANK: [&str; 2] = ["qcow2", "raw"];

/// The images of the disks of the machine `vm`, in its order. The error is a clause about the machine: why it boots.
pub(super) fn of_machine(
    vm: &str,
    machine: &MachineSpec,
    images: &[ImageUse],
) -> Result<Vec<ImageUse>, String> {
    let mut disks = Vec::new();
    for disk in machine.disks() {
        let of_disk = |image: &&ImageUse| image.vm.as_deref() == Some(vm) && image.spec.name == disk.name;
        let image = images.iter().find(of_disk).ok_or("its disks are unknown")?;
        let name = &image.spec.name;
        if image.spec.is_bottom() || image.spec.backing().is_some() {
            return Err(format!("the test builds a chain of images with {name}"));
        }
        match image.origin {
            Origin::Input if image.spec.format == "qcow2" && !image.spec.raw_device => {}
            Origin::Input => return Err(format!("its image {name} is no qcow2 file")),
            Origin::Created | Origin::InputOrCreated => blank(&image.spec)?,
            Origin::InputIfThere => return Err(format!("the test makes its image {name} itself")),
            Origin::Ignored => return Err(format!("its image {name} is on a server")),
        }
        disks.push(image.clone());
    }
    let may_have_a_system = |disk: &ImageUse| disk.origin == Origin::Input;
    if !disks.is_empty() && !disks.iter().any(may_have_a_system) {
        // Waiting for somebody to be let in would be in vain.
        return Err("the test makes all its images itself".into());
    }
    Ok(disks)
}

/// What is wrong with an image that is made, where it is more than blank.
fn blank(image: &ImageSpec) -> Result<(), String> {
    let name = &image.name;
    if image.raw_device {
        return Err(format!("its image {name} is a device"));
    }
    if !BLANK.contains(&image.format.as_str()) {
        return Err(format!("its image {name} is made in the format {}", image.format));
    }
    // They may name another file below it, or encrypt it.
    match &image.options {
        Some(options) => Err(format!("its image {name} is made with `{options}`")),
        None => Ok(()),
    }
}

/// What enters the key of images that may be made blank. Those that are there instead are inputs of the same action.
pub(super) fn declared(disks: &[ImageUse]) -> impl Iterator<Item = Declared> {
    let made = |disk: &&ImageUse| disk.origin != Origin::Input;
    disks.iter().filter(made).map(|disk| {
        let image = &disk.spec;
        let mut text = image.format.clone();
        let numbers = [("size", image.size), ("cluster_size", image.cluster_size)];
        for (what, number) in numbers {
            if let Some(number) = number {
                // Writing to a string cannot fail.
                let _ = write!(text, " {what}={number}");
            }
        }
        if let Some(kind) = image.preallocation.map(Preallocation::name) {
            let _ = write!(text, " preallocation={kind}");
        }
        (Arc::from(format!("blank {}", image.name)), Some(Arc::from(text)))
    })
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use vtbuild_providers::params::Params;

    use super::*;
    use crate::test::images;

    const STG: [(&str, &str); 12] = [
        ("vms", "vm1"),
        ("start_vm", "yes"),
        ("images", "image1 stg"),
        ("image_name", "images/guest"),
        ("image_name_stg", "images/stg"),
        ("image_size_stg", "64M"),
        ("force_create_image_stg", "yes"),
        ("mem", "512"),
        ("monitors", "qmp1"),
        ("main_monitor", "qmp1"),
        ("monitor_type_qmp1", "qmp"),
        ("machine_type", "q35"),
    ];

    /// What is declared about the disks of a machine with [`STG`] and `more`, or why it boots.
    fn blanks(more: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let params: Params = STG.iter().chain(more).copied().collect();
        let machine = MachineSpec::from_params("vm1", &params.object("vm1"), Utf8Path::new(""));
        let disks = of_machine("vm1", &machine.unwrap(), &images::all(&params).unwrap())?;
        assert_eq!(disks.len(), 2);
        Ok(declared(&disks)
            .map(|(name, value)| format!("{name}: {}", value.unwrap_or_default()))
            .collect())
    }

    #[test]
    fn what_a_blank_image_is_made_by_is_in_the_key() {
        let plain = ["blank stg: qcow2 size=67108864"];
        assert_eq!(blanks(&[]).unwrap(), plain);
        let wish = [("force_create_image_stg", "no"), ("create_image_stg", "yes")];
        assert_eq!(blanks(&wish).unwrap(), plain);
        let other = [
            ("image_format_stg", "raw"),
            ("image_size_stg", "1G"),
            ("preallocated_stg", "full"),
        ];
        let full = "blank stg: raw size=1073741824 preallocation=full";
        assert_eq!(blanks(&other).unwrap(), [full]);
        // What is there already is in the key by its content.
        let there = [("force_create_image_stg", "no")];
        assert_eq!(blanks(&there).unwrap(), [""; 0]);
    }

    #[test]
    fn an_image_that_is_more_than_blank_lets_its_machine_boot() {
        let boots = |key: &str, value: &str| blanks(&[(key, value)]).unwrap_err();
        let options = boots("image_extra_params_stg", "backing_file=/x");
        assert_eq!(options, "its image stg is made with `backing_file=/x`");
        let format = boots("image_format_stg", "luks");
        assert_eq!(format, "its image stg is made in the format luks");
        assert_eq!(boots("image_raw_device_stg", "yes"), "its image stg is a device");
        let chain = boots("image_chain_stg", "image1 stg");
        assert!(chain.contains("a chain of images"), "{chain}");
        let all = boots("force_create_image", "yes");
        assert_eq!(all, "the test makes all its images itself");
    }
}
