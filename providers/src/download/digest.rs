//! Digests of files, in the kinds that publishers use.

use std::fs::File;
use std::io::Read;

use camino::Utf8Path;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// A kind of digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-512.
    Sha512,
    /// SHA-256.
    Sha256,
    /// SHA-1: what old lists have; it tells accidents, not attacks.
    Sha1,
}

impl Algorithm {
    /// All of them, the strongest first.
    pub const ALL: [Self; 3] = [Self::Sha512, Self::Sha256, Self::Sha1];

    /// Its name as keys have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha512",
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Sha512 => 128,
            Self::Sha256 => 64,
            Self::Sha1 => 40,
        }
    }
}

/// A digest and its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The kind.
    pub algorithm: Algorithm,
    /// The digest in lower-case hexadecimal digits.
    pub hex: String,
}

impl Sum {
    /// A digest as people write it.
    #[must_use]
    pub fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()?;
        let hex = HEXLOWER.encode(&bytes);
        (hex.len() == algorithm.digits()).then_some(Self { algorithm, hex })
    }

    /// The digest of the file `name` in a list: lines `DIGEST  NAME` or `KIND (NAME) = DIGEST`. A list of one line may leave
    /// the name out, or have another.
    #[must_use]
    pub fn listed(algorithm: Algorithm, list: &str, names: &[&str]) -> Option<Self> {
        let mut found = Vec::new();
        for line in list.lines() {
            let (name, digest) = match line.split_once(" = ") {
                Some((kind, digest)) => {
                    let name = kind
                        .split_once('(')
                        .map_or("", |(_, rest)| rest.trim_end_matches(')'));
                    (name, digest)
                }
                None => {
                    let (digest, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                    (name.trim_start().trim_start_matches('*'), digest)
                }
            };
            found.extend(
                Self::parse(algorithm, digest).map(|sum| (name.rsplit('/').next().unwrap_or(name), sum)),
            );
        }
        let named = found.iter().position(|(name, _)| names.contains(name));
        let lone = (found.len() == 1).then_some(0);
        named.or(lone).map(|at| found.swap_remove(at).1)
    }
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Its digest of the kind that was asked for.
    pub other: Option<Sum>,
}

impl Content {
    /// Reads a file through, once.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Utf8Path, other: Option<Algorithm>) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut sha256, mut sha1, mut sha512) = (Sha256::new(), Sha1::new(), Sha512::new());
        let mut buffer = vec![0; 1 << 20];
        let mut size = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            sha256.update(&buffer[..read]);
            match other {
                Some(Algorithm::Sha1) => sha1.update(&buffer[..read]),
                Some(Algorithm::Sha512) => sha512.update(&buffer[..read]),
                Some(Algorithm::Sha256) | None => {}
            }
        }
        let sha256 = HEXLOWER.encode(&sha256.finalize());
        let other = other.map(|algorithm| Sum {
            algorithm,
            hex: match algorithm {
                Algorithm::Sha1 => HEXLOWER.encode(&sha1.finalize()),
                Algorithm::Sha256 => sha256.clone(),
                Algorithm::Sha512 => HEXLOWER.encode(&sha512.finalize()),
            },
        });
        Ok(Self { size, sha256, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_layout_are_read() {
        let (a, b) = ("A".repeat(40), "b".repeat(40));
        let sum = |list: &str| Sum::listed(Algorithm::Sha1, list, &["x.iso"]).map(|sum| sum.hex);
        let many = format!("{b}  y.iso\n{a} *dir/x.iso\n");
        assert_eq!(sum(&many), Some("a".repeat(40)));
        assert_eq!(
            sum(&format!("SHA1 (x.iso) = {b}\nSHA1 (y.iso) = {a}\n")),
            Some(b.clone())
        );
        assert_eq!(sum(&format!("{b}  renamed.iso\n")), Some(b.clone()));
        assert_eq!(sum(&format!("{b}  y.iso\n{a}  z.iso\n")), None);
        assert_eq!(sum("<html>not found</html>\n"), None);
    }

    #[test]
    fn a_file_has_the_digests_of_the_standard() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let content = Content::of(&path, Some(Algorithm::Sha1)).unwrap();
        assert_eq!(content.size, 3);
        assert!(content.sha256.starts_with("ba7816bf8f01cfea"));
        assert!(content.other.unwrap().hex.starts_with("a9993e364706816a"));
    }
}
