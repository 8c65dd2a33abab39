//! Whether an ssh server is the one that is meant.

use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::BASE64_NOPAD;
use ssh2::{CheckResult, HashType, KnownHostFileKind, Session};

/// How a server's key is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKey {
    /// Any key will do: a guest of ours, on this host's loopback address.
    Any,
    /// The one with this fingerprint, as `ssh-keygen -l` prints it: `SHA256:…`.
    Fingerprint(String),
    /// One that this file has for the server, in the format of OpenSSH.
    Known {
        /// The file.
        file: Utf8PathBuf,
        /// The server's name in it, and its port.
        server: (String, u16),
    },
}

/// Checks the key of a session whose handshake is done. The error completes "failed to trust ADDRESS:".
pub(super) fn check(session: &Session, wanted: &HostKey) -> Result<(), String> {
    let found = || {
        let hash = session.host_key_hash(HashType::Sha256);
        format!("SHA256:{}", BASE64_NOPAD.encode(hash.unwrap_or_default()))
    };
    match wanted {
        HostKey::Any => Ok(()),
        HostKey::Fingerprint(fingerprint) if *fingerprint == found() => Ok(()),
        HostKey::Fingerprint(fingerprint) => Err(format!(
            "its host key is {}, not {fingerprint}: another machine answers there, or its key was changed",
            found()
        )),
        HostKey::Known { file, server } => known(session, file, server, &found()),
    }
}

fn known(session: &Session, file: &Utf8Path, server: &(String, u16), found: &str) -> Result<(), String> {
    let failed = |error: ssh2::Error| format!("the list of known hosts cannot be used: {error}");
    let mut hosts = session.known_hosts().map_err(failed)?;
    if file.is_file() {
        hosts
            .read_file(file.as_std_path(), KnownHostFileKind::OpenSSH)
            .map_err(|error| format!("{file} cannot be read: {error}"))?;
    }
    let (key, _) = session.host_key().ok_or("it showed no host key")?;
    let (name, port) = server;
    match hosts.check_port(name, *port, key) {
        CheckResult::Match => Ok(()),
        CheckResult::NotFound => Err(format!(
            "{file} has no key for [{name}]:{port}; log in once with ssh, or give `fingerprint = \"{found}\"` once you have compared it there (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"
        )),
        CheckResult::Mismatch => Err(format!(
            "its host key {found} is not the one that {file} has for [{name}]:{port}: another machine answers there, or its key was changed"
        )),
        CheckResult::Failure => Err(format!("its host key cannot be looked up in {file}")),
    }
}
