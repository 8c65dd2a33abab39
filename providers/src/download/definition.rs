//! Definition files of downloads: `.ini` files with a section for each.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::DownloadError;
use super::digest::{Algorithm, Sum};
use crate::ini::{Ini, Place};

/// A file that can be fetched from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Its name: the section's.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// What people call it.
    pub title: String,
    /// Where it is: the address, then its mirrors.
    pub urls: Vec<String>,
    /// What its publisher says that it is.
    pub expected: Option<Expected>,
    /// The file, relative to the data folder.
    pub destination: Utf8PathBuf,
    /// The file that it is unpacked to.
    pub unpacked: Option<Utf8PathBuf>,
    /// The program that unpacks it, where its name does not tell: words, to which the file is added.
    pub unpack_with: Option<Vec<String>>,
}

/// What a publisher says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Its digest.
    Sum(Sum),
    /// An address with a list of digests.
    Listed(Algorithm, String),
}

impl Download {
    /// What each section of a file defines, in its order, or what is wrong with it: one that makes no sense takes none of
    /// the others away. A file that cannot be read at all is one error.
    #[must_use]
    pub fn read(path: &Utf8Path) -> Vec<Result<Self, DownloadError>> {
        match Ini::read(path) {
            Ok(ini) => ini.sections().into_iter().map(|name| of(&ini, name)).collect(),
            Err((place, reason)) => vec![Err(DownloadError::Malformed { place, reason })],
        }
    }

    /// The file that is wanted in the end.
    #[must_use]
    pub fn wanted(&self) -> &Utf8Path {
        self.unpacked.as_deref().unwrap_or(&self.destination)
    }
}

fn of(ini: &Ini, name: &str) -> Result<Download, DownloadError> {
    let malformed = |key: &str, reason: String| DownloadError::Malformed {
        place: ini.place(name, Some(key)),
        reason,
    };
    let required = |key: &str| {
        let missing = || malformed(key, format!("[{name}] has no `{key}`"));
        ini.value(name, key).ok_or_else(missing)
    };
    let inside = |key: &str, path: &str| {
        let sound = Utf8Path::new(path)
            .components()
            .all(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir));
        let outside = || malformed(key, format!("`{path}` leads out of the data folder"));
        sound.then(|| Utf8PathBuf::from(path)).ok_or_else(outside)
    };
    let mirrors = ini.value(name, "mirrors").unwrap_or_default();
    let urls: Vec<String> = [required("url")?, mirrors]
        .iter()
        .flat_map(|list| list.split_whitespace())
        .map(str::to_owned)
        .collect();
    if let Some(odd) = urls.iter().find(|url| !is_web(url)) {
        return Err(malformed(
            "url",
            format!("`{odd}` is neither http:// nor https://"),
        ));
    }
    let unpacked = ini.value(name, "destination_uncompressed");
    let words = ini
        .value(name, "uncompress_cmd")
        .map(shell_words::split)
        .transpose();
    Ok(Download {
        name: name.to_owned(),
        place: ini.place(name, None),
        title: ini.value(name, "title").unwrap_or(name).to_owned(),
        expected: expected(ini, name)?,
        destination: inside("destination", required("destination")?)?,
        unpacked: unpacked
            .map(|path| inside("destination_uncompressed", path))
            .transpose()?,
        unpack_with: words.map_err(|error| malformed("uncompress_cmd", error.to_string()))?,
        urls,
    })
}

/// The strongest thing that the publisher says: a digest before a list of them.
fn expected(ini: &Ini, name: &str) -> Result<Option<Expected>, DownloadError> {
    for algorithm in Algorithm::ALL {
        let key = algorithm.name();
        if let Some(text) = ini.value(name, key) {
            let sum = Sum::parse(algorithm, text).ok_or_else(|| DownloadError::Malformed {
                place: ini.place(name, Some(key)),
                reason: format!("`{text}` is no {key}"),
            })?;
            return Ok(Some(Expected::Sum(sum)));
        }
    }
    let listed = Algorithm::ALL.into_iter().find_map(|algorithm| {
        let url = ini.value(name, &format!("{}_url", algorithm.name()))?;
        Some(Expected::Listed(algorithm, url.to_owned()))
    });
    Ok(listed)
}

fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Download, String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("x.ini");
        std::fs::write(&path, text).unwrap();
        let read = Download::read(&path).into_iter();
        read.map(|one| one.map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn the_keys_of_the_field_are_read() {
        let text = "[guest]\ntitle = A guest\nurl = http://h/g.qcow2.xz\nmirrors = http://i/g https://j/g\n\
                    sha1_url = http://h/SUMS\ndestination = images/g.qcow2.xz\ndestination_uncompressed = images/g.qcow2\n";
        let found = read(text).remove(0).unwrap();
        assert_eq!((found.name.as_str(), found.title.as_str()), ("guest", "A guest"));
        assert_eq!(found.urls, ["http://h/g.qcow2.xz", "http://i/g", "https://j/g"]);
        assert_eq!(found.wanted(), "images/g.qcow2");
        let listed = Expected::Listed(Algorithm::Sha1, "http://h/SUMS".into());
        assert_eq!(found.expected, Some(listed));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let cases = [
            (
                "[a]\nurl = http://h/x\ndestination = ../x\n",
                "x.ini:3: `../x` leads out",
            ),
            ("[a]\nurl = http://h/x\ndestination = /etc/x\n", "x.ini:3: "),
            ("[a]\nurl = file:///x\ndestination = x\n", "x.ini:2: "),
            ("[a]\nurl = http://h/x\n", "x.ini:1: [a] has no `destination`"),
            (
                "[a]\nurl = http://h/x\ndestination = x\nsha256 = beef\n",
                "x.ini:4: `beef` is no sha256",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).remove(0).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let second = "[b]\nurl = http://h/y\ndestination = y\n";
        let read = read(&format!("{}{second}", cases[0].0));
        assert!(read[0].is_err(), "{read:?}");
        assert_eq!(read[1].as_ref().map(|download| download.name.as_str()), Ok("b"));
    }
}
