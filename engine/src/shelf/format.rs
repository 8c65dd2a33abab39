//! A kept program as one file.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic, which ends with the number of the format |
//! | 8 | XXH3 of all that follows |
//! | 8 | how long the list of reads is |
//! | … | the list of reads, filled up to a multiple of eight bytes |
//! | … | the program |
//!
//! The checksum finds accidents; who may write into the cache is trusted.

use camino::Utf8PathBuf;
use vtbuild_cache::{Digest, Identity};
use xxhash_rust::xxh3::xxh3_64;

use super::{Read, Seen};

const MAGIC: [u8; 8] = *b"vtprog\0\x01";

/// Where the list of reads begins.
const HEAD: usize = 24;

pub(super) fn pack(reads: &[Read], program: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    for read in reads {
        write(&mut list, read);
    }
    let mut out = Vec::with_capacity(HEAD + list.len() + 8 + program.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(list.len() as u64).to_le_bytes());
    out.extend_from_slice(&list);
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend_from_slice(program);
    let sum = xxh3_64(&out[16..]);
    out[8..16].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The reads and the program, if the bytes are whole.
pub(super) fn unpack(bytes: &[u8]) -> Option<(Vec<Read>, &[u8])> {
    let sum = bytes.get(8..16)?;
    if bytes[..8] != MAGIC || sum != xxh3_64(&bytes[16..]).to_le_bytes() {
        return None;
    }
    let (mut list, program) = parts(bytes)?;
    let mut reads = Vec::new();
    while !list.is_empty() {
        reads.push(read(&mut list)?);
    }
    Some((reads, program))
}

/// The list of reads and the program of bytes that are known to be whole.
pub(super) fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u64::from_le_bytes(bytes.get(16..HEAD)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(HEAD)?;
    Some((
        bytes.get(HEAD..end)?,
        bytes.get(end.checked_next_multiple_of(8)?..)?,
    ))
}

/// One read: its kind, the path and its length, and what the kind has.
fn write(out: &mut Vec<u8>, read: &Read) {
    let kind = match read.seen {
        Seen::Absent => 0,
        Seen::NotAFile => 1,
        Seen::Folder(_) => 2,
        Seen::File { identity: None, .. } => 3,
        Seen::File {
            identity: Some(_), ..
        } => 4,
    };
    out.push(kind);
    out.extend_from_slice(&(read.path.as_str().len() as u64).to_le_bytes());
    out.extend_from_slice(read.path.as_str().as_bytes());
    match &read.seen {
        Seen::Absent | Seen::NotAFile => {}
        Seen::Folder(digest) => out.extend_from_slice(digest.as_bytes()),
        Seen::File {
            digest,
            size,
            identity,
        } => {
            out.extend_from_slice(digest.as_bytes());
            out.extend_from_slice(&size.to_le_bytes());
            if let Some(identity) = identity {
                out.extend_from_slice(&identity.to_bytes());
            }
        }
    }
}

fn read(bytes: &mut &[u8]) -> Option<Read> {
    let [kind] = take(bytes)?;
    let length = usize::try_from(u64::from_le_bytes(take(bytes)?)).ok()?;
    let (path, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let path = Utf8PathBuf::from(std::str::from_utf8(path).ok()?);
    let seen = match kind {
        0 => Seen::Absent,
        1 => Seen::NotAFile,
        2 => Seen::Folder(Digest::from_bytes(take(bytes)?)),
        3 | 4 => Seen::File {
            digest: Digest::from_bytes(take(bytes)?),
            size: u64::from_le_bytes(take(bytes)?),
            identity: match kind {
                4 => Some(Identity::from_bytes(&take(bytes)?)),
                _ => None,
            },
        },
        _ => return None,
    };
    Some(Read { path, seen })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}
