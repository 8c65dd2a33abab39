//! The seal on every value of the index: a version, a checksum, the content.

/// The version of the values' encoding. A value of a version not named here counts as not there.
const FORMAT: u8 = 2;

/// The version before, with the beginning of a BLAKE3 digest as its checksum: still read. A checksum is there to notice
/// damage, and for that a quicker hash does; a look-up unseals a value for each action.
const CRYPTOGRAPHIC: u8 = 1;

const CHECKSUM: usize = 8;

/// Why a value of the index cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it was written by another version of this program")]
    Version,
    #[error("its content cannot be read: {0}")]
    Content(String),
}

pub(crate) fn seal(content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + CHECKSUM + content.len());
    value.push(FORMAT);
    value.extend_from_slice(&checksum(content));
    value.extend_from_slice(content);
    value
}

pub(crate) fn unseal(value: &[u8]) -> Result<&[u8], Damage> {
    let (format, rest) = value.split_first().ok_or(Damage::Checksum)?;
    let (sum, content) = rest.split_at_checked(CHECKSUM).ok_or(Damage::Checksum)?;
    let found = match *format {
        FORMAT => checksum(content),
        CRYPTOGRAPHIC => cryptographic(content),
        _ => return Err(Damage::Version),
    };
    if sum == found {
        Ok(content)
    } else {
        Err(Damage::Checksum)
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    xxhash_rust::xxh3::xxh3_64(content).to_le_bytes()
}

fn cryptographic(content: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::hash(content);
    *hash
        .as_bytes()
        .first_chunk()
        .expect("a hash is longer than a checksum")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_changed_byte_breaks_the_seal(
            content in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let mut value = seal(&content);
            prop_assert_eq!(unseal(&value), Ok(content.as_slice()));
            let at = at.index(value.len());
            value[at] ^= flip;
            prop_assert!(unseal(&value).is_err());
        }

        #[test]
        fn a_value_of_the_version_before_is_still_read(content in proptest::collection::vec(any::<u8>(), 0..64)) {
            let value = [&[CRYPTOGRAPHIC][..], &cryptographic(&content), &content].concat();
            prop_assert_eq!(unseal(&value), Ok(content.as_slice()));
        }

        #[test]
        fn a_shortened_value_breaks_the_seal(content in proptest::collection::vec(any::<u8>(), 1..64)) {
            let value = seal(&content);
            for length in 0..value.len() {
                prop_assert!(unseal(&value[..length]).is_err());
            }
        }
    }
}
