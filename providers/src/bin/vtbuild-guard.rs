//! The guard on its own, for tests of this crate: the real program is its own guard.

use std::process::ExitCode;

fn main() -> ExitCode {
    vtbuild_providers::process::guard::run_if_asked();
    ExitCode::from(2)
}
