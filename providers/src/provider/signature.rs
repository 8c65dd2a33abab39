//! Whether a tag is signed with one certain key, and no other.
//!
//! `git verify-tag` decides, with a key ring that holds the definition's key alone: what else the user trusts counts for
//! nothing. Both kinds of key that git signs with are known, OpenPGP and ssh.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::ProviderError;
use super::git::{Repositories, said};
use crate::process::Command;

/// Checks a tag. Gives who signed it, or what is wrong.
pub(super) async fn verify(
    git: &Repositories,
    mirror: &Utf8Path,
    tag: &str,
    pubkey: &Utf8Path,
) -> Result<Result<String, String>, ProviderError> {
    let ring = tempfile::Builder::new().prefix("vtkey").tempdir();
    let ring = ring.map_err(|source| ProviderError::Cache {
        path: Utf8PathBuf::from("the folder for temporary files"),
        source,
    })?;
    let Some(home) = Utf8Path::from_path(ring.path()) else {
        return Ok(Err("the folder for temporary files is no UTF-8".into()));
    };
    let signers = home.join("signers");
    let prepared = || {
        fs::set_permissions(home, fs::Permissions::from_mode(0o700))?;
        let key = fs::read(pubkey)?;
        fs::write(&signers, ssh_signer(&key))?;
        Ok::<_, std::io::Error>(key)
    };
    let key = match prepared() {
        Ok(key) => key,
        Err(error) => return Ok(Err(format!("the key {pubkey} cannot be used: {error}"))),
    };
    if ssh_signer(&key).is_empty() {
        let import = Command::new("gpg")
            .env("GNUPGHOME", home)
            .env("LC_ALL", "C")
            .args([
                "--batch",
                "--no-autostart",
                "--quiet",
                "--import",
                pubkey.as_str(),
            ]);
        let imported = git.run(import).await?;
        if !imported.exit.success() {
            return Ok(Err(format!(
                "{pubkey} holds no key that gpg can read: {}",
                said(&imported)
            )));
        }
    }
    let signers = format!("gpg.ssh.allowedSignersFile={signers}");
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
    let verified = git
        .run(git.command(Some(mirror), &words).env("GNUPGHOME", home))
        .await?;
    if verified.exit.success() {
        let good = verified.stderr.lines().find(|line| line.contains("ood \""));
        let good = good.or_else(|| {
            verified
                .stderr
                .lines()
                .find(|line| line.contains("ood signature"))
        });
        return Ok(Ok(good.unwrap_or_default().to_owned()));
    }
    let reason = said(&verified);
    Ok(Err(
        if reason.contains("no signature found") || reason.contains("cannot verify a non-tag") {
            format!("it carries no signature; {pubkey} must have signed it")
        } else {
            format!("it is not signed with the key in {pubkey}: {reason}")
        },
    ))
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
