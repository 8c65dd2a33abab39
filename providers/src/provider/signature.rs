//! Whether a tag is signed with one certain key, and no other.
//!
//! `git verify-tag` decides, with a key ring that holds the definition's key alone: what else the user trusts counts for
//! nothing. Both kinds of key that git signs with are known, OpenPGP and ssh.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::error::ProviderError;
use super::git::{Repositories, said};
use crate::process::Command;

/// Why a tag is not believed.
pub(super) enum Doubt {
    /// It is not signed with the key; the text says what is wrong.
    Unsigned(String),
    /// That could not be found out.
    Unknown(ProviderError),
}

impl From<ProviderError> for Doubt {
    fn from(error: ProviderError) -> Self {
        Self::Unknown(error)
    }
}

/// Gives who signed a tag, where that was done with the key in the file `pubkey`.
pub(super) async fn verify(
    git: &Repositories,
    mirror: &Utf8Path,
    tag: &str,
    pubkey: &Utf8Path,
) -> Result<String, Doubt> {
    let ring = KeyRing::of(git, pubkey).await?;
    let signers = format!("gpg.ssh.allowedSignersFile={}", ring.signers());
    let name = format!("refs/tags/{tag}");
    let words = [
        "-c",
        &signers,
        "-c",
        "gpg.program=gpg",
        "-c",
        "gpg.minTrustLevel=undefined",
        "verify-tag",
        &name,
    ];
    let verify = git.command(Some(mirror), &words).env("GNUPGHOME", &ring.home);
    let verified = git.run(verify).await?;
    if verified.exit.success() {
        // `Good signature from "…"` of gpg, `Good "git" signature …` of ssh.
        let good = |line: &&str| line.contains("Good ") && line.contains("signature");
        return Ok(verified.stderr.lines().find(good).unwrap_or_default().to_owned());
    }
    let reason = said(&verified);
    let unsigned = ["no signature found", "cannot verify a non-tag"];
    Err(Doubt::Unsigned(
        if unsigned.iter().any(|text| reason.contains(text)) {
            format!("it carries no signature; {pubkey} must have signed it")
        } else {
            format!("it is not signed with the key in {pubkey}: {reason}")
        },
    ))
}

/// A key ring that holds one key and goes with this value.
struct KeyRing {
    _folder: TempDir,
    home: Utf8PathBuf,
}

impl KeyRing {
    async fn of(git: &Repositories, pubkey: &Utf8Path) -> Result<Self, Doubt> {
        let temporary = |source| ProviderError::Cache {
            path: Utf8PathBuf::from("the folder for temporary files"),
            source,
        };
        let folder = tempfile::Builder::new().prefix("vtkey").tempdir();
        let folder = folder.map_err(temporary)?;
        let home = Utf8PathBuf::try_from(folder.path().to_owned());
        let home = home.map_err(|error| temporary(error.into_io_error()))?;
        let ring = Self {
            _folder: folder,
            home,
        };
        let signers = ring
            .write_signers(pubkey)
            .map_err(|error| Doubt::Unsigned(format!("the key {pubkey} cannot be used: {error}")))?;
        if signers.is_empty() {
            ring.import(git, pubkey).await?;
        }
        Ok(ring)
    }

    /// The file of those whose ssh keys are believed.
    fn signers(&self) -> Utf8PathBuf {
        self.home.join("signers")
    }

    /// Writes that file, and gives what is in it: nothing, where the key is none of ssh's.
    fn write_signers(&self, pubkey: &Utf8Path) -> io::Result<String> {
        // gpg refuses a folder that others may look into.
        fs::set_permissions(&self.home, fs::Permissions::from_mode(0o700))?;
        let signers = ssh_signer(&fs::read(pubkey)?);
        fs::write(self.signers(), &signers)?;
        Ok(signers)
    }

    async fn import(&self, git: &Repositories, pubkey: &Utf8Path) -> Result<(), Doubt> {
        let words = ["--batch", "--no-autostart", "--quiet", "--import"];
        let import = Command::new("gpg").args(words).arg(pubkey);
        let import = import.env("GNUPGHOME", &self.home).env("LC_ALL", "C");
        let imported = git.run(import).await?;
        if imported.exit.success() {
            return Ok(());
        }
        let reason = said(&imported);
        Err(Doubt::Unsigned(format!(
            "{pubkey} holds no key that gpg can read: {reason}"
        )))
    }
}

/// The line with which git lets an ssh key sign as anybody; empty for any other key.
fn ssh_signer(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    let is_ssh = |line: &&str| {
        ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|kind| line.starts_with(kind))
    };
    let keys = text.lines().map(str::trim).filter(is_ssh);
    keys.map(|key| format!("* {key}\n")).collect()
}
