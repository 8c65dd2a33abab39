//! What a state is made of, and one compressed archive of it. Holes of the memory file stay holes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

/// Memory and devices, as QEMU writes them.
pub(super) const MEMORY: &str = "memory";
/// The description.
pub(super) const DESCRIPTION: &str = "state.json";
/// Fast: what is saved today is read in a second today.
const LEVEL: i32 = 1;

/// What a state holds beside memory.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Description {
    /// Layers by the names of their images.
    pub(super) layers: BTreeMap<String, Layer>,
    /// What the guest printed on its serial ports: file names, as in a test's folder for logs.
    pub(super) logs: Vec<String>,
    /// The prompt of the shell that waits in the guest, where one does.
    pub(super) standing: Option<String>,
}

/// What a guest has written on a disk since power-on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Layer {
    /// Its name in the archive.
    pub(super) file: String,
    /// What it lay on when it was made.
    pub(super) base: Utf8PathBuf,
}

/// Writes the `members`, names and files, to the archive `to`.
pub(super) fn pack(members: &[(String, Utf8PathBuf)], to: &Utf8Path) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(File::create(to)?, LEVEL)?;
    // A flipped bit is noticed when it is unpacked.
    encoder.include_checksum(true)?;
    let mut archive = tar::Builder::new(encoder);
    for (name, path) in members {
        archive.append_path_with_name(path, name)?;
    }
    archive.into_inner()?.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::fs::MetadataExt;

    use vtbuild_cache::Digest;
    use vtbuild_engine::outcome::Artefact;

    use super::*;

    fn artefact(path: &Utf8Path) -> Artefact {
        let (digest, size) = Digest::of_file(path).unwrap();
        Artefact {
            name: "x".into(),
            digest,
            size,
            path: path.to_owned(),
        }
    }

    /// 64 MiB of which three pages hold something.
    fn memory(path: &Utf8Path) {
        let mut file = File::create(path).unwrap();
        for offset in [0, 20 << 20, 40 << 20] {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(&[7; 4096]).unwrap();
        }
        file.set_len(64 << 20).unwrap();
    }

    #[test]
    fn holes_are_neither_packed_nor_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (file, packed) = (dir.join("memory"), dir.join("packed"));
        memory(&file);
        pack(&[(MEMORY.to_owned(), file.clone())], &packed).unwrap();
        assert!(packed.metadata().unwrap().len() < 4096);
        let tree = crate::tree::of(&artefact(&packed), &dir.join("trees")).unwrap();
        let again = tree.join(MEMORY);
        assert_eq!(Digest::of_file(&again).unwrap(), Digest::of_file(&file).unwrap());
        let blocks = again.metadata().unwrap().blocks();
        assert!(blocks * 512 < 1 << 20, "{blocks} blocks of a sparse file");
    }

    #[test]
    fn a_flipped_bit_is_noticed_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (file, packed) = (dir.join("memory"), dir.join("packed"));
        let noise: Vec<u8> = (0..1_u32 << 16)
            .flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes())
            .collect();
        std::fs::write(&file, noise).unwrap();
        pack(&[(MEMORY.to_owned(), file)], &packed).unwrap();
        let mut bytes = Vec::new();
        File::open(&packed).unwrap().read_to_end(&mut bytes).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&packed, bytes).unwrap();
        assert!(crate::tree::of(&artefact(&packed), &dir.join("trees")).is_err());
        assert_eq!(dir.join("trees").read_dir_utf8().unwrap().count(), 0);
    }
}
