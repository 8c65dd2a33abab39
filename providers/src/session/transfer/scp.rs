//! The guest's side over scp, for guests whose ssh server has no sftp subsystem (dropbear, small images).
//!
//! scp only carries files; looking at directories is left to the guest's `stat`, `ls` and `mkdir`, in the forms that
//! busybox has too.

use std::io::{Read, Write};
use std::path::Path;

use ssh2::{Channel, Session};

use super::TransferError;
use super::tree::{Kind, Sink, Tree, file_error};

const TYPE_BITS: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// A guest's files over scp and a few commands.
pub(super) struct Scp<'a>(&'a Session);

impl<'a> Scp<'a> {
    /// Whether the guest has what is needed, or why not.
    pub(super) fn probe(session: &'a Session) -> Result<Self, String> {
        let scp = Self(session);
        match scp
            .run("command -v scp && command -v stat")
            .map_err(|error| error.to_string())?
        {
            (0, _) => Ok(scp),
            (_, output) => Err(format!("scp or stat is missing there: {}", output.trim())),
        }
    }

    /// Runs a command; its exit status and both outputs.
    fn run(&self, command: &str) -> std::io::Result<(i32, String)> {
        let mut channel = self.0.channel_session()?;
        channel.handle_extended_data(ssh2::ExtendedData::Merge)?;
        channel.exec(command)?;
        let mut output = Vec::new();
        channel.read_to_end(&mut output)?;
        channel.close()?;
        channel.wait_close()?;
        Ok((
            channel.exit_status()?,
            String::from_utf8_lossy(&output).into_owned(),
        ))
    }

    fn must(&self, what: &'static str, path: &str, command: &str) -> Result<String, TransferError> {
        match self.run(command) {
            Ok((0, output)) => Ok(output),
            Ok((_, output)) => Err(file_error("guest", what, path, &output.trim())),
            Err(error) => Err(file_error("guest", what, path, &error)),
        }
    }
}

/// A path as one word of a shell command; `~` stays what it means.
fn quoted(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => format!("./{}", shell_words::quote(rest)),
        None if path.starts_with('-') => format!("./{}", shell_words::quote(path)),
        None => shell_words::quote(path).into_owned(),
    }
}

impl Tree for Scp<'_> {
    fn side(&self) -> &'static str {
        "guest"
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, TransferError> {
        let path_word = quoted(path);
        let command = format!("test -e {path_word} || exit 0; stat -L -c '%f %s' {path_word}");
        let output = self.must("look at", path, &command)?;
        let mut words = output.split_whitespace();
        let (Some(mode), size) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let mode = u32::from_str_radix(mode, 16)
            .map_err(|_| file_error("guest", "look at", path, &format!("stat printed `{output}`")))?;
        let size = size.and_then(|size| size.parse().ok()).unwrap_or(0);
        Ok(Some(match mode & TYPE_BITS {
            DIRECTORY => Kind::Directory { mode: mode & 0o777 },
            REGULAR => Kind::File {
                mode: mode & 0o777,
                size,
            },
            _ => Kind::Special,
        }))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, TransferError> {
        let output = self.must("list", directory, &format!("ls -A1 {}", quoted(directory)))?;
        Ok(output.lines().map(str::to_owned).collect())
    }

    fn make_directory(&self, path: &str) -> Result<(), TransferError> {
        self.must("make the directory", path, &format!("mkdir {}", quoted(path)))
            .map(drop)
    }

    fn reader<'a>(&'a self, path: &str) -> Result<Box<dyn Read + 'a>, TransferError> {
        let failed = |error: ssh2::Error| file_error("guest", "open", path, &error);
        let (channel, stat) = self.0.scp_recv(Path::new(path)).map_err(failed)?;
        Ok(Box::new(channel.take(stat.size())))
    }

    fn writer<'a>(&'a self, path: &str, size: u64) -> Result<Box<dyn Sink + 'a>, TransferError> {
        self.0
            .scp_send(Path::new(path), 0o644, size, None)
            .map(|channel| Box::new(Sending(channel)) as Box<dyn Sink>)
            .map_err(|error| file_error("guest", "create", path, &error))
    }

    fn set_mode(&self, path: &str, mode: u32) -> Result<(), TransferError> {
        let command = format!("chmod {mode:o} {}", quoted(path));
        self.must("set the permissions of", path, &command).map(drop)
    }

    fn set_modified(&self, path: &str, seconds: u32) -> Result<(), TransferError> {
        let command = format!("touch -d @{seconds} {}", quoted(path));
        self.must("set the time of", path, &command).map(drop)
    }
}

struct Sending(Channel);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Sending {
    fn finish(mut self: Box<Self>) -> std::io::Result<()> {
        self.0.send_eof()?;
        self.0.wait_eof()?;
        self.0.close()?;
        self.0.wait_close()?;
        Ok(())
    }
}
