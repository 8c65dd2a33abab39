//! Key exchange preferences and authentication.

use ssh2::{ErrorCode, MethodType, Session};

use super::{Credentials, SshError, SshTarget};

/// libssh2's code for credentials that the server refused.
const AUTHENTICATION_FAILED: i32 = -18;

/// An emulated processor feels the arithmetic of a key exchange: ask for the cheapest good methods first. A method that
/// this libssh2 was built without is skipped by it, and a refused list leaves the defaults.
pub(super) fn prefer_cheap_methods(session: &Session) {
    let lists = [
        (
            MethodType::Kex,
            "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256",
        ),
        (
            MethodType::HostKey,
            "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
        ),
    ];
    for (method, first) in lists {
        let mut list: Vec<&str> = first.split(',').collect();
        let supported = session.supported_algs(method).unwrap_or_default();
        list.retain(|name| supported.contains(name));
        list.extend(
            supported
                .iter()
                .filter(|name| !first.split(',').any(|known| known == **name)),
        );
        if let Err(error) = session.method_pref(method, &list.join(",")) {
            tracing::debug!(%error, "libssh2 keeps its own order of methods");
        }
    }
}

pub(super) fn prove(session: &Session, target: &SshTarget) -> Result<(), SshError> {
    let user = &target.username;
    let (proof, result) = match &target.credentials {
        Credentials::Password(password) => ("password".to_owned(), with_password(session, user, password)),
        Credentials::Key { private, passphrase } => (
            format!("key {private}"),
            session.userauth_pubkey_file(user, None, private.as_std_path(), passphrase.as_deref()),
        ),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.code() == ErrorCode::Session(AUTHENTICATION_FAILED) => Err(SshError::Refused {
            address: target.address,
            username: user.clone(),
            proof,
        }),
        Err(source) => Err(SshError::Handshake {
            address: target.address,
            source,
        }),
    }
}

fn with_password(session: &Session, user: &str, password: &str) -> Result<(), ssh2::Error> {
    // A server without any authentication is satisfied by being asked.
    let methods = session.auth_methods(user).unwrap_or_default().to_owned();
    if session.authenticated() {
        return Ok(());
    }
    if methods.contains("keyboard-interactive") && !methods.split(',').any(|method| method == "password") {
        return session.userauth_keyboard_interactive(user, &mut SamePassword(password));
    }
    session.userauth_password(user, password)
}

/// Answers every question with the password.
struct SamePassword<'a>(&'a str);

impl ssh2::KeyboardInteractivePrompt for SamePassword<'_> {
    fn prompt<'a>(&mut self, _: &str, _: &str, prompts: &[ssh2::Prompt<'a>]) -> Vec<String> {
        prompts.iter().map(|_| self.0.to_owned()).collect()
    }
}
