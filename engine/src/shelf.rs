//! Linked programs kept on disk, so that the next process need not parse what has not changed.
//!
//! A program is kept under a name made of the question that it answers (which configuration, for which build of this
//! program) together with all that was read for it: every file with the digest of its content, every path where there was
//! nothing, every folder with its names. It is served only while all of that is as it was. A file is not read again for
//! that if it is the same inode with the same times as when it was hashed, and those times were not too fresh to tell.
//!
//! Anything odd about a kept program (cut short, a flipped bit, another format) makes it one that is not there: the answer
//! comes from the files then, and the program is kept anew. Files are written beside and renamed, and never changed after
//! that, so any number of processes may share a shelf. Programs that nobody asks for go with the rest of the cache.

mod format;
mod reads;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use memmap2::Mmap;
use vtbuild_cache::{Digest, Identity};
use vtbuild_cfg::{Diagnostic, Program, Sources, Unit};

pub(crate) use reads::{Read, Seen};

use crate::db::FileText;

/// Programs of less text than this are parsed faster than it pays to keep them.
const WORTHWHILE: u64 = 256 * 1024;

/// A linked program and what else is known of its files.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) program: Program,
    /// What the session found in the files beside the program.
    pub(crate) notes: Vec<Arc<str>>,
}

/// A folder of linked programs.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: Utf8PathBuf,
    worthwhile: u64,
}

impl Shelf {
    /// The shelf in the cache folder `cache`. Nothing is looked at yet.
    #[must_use]
    pub fn new(cache: &Utf8Path) -> Self {
        Self {
            folder: cache.join("programs"),
            worthwhile: WORTHWHILE,
        }
    }

    /// The same shelf, keeping programs however little text they come from.
    #[must_use]
    pub fn with_small_ones(mut self) -> Self {
        self.worthwhile = 0;
        self
    }

    /// The configuration whose first file is `root`, read from the file system.
    ///
    /// # Errors
    /// All that is wrong with its files.
    pub fn load(&self, root: &Utf8Path) -> Result<Program, Vec<Diagnostic>> {
        let sources: Sources = Arc::new(|name| match Files::default().unit(Utf8Path::new(name)) {
            Unit::File(parsed) => Some(parsed),
            _ => None,
        });
        self.answer(&format!("file {root}"), &sources, || {
            let mut files = Files::default();
            let program = Program::link(root, &mut |path| files.unit(path))?;
            let notes = Vec::new();
            Ok((Answer { program, notes }, files.reads))
        })
        .map(|answer| answer.program)
    }

    /// The program that answers `question`: kept, or made and then kept. `make` also tells what it read; nothing if that
    /// cannot be told. `sources` parses a file of the program.
    pub(crate) fn answer<E>(
        &self,
        question: &str,
        sources: &Sources,
        make: impl FnOnce() -> Result<(Answer, Option<Vec<Read>>), E>,
    ) -> Result<Answer, E> {
        let Some(path) = self.path(question) else {
            return Ok(make()?.0);
        };
        if let Some(answer) = self.kept(&path, sources) {
            return Ok(answer);
        }
        let (answer, reads) = make()?;
        if let Some(reads) = reads
            && reads.iter().map(|read| read.seen.size()).sum::<u64>() >= self.worthwhile
        {
            let bytes = answer.program.to_bytes();
            self.keep(&path, &format::pack(&reads, &answer.notes, &bytes));
        }
        Ok(answer)
    }

    /// Where the answer to a question is kept. The build and what paths are relative to are part of every question.
    fn path(&self, question: &str) -> Option<Utf8PathBuf> {
        let build = Identity::of(&fs::metadata("/proc/self/exe").ok()?);
        let here = std::env::current_dir().ok()?;
        let home = std::env::var_os("HOME");
        let whole = format!("{build:?} {here:?} {home:?} {question}");
        Some(self.folder.join(Digest::of(whole.as_bytes()).to_string()))
    }

    /// The kept program, if it is whole and what was read for it is as it was.
    fn kept(&self, path: &Utf8Path, sources: &Sources) -> Option<Answer> {
        let file = File::open(path).ok()?;
        // SAFETY: a kept program is written under another name and renamed when it is whole, with no right to write to
        // it; nobody changes or cuts it after that, they only remove or replace its name.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let (reads, notes) = format::unpack(&map)?;
        let now = reads::again(&reads)?;
        // The program is used where it lies, up to the end of the process: a process reads one or two.
        let map: &'static Mmap = Box::leak(Box::new(map));
        let (_, bytes) = format::parts(map)?;
        let (unchanged, sources) = (now.clone(), sources.clone());
        let sources: Sources = Arc::new(move |name: &str| {
            let parsed = sources(name);
            reads::again(&unchanged).and(parsed)
        });
        let program = Program::from_bytes(bytes, &sources)?;
        if now == reads {
            // Without the note it only goes earlier.
            let _ = touch(&file);
        } else {
            self.keep(path, &format::pack(&now, &notes, bytes));
        }
        Some(Answer { program, notes })
    }

    /// Keeps an answer. If that fails, the next process parses again: nothing worse.
    fn keep(&self, path: &Utf8Path, packed: &[u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let beside = self.folder.join(format!(".{}-{number}", std::process::id()));
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o444)
                .open(&beside)?;
            file.write_all(packed)?;
            fs::rename(&beside, path)
        };
        if write().is_err() {
            let _ = fs::remove_file(&beside);
        }
    }
}

/// Notes that a program was used, at most once a day.
fn touch(file: &File) -> std::io::Result<()> {
    let now = SystemTime::now();
    let used = file.metadata()?.modified()?;
    if now
        .duration_since(used)
        .is_ok_and(|age| age > Duration::from_secs(24 * 3600))
    {
        file.set_modified(now)?;
    }
    Ok(())
}

/// The file system, with note of what was read. Nothing is noted any more once something could not be read.
struct Files {
    reads: Option<Vec<Read>>,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            reads: Some(Vec::new()),
        }
    }
}

impl Files {
    fn unit(&mut self, path: &Utf8Path) -> Unit {
        let (text, identity) = FileText::read(path);
        let read = Read::of_file(path, &text, identity);
        self.reads = self.reads.take().zip(read).map(|(mut reads, read)| {
            reads.push(read);
            reads
        });
        text.unit(path)
    }
}

/// The parsed file at `path`. Only a regular file is opened: a pipe would wait for its writer.
#[must_use]
pub fn unit(path: &Utf8Path) -> Unit {
    FileText::read(path).0.unit(path)
}
