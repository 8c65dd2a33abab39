//! What `qemu-img` reports, typed.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `qemu-img info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageInfo {
    /// The file.
    pub filename: Utf8PathBuf,
    /// The format.
    pub format: String,
    /// Size that a guest sees, in bytes.
    pub virtual_size: u64,
    /// Bytes that the file takes on the host.
    #[serde(default)]
    pub actual_size: u64,
    /// Bytes of a cluster, for formats that have them.
    pub cluster_size: Option<u64>,
    /// The backing file as the image names it.
    pub backing_filename: Option<Utf8PathBuf>,
    /// The backing file's path, relative names resolved.
    pub full_backing_filename: Option<Utf8PathBuf>,
    /// The backing file's format.
    pub backing_filename_format: Option<String>,
    /// Whether the image is marked as not closed in order.
    #[serde(default)]
    pub dirty_flag: bool,
    /// Internal snapshots.
    #[serde(default)]
    pub snapshots: Vec<Value>,
    /// What is particular to the format.
    #[serde(default)]
    pub format_specific: Value,
}

/// `qemu-img check`, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Nothing is wrong.
    Good,
    /// Clusters are marked as used and are not: space is lost, data is not.
    Leaks {
        /// How many.
        clusters: u64,
    },
    /// Data is damaged.
    Corrupt {
        /// How many places.
        errors: u64,
        /// What `qemu-img` said about them.
        report: String,
    },
    /// The check itself did not come to its end.
    Unfinished {
        /// What `qemu-img` said.
        report: String,
    },
    /// The format has nothing to check.
    Unsupported,
}

impl CheckOutcome {
    /// From the exit status, the report and what was printed.
    pub(super) fn judge(status: i32, stdout: &str, stderr: &str) -> CheckOutcome {
        let report: Value = serde_json::from_str(stdout).unwrap_or_default();
        let number = |key: &str| report[key].as_u64().unwrap_or(0);
        let said = || {
            if stderr.trim().is_empty() {
                stdout.trim().to_owned()
            } else {
                stderr.trim().to_owned()
            }
        };
        match status {
            0 => CheckOutcome::Good,
            2 => CheckOutcome::Corrupt {
                errors: number("corruptions"),
                report: said(),
            },
            3 => CheckOutcome::Leaks {
                clusters: number("leaks"),
            },
            63 => CheckOutcome::Unsupported,
            _ => CheckOutcome::Unfinished { report: said() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_told_apart() {
        let judge = CheckOutcome::judge;
        assert_eq!(judge(0, "{}", ""), CheckOutcome::Good);
        assert_eq!(
            judge(3, r#"{"leaks": 4}"#, ""),
            CheckOutcome::Leaks { clusters: 4 }
        );
        let corrupt = CheckOutcome::Corrupt {
            errors: 1,
            report: "ERROR cluster 7".into(),
        };
        assert_eq!(judge(2, r#"{"corruptions": 1}"#, "ERROR cluster 7\n"), corrupt);
        assert_eq!(judge(63, "", ""), CheckOutcome::Unsupported);
        assert_eq!(
            judge(1, "", "no such file\n"),
            CheckOutcome::Unfinished {
                report: "no such file".into()
            }
        );
    }

    #[test]
    fn an_overlay_names_its_backing_file() {
        let text = r#"{"virtual-size": 1048576, "filename": "o.qcow2", "cluster-size": 65536, "format": "qcow2",
            "actual-size": 200704, "full-backing-filename": "/d/b.qcow2", "backing-filename": "b.qcow2",
            "backing-filename-format": "qcow2", "dirty-flag": false}"#;
        let info: ImageInfo = serde_json::from_str(text).unwrap();
        assert_eq!(info.full_backing_filename.as_deref(), Some("/d/b.qcow2".into()));
        assert_eq!((info.virtual_size, info.cluster_size), (1 << 20, Some(65536)));
    }
}
