//! Archives: the same content is always the same bytes, and nothing in one can be written outside the folder it is
//! unpacked into.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::SystemTime;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use tar::{Archive, Builder, EntryType, Header};
use thiserror::Error;

use super::tree::{Entry, Kind, SourceTree, lexically_inside};

/// Why an archive could not be unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// It ends early, or is none.
    #[error("unpack {archive}: {source}")]
    Read {
        /// The archive.
        archive: Utf8PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It would write elsewhere.
    #[error("unpack {archive}: {name} leads out of the folder")]
    Leaves {
        /// The archive.
        archive: Utf8PathBuf,
        /// The name in it.
        name: String,
    },
    /// Neither file, folder nor link.
    #[error("unpack {archive}: {name} is neither a file nor a folder nor a symbolic link")]
    Special {
        /// The archive.
        archive: Utf8PathBuf,
        /// The name in it.
        name: String,
    },
}

/// Writes all that `tree` holds to the archive `to`: no times, no owners, one order.
///
/// # Errors
/// When something cannot be read or written.
pub fn pack(tree: &SourceTree, to: &Utf8Path) -> io::Result<()> {
    let mut archive = Builder::new(BufWriter::new(File::create(to)?));
    for entry in &tree.entries {
        self::entry(&mut archive, &tree.root, entry)?;
    }
    archive.into_inner()?.into_inner()?.sync_all()
}

/// Adds one entry; gives the bytes of its content.
pub(super) fn entry<W: Write>(archive: &mut Builder<W>, root: &Utf8Path, entry: &Entry) -> io::Result<u64> {
    let path = &entry.path;
    match &entry.kind {
        Kind::Folder => {
            let mut header = header(EntryType::Directory, 0o755, 0);
            archive.append_data(&mut header, format!("{path}/"), io::empty())?;
            Ok(0)
        }
        Kind::Link(to) => {
            archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, to)?;
            Ok(0)
        }
        Kind::File { executable } => {
            let file = File::open(root.join(path))?;
            let size = file.metadata()?.len();
            let mode = if *executable { 0o755 } else { 0o644 };
            // A file that grows meanwhile must not spoil what comes after it.
            archive.append_data(&mut header(EntryType::Regular, mode, size), path, file.take(size))?;
            Ok(size)
        }
    }
}

/// Adds a file with this text.
pub(super) fn text<W: Write>(archive: &mut Builder<W>, path: &str, text: &str) -> io::Result<()> {
    let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
    archive.append_data(&mut header, path, text.as_bytes())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Unpacks `archive` into `folder`, over what is there. Files get the time `modified`, where one is given.
///
/// # Errors
/// See [`UnpackError`]. What was unpacked before it stays.
pub fn unpack(
    archive: &Utf8Path,
    folder: &Utf8Path,
    modified: Option<SystemTime>,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Read {
        archive: archive.to_owned(),
        source,
    };
    let mut reader = Archive::new(BufReader::new(File::open(archive).map_err(failed)?));
    // Links come last, so that nothing is ever written through one.
    let mut links = Vec::new();
    fs::create_dir_all(folder).map_err(failed)?;
    for entry in reader.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry_name(&entry).map_err(failed)?;
        let leaves = || UnpackError::Leaves {
            archive: archive.to_owned(),
            name: name.clone(),
        };
        let inside = inside(Utf8Path::new(&name)).ok_or_else(leaves)?;
        let path = folder.join(&inside);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&path).map_err(failed)?,
            EntryType::Symlink => {
                let to = entry.link_name_bytes().unwrap_or_default().into_owned();
                let to = String::from_utf8(to).map_err(|_| leaves())?;
                let from = inside.parent().unwrap_or(Utf8Path::new(""));
                if !lexically_inside(from, Utf8Path::new(&to)) {
                    return Err(leaves());
                }
                links.push((path, to));
            }
            EntryType::Regular | EntryType::Continuous => {
                let mode = entry.header().mode().map_err(failed)?;
                write_file(&path, &mut entry, mode, modified).map_err(failed)?;
            }
            _ => {
                return Err(UnpackError::Special {
                    archive: archive.to_owned(),
                    name,
                });
            }
        }
    }
    for (path, to) in links {
        make_way(&path)
            .and_then(|()| symlink(to, &path))
            .map_err(failed)?;
    }
    Ok(())
}

fn entry_name(entry: &tar::Entry<'_, impl Read>) -> io::Result<String> {
    String::from_utf8(entry.path_bytes().into_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a name in it is not UTF-8"))
}

/// The path without `.`; none where it is absolute, climbs or is empty.
fn inside(name: &Utf8Path) -> Option<Utf8PathBuf> {
    let parts = name.components().filter(|part| *part != Utf8Component::CurDir);
    let parts: Option<Utf8PathBuf> = parts
        .map(|part| match part {
            Utf8Component::Normal(part) => Some(part),
            _ => None,
        })
        .collect();
    parts
}

fn write_file(
    path: &Utf8Path,
    content: &mut dyn Read,
    mode: u32,
    modified: Option<SystemTime>,
) -> io::Result<()> {
    make_way(path)?;
    let mut file = File::create_new(path)?;
    io::copy(content, &mut file)?;
    let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    modified.map_or(Ok(()), |time| file.set_modified(time))
}

/// Makes the folders above a path and takes away what stands at it.
fn make_way(path: &Utf8Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, root)
    }

    fn filled(root: &Utf8Path) -> SourceTree {
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/prog"), "program").unwrap();
        fs::set_permissions(root.join("sub/prog"), fs::Permissions::from_mode(0o710)).unwrap();
        fs::write(root.join("note"), "text").unwrap();
        symlink("sub/prog", root.join("link")).unwrap();
        SourceTree::scan(root).unwrap()
    }

    #[test]
    fn the_same_content_is_the_same_bytes() {
        let (_dir, root) = folder();
        pack(&filled(&root.join("one")), &root.join("one.tar")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        pack(&filled(&root.join("two")), &root.join("two.tar")).unwrap();
        assert_eq!(
            fs::read(root.join("one.tar")).unwrap(),
            fs::read(root.join("two.tar")).unwrap()
        );

        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        unpack(&root.join("one.tar"), &root.join("out"), Some(time)).unwrap();
        let out = SourceTree::scan(&root.join("out")).unwrap();
        assert_eq!(out.entries, SourceTree::scan(&root.join("one")).unwrap().entries);
        assert_eq!(
            fs::metadata(root.join("out/note")).unwrap().modified().unwrap(),
            time
        );
        // Once more, over what is there.
        unpack(&root.join("one.tar"), &root.join("out"), None).unwrap();
    }

    /// An archive with one entry, whatever its name.
    fn evil(root: &Utf8Path, kind: EntryType, name: &str, link: &str) -> Utf8PathBuf {
        let mut header = header(kind, 0o644, 0);
        // The crate's own setters refuse such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let path = root.join("evil.tar");
        let mut archive = Builder::new(File::create(&path).unwrap());
        archive.append(&header, io::empty()).unwrap();
        archive.finish().unwrap();
        path
    }

    #[test]
    fn nothing_is_written_outside() {
        for (kind, name, link) in [
            (EntryType::Regular, "../escaped", ""),
            (EntryType::Regular, "/tmp/escaped", ""),
            (EntryType::Regular, "a/../../escaped", ""),
            (EntryType::Symlink, "link", "/etc"),
            (EntryType::Symlink, "sub/link", "../../x"),
        ] {
            let (_dir, root) = folder();
            let error = unpack(&evil(&root, kind, name, link), &root.join("out"), None).unwrap_err();
            assert!(matches!(error, UnpackError::Leaves { .. }), "{name}: {error}");
            assert!(!root.join("escaped").exists());
        }
        let (_dir, root) = folder();
        let error = unpack(
            &evil(&root, EntryType::Link, "hard", "note"),
            &root.join("out"),
            None,
        )
        .unwrap_err();
        assert!(matches!(error, UnpackError::Special { .. }), "{error}");
    }
}
