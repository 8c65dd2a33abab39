//! Unpacking what was fetched, by the host's own programs and without a shell.

use std::fs::{self, File};
use std::time::Duration;

use camino::Utf8Path;

use super::{DownloadError, beside};
use crate::process::{Command, Launcher, Stream};

/// How long unpacking may take.
const TIME: Duration = Duration::from_secs(3600);
/// The programs that write what they unpack to standard output, by the ending of a file's name.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("xz", &["xz", "-dc"]),
    ("gz", &["gzip", "-dc"]),
    ("bz2", &["bzip2", "-dc"]),
    ("zst", &["zstd", "-dcq"]),
    ("lz4", &["lz4", "-dcq"]),
];

/// Unpacks `packed` to `unpacked`, which appears whole or not at all.
///
/// A program of the definition gets the file as its last word and works in an empty folder; what it makes there is the
/// result. The usual ones read it and write to standard output.
pub(super) async fn unpack(
    launcher: &Launcher,
    packed: &Utf8Path,
    unpacked: &Utf8Path,
    program: Option<&[String]>,
) -> Result<(), DownloadError> {
    let disk = |source| DownloadError::Disk {
        path: unpacked.to_owned(),
        source,
    };
    let failed = |reason: String| DownloadError::Unpack {
        path: packed.to_owned(),
        reason,
    };
    let above = unpacked.parent().unwrap_or(unpacked);
    fs::create_dir_all(above).map_err(disk)?;
    let work = tempfile::Builder::new()
        .prefix(".unpack")
        .tempdir_in(above)
        .map_err(disk)?;
    let work =
        Utf8Path::from_path(work.path()).ok_or_else(|| failed("its folder's name is no UTF-8".into()))?;
    let name = unpacked.file_name().unwrap_or("unpacked");
    let (made, errors) = (work.join(name), beside(&work.join("errors")));
    let command = match program {
        Some([program, words @ ..]) => Command::new(program).args(words).arg(packed).dir(work),
        _ => {
            let kind = packed.extension().unwrap_or_default();
            let known = PROGRAMS.iter().find(|(ending, _)| *ending == kind);
            let (_, words) = known.ok_or_else(|| {
                failed(format!(
                    "nothing is known that unpacks `.{kind}`; name a program with `uncompress_cmd`"
                ))
            })?;
            Command::new(words[0])
                .args(&words[1..])
                .stdin(File::open(packed).map_err(disk)?)
                .stdout(Stream::File(made.clone()))
        }
    };
    let child = launcher
        .spawn(command.stderr(Stream::File(errors.clone())))
        .await
        .map_err(|error| failed(error.to_string()))?;
    let Ok(exit) = tokio::time::timeout(TIME, child.wait()).await else {
        child.kill().await;
        return Err(failed(format!("it took longer than {} s", TIME.as_secs())));
    };
    if !exit.success() {
        let said = fs::read_to_string(&errors).unwrap_or_default();
        return Err(failed(format!("{exit}: {}", said.trim())));
    }
    let is_file = fs::symlink_metadata(&made).is_ok_and(|meta| meta.is_file());
    if !is_file {
        return Err(failed(format!("it made no file {name}")));
    }
    File::open(&made).and_then(|file| file.sync_all()).map_err(disk)?;
    fs::rename(&made, unpacked).map_err(disk)
}
