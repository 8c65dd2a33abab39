//! An ssh server of the test's own: on a port of the loopback address that nobody else has, with its own host key, its own
//! user key, and a folder of the sandbox where users keep their caches.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use super::Sandbox;

/// A running server.
pub(crate) struct Sshd {
    folder: Utf8PathBuf,
    server: Child,
    port: u16,
}

impl Sshd {
    /// Starts one whose files are in the sandbox.
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        let folder = sandbox.root().join("sshd");
        fs::create_dir_all(folder.join("bin")).unwrap();
        for key in ["host", "user", "other"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", folder.join(key).as_str()]);
            assert!(
                keygen
                    .status()
                    .expect("ssh-keygen runs (openssh-client)")
                    .success()
            );
        }
        fs::copy(folder.join("user.pub"), folder.join("authorized")).unwrap();
        // As root, sshd wants this folder to exist; what cannot be made is complained of by sshd itself.
        let _ = fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = std::env::var("PATH").unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n\
             PidFile none\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nStrictModes no\nLogLevel ERROR\n\
             SetEnv XDG_CACHE_HOME={folder}/cache PATH={folder}/bin:{path}\n"
        );
        fs::write(folder.join("config"), config).unwrap();
        drop(listener);
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", folder.join("config").as_str()])
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("sshd.log")).unwrap())
            .spawn()
            .expect("sshd runs (openssh-server)");
        Self { folder, server, port }
    }

    /// The lines of `vtbuild.toml` that describe it as the host `lab`, trusted by its fingerprint.
    pub(crate) fn settings(&self) -> String {
        self.settings_trusting(&format!("fingerprint = \"{}\"", self.fingerprint("host")))
    }

    /// The same, trusted as these lines say.
    pub(crate) fn settings_trusting(&self, trust: &str) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        format!(
            "[hosts.lab]\naddress = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nkey = \"{}/user\"\n{trust}\n",
            self.port,
            String::from_utf8(user).unwrap().trim(),
            self.folder
        )
    }

    /// The fingerprint of one of its keys: `host`, `other`.
    pub(crate) fn fingerprint(&self, key: &str) -> String {
        let shown = Command::new("ssh-keygen")
            .args(["-lf", self.folder.join(format!("{key}.pub")).as_str()])
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        shown.split(' ').nth(1).unwrap().to_owned()
    }

    /// A file of known hosts that has it with one of its keys.
    pub(crate) fn known_hosts(&self, key: &str) -> Utf8PathBuf {
        let path = self.folder.join(format!("known-{key}"));
        let public = fs::read_to_string(self.folder.join(format!("{key}.pub"))).unwrap();
        fs::write(&path, format!("[127.0.0.1]:{} {public}", self.port)).unwrap();
        path
    }

    /// Puts a program in front of all others that are found there.
    pub(crate) fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What builds keep there.
    pub(crate) fn cache(&self) -> Utf8PathBuf {
        self.folder.join("cache/vtbuild/deps")
    }

    /// What its log says.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(Utf8Path::new(&self.folder).join("sshd.log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.server.kill().expect("kills its own child");
        self.server.wait().expect("waits for its own child");
    }
}
