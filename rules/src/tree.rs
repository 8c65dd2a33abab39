//! Archives of the store, unpacked: folders that many actions read and nobody writes to.
//!
//! A folder stands under the digest of its archive, so that two versions never meet. Nothing of it is precious: it is
//! unpacked again from the archive, which the store holds.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;
use vtbuild_cache::hold;
use vtbuild_engine::outcome::Artefact;

/// Why an archive could not be unpacked.
#[derive(Debug, Error)]
#[error("unpack {archive} to {to}: {source}")]
pub(crate) struct TreeError {
    archive: Utf8PathBuf,
    to: Utf8PathBuf,
    source: io::Error,
}

/// What a file begins with that zstd has compressed.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The folder with the files of `archive` (a tar file, which zstd may have compressed) below `trees`; unpacked unless it is there.
///
/// Safe to be called by several processes at once: whoever is first puts the finished folder in place.
pub(crate) fn of(archive: &Artefact, trees: &Utf8Path) -> Result<Utf8PathBuf, TreeError> {
    let tree = trees.join(archive.digest.short());
    // What is held is not collected while this process works with it.
    if hold(&tree) {
        return Ok(tree);
    }
    let failed = |source| TreeError {
        archive: archive.path.clone(),
        to: tree.clone(),
        source,
    };
    fs::create_dir_all(trees).map_err(failed)?;
    let beside = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(trees)
        .map_err(failed)?;
    unpack(&archive.path, beside.path()).map_err(failed)?;
    match fs::rename(beside.path(), &tree) {
        Ok(()) => {
            // It is in its place: nothing is left to be removed.
            let _ = beside.keep();
        }
        // Somebody else was quicker; ours goes.
        Err(_) if tree.is_dir() => {}
        Err(error) => return Err(failed(error)),
    }
    if !hold(&tree) {
        let taken = "another process has just collected it; run it again";
        return Err(failed(io::Error::other(taken)));
    }
    Ok(tree)
}

/// The archive itself: some are compressed.
fn opened(archive: &Utf8Path) -> io::Result<Box<dyn io::Read>> {
    let mut file = io::BufReader::with_capacity(1 << 17, File::open(archive)?);
    let compressed = file.fill_buf()?.starts_with(&ZSTD);
    Ok(if compressed {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        Box::new(file)
    })
}

fn unpack(archive: &Utf8Path, to: &std::path::Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(opened(archive)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        // Refuses names that lead out of the folder.
        if !entry.unpack_in(to)? {
            let name = entry.path()?.display().to_string();
            return Err(io::Error::other(format!("the name `{name}` leads out of it")));
        }
    }
    // To the end: behind the last entry stands the checksum of a compressed archive.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    for entry in walkdir::WalkDir::new(to) {
        let entry = entry.map_err(io::Error::from)?;
        if entry.file_type().is_file() {
            let mode = entry.metadata().map_err(io::Error::from)?.permissions().mode();
            fs::set_permissions(entry.path(), Permissions::from_mode(mode & !0o222))?;
        }
    }
    // Private until now, as temporary folders are.
    fs::set_permissions(to, Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use vtbuild_cache::Digest;

    use super::*;

    fn archive(dir: &Utf8Path, name: &str) -> Artefact {
        let path = dir.join("packages.tar");
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        // Written as it is: the library itself would refuse to make such a name.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        tar.append(&header, &b"abc"[..]).unwrap();
        tar.finish().unwrap();
        let digest = Digest::of(&fs::read(&path).unwrap());
        Artefact {
            name: "packages.tar".into(),
            digest,
            size: 3,
            path,
        }
    }

    #[test]
    fn files_are_read_only_and_unpacked_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let archive = archive(dir, "a/b.py");
        let tree = of(&archive, &dir.join("trees")).unwrap();
        let file = tree.join("a/b.py");
        assert_eq!(fs::read(&file).unwrap(), b"abc");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o444);
        // The archive is not looked at again.
        fs::remove_file(&archive.path).unwrap();
        assert_eq!(of(&archive, &dir.join("trees")).unwrap(), tree);
    }

    #[test]
    fn a_name_that_leads_out_is_refused_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let archive = archive(dir, "../b.py");
        let error = of(&archive, &dir.join("trees")).unwrap_err();
        assert!(error.to_string().contains("leads out"), "{error}");
        assert!(!dir.join("trees/b.py").exists());
        assert_eq!(dir.join("trees").read_dir_utf8().unwrap().count(), 0);
    }
}
