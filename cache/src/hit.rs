//! The light part of a record: what a look-up reads.

use std::fmt;

use crate::digest::Digest;
use crate::index::Damage;
use crate::record::{Observed, Output};

/// The light part of a record: enough to plan by and to serve, without reading the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Which record of its key this is, see [`Record::trace`](crate::Record::trace).
    pub trace: Digest,
    /// As in the record.
    pub outputs: Vec<Output>,
    /// As in the record.
    pub inputs: Vec<Digest>,
    /// What the action looked at while it ran.
    pub observed: Observations,
    /// How long the action took, in seconds.
    pub seconds: f64,
    /// When it ended, in milliseconds since 1970.
    pub finished_unix_ms: u64,
    /// How it ended.
    pub status: String,
}

impl Hit {
    /// The blobs of the outputs, in their order.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.outputs.iter().map(|output| output.digest)
    }

    /// What a living process lists so that the record stays: the blobs, or the record's own trace where it has none.
    pub(crate) fn stays_by(&self) -> impl Iterator<Item = Digest> {
        let bare = self.outputs.is_empty().then_some(self.trace);
        self.blobs().chain(bare)
    }

    /// Layout, numbers little-endian: trace, seconds, end, status; then, each list behind its length as `u32`, the outputs
    /// (name, digest, size) and the observations (name, a byte that says whether there is a digest, the digest); to the end
    /// the digests of the inputs. Texts stand behind their length as `u32`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 64 * self.outputs.len() + self.observed.0.len());
        bytes.extend_from_slice(self.trace.as_bytes());
        bytes.extend_from_slice(&self.seconds.to_le_bytes());
        bytes.extend_from_slice(&self.finished_unix_ms.to_le_bytes());
        put_text(&mut bytes, &self.status);
        put_length(&mut bytes, self.outputs.len());
        for output in &self.outputs {
            put_text(&mut bytes, &output.name);
            bytes.extend_from_slice(output.digest.as_bytes());
            bytes.extend_from_slice(&output.size.to_le_bytes());
        }
        bytes.extend_from_slice(&self.observed.0);
        bytes.extend(self.inputs.iter().flat_map(|input| *input.as_bytes()));
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        let rest = &mut &*bytes;
        let trace = Digest::from_bytes(take(rest)?);
        let seconds = f64::from_le_bytes(take(rest)?);
        let finished_unix_ms = u64::from_le_bytes(take(rest)?);
        let status = take_text(rest)?.to_owned();
        let outputs = take_list(rest, |rest| {
            let name = take_text(rest)?.to_owned();
            let digest = Digest::from_bytes(take(rest)?);
            Ok(Output {
                name,
                digest,
                size: u64::from_le_bytes(take(rest)?),
            })
        })?;
        let observed = Observations::take(rest)?;
        // Nothing where an earlier version wrote it.
        let (inputs, torn) = rest.as_chunks();
        if !torn.is_empty() {
            return Err(Damage::Content("its inputs are no digests".to_owned()));
        }
        let inputs = inputs.iter().map(|bytes| Digest::from_bytes(*bytes)).collect();
        Ok(Self {
            trace,
            outputs,
            inputs,
            observed,
            seconds,
            finished_unix_ms,
            status,
        })
    }
}

/// What an action looked at while it ran, as it is stored: a look-up reads thousands of these, and most of them once.
#[derive(Clone, PartialEq, Eq)]
pub struct Observations(
    /// How many as `u32`, then of each the name behind its length, and a byte that says whether the digest follows.
    /// Checked when it was made: taking it apart cannot fail.
    Box<[u8]>,
);

/// One thing that was looked at, where it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// What was looked at.
    pub name: &'a str,
    /// The digest of what was seen; `None` when it was not there.
    pub digest: Option<Digest>,
}

impl Observations {
    /// These observations.
    #[must_use]
    pub fn of(observed: &[Observed]) -> Self {
        let mut bytes = Vec::with_capacity(4 + 64 * observed.len());
        put_length(&mut bytes, observed.len());
        for observed in observed {
            put_text(&mut bytes, &observed.name);
            bytes.push(u8::from(observed.digest.is_some()));
            bytes.extend(observed.digest.iter().flat_map(Digest::as_bytes));
        }
        Self(bytes.into())
    }

    /// All of them, in the order in which they were recorded.
    pub fn iter(&self) -> impl Iterator<Item = Seen<'_>> {
        const SOUND: &str = "observations are checked when they are read";
        let rest = &mut &*self.0;
        let count: [u8; 4] = take(rest).expect(SOUND);
        let mut rest = *rest;
        (0..u32::from_le_bytes(count)).map(move |_| Seen::take(&mut rest).expect(SOUND))
    }

    /// Splits a list off `rest`. Its length is not trusted: what is missing is noticed when it is taken.
    fn take(rest: &mut &[u8]) -> Result<Self, Damage> {
        let whole = *rest;
        for _ in 0..u32::from_le_bytes(take(rest)?) {
            Seen::take(rest)?;
        }
        Ok(Self(whole[..whole.len() - rest.len()].into()))
    }
}

impl fmt::Debug for Observations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> From<&'a Observed> for Seen<'a> {
    fn from(observed: &'a Observed) -> Self {
        let Observed { name, digest } = observed;
        Self {
            name,
            digest: *digest,
        }
    }
}

impl<'a> Seen<'a> {
    fn take(rest: &mut &'a [u8]) -> Result<Self, Damage> {
        let name = take_text(rest)?;
        let [there] = take(rest)?;
        let digest = (there != 0)
            .then(|| take(rest).map(Digest::from_bytes))
            .transpose()?;
        Ok(Self { name, digest })
    }
}

/// Several light parts, each behind its length as `u32`.
pub(crate) fn hits_to_bytes(hits: &[Hit]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for hit in hits {
        let one = hit.to_bytes();
        put_length(&mut bytes, one.len());
        bytes.extend(one);
    }
    bytes
}

/// The reverse of [`hits_to_bytes`].
pub(crate) fn hits_from_bytes(mut bytes: &[u8]) -> Result<Vec<Hit>, Damage> {
    let mut hits = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(take(&mut bytes)?) as usize;
        let (one, rest) = bytes
            .split_at_checked(length)
            .ok_or_else(|| Damage::Content("it is too short".to_owned()))?;
        hits.push(Hit::from_bytes(one)?);
        bytes = rest;
    }
    Ok(hits)
}

/// The trace of the first of several light parts.
pub(crate) fn first_trace(mut bytes: &[u8]) -> Option<Digest> {
    let _length: [u8; 4] = take(&mut bytes).ok()?;
    take(&mut bytes).ok().map(Digest::from_bytes)
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("names and lists of a record are shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Damage> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (text, tail) = rest
        .split_at_checked(length)
        .ok_or_else(|| Damage::Content("it is too short".to_owned()))?;
    *rest = tail;
    std::str::from_utf8(text).map_err(|error| Damage::Content(error.to_string()))
}

/// A list behind its length. The length is not trusted: what is missing is noticed when it is taken.
fn take_list<T>(
    rest: &mut &[u8],
    mut one: impl FnMut(&mut &[u8]) -> Result<T, Damage>,
) -> Result<Vec<T>, Damage> {
    let length = u32::from_le_bytes(take(rest)?);
    let mut list = Vec::new();
    for _ in 0..length {
        list.push(one(rest)?);
    }
    Ok(list)
}

/// Splits the next `N` bytes off `rest`.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (head, tail) = rest
        .split_first_chunk()
        .ok_or_else(|| Damage::Content("it is too short".to_owned()))?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn the_light_part_survives_its_encoding_and_is_never_torn() {
        let seen = Observed {
            name: "lib.py".to_owned(),
            digest: Some(Digest::of(b"lib")),
        };
        let absent = Observed {
            name: "other.py".to_owned(),
            digest: None,
        };
        let record = Record {
            inputs: vec![Digest::of(b"1"), Digest::of(b"2")],
            observed: vec![seen, absent],
            ..crate::record::tests::record(&[("a", "1"), ("b", "2")])
        };
        let hit = record.hit();
        let seen: Vec<_> = hit.observed.iter().map(|seen| (seen.name, seen.digest)).collect();
        let observed = record.observed.iter();
        assert!(
            seen.into_iter()
                .eq(observed.map(|seen| (seen.name.as_str(), seen.digest)))
        );
        let bytes = hit.to_bytes();
        assert_eq!(Hit::from_bytes(&bytes), Ok(hit.clone()));
        for length in 0..bytes.len() {
            // Cut between two inputs it reads well: the seal of the index notices that.
            let cut = Hit::from_bytes(&bytes[..length]);
            assert!(cut.is_err() || (bytes.len() - length).is_multiple_of(32));
        }
        let two = [hit.clone(), Hit { seconds: 3.0, ..hit }];
        assert_eq!(hits_from_bytes(&hits_to_bytes(&two)).as_deref(), Ok(&two[..]));
    }
}
