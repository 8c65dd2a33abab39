//! BLAKE3 digests: of bytes, of files, and as the 64 hex digits people see.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use camino::Utf8Path;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 4 << 20;

/// Fewer bytes than this are hashed faster on one thread.
const PARALLEL_FROM: usize = 128 << 10;

/// How many hex digits [`Digest::short`] shows.
const SHORT_DIGITS: usize = 12;

/// A BLAKE3 digest of 32 bytes: of file content, of an action's key, of a list of outputs.
///
/// Written, parsed and serialised as 64 lower-case hex digits.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }

    /// The digest of a file's content, and its size in bytes.
    ///
    /// The file is read and not mapped: a map of a file that another process cuts short would kill this one.
    ///
    /// # Errors
    /// What opening or reading the file answers. A directory is an error.
    pub fn of_file(path: &Utf8Path) -> io::Result<(Self, u64)> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; usize::try_from(size).map_or(CHUNK, |size| size.clamp(1, CHUNK))];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) if count < PARALLEL_FROM => hasher.update(&chunk[..count]),
                Ok(count) => hasher.update_rayon(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
        }
        Ok((hasher.finalize().into(), hasher.count()))
    }

    /// A digest whose bytes are known already, such as a key of the index.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hex digits: enough to tell digests apart in a message.
    #[must_use]
    pub fn short(&self) -> String {
        let mut hex = HEXLOWER.encode(&self.0);
        hex.truncate(SHORT_DIGITS);
        hex
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read '{0}' as a digest: expected 64 lower-case hex digits")]
pub struct ParseDigestError(String);

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseDigestError(text.to_owned());
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong())?;
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    #[test]
    fn the_empty_digest_is_the_published_one() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::of(b"").short(), &EMPTY[..12]);
    }

    #[test]
    fn text_form_round_trips_and_rejects_anything_else() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        for wrong in [
            "",
            "af",
            &EMPTY.to_uppercase(),
            &format!("{EMPTY}00"),
            &EMPTY.replace('a', "g"),
        ] {
            let error = wrong.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains("64 lower-case hex digits"), "{error}");
        }
    }

    #[test]
    fn serde_form_is_the_hex_string() {
        let json = serde_json::to_string(&Digest::of(b"x")).unwrap();
        assert_eq!(json, format!("\"{}\"", Digest::of(b"x")));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), Digest::of(b"x"));
    }

    #[test]
    fn files_hash_as_their_content_whatever_their_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("file");
        for size in [0, 1, 1 << 19, (4 << 20) + 1, 9 << 20] {
            let content: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let found = Digest::of_file(&path).unwrap();
            assert_eq!(found, (Digest::of(&content), u64::from(size)));
        }
    }

    #[test]
    fn a_directory_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        Digest::of_file(Utf8Path::from_path(dir.path()).unwrap()).unwrap_err();
    }
}
