//! Notes as one file of the cache: `notes/NAME`, written beside and renamed. It is checked against accidents by a sum; anything
//! odd about it makes it one that is not there.

use std::fs;
use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use rustc_hash::FxHashMap;
use vtbuild_cache::{Digest, Store};
use vtbuild_cfg::variant::Fingerprint;
use xxhash_rust::xxh3::xxh3_64;

use super::{Content, Entry, Fact, Group, Kind, Memo, Node};

const MAGIC: [u8; 8] = *b"vtnotes\x02";
/// Magic and sum.
const HEAD: usize = 16;

/// What the store calls the notes at `place`.
pub(super) fn name(place: &Utf8Path) -> &str {
    place.file_name().unwrap_or_default()
}

impl Memo {
    /// The notes at `path`, if they are there and whole.
    #[must_use]
    pub fn load(path: &Utf8Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let sum = xxh3_64(bytes.get(HEAD..)?);
        if bytes[..8] != MAGIC || bytes[8..HEAD] != sum.to_le_bytes() {
            return None;
        }
        let mut reader = Reader(&bytes[HEAD..]);
        let memo = Self {
            sum,
            ..reader.memo()?
        };
        (reader.0.is_empty() && memo.is_sound()).then(|| memo.indexed())
    }

    /// Leaves the notes at `path`, and with the store that they are made of it. `word` is the store's from before anything was
    /// looked up. Where that fails the next command finds out by itself.
    pub fn save(&self, path: &Utf8Path, store: &Store, word: u128) {
        let Some(folder) = path.parent() else { return };
        let beside = folder.join(format!(".{}", std::process::id()));
        let (sum, bytes) = self.to_bytes();
        let _ = store.attest(name(path), sum, word);
        let write = || {
            fs::create_dir_all(folder)?;
            fs::File::create(&beside)?.write_all(&bytes)?;
            fs::rename(&beside, path)
        };
        if write().is_err() {
            let _ = fs::remove_file(&beside);
        }
    }

    /// Its sum, and the file.
    fn to_bytes(&self) -> (u64, Vec<u8>) {
        let mut out = Writer(Vec::with_capacity(HEAD + 160 * self.entries.len()));
        out.0.extend_from_slice(&MAGIC);
        out.0.extend_from_slice(&[0; 8]);
        out.digest(&self.settings);
        out.text(&self.remark);
        out.text(&self.titles);
        out.list(&self.facts, Writer::fact);
        out.list(&self.nodes, Writer::node);
        out.list(&self.groups, |out, group| {
            out.numbers(&group.facts);
            out.numbers(&group.nodes);
        });
        out.list(&self.entries, Writer::entry);
        let sum = xxh3_64(&out.0[HEAD..]);
        out.0[8..HEAD].copy_from_slice(&sum.to_le_bytes());
        (sum, out.0)
    }

    /// Whether every number leads somewhere.
    fn is_sound(&self) -> bool {
        let below = |numbers: &[u32], end: usize| numbers.iter().all(|at| (*at as usize) < end);
        let facts = self.facts.len();
        let entry = |entry: &Entry| {
            let (start, end) = entry.title;
            (entry.kind != Kind::Served || (entry.group as usize) < self.groups.len())
                && self.titles.get(start as usize..end as usize).is_some()
        };
        self.nodes.iter().all(|node| below(&node.facts, facts))
            && self
                .groups
                .iter()
                .all(|group| below(&group.facts, facts) && below(&group.nodes, self.nodes.len()))
            && self.entries.iter().all(entry)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(u32::try_from(length).expect("notes are shorter than 4 GiB"));
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.list(numbers, |out, number| out.number(*number));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(digest.as_bytes());
    }

    fn optional(&mut self, digest: Option<&Digest>) {
        self.0.push(u8::from(digest.is_some()));
        digest.into_iter().for_each(|digest| self.digest(digest));
    }

    fn list<T>(&mut self, list: &[T], mut one: impl FnMut(&mut Self, &T)) {
        self.length(list.len());
        list.iter().for_each(|item| one(self, item));
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Source { path, state } => {
                self.0.push(match state {
                    Content::Absent => 0,
                    Content::NotAFile => 1,
                    Content::File(_) => 2,
                });
                self.text(path.as_str());
                if let Content::File(digest) = state {
                    self.digest(digest);
                }
            }
            Fact::Seen { name, digest } => {
                self.0.push(3);
                self.text(name);
                self.optional(digest.as_ref());
            }
        }
    }

    fn node(&mut self, node: &Node) {
        self.text(&node.rule);
        self.text(&node.title);
        self.0.extend_from_slice(&node.seconds.to_le_bytes());
        self.digest(&node.key);
        self.optional(node.trace.as_ref());
        self.numbers(&node.facts);
    }

    fn entry(&mut self, entry: &Entry) {
        self.0.extend_from_slice(&entry.fingerprint.to_bytes());
        self.0.extend_from_slice(&entry.names.to_le_bytes());
        self.digest(&entry.key);
        self.digest(&entry.trace);
        self.0.extend_from_slice(&entry.seconds.to_le_bytes());
        self.number(entry.group);
        self.number(entry.title.0);
        self.number(entry.title.1);
        let kind = match entry.kind {
            Kind::Named => 0,
            Kind::Served => 1,
            Kind::LeftOut => 2,
        };
        self.0.extend_from_slice(&[kind, u8::from(entry.dep)]);
    }
}

/// The reverse of [`Writer`]; nothing where bytes are missing or make no sense.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn memo(&mut self) -> Option<Memo> {
        Some(Memo {
            sum: 0,
            settings: self.digest()?,
            remark: self.text()?,
            titles: self.text()?,
            facts: self.list(Self::fact)?,
            nodes: self.list(Self::node)?,
            groups: self.list(|reader| {
                let (facts, nodes) = (reader.numbers()?, reader.numbers()?);
                Some(Group { facts, nodes })
            })?,
            entries: self.list(Self::entry)?,
            places: FxHashMap::default(),
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn numbers(&mut self) -> Option<Box<[u32]>> {
        self.list(Self::number).map(Vec::into_boxed_slice)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn digest(&mut self) -> Option<Digest> {
        self.take().map(Digest::from_bytes)
    }

    fn optional(&mut self) -> Option<Option<Digest>> {
        match self.take()? {
            [0] => Some(None),
            _ => self.digest().map(Some),
        }
    }

    /// The length is not trusted: what is missing is noticed when it is taken.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.number()?;
        (0..length).map(|_| one(self)).collect()
    }

    fn fact(&mut self) -> Option<Fact> {
        let [kind] = self.take()?;
        let text = self.text()?;
        let path = || Utf8PathBuf::from(text.as_str());
        Some(match kind {
            0 => Fact::Source {
                path: path(),
                state: Content::Absent,
            },
            1 => Fact::Source {
                path: path(),
                state: Content::NotAFile,
            },
            2 => Fact::Source {
                path: path(),
                state: Content::File(self.digest()?),
            },
            3 => Fact::Seen {
                digest: self.optional()?,
                name: text,
            },
            _ => return None,
        })
    }

    fn node(&mut self) -> Option<Node> {
        Some(Node {
            rule: self.text()?,
            title: self.text()?,
            seconds: f64::from_le_bytes(self.take()?),
            key: self.digest()?,
            trace: self.optional()?,
            facts: self.numbers()?,
        })
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(Entry {
            fingerprint: Fingerprint::from_bytes(self.take()?),
            names: u64::from_le_bytes(self.take()?),
            key: self.digest()?,
            trace: self.digest()?,
            seconds: f64::from_le_bytes(self.take()?),
            group: self.number()?,
            title: (self.number()?, self.number()?),
            kind: match self.take()? {
                [0] => Kind::Named,
                [1] => Kind::Served,
                [2] => Kind::LeftOut,
                _ => return None,
            },
            dep: self.take()? != [0],
        })
    }
}
