//! The accelerator under a guest: which one works on this host, found out by trying.
//!
//! `/dev/kvm` may open, answer every question well, and still be of no use: nested or emulated virtualization runs some
//! instructions wrongly and others a thousand times too slowly. So a guest of 512 bytes is run on both accelerators. KVM is
//! taken only when it does that guest's work rightly, and in a time of the order of what translation needs.
//!
//! Measured on a host whose `/dev/kvm` opens and whose Debian kernel is still looking for its memory after 40 s (2 s translated):
//!
//! | work of the tiny guest | translated | KVM there |
//! |---|--:|--:|
//! | none (firmware only) | 0.08 s | 2.7 s |
//! | touch 90 MiB | 0.16 s | 2.8 s |
//! | 1,000 times `cpuid` | 0.17 s | 4.2 s |
//! | 1,000 port writes | 0.18 s | 6.0 s |
//! | 50 million steps of a loop | 0.33 s | not done in 30 s |
//! | paging on, 10,000 reloads of the directory | 0.17 s | resets: wrong |
//!
//! The guest that is used does all of these, fewer times; it takes 0.25 s translated and ends wrongly after 2.7 s with that KVM.
//! The answer is remembered until the host reboots (see `memo`), so that only the first run after a boot pays for it.

mod boot_sector;
mod memo;
mod probe;

use std::fmt;
use std::fs::OpenOptions;

use camino::Utf8Path;

use crate::params::{ParamError, Params};
use crate::process::Launcher;
use crate::qemu::Qemu;

pub use probe::AccelError;

/// How QEMU runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// On the processor, through `/dev/kvm`.
    Kvm,
    /// Translated, by QEMU's own code generator: works everywhere, several times slower.
    Tcg,
}

/// The accelerator of this host and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// The accelerator to be used.
    pub accel: Accel,
    /// Why this one: a sentence's second half, for people.
    pub reason: String,
}

impl Accel {
    /// The name after `-accel`.
    pub fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }

    /// What the parameters insist on: `vm_accelerator`, else `disable_kvm = yes` or `enable_kvm = no`. Mostly nothing.
    ///
    /// # Errors
    /// [`ParamError`] for an accelerator that is neither `kvm` nor `tcg`.
    pub fn from_params(params: &Params) -> Result<Option<Accel>, ParamError> {
        match params.text("vm_accelerator") {
            Some("kvm") => return Ok(Some(Accel::Kvm)),
            Some("tcg") => return Ok(Some(Accel::Tcg)),
            Some(_) => return Err(params.bad("vm_accelerator", "kvm or tcg")),
            None => {}
        }
        let refused =
            params.switch("disable_kvm")? == Some(true) || params.switch("enable_kvm")? == Some(false);
        Ok(refused.then_some(Accel::Tcg))
    }

    /// Finds the accelerator that works here. The answer is remembered in the file `memo`.
    ///
    /// # Errors
    /// See [`AccelError`]: not even translation works, so QEMU itself is broken.
    pub async fn find(launcher: &Launcher, qemu: &Qemu, memo: &Utf8Path) -> Result<Finding, AccelError> {
        // Looked at each time: a user may have been given the right to use it since.
        if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
            return Ok(Finding {
                accel: Accel::Tcg,
                reason: format!("/dev/kvm does not open: {error}"),
            });
        }
        let circumstances = memo::Circumstances::now(qemu);
        if let Some(finding) = memo::recall(memo, &circumstances) {
            return Ok(finding);
        }
        let finding = probe::compare(launcher, qemu).await?;
        memo::remember(memo, &circumstances, &finding);
        Ok(finding)
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(key: &str, value: &str) -> Result<Option<Accel>, ParamError> {
        Accel::from_params(&[(key, value)].into_iter().collect())
    }

    #[test]
    fn parameters_may_insist() {
        assert_eq!(wanted("vm_accelerator", "tcg"), Ok(Some(Accel::Tcg)));
        assert_eq!(wanted("vm_accelerator", "kvm"), Ok(Some(Accel::Kvm)));
        assert_eq!(wanted("enable_kvm", "no"), Ok(Some(Accel::Tcg)));
        assert_eq!(wanted("disable_kvm", "yes"), Ok(Some(Accel::Tcg)));
        assert_eq!(wanted("enable_kvm", "yes"), Ok(None));
        assert_eq!(wanted("vm_accelerator", "xen").unwrap_err().key, "vm_accelerator");
    }
}
