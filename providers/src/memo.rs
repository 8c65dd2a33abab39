//! Small files in which an answer is kept that is dear to find out again. A file that is not there, or is torn, is no answer.

use std::fs;

use camino::Utf8Path;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The answer in the file `path`, if there is one.
#[must_use]
pub fn recall<T: DeserializeOwned>(path: &Utf8Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Keeps an answer, with the folders above it. One that cannot be kept is found out again.
pub fn remember<T: Serialize>(path: &Utf8Path, answer: &T) {
    let Ok(text) = serde_json::to_vec_pretty(answer) else {
        return;
    };
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&beside, text));
    if written.and_then(|()| fs::rename(&beside, path)).is_err() {
        // Nothing may be left beside, and there may be nothing.
        let _ = fs::remove_file(&beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_is_no_answer_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("deep/answer.json");
        assert_eq!(recall::<u32>(&path), None);
        remember(&path, &7);
        assert_eq!(recall(&path), Some(7));
        fs::write(&path, "{ torn").unwrap();
        assert_eq!(recall::<u32>(&path), None);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
