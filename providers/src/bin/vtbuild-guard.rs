//! The guard on its own, for tests of this crate: the real program is its own guard.

fn main() {
    vtbuild_providers::process::guard::run_if_asked();
    std::process::exit(2);
}
