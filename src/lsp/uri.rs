//! `file:` addresses and paths.

use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use lsp_types::Uri;

/// The path that an address means. A text that is on no disk (`untitled:`) has its address for a path.
pub fn path(uri: &Uri) -> Utf8PathBuf {
    let text = uri.as_str();
    let Some(rest) = text.strip_prefix("file:") else {
        return text.into();
    };
    let rest = rest.strip_prefix("//").map_or(rest, |rest| {
        // What stands between the slashes is a host's name: nothing, or this one's.
        &rest[rest.find('/').unwrap_or(0)..]
    });
    let path = Utf8PathBuf::from(decode(rest));
    canonical(&path).unwrap_or(path)
}

/// One name for each file, whatever links lead to it; for a file that is yet to be saved by way of its folder.
fn canonical(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let whole = path.canonicalize_utf8();
    whole.ok().or_else(|| {
        let folder = path.parent()?.canonicalize_utf8().ok()?;
        Some(folder.join(path.file_name()?))
    })
}

/// The address of a path.
pub fn of(path: &Utf8Path) -> Option<Uri> {
    if !path.is_absolute() {
        return Uri::from_str(path.as_str()).ok();
    }
    Uri::from_str(&format!("file://{}", encode(path.as_str()))).ok()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_way_there_and_back() {
        for name in [
            "/no/such/plain.cfg",
            "/no/such/a b%20c#?.cfg",
            "/no/such/Größe/ключ.cfg",
        ] {
            let uri = of(name.into()).unwrap();
            assert_eq!(path(&uri), name, "{}", uri.as_str());
        }
        assert_eq!(
            path(
                &Uri::from_str("file://localhost/no/such%2")
                    .unwrap_or_else(|_| of("/no/such%2".into()).unwrap())
            ),
            "/no/such%2"
        );
        assert_eq!(
            path(&Uri::from_str("untitled:Untitled-1").unwrap()),
            "untitled:Untitled-1"
        );
    }
}
