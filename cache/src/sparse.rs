//! Copies a file and hashes it in the same pass; holes stay holes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use rustix::fs::SeekFrom as Whence;
use rustix::io::Errno;

use crate::digest::Digest;

const CHUNK: usize = 1 << 20;

/// Copies all of `from` to the empty file `to` and returns digest and size of what was copied.
///
/// Where the file system tells no holes, everything is data.
pub(crate) fn copy_and_hash(from: &mut File, to: &mut File) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    while let Some((start, end)) = next_data(from, done)? {
        hash_zeros(&mut hasher, start - done);
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        done = start + copy_range(from, to, end - start, &mut hasher, &mut chunk)?;
        if done < end {
            break;
        }
    }
    let size = from.metadata()?.len().max(done);
    hash_zeros(&mut hasher, size - done);
    to.set_len(size)?;
    Ok((hasher.finalize().into(), size))
}

/// The first range of data at or after `offset`; `None` when only a hole follows.
fn next_data(file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, Whence::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => {
            let size = file.metadata()?.len();
            return Ok((offset < size).then_some((offset, size)));
        }
        Err(errno) => return Err(errno.into()),
    };
    let end = rustix::fs::seek(file, Whence::Hole(start))?;
    Ok(Some((start, end)))
}

/// Copies up to `length` bytes; returns how many there were.
fn copy_range(
    from: &mut File,
    to: &mut File,
    length: u64,
    hasher: &mut blake3::Hasher,
    chunk: &mut [u8],
) -> io::Result<u64> {
    let mut left = length;
    while left > 0 {
        let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        let got = match from.read(&mut chunk[..want]) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update_rayon(&chunk[..got]);
        to.write_all(&chunk[..got])?;
        left -= got as u64;
    }
    Ok(length - left)
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64) {
    static ZEROS: [u8; CHUNK] = [0; CHUNK];
    while count > 0 {
        let step = usize::try_from(count).map_or(CHUNK, |count| count.min(CHUNK));
        hasher.update_rayon(&ZEROS[..step]);
        count -= step as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn copy(from: &mut File) -> (File, Digest, u64) {
        let mut to = tempfile::tempfile().unwrap();
        let (digest, size) = copy_and_hash(from, &mut to).unwrap();
        (to, digest, size)
    }

    fn content(file: &mut File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn holes_before_between_and_after_data_are_kept() {
        let mut from = tempfile::tempfile().unwrap();
        for offset in [3 << 20, 9 << 20] {
            from.seek(SeekFrom::Start(offset)).unwrap();
            from.write_all(b"data").unwrap();
        }
        from.set_len(20 << 20).unwrap();
        let (mut to, digest, size) = copy(&mut from);
        let bytes = content(&mut from);
        assert_eq!((digest, size), (Digest::of(&bytes), 20 << 20));
        assert_eq!(content(&mut to), bytes);
        let (before, after) = (from.metadata().unwrap().blocks(), to.metadata().unwrap().blocks());
        assert!(after <= before.max(64), "{before} blocks became {after}");
    }

    #[test]
    fn empty_and_plain_files_copy_as_they_are() {
        for bytes in [Vec::new(), b"x".to_vec(), vec![7; (2 << 20) + 5]] {
            let mut from = tempfile::tempfile().unwrap();
            from.write_all(&bytes).unwrap();
            let (mut to, digest, size) = copy(&mut from);
            assert_eq!((digest, size), (Digest::of(&bytes), bytes.len() as u64));
            assert_eq!(content(&mut to), bytes);
        }
    }
}
