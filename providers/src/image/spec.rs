//! An image as the parameters describe it.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::params::{ParamError, Params};

/// How much of an image is allocated when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preallocation {
    /// Nothing.
    Off,
    /// The format's own tables.
    Metadata,
    /// All of it, without writing.
    Falloc,
    /// All of it, written.
    Full,
}

impl Preallocation {
    /// The word that `qemu-img` knows.
    pub fn name(self) -> &'static str {
        match self {
            Preallocation::Off => "off",
            Preallocation::Metadata => "metadata",
            Preallocation::Falloc => "falloc",
            Preallocation::Full => "full",
        }
    }
}

/// One image of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSpec {
    /// The name of the object in `images`.
    pub name: String,
    /// The file or block device.
    pub file: Utf8PathBuf,
    /// The format, as `qemu-img` names it.
    pub format: String,
    /// Virtual size in bytes, for an image that is to be created.
    pub size: Option<u64>,
    /// `image_raw_device`: the name is used as it is, without an ending.
    pub raw_device: bool,
    /// Cluster size in bytes.
    pub cluster_size: Option<u64>,
    /// How much is allocated when it is created.
    pub preallocation: Option<Preallocation>,
    /// `image_chain`: this image and those below it, from the base to the top, as names of objects. Empty: no chain.
    pub chain: Vec<String>,
    /// `image_snapshot`: writes go to a throw-away file.
    pub snapshot: bool,
    /// `image_extra_params`: options for `qemu-img create -o`.
    pub options: Option<String>,
}

impl ImageSpec {
    /// Reads the image `name`. `params` is that image's own view; `data_dir` is what a relative `image_name` starts from.
    ///
    /// The file is `DATA_DIR/IMAGE_NAME.IMAGE_FORMAT`, and with `image_raw_device = yes` it is `IMAGE_NAME`, as it is when
    /// absolute, else under the data folder.
    ///
    /// # Errors
    /// [`ParamError`], naming the parameter.
    pub fn from_params(name: &str, params: &Params, data_dir: &Utf8Path) -> Result<ImageSpec, ParamError> {
        let raw_device = params.switch("image_raw_device")?.unwrap_or(false);
        let format = params.text("image_format").unwrap_or("qcow2").to_owned();
        if !format.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(params.bad("image_format", "the name of a format such as qcow2 or raw"));
        }
        let Some(image_name) = params.text("image_name") else {
            return Err(params.bad("image_name", "the name of a file, such as images/jeos"));
        };
        let plain = data_dir.join(image_name);
        let file = if raw_device {
            plain
        } else {
            Utf8PathBuf::from(format!("{plain}.{format}"))
        };
        let chain = params
            .text("image_chain")
            .map(|text| text.trim_matches('"'))
            .unwrap_or_default();
        Ok(ImageSpec {
            name: name.to_owned(),
            file,
            size: params.size("image_size", 1)?,
            raw_device,
            cluster_size: params.size("image_cluster_size", 1)?,
            preallocation: preallocation(params)?,
            chain: chain.split_whitespace().map(str::to_owned).collect(),
            snapshot: params.switch("image_snapshot")?.unwrap_or(false),
            options: params
                .text("image_extra_params")
                .map(|text| text.trim_matches('"').trim_matches(',').to_owned()),
            format,
        })
    }

    /// The image below this one in its chain.
    pub fn backing(&self) -> Option<&str> {
        let position = self.chain.iter().position(|name| *name == self.name)?;
        self.chain.get(position.checked_sub(1)?).map(String::as_str)
    }

    /// Whether a chain of several images begins with this one.
    pub fn is_bottom(&self) -> bool {
        self.chain.len() > 1 && self.chain.first() == Some(&self.name)
    }
}

fn preallocation(params: &Params) -> Result<Option<Preallocation>, ParamError> {
    Ok(Some(match params.text("preallocated") {
        None => return Ok(None),
        Some("off" | "no") => Preallocation::Off,
        Some("metadata" | "yes") => Preallocation::Metadata,
        Some("falloc") => Preallocation::Falloc,
        Some("full") => Preallocation::Full,
        Some(_) => return Err(params.bad("preallocated", "one of off, metadata, falloc, full")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<ImageSpec, ParamError> {
        let params: Params = entries.iter().copied().collect();
        ImageSpec::from_params("image1", &params.object("image1"), Utf8Path::new("/data"))
    }

    #[test]
    fn a_name_gets_its_format_as_ending() {
        let image = read(&[
            ("image_name", "images/foo-linux"),
            ("image_format", "qcow2"),
            ("image_size", "10G"),
        ])
        .unwrap();
        assert_eq!(
            (image.file.as_str(), image.size),
            ("/data/images/foo-linux.qcow2", Some(10 << 30))
        );
        let image = read(&[("image_name", "/abs/disk"), ("image_format_image1", "raw")]).unwrap();
        assert_eq!(image.file, "/abs/disk.raw");
    }

    #[test]
    fn a_raw_device_is_used_as_it_is() {
        let image = read(&[
            ("image_name", "/dev/sdx"),
            ("image_raw_device", "yes"),
            ("image_format", "raw"),
        ])
        .unwrap();
        assert_eq!(image.file, "/dev/sdx");
    }

    #[test]
    fn a_chain_says_what_is_below() {
        let image = read(&[("image_name", "x"), ("image_chain", "base image1 top")]).unwrap();
        assert_eq!((image.backing(), image.is_bottom()), (Some("base"), false));
        let bottom = read(&[("image_name", "x"), ("image_chain", "image1 top")]).unwrap();
        assert_eq!((bottom.backing(), bottom.is_bottom()), (None, true));
        assert_eq!(
            read(&[("image_name", "x"), ("image_chain", "\"\"")])
                .unwrap()
                .backing(),
            None
        );
    }

    #[test]
    fn mistakes_name_the_parameter() {
        let error = read(&[("image_name", "x"), ("preallocated", "some")])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "use parameter `preallocated = some` of image1: expected one of off, metadata, falloc, full"
        );
        assert_eq!(read(&[]).unwrap_err().key, "image_name");
    }
}
