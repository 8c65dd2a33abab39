//! What QEMU's programs answered to tests: kept for each set of programs.

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::{Digest, hold};
use vtbuild_providers::qemu::Qemu;

/// The folder of what QEMU answered, which is not collected meanwhile.
pub(super) fn probes_of(trees: &Utf8Path, qemu: &Qemu) -> Result<Utf8PathBuf, String> {
    let probes = trees.with_file_name("probes").join(answers_of(qemu));
    std::fs::create_dir_all(&probes).map_err(|error| format!("make {probes}: {error}"))?;
    // Where another process is about to collect it, questions are asked again: nothing else is lost.
    let _ = hold(&probes);
    Ok(probes)
}

/// What the answers of QEMU's programs depend on, in one word.
fn answers_of(qemu: &Qemu) -> String {
    let programs = [Some(&qemu.binary), Some(&qemu.img), qemu.io.as_ref()];
    let mut contents = String::new();
    for program in programs.into_iter().flatten() {
        // A program that cannot be read is told by its path alone: it is the same for as long as nobody can replace it.
        let digest = Digest::of_file(program).map(|(digest, _)| digest.to_string());
        contents.push_str(&digest.unwrap_or_else(|_| program.to_string()));
    }
    Digest::of(contents.as_bytes()).short()
}
