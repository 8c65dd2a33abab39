//! The guest's side over sftp.

use std::io::{Read, Write};
use std::path::Path;

use ssh2::{ErrorCode, FileStat};

use super::TransferError;
use super::tree::{Kind, Sink, Tree, file_error};

/// "No such file" in the sftp protocol.
const NO_SUCH_FILE: i32 = 2;

/// A guest's files over sftp.
pub(super) struct Sftp(pub(super) ssh2::Sftp);

fn failed(what: &'static str, path: &str, error: &ssh2::Error) -> TransferError {
    file_error("guest", what, path, error)
}

/// sftp knows no `~`; relative paths start at home.
fn at_home(path: &str) -> &Path {
    match path.strip_prefix('~') {
        Some("" | "/") => Path::new("."),
        Some(rest) => Path::new(rest.strip_prefix('/').unwrap_or(path)),
        None => Path::new(path),
    }
}

impl Sftp {
    fn set(
        &self,
        what: &'static str,
        path: &str,
        perm: Option<u32>,
        time: Option<u64>,
    ) -> Result<(), TransferError> {
        let stat = FileStat {
            size: None,
            uid: None,
            gid: None,
            perm,
            atime: time,
            mtime: time,
        };
        self.0
            .setstat(at_home(path), stat)
            .map_err(|error| failed(what, path, &error))
    }
}

impl Tree for Sftp {
    fn side(&self) -> &'static str {
        "guest"
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, TransferError> {
        match self.0.stat(at_home(path)) {
            Ok(stat) => {
                let mode = stat.perm.unwrap_or(0o644) & 0o777;
                Ok(Some(match stat.file_type() {
                    ssh2::FileType::Directory => Kind::Directory { mode },
                    ssh2::FileType::RegularFile => Kind::File {
                        mode,
                        size: stat.size.unwrap_or(0),
                    },
                    _ => Kind::Special,
                }))
            }
            Err(error) if error.code() == ErrorCode::SFTP(NO_SUCH_FILE) => Ok(None),
            Err(error) => Err(failed("look at", path, &error)),
        }
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, TransferError> {
        let list = |error: ssh2::Error| failed("list", directory, &error);
        let mut handle = self.0.opendir(at_home(directory)).map_err(list)?;
        let mut names = Vec::new();
        // Entry by entry: the convenience of ssh2 joins names to paths, which hides where they lead.
        loop {
            match handle.readdir() {
                Ok((name, _)) if name.as_os_str() == "." || name.as_os_str() == ".." => {}
                Ok((name, _)) => match name.into_os_string().into_string() {
                    Ok(name) => names.push(name),
                    Err(name) => {
                        let reason = format!("the name {name:?} is not UTF-8");
                        return Err(file_error("guest", "list", directory, &reason));
                    }
                },
                // LIBSSH2_ERROR_FILE: the end of the listing.
                Err(error) if error.code() == ErrorCode::Session(-16) => return Ok(names),
                Err(error) => return Err(list(error)),
            }
        }
    }

    fn make_directory(&self, path: &str) -> Result<(), TransferError> {
        self.0
            .mkdir(at_home(path), 0o755)
            .map_err(|error| failed("make the directory", path, &error))
    }

    fn reader<'a>(&'a self, path: &str) -> Result<Box<dyn Read + 'a>, TransferError> {
        self.0
            .open(at_home(path))
            .map(|file| Box::new(file) as Box<dyn Read>)
            .map_err(|error| failed("open", path, &error))
    }

    fn writer<'a>(&'a self, path: &str, _size: u64) -> Result<Box<dyn Sink + 'a>, TransferError> {
        self.0
            .create(at_home(path))
            .map(|file| Box::new(File(file)) as Box<dyn Sink>)
            .map_err(|error| failed("create", path, &error))
    }

    fn set_mode(&self, path: &str, mode: u32) -> Result<(), TransferError> {
        self.set("set the permissions of", path, Some(mode), None)
    }

    fn set_modified(&self, path: &str, seconds: u32) -> Result<(), TransferError> {
        self.set("set the time of", path, None, Some(seconds.into()))
    }
}

struct File(ssh2::File);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Sink for File {
    fn finish(mut self: Box<Self>) -> std::io::Result<()> {
        self.0.close().map_err(std::io::Error::from)
    }
}
