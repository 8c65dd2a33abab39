//! Looks an LMDB file through before LMDB follows its pointers.
//!
//! LMDB trusts its file: it follows page numbers and offsets without looking, so a file that was cut short or
//! partly overwritten kills the process that reads it. This walk follows the same pointers with every bound
//! checked: the two meta pages, the trees of all tables, and the lists of free pages. The contents of values
//! are not looked at: each carries a checksum of its own.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use camino::Utf8Path;

use crate::hit::take;

const MAGIC: u32 = 0xBEEF_C0DE;
const FILE_VERSION: u32 = 1;
const PAGE_HEADER: usize = 16;
const NODE_HEADER: usize = 8;
const TREE: usize = 48;
const NO_PAGE: u64 = u64::MAX;
const DEEPEST: u16 = 32;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x08;

const BIG_VALUE: u16 = 0x01;
const SUB_TREE: u16 = 0x02;

/// Why a file is not a sound LMDB file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    #[error("{0}")]
    Structure(String),
    #[error("{0}")]
    Io(#[from] io::Error),
}

type Outcome<T> = Result<T, Unsound>;

fn broken<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Unsound::Structure(what.into()))
}

/// One of the two meta pages: where the trees begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    page_size: usize,
    free: Tree,
    main: Tree,
    last_page: u64,
    /// The transaction that wrote it.
    pub(crate) transaction: u64,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    depth: u16,
    root: u64,
}

/// Reads both meta pages. `None` for a file that is empty or not there: LMDB makes a new one of it.
pub(crate) fn read_metas(path: &Utf8Path) -> Outcome<Option<(File, [Meta; 2])>> {
    let file = match File::open(path) {
        Ok(file) if file.metadata()?.len() == 0 => return Ok(None),
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let first = read_meta(&file, 0)?;
    let second = read_meta(&file, first.page_size as u64)?;
    if first.page_size != second.page_size {
        return broken("its two meta pages disagree");
    }
    Ok(Some((file, [first, second])))
}

fn read_meta(file: &File, offset: u64) -> Outcome<Meta> {
    let mut page = [0; PAGE_HEADER + 8 + 16 + 2 * TREE + 16];
    read(file, &mut page, offset)?;
    let flags = u16::from_le_bytes([page[10], page[11]]);
    let mut rest = &page[PAGE_HEADER..];
    let magic = u32::from_le_bytes(field(&mut rest)?);
    if flags & META == 0 || magic != MAGIC {
        return broken("it is not an LMDB file");
    }
    let version = u32::from_le_bytes(field(&mut rest)?);
    if version != FILE_VERSION {
        return broken(format!("it is an LMDB file of version {version}"));
    }
    let _address_and_map_size: [u8; 16] = field(&mut rest)?;
    let page_size = u32::from_le_bytes(*rest.first_chunk().unwrap_or(&[0; 4])) as usize;
    if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
        return broken("its page size is impossible");
    }
    let free = Tree::read(&mut rest)?;
    let main = Tree::read(&mut rest)?;
    let last_page = u64::from_le_bytes(field(&mut rest)?);
    let transaction = u64::from_le_bytes(field(&mut rest)?);
    Ok(Meta {
        page_size,
        free,
        main,
        last_page,
        transaction,
    })
}

impl Tree {
    /// Layout: pad, flags, depth, three counts of pages, entries, root.
    fn read(bytes: &mut &[u8]) -> Outcome<Self> {
        let _pad_and_flags: [u8; 6] = field(bytes)?;
        let depth = u16::from_le_bytes(field(bytes)?);
        let _counts: [u8; 32] = field(bytes)?;
        Ok(Self {
            depth,
            root: u64::from_le_bytes(field(bytes)?),
        })
    }
}

/// What a file looked like when it was known to be sound: who wrote to it last, its size, and its times of
/// change. A file that looks the same need not be walked again.
pub(crate) fn fingerprint(path: &Utf8Path) -> Outcome<Option<String>> {
    let Some((file, metas)) = read_metas(path)? else {
        return Ok(None);
    };
    let metadata = file.metadata()?;
    let transaction = metas
        .iter()
        .map(|meta| meta.transaction)
        .max()
        .unwrap_or_default();
    let (mtime, ctime) = (
        (metadata.mtime(), metadata.mtime_nsec()),
        (metadata.ctime(), metadata.ctime_nsec()),
    );
    Ok(Some(format!(
        "{transaction} {} {} {mtime:?} {ctime:?}",
        metadata.len(),
        metadata.ino()
    )))
}

/// Walks everything that `meta` leads to. The caller holds a read transaction on that state, so that no
/// writer uses its pages again meanwhile.
pub(crate) fn walk(file: &File, meta: &Meta) -> Outcome<()> {
    let pages = file.metadata()?.len() / meta.page_size as u64;
    let mut walk = Walk {
        file,
        meta,
        pages,
        seen: HashSet::new(),
        trees: Vec::new(),
        free: Vec::new(),
    };
    walk.tree(meta.main, Kind::Main)?;
    while let Some(tree) = walk.trees.pop() {
        walk.tree(tree, Kind::Table)?;
    }
    walk.tree(meta.free, Kind::Free)?;
    match walk
        .free
        .iter()
        .find(|page| walk.seen.contains(page) || **page > meta.last_page)
    {
        Some(page) => broken(format!("page {page} is both used and free")),
        None => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Main,
    Table,
    Free,
}

struct Walk<'a> {
    file: &'a File,
    meta: &'a Meta,
    /// Whole pages in the file.
    pages: u64,
    seen: HashSet<u64>,
    /// Tables found in the main tree, not walked yet.
    trees: Vec<Tree>,
    free: Vec<u64>,
}

/// A node on a page: its own bytes, checked to lie within the page.
struct Node<'p> {
    /// Low word, high word, flags.
    words: [u16; 3],
    key_and_data: &'p [u8],
    key_size: usize,
}

impl Node<'_> {
    fn child(&self) -> u64 {
        let [low, high, top] = self.words.map(u64::from);
        low | high << 16 | top << 32
    }

    fn data_size(&self) -> usize {
        usize::from(self.words[0]) | usize::from(self.words[1]) << 16
    }

    fn data(&self, size: usize) -> Outcome<&[u8]> {
        match self
            .key_and_data
            .get(self.key_size..)
            .and_then(|data| data.get(..size))
        {
            Some(data) => Ok(data),
            None => broken("a node is larger than its page"),
        }
    }
}

impl Walk<'_> {
    fn tree(&mut self, tree: Tree, kind: Kind) -> Outcome<()> {
        if tree.root == NO_PAGE {
            return Ok(());
        }
        if tree.depth == 0 || tree.depth > DEEPEST {
            return broken("a tree has an impossible depth");
        }
        let mut todo = vec![(tree.root, tree.depth)];
        while let Some((number, depth)) = todo.pop() {
            let page = self.page(number)?;
            let leaf = depth == 1;
            for node in nodes(&page, number, leaf, kind)? {
                if leaf {
                    self.leaf(&node?, kind)?;
                } else {
                    todo.push((node?.child(), depth - 1));
                }
            }
        }
        Ok(())
    }

    /// Reads a page of a tree; each may be led to once.
    fn page(&mut self, number: u64) -> Outcome<Vec<u8>> {
        self.mark(number, 1)?;
        let mut page = vec![0; self.meta.page_size];
        read(self.file, &mut page, number * self.meta.page_size as u64)?;
        if page.first_chunk().map(|number| u64::from_le_bytes(*number)) != Some(number) {
            return broken(format!("page {number} is not what should be there"));
        }
        Ok(page)
    }

    fn mark(&mut self, first: u64, count: u64) -> Outcome<()> {
        let end = first.checked_add(count);
        if first < 2 || end.is_none_or(|end| end > self.pages || end > self.meta.last_page + 1) {
            return broken(format!("page {first} lies outside the file"));
        }
        match (first..first + count).find(|page| !self.seen.insert(*page)) {
            Some(page) => broken(format!("page {page} is used twice")),
            None => Ok(()),
        }
    }

    fn leaf(&mut self, node: &Node<'_>, kind: Kind) -> Outcome<()> {
        let (flags, size) = (node.words[2], node.data_size());
        match (flags, kind) {
            (0, _) => {
                let data = node.data(size)?;
                if kind == Kind::Free {
                    self.free_list(data)
                } else {
                    Ok(())
                }
            }
            (BIG_VALUE, _) => {
                let first = u64::from_le_bytes(field(&mut node.data(8)?)?);
                let count = (size + PAGE_HEADER).div_ceil(self.meta.page_size) as u64;
                self.mark(first, count)?;
                if kind != Kind::Free {
                    return Ok(());
                }
                let mut data = vec![0; size];
                read(
                    self.file,
                    &mut data,
                    first * self.meta.page_size as u64 + PAGE_HEADER as u64,
                )?;
                self.free_list(&data)
            }
            (SUB_TREE, Kind::Main) => {
                self.trees.push(Tree::read(&mut node.data(TREE)?)?);
                Ok(())
            }
            _ => broken("a node has impossible flags"),
        }
    }

    /// Layout: how many, then the page numbers.
    fn free_list(&mut self, data: &[u8]) -> Outcome<()> {
        let (numbers, _) = data.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let count = numbers.next().and_then(|count| usize::try_from(count).ok());
        if count.is_none_or(|count| count > numbers.len()) {
            return broken("a list of free pages is longer than its place");
        }
        self.free.extend(numbers.take(count.unwrap_or_default()));
        Ok(())
    }
}

/// The nodes of a page, after its header was found sound.
fn nodes(
    page: &[u8],
    number: u64,
    leaf: bool,
    kind: Kind,
) -> Outcome<impl Iterator<Item = Outcome<Node<'_>>>> {
    let word = |at: usize| {
        page.get(at..at + 2)
            .map_or(0, |word| u16::from_le_bytes([word[0], word[1]]))
    };
    let (flags, lower, upper) = (word(10), usize::from(word(12)), usize::from(word(14)));
    let expected = if leaf { LEAF } else { BRANCH };
    let ordered = (PAGE_HEADER..=upper).contains(&lower) && upper <= page.len() && lower % 2 == 0;
    let count = lower.saturating_sub(PAGE_HEADER) / 2;
    // While the list of free pages is being rebuilt, LMDB may leave a branch of it with a single child.
    let fewest = if leaf || kind == Kind::Free { 1 } else { 2 };
    if flags != expected || !ordered || count < fewest {
        return broken(format!("the header of page {number} is damaged"));
    }
    Ok((0..count).map(move |index| {
        let at = usize::from(word(PAGE_HEADER + 2 * index));
        let header = page
            .get(at..)
            .filter(|_| at >= upper)
            .and_then(|node| node.split_at_checked(NODE_HEADER));
        let Some((_, key_and_data)) = header else {
            return broken(format!("a node of page {number} is damaged"));
        };
        let key_size = usize::from(word(at + 6));
        if key_size > key_and_data.len() {
            return broken(format!("a key of page {number} is damaged"));
        }
        Ok(Node {
            words: [word(at), word(at + 2), word(at + 4)],
            key_and_data,
            key_size,
        })
    }))
}

fn read(file: &File, bytes: &mut [u8], offset: u64) -> Outcome<()> {
    match file.read_exact_at(bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => broken("it was cut short"),
        other => Ok(other?),
    }
}

fn field<const N: usize>(rest: &mut &[u8]) -> Outcome<[u8; N]> {
    take(rest).map_err(|damage| Unsound::Structure(damage.to_string()))
}
