//! Why a test provider cannot be used.

use camino::Utf8PathBuf;
use thiserror::Error;

use crate::ini::Place;
use crate::process::OutputError;

/// Why a provider cannot be used. Each says where the definition is that asks for it.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// The definition file is not one.
    #[error("read the test provider definition {place}: {reason}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// The file's name cannot be a provider's.
    #[error(
        "use the test provider {path}: `{name}` begins the names of tests, which may hold letters, digits, -, _ and .; rename the file"
    )]
    Name {
        /// The definition file.
        path: Utf8PathBuf,
        /// Its name.
        name: String,
    },
    /// The address is of a kind that nobody serves.
    #[error(
        "use the test provider {place}: `{scheme}://` is not known; write a path, file://, or a git address (https, http, ssh, git, HOST:PATH)"
    )]
    Scheme {
        /// Where.
        place: Place,
        /// The part before `://`.
        scheme: String,
    },
    /// The address means a folder of this host that is not there.
    #[error("use the test provider {place}: {folder} is not a folder on this host")]
    NoFolder {
        /// Where.
        place: Place,
        /// The folder.
        folder: Utf8PathBuf,
    },
    /// The folder of a backend is missing.
    #[error("use the test provider {place}: there is no folder `{folder}` in {root} for [{section}]")]
    Folder {
        /// Where.
        place: Place,
        /// The folder, as written.
        folder: String,
        /// What it is relative to.
        root: Utf8PathBuf,
        /// The section that names it.
        section: String,
    },
    /// Git refused.
    #[error("fetch the test provider {place} from {url}: {reason}")]
    Fetch {
        /// Where.
        place: Place,
        /// What was fetched from.
        url: String,
        /// What git said.
        reason: String,
    },
    /// What is asked for is not in the repository.
    #[error("find {wanted} of the test provider {place} in {url}; it has {known}")]
    NoSuchCommit {
        /// Where.
        place: Place,
        /// "the branch `x`".
        wanted: String,
        /// The repository.
        url: String,
        /// Some that are there.
        known: String,
    },
    /// The tag is not signed, or not with that key.
    #[error("trust the tag `{tag}` of the test provider {place}: {reason}")]
    Signature {
        /// Where.
        place: Place,
        /// The tag.
        tag: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was not fetched yet, and may not be now.
    #[error("use the test provider {place}: it is not fetched yet; `vtbuild providers update` does that")]
    NotFetched {
        /// Where.
        place: Place,
    },
    /// A program of the host failed us.
    #[error(transparent)]
    Program(#[from] OutputError),
    /// A file of the cache could not be written.
    #[error("keep test providers in {path}: {source}")]
    Cache {
        /// The file or folder.
        path: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
