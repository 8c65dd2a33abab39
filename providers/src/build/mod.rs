//! Programs that tests need, built by `make` on another machine: in a guest, or on a host that has the compiler.
//!
//! | part | what it knows |
//! |---|---|
//! | [`SourceTree`] | what is in a folder of sources: names, which files can be run, where links lead |
//! | `listing` | the same, as lines that both sides can print and compare |
//! | `mirror` | how a folder over there becomes the same as one here: only what differs travels |
//! | `make` | the build itself, in a fresh copy of the mirror, and what it produced |
//! | `pack` | archives: the same content is the same bytes, and nothing leads out |
//!
//! All of it speaks to a [`Target`]: a POSIX shell at the other end of an ssh connection, with `find`, `sed`, `sha256sum` and
//! `tar`. What is done there is certain, or it is an error: the copy that is built is compared with the sources, checksum by
//! checksum, before `make` starts.

mod listing;
mod make;
mod mirror;
mod pack;
#[cfg(test)]
mod tests;
mod tree;

use std::io::{self, Write};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;

pub use make::{Built, Order, build};
pub use mirror::{MIRROR_LIST, Mirrored};
pub use pack::{UnpackError, pack, unpack};
pub use tree::{Entry, Kind, SourceTree, TreeError};

use crate::session::ssh::Connection;
use crate::session::ssh::exec::{Ended, Input, Target, in_thread};
use listing::Listing;

/// Why there is nothing built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The sources.
    #[error(transparent)]
    Sources(#[from] TreeError),
    /// What came back.
    #[error(transparent)]
    Products(#[from] UnpackError),
    /// A file of this host.
    #[error("write {path}: {source}")]
    Host {
        /// The file or folder.
        path: Utf8PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{what} {place}: {source}")]
    Lost {
        /// What was being done, as a verb.
        what: &'static str,
        /// To whom.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// It does not do as it is told.
    #[error("{what} {place}: {said} (status {status})")]
    Refused {
        /// What was being done, as a verb.
        what: &'static str,
        /// By whom.
        place: String,
        /// The exit status.
        status: i32,
        /// What it said.
        said: String,
    },
    /// It took too long.
    #[error("finish the build on {place} within {} s", patience.as_secs())]
    Late {
        /// Where.
        place: String,
        /// How long it was allowed to take.
        patience: Duration,
    },
    /// There is no `make`.
    #[error(
        "build on {place}: there is no `make`; choose an image that has it (docs/deps.md), or install it there"
    )]
    NoMake {
        /// Where.
        place: String,
    },
    /// `make` failed.
    #[error("make: status {status} on {place}\n{}", said.join("\n"))]
    Make {
        /// Where.
        place: String,
        /// Its exit status.
        status: i32,
        /// The lines of its output that say why.
        said: Vec<String>,
    },
    /// It did nothing.
    #[error("find anything that `make` produced on {place}: its default target writes no file")]
    Nothing {
        /// Where.
        place: String,
    },
    /// It did something else.
    #[error("find what `deps_build_output = {wanted}` asks for; `make` produced {produced}")]
    NoOutput {
        /// The patterns.
        wanted: String,
        /// What there is instead.
        produced: String,
    },
}

impl BuildError {
    /// Whether the sources are at fault, not the machine that should have built them.
    #[must_use]
    pub fn is_in_the_sources(&self) -> bool {
        matches!(
            self,
            Self::Sources(_) | Self::Make { .. } | Self::Nothing { .. } | Self::NoOutput { .. }
        )
    }
}

/// What identifies the compiler of a target, as text: architecture, versions of make, cc, the linker and the C library.
///
/// # Errors
/// When the target is lost.
pub fn toolchain(target: &dyn Target, place: &str) -> Result<String, BuildError> {
    let script = "LC_ALL=C; export LC_ALL\necho \"architecture: $(uname -m)\"\n\
        for program in make cc gcc ld; do\n\
        command -v $program >/dev/null || continue\n\
        echo \"$program: $($program --version 2>/dev/null | head -n 1)\"\ndone\n\
        echo \"machine: $(cc -dumpmachine 2>/dev/null)\"\necho \"libc: $(ldd --version 2>&1 | head -n 1)\"";
    Runner { target, place }.text("ask for the toolchain of", script)
}

/// Makes `folder`, an absolute path of the target behind `connection`, hold what `source` holds.
///
/// # Errors
/// See [`BuildError`].
pub async fn mirror(
    connection: Connection,
    place: &str,
    source: &Utf8Path,
    folder: &str,
    patience: Duration,
) -> Result<Mirrored, BuildError> {
    let (source, folder, name) = (source.to_owned(), folder.to_owned(), place.to_owned());
    let work = move |target: &Connection| {
        let tree = SourceTree::scan(&source)?;
        let wanted = Listing::of(&tree)?;
        let runner = Runner { target, place: &name };
        mirror::mirror(&runner, &tree, &wanted, &folder)
    };
    let late = || BuildError::Late {
        place: place.to_owned(),
        patience,
    };
    in_thread(connection, patience, work)
        .await
        .unwrap_or_else(|| Err(late()))
}

/// A target, with its name for messages.
struct Runner<'a> {
    target: &'a dyn Target,
    place: &'a str,
}

impl Runner<'_> {
    fn run(
        &self,
        what: &'static str,
        script: &str,
        input: Input<'_>,
        output: &mut dyn Write,
    ) -> Result<Ended, BuildError> {
        let ended = self.target.run(script, input, output);
        ended.map_err(|source| BuildError::Lost {
            what,
            place: self.place.to_owned(),
            source,
        })
    }

    fn good(&self, what: &'static str, ended: &Ended) -> Result<(), BuildError> {
        if ended.status == 0 {
            return Ok(());
        }
        let said = ended
            .stderr
            .trim()
            .lines()
            .next_back()
            .unwrap_or("it said nothing");
        Err(BuildError::Refused {
            what,
            place: self.place.to_owned(),
            status: ended.status,
            said: said.to_owned(),
        })
    }

    /// What a script prints that must succeed.
    fn text(&self, what: &'static str, script: &str) -> Result<String, BuildError> {
        let mut output = Vec::new();
        let ended = self.run(what, script, Input::Empty, &mut output)?;
        self.good(what, &ended)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Runs a script that reads what `write` writes and must succeed.
    fn feed(
        &self,
        what: &'static str,
        script: &str,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), BuildError> {
        let mut failed = None;
        let mut guarded = |to: &mut dyn Write| {
            write(to).inspect_err(|error| failed = Some(io::Error::new(error.kind(), error.to_string())))
        };
        let ended = self.run(what, script, Input::All(&mut guarded), &mut io::sink())?;
        self.good(what, &ended)?;
        match failed {
            None => Ok(()),
            Some(source) => Err(BuildError::Lost {
                what,
                place: self.place.to_owned(),
                source,
            }),
        }
    }
}
