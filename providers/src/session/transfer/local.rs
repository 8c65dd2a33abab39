//! This host's side.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use super::TransferError;
use super::tree::{Kind, Sink, Tree, file_error};

/// The host's file system.
pub(super) struct Local;

fn failed(what: &'static str, path: &str, error: &std::io::Error) -> TransferError {
    file_error("host", what, path, error)
}

impl Tree for Local {
    fn side(&self) -> &'static str {
        "host"
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, TransferError> {
        match fs::metadata(path) {
            Ok(metadata) => {
                let mode = metadata.permissions().mode() & 0o777;
                Ok(Some(match metadata.file_type() {
                    kind if kind.is_dir() => Kind::Directory { mode },
                    kind if kind.is_file() => Kind::File {
                        mode,
                        size: metadata.len(),
                    },
                    _ => Kind::Special,
                }))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(failed("look at", path, &error)),
        }
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, TransferError> {
        let list = || -> std::io::Result<Vec<String>> {
            fs::read_dir(directory)?
                .map(|entry| {
                    let name = entry?.file_name();
                    name.into_string().map_err(|name| {
                        std::io::Error::new(ErrorKind::InvalidData, format!("the name {name:?} is not UTF-8"))
                    })
                })
                .collect()
        };
        list().map_err(|error| failed("list", directory, &error))
    }

    fn make_directory(&self, path: &str) -> Result<(), TransferError> {
        fs::create_dir(path).map_err(|error| failed("make the directory", path, &error))
    }

    fn reader<'a>(&'a self, path: &str) -> Result<Box<dyn Read + 'a>, TransferError> {
        File::open(path)
            .map(|file| Box::new(file) as Box<dyn Read>)
            .map_err(|error| failed("open", path, &error))
    }

    fn writer<'a>(&'a self, path: &str, _size: u64) -> Result<Box<dyn Sink + 'a>, TransferError> {
        File::create(path)
            .map(|file| Box::new(file) as Box<dyn Sink>)
            .map_err(|error| failed("create", path, &error))
    }

    fn set_mode(&self, path: &str, mode: u32) -> Result<(), TransferError> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| failed("set the permissions of", path, &error))
    }

    fn modified(&self, path: &str) -> Option<u32> {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        u32::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
    }

    fn set_modified(&self, path: &str, seconds: u32) -> Result<(), TransferError> {
        let time = UNIX_EPOCH + Duration::from_secs(seconds.into());
        let set = File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(time));
        set.map_err(|error| failed("set the time of", path, &error))
    }
}

impl Sink for File {
    fn finish(self: Box<Self>) -> std::io::Result<()> {
        Ok(())
    }
}
