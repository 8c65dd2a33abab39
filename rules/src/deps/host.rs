//! Hosts that a person names: how to get in, and what their toolchain says of itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use vtbuild_engine::outcome::{Keep, Outcome, Produced, Status};
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{Claim, Declared, RuleName, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::build::toolchain;
use vtbuild_providers::session::login;
use vtbuild_providers::session::ssh::Connection;
use vtbuild_providers::session::ssh::exec::in_thread;
use vtbuild_providers::session::{Credentials, HostKey, SshTarget};

/// The rule of the question which toolchain a host has.
pub const TOOLCHAIN: RuleName = RuleName {
    name: "toolchain",
    version: 1,
};
/// The name of its output.
const ANSWER: &str = "toolchain";
/// How long a host may take to let us in, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host that builds, reached by ssh.
#[derive(Clone, Debug)]
pub struct BuildHost {
    /// Its name in the settings.
    pub name: String,
    /// Its host name or address.
    pub address: String,
    /// The port of its ssh server.
    pub port: u16,
    /// The user's name there.
    pub user: String,
    /// The private key.
    pub key: Utf8PathBuf,
    /// How it proves that it is the one that is meant.
    pub host_key: HostKey,
}

impl BuildHost {
    /// Logs in. The error completes "failed to".
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let place = (self.address.as_str(), self.port);
        let mut addresses = tokio::net::lookup_host(place)
            .await
            .map_err(|error| format!("find the host {} at {}: {error}", self.name, self.address))?;
        let address: SocketAddr = addresses
            .next()
            .ok_or_else(|| format!("find the host {}: {} has no address", self.name, self.address))?;
        let target = SshTarget {
            address,
            username: self.user.clone(),
            credentials: Credentials::Key {
                private: self.key.clone(),
                passphrase: None,
            },
            host_key: self.host_key.clone(),
        };
        login::connect(&target, PATIENCE, &|| Ok(()))
            .await
            .map_err(|error| {
                format!(
                    "reach the host {} ([hosts.{}] in vtbuild.toml): {error}",
                    self.name, self.name
                )
            })
    }

    /// What is true of everything that is built there, for keys.
    pub(super) fn declared(&self) -> Declared {
        let place = format!("{}@{}:{}", self.user, self.address, self.port);
        (Arc::from("host"), Some(Arc::from(place)))
    }

    /// The action that asks it for its toolchain.
    pub(super) fn spec(self: &Arc<Self>) -> Spec {
        let mut spec = Spec::new(TOOLCHAIN, format!("host {}", self.name));
        spec.declared = Box::new([self.declared()]);
        spec.claim = Claim {
            memory_mib: 16,
            vcpus: 0,
        };
        spec.payload = self.clone();
        spec
    }
}

/// Asks hosts for their toolchains: in each run, because nobody else can tell whether they were changed.
pub struct ToolchainRule;

#[async_trait]
impl Rule for ToolchainRule {
    fn name(&self) -> RuleName {
        TOOLCHAIN
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        Err(DeclareError::of(variant, "a toolchain is no variant's"))
    }

    async fn execute(&self, job: Job) -> Outcome {
        let host = job
            .spec
            .payload
            .clone()
            .downcast::<BuildHost>()
            .expect("a toolchain action carries its host");
        tokio::select! {
            asked = ask(&host, &job) => match asked {
                Ok(outcome) => outcome,
                Err(reason) => Outcome::ended(Status::Error, format!("failed to {reason}")),
            },
            reason = job.cancel.cancelled() => Outcome::ended(Status::Interrupt, reason.to_string()),
        }
    }
}

async fn ask(host: &Arc<BuildHost>, job: &Job) -> Result<Outcome, String> {
    let connection = host.connect().await?;
    let place = format!("the host {}", host.name);
    let answer = in_thread(connection, PATIENCE, move |connection| {
        toolchain(connection, &place)
    });
    let answer = answer
        .await
        .ok_or_else(|| {
            format!(
                "ask the host {} for its toolchain within {} s",
                host.name,
                PATIENCE.as_secs()
            )
        })?
        .map_err(|error| error.to_string())?;
    let path = job.scratch.join(ANSWER);
    std::fs::write(&path, &answer).map_err(|error| format!("write {path}: {error}"))?;
    Ok(Outcome {
        keep: Keep::Afresh,
        outputs: vec![Produced {
            name: ANSWER.to_owned(),
            path,
        }],
        ..Outcome::pass()
    })
}
