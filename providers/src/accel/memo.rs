//! Remembers which accelerator works, for as long as nothing changes that it depends on.

use std::fs;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Finding;
use crate::memo;
use crate::qemu::Qemu;

/// What a finding depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Circumstances {
    /// Another one after every boot of the host.
    boot_id: String,
    kernel: String,
    /// Which QEMU, as it enters keys.
    qemu: Value,
}

#[derive(Serialize, Deserialize)]
struct Memo {
    circumstances: Circumstances,
    finding: Finding,
}

impl Circumstances {
    pub(super) fn now(qemu: &Qemu) -> Circumstances {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Circumstances {
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel: read("/proc/sys/kernel/osrelease"),
            qemu: serde_json::to_value(&qemu.identity).unwrap_or_default(),
        }
    }
}

/// The finding in the file, if it was made under these circumstances.
pub(super) fn recall(path: &Utf8Path, now: &Circumstances) -> Option<Finding> {
    let memo: Memo = memo::recall(path)?;
    (memo.circumstances == *now).then_some(memo.finding)
}

/// Writes the finding down. Where that fails, the next run finds out again.
pub(super) fn remember(path: &Utf8Path, now: &Circumstances, finding: &Finding) {
    let memo = Memo {
        circumstances: now.clone(),
        finding: finding.clone(),
    };
    memo::remember(path, &memo);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accel::Accel;

    #[test]
    fn a_finding_holds_until_the_host_reboots() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("deep/accel.json");
        let now = Circumstances {
            boot_id: "a".into(),
            kernel: "6".into(),
            qemu: Value::Null,
        };
        let finding = Finding {
            accel: Accel::Tcg,
            reason: "slow".into(),
        };
        assert_eq!(recall(&path, &now), None);
        remember(&path, &now, &finding);
        assert_eq!(recall(&path, &now), Some(finding));
        assert_eq!(
            recall(
                &path,
                &Circumstances {
                    boot_id: "b".into(),
                    ..now.clone()
                }
            ),
            None
        );
    }
}
