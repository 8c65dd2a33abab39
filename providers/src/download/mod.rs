//! Files from outside: defined in `.ini` files, fetched, checked, put in place whole.
//!
//! A file is first written beside its place, as `.NAME.part`; a transfer that was cut goes on there, in this run or the next.
//! Only when its digest is right is it renamed. What is wrong is thrown away, and the next mirror asked.

mod definition;
mod digest;
mod transfer;
mod turn;
mod unpack;

use std::fmt;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;

pub use definition::{Download, Expected};
pub use digest::{Algorithm, Content, Sum};

use crate::ini::Place;
use crate::process::{Launcher, OutputError};
use transfer::{Arrived, Broken, Client};
use turn::Turn;

/// How often an address may fail in a row without a byte arriving.
const PATIENCE: u32 = 3;

/// Why a file is not there.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The definition makes no sense.
    #[error("read the download definition {place}: {reason}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// No address gave the file.
    #[error("download {name} ({place}): {reasons}")]
    Fetch {
        /// The download.
        name: String,
        /// Where it is defined.
        place: Place,
        /// What each address said.
        reasons: String,
    },
    /// It is there, and is something else.
    #[error("trust {path}: {reason}")]
    Wrong {
        /// The file.
        path: Utf8PathBuf,
        /// What it should be.
        reason: String,
    },
    /// It could not be unpacked.
    #[error("unpack {path}: {reason}")]
    Unpack {
        /// The file.
        path: Utf8PathBuf,
        /// What the program said.
        reason: String,
    },
    /// A folder on the way leads elsewhere.
    #[error("write {path}: it leads out of the data folder {data_dir} through a link")]
    Outside {
        /// The file.
        path: Utf8PathBuf,
        /// The data folder.
        data_dir: Utf8PathBuf,
    },
    /// Whoever listens to the progress wanted no more of it.
    #[error("download {name}: it was stopped")]
    Stopped {
        /// The download.
        name: String,
    },
    /// What it was before cannot be read or remembered.
    #[error("lock what the download {name} is: {reason}")]
    Pin {
        /// The download.
        name: String,
        /// Why.
        reason: String,
    },
    /// A program of the host failed us.
    #[error(transparent)]
    Program(#[from] OutputError),
    /// A file could not be read or written.
    #[error("write {path}: {source}")]
    Disk {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a file was when it was first fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its SHA-256.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'p> {
    /// The address.
    pub url: &'p str,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes that there will be, as the server says.
    pub total: Option<u64>,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mib(self.done))?;
        self.total.map_or(Ok(()), |total| write!(f, " of {}", mib(total)))
    }
}

/// A number of bytes as people read it.
#[must_use]
pub fn mib(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Hears of progress, and may end it.
pub type Listener<'l> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'l;

/// Fetches downloads into a data folder.
pub struct Fetcher {
    client: Client,
    launcher: Launcher,
    data_dir: Utf8PathBuf,
}

impl Fetcher {
    /// A fetcher that gives up on a server which sends nothing for `silence`.
    #[must_use]
    pub fn new(launcher: Launcher, data_dir: Utf8PathBuf, silence: Duration) -> Self {
        Self {
            client: Client::new(silence),
            launcher,
            data_dir,
        }
    }

    /// Makes the file of a download be there, unpacked too, and gives what it is. One that is there and right is left alone.
    ///
    /// # Errors
    /// When no address gives what is pinned or what the publisher says.
    pub async fn get(
        &self,
        download: &Download,
        pin: Option<&Pin>,
        progress: &mut Listener<'_>,
    ) -> Result<Pin, DownloadError> {
        let path = self.inside(&download.destination)?;
        let found = if path.is_file() {
            self.verify(download, pin)?
        } else {
            self.fetch(download, &path, pin, progress)?
        };
        if let Some(unpacked) = &download.unpacked {
            let unpacked = self.inside(unpacked)?;
            if !unpacked.is_file() {
                unpack::unpack(&self.launcher, &path, &unpacked, download.unpack_with.as_deref()).await?;
            }
        }
        Ok(found)
    }

    /// Reads the file of a download through and compares it with what it must be.
    ///
    /// # Errors
    /// When it is something else.
    pub fn verify(&self, download: &Download, pin: Option<&Pin>) -> Result<Pin, DownloadError> {
        let path = self.data_dir.join(&download.destination);
        let expected = self.expected(download, pin)?;
        let content = content(&path, expected.as_ref())?;
        match mismatch(&content, expected.as_ref(), pin) {
            Some(reason) => Err(DownloadError::Wrong {
                path,
                reason: format!("{reason}; remove it to have it fetched again"),
            }),
            None => Ok(content.into()),
        }
    }

    fn fetch(
        &self,
        download: &Download,
        path: &Utf8Path,
        pin: Option<&Pin>,
        progress: &mut Listener<'_>,
    ) -> Result<Pin, DownloadError> {
        let expected = self.expected(download, pin)?;
        let disk = |source| DownloadError::Disk {
            path: path.to_owned(),
            source,
        };
        let part = beside(path);
        fs::create_dir_all(path.parent().unwrap_or(path)).map_err(disk)?;
        // Another process may be at it: then this one waits, and finds the file.
        let _turn = Turn::at(&part).map_err(disk)?;
        let mut reasons = Vec::new();
        for url in &download.urls {
            if path.is_file() {
                break;
            }
            let mut arrived = |done, total| progress(Progress { url, done, total });
            match self.bring(url, &part, expected.as_ref(), pin, &mut arrived) {
                Ok(()) => fs::rename(&part, path).map_err(disk)?,
                Err(Broken::Disk(source)) => return Err(disk(source)),
                Err(Broken::Stopped) => {
                    return Err(DownloadError::Stopped {
                        name: download.name.clone(),
                    });
                }
                Err(Broken::Cut(reason) | Broken::Refused(reason)) => {
                    reasons.push(format!("{url}: {reason}"));
                }
            }
        }
        if !path.is_file() {
            // Nothing of it came: that is no beginning to go on with.
            if fs::metadata(&part).is_ok_and(|meta| meta.len() == 0) {
                let _ = fs::remove_file(&part);
            }
            return Err(DownloadError::Fetch {
                name: download.name.clone(),
                place: download.place.clone(),
                reasons: reasons.join("; "),
            });
        }
        Ok(content(path, None)?.into())
    }

    /// Makes `part` be the file that is expected, from one address. What is wrong as a whole is removed: it is no beginning of
    /// anything. It is asked for once more where its beginning was there already, which may have been something else's.
    fn bring(
        &self,
        url: &str,
        part: &Utf8Path,
        expected: Option<&Sum>,
        pin: Option<&Pin>,
        arrived: &mut Arrived<'_>,
    ) -> Result<(), Broken> {
        let resumed = part.is_file();
        let complete = |arrived: &mut Arrived<'_>| {
            self.complete(url, part, pin, arrived)?;
            let content = Content::of(part, expected.map(|sum| sum.algorithm))?;
            let wrong = mismatch(&content, expected, pin);
            if wrong.is_some() {
                fs::remove_file(part)?;
            }
            Ok::<_, Broken>(wrong)
        };
        let wrong = match complete(arrived)? {
            Some(_) if resumed => complete(arrived)?,
            wrong => wrong,
        };
        wrong.map_or(Ok(()), |reason| Err(Broken::Refused(reason)))
    }

    /// Transfers from one address until the file is whole, going on where it was cut.
    fn complete(
        &self,
        url: &str,
        part: &Utf8Path,
        pin: Option<&Pin>,
        arrived: &mut Arrived<'_>,
    ) -> Result<(), Broken> {
        let size = || fs::metadata(part).map_or(0, |meta| meta.len());
        let mut fruitless = 0;
        let mut best = 0;
        loop {
            let most = pin.map(|pin| pin.size);
            match self.client.fetch(url, part, most, arrived) {
                Err(Broken::Cut(reason)) => {
                    fruitless = if size() > best { 0 } else { fruitless + 1 };
                    best = best.max(size());
                    if fruitless >= PATIENCE {
                        return Err(Broken::Cut(reason));
                    }
                    std::thread::sleep(Duration::from_millis(200 << fruitless));
                }
                ended => return ended,
            }
        }
    }

    /// What the publisher says. Whoever has a pin needs no list, which may say something else by now.
    fn expected(&self, download: &Download, pin: Option<&Pin>) -> Result<Option<Sum>, DownloadError> {
        let (algorithm, url) = match &download.expected {
            None => return Ok(None),
            Some(Expected::Sum(sum)) => return Ok(Some(sum.clone())),
            Some(Expected::Listed(..)) if pin.is_some() => return Ok(None),
            Some(Expected::Listed(algorithm, url)) => (*algorithm, url),
        };
        let failed = |reason: String| DownloadError::Fetch {
            name: download.name.clone(),
            place: download.place.clone(),
            reasons: format!("{url}: {reason}"),
        };
        let list = self.client.text(url).map_err(failed)?;
        let remote = download.urls[0].rsplit('/').next().unwrap_or_default();
        let names = [remote, download.destination.file_name().unwrap_or_default()];
        let sum = Sum::listed(algorithm, &list, &names);
        sum.map(Some)
            .ok_or_else(|| failed(format!("it lists no {} for {remote}", algorithm.name())))
    }

    /// A path in the data folder, which no link on the way leads out of.
    fn inside(&self, relative: &Utf8Path) -> Result<Utf8PathBuf, DownloadError> {
        let path = self.data_dir.join(relative);
        let real = |path: &Utf8Path| path.ancestors().find_map(|above| above.canonicalize_utf8().ok());
        let folder = real(path.parent().unwrap_or(&path));
        let home = real(&self.data_dir);
        match (folder, home) {
            (Some(folder), Some(home)) if !folder.starts_with(&home) => Err(DownloadError::Outside {
                path,
                data_dir: self.data_dir.clone(),
            }),
            _ => Ok(path),
        }
    }
}

impl From<Content> for Pin {
    fn from(content: Content) -> Self {
        Self {
            sha256: content.sha256,
            size: content.size,
        }
    }
}

/// The file that a transfer writes to.
#[must_use]
pub fn beside(path: &Utf8Path) -> Utf8PathBuf {
    path.with_file_name(format!(".{}.part", path.file_name().unwrap_or("download")))
}

fn content(path: &Utf8Path, expected: Option<&Sum>) -> Result<Content, DownloadError> {
    Content::of(path, expected.map(|sum| sum.algorithm)).map_err(|source| DownloadError::Disk {
        path: path.to_owned(),
        source,
    })
}

/// How a file differs from what it must be.
fn mismatch(content: &Content, expected: Option<&Sum>, pin: Option<&Pin>) -> Option<String> {
    if let Some(pin) = pin.filter(|pin| pin.sha256 != content.sha256) {
        return Some(format!(
            "its sha256 is {} ({} bytes), vtbuild.lock has {} ({} bytes)",
            content.sha256, content.size, pin.sha256, pin.size
        ));
    }
    let expected = expected.filter(|sum| content.other.as_ref() != Some(sum))?;
    let found = content.other.as_ref().map_or("none", |sum| &sum.hex);
    Some(format!(
        "its {} is {found}, {} was expected",
        expected.algorithm.name(),
        expected.hex
    ))
}
