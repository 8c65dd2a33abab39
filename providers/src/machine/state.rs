//! QEMU's run states.

use std::fmt;

/// What a machine is doing, in QEMU's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// The guest runs.
    Running,
    /// Stopped by us.
    Paused,
    /// Not started yet.
    Prelaunch,
    /// Waits for, or takes in, a migration.
    InMigrate,
    /// Has migrated away.
    PostMigrate,
    /// In the last phase of migrating away.
    FinishMigrate,
    /// The guest has shut down.
    Shutdown,
    /// The guest has panicked.
    Panicked,
    /// Any other, as QEMU names it.
    Other(String),
}

impl RunState {
    /// From QEMU's name.
    pub fn parse(name: &str) -> RunState {
        match name {
            "running" => RunState::Running,
            "paused" => RunState::Paused,
            "prelaunch" => RunState::Prelaunch,
            "inmigrate" => RunState::InMigrate,
            "postmigrate" => RunState::PostMigrate,
            "finish-migrate" => RunState::FinishMigrate,
            "shutdown" => RunState::Shutdown,
            "guest-panicked" => RunState::Panicked,
            other => RunState::Other(other.to_owned()),
        }
    }

    /// QEMU's name.
    pub fn name(&self) -> &str {
        match self {
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::Prelaunch => "prelaunch",
            RunState::InMigrate => "inmigrate",
            RunState::PostMigrate => "postmigrate",
            RunState::FinishMigrate => "finish-migrate",
            RunState::Shutdown => "shutdown",
            RunState::Panicked => "guest-panicked",
            RunState::Other(name) => name,
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        for name in [
            "running",
            "paused",
            "inmigrate",
            "postmigrate",
            "guest-panicked",
            "io-error",
        ] {
            assert_eq!(RunState::parse(name).name(), name);
        }
    }
}
