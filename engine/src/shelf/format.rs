//! A kept program as one file.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic, which ends with the number of the format |
//! | 8 | XXH3 of all that follows |
//! | 8 | how long the list of reads and notes is |
//! | … | what was read and what goes with the program, filled up to a multiple of eight bytes |
//! | … | the program |
//!
//! The checksum finds accidents; who may write into the cache is trusted.

use std::sync::Arc;

use vtbuild_cache::{Digest, Identity};
use xxhash_rust::xxh3::xxh3_64;

use super::{Read, Seen};

/// The kind of a note in the list, beside those of what was read.
const NOTE: u8 = 5;

const MAGIC: [u8; 8] = *b"vtprog\0\x01";

/// Where the list begins.
const HEAD: usize = 24;

pub(super) fn pack(reads: &[Read], notes: &[Arc<str>], program: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    for read in reads {
        write(&mut list, read);
    }
    for note in notes {
        write_text(&mut list, NOTE, note);
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

/// The reads and the notes, if the bytes are whole.
pub(super) fn unpack(bytes: &[u8]) -> Option<(Vec<Read>, Vec<Arc<str>>)> {
    let sum = bytes.get(8..16)?;
    if bytes[..8] != MAGIC || sum != xxh3_64(&bytes[16..]).to_le_bytes() {
        return None;
    }
    let (mut list, _) = parts(bytes)?;
    let (mut reads, mut notes) = (Vec::new(), Vec::new());
    while !list.is_empty() {
        match take_text(&mut list)? {
            (NOTE, note) => notes.push(note.into()),
            (kind, path) => reads.push(read(&mut list, kind, path)?),
        }
    }
    Some((reads, notes))
}

/// The list and the program of bytes that are known to be whole.
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
    write_text(out, kind, read.path.as_str());
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

fn write_text(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'b>(bytes: &mut &'b [u8]) -> Option<(u8, &'b str)> {
    let [kind] = take(bytes)?;
    let length = usize::try_from(u64::from_le_bytes(take(bytes)?)).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((kind, std::str::from_utf8(text).ok()?))
}

fn read(bytes: &mut &[u8], kind: u8, path: &str) -> Option<Read> {
    let path = path.into();
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
