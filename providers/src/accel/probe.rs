//! Runs the tiny guest and judges.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use super::boot_sector::{EXIT_PORT, MEM_MIB, RIGHT, boot_sector};
use super::{Accel, Finding};
use crate::process::{Command, Exit, Launcher, OutputError};
use crate::qemu::Qemu;

/// Translation needs a quarter of a second; what takes this long on a loaded host is broken.
const TCG_PATIENCE: Duration = Duration::from_secs(60);

/// KVM needs less than translation. The factor leaves room for a host that is loaded just then, the bounds for a host that
/// is very fast or very slow.
const KVM_FACTOR: u32 = 4;
const KVM_PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));

/// Why no accelerator was found.
#[derive(Debug, thiserror::Error)]
pub enum AccelError {
    /// The guest's disk, which is in memory.
    #[error("write a boot sector to memory: {0}")]
    File(#[from] io::Error),
    /// QEMU does not run the guest.
    #[error("run a tiny guest with {qemu}: {source}")]
    Run {
        /// The program.
        qemu: camino::Utf8PathBuf,
        /// Why.
        source: OutputError,
    },
    /// QEMU runs it wrongly, even translated.
    #[error("run a tiny guest with {qemu}: it ended with {exit} and said: {stderr}")]
    Broken {
        /// The program.
        qemu: camino::Utf8PathBuf,
        /// How it ended.
        exit: Exit,
        /// What it printed.
        stderr: String,
    },
}

/// Runs the guest translated, then with KVM.
pub(super) async fn compare(launcher: &Launcher, qemu: &Qemu) -> Result<Finding, AccelError> {
    // A file without a name: there is nothing to be left behind.
    let mut disk = File::from(memfd_create("boot-sector", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
    disk.write_all(&boot_sector())?;
    let begun = Instant::now();
    let output = launcher
        .output(command(qemu, Accel::Tcg, disk.try_clone()?), TCG_PATIENCE)
        .await;
    let output = output.map_err(|source| AccelError::Run {
        qemu: qemu.binary.clone(),
        source,
    })?;
    if output.exit != Exit::Code(RIGHT) {
        let stderr = output.stderr.trim().to_owned();
        return Err(AccelError::Broken {
            qemu: qemu.binary.clone(),
            exit: output.exit,
            stderr,
        });
    }
    let translated = begun.elapsed();
    let patience = (translated * KVM_FACTOR).clamp(KVM_PATIENCE.0, KVM_PATIENCE.1);
    let begun = Instant::now();
    let output = launcher
        .output(command(qemu, Accel::Kvm, disk.try_clone()?), patience)
        .await;
    Ok(judge(
        output.map(|output| output.exit),
        begun.elapsed(),
        translated,
    ))
}

fn command(qemu: &Qemu, accel: Accel, disk: File) -> Command {
    let mut command = Command::new(&qemu.binary);
    let number = command.pass_fd(disk);
    command
        .args([
            "-accel",
            accel.name(),
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-m".to_owned(), format!("{MEM_MIB}M")])
        .args(["-drive", &format!("file=/dev/fd/{number},format=raw,if=ide")])
        .args([
            "-device",
            &format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"),
        ])
}

fn judge(kvm: Result<Exit, OutputError>, took: Duration, translated: Duration) -> Finding {
    let (took, translated) = (took.as_secs_f64(), translated.as_secs_f64());
    let tcg = |reason: String| Finding {
        accel: Accel::Tcg,
        reason,
    };
    match kvm {
        Ok(Exit::Code(RIGHT)) => Finding {
            accel: Accel::Kvm,
            reason: format!("a tiny guest took {took:.2} s with KVM and {translated:.2} s translated"),
        },
        Ok(exit) => tcg(format!(
            "KVM runs a tiny guest wrongly ({exit} after {took:.2} s; right after {translated:.2} s translated)"
        )),
        Err(OutputError::Timeout { .. }) => tcg(format!(
            "a tiny guest was not done with KVM in {took:.2} s; translated it takes {translated:.2} s"
        )),
        Err(error) => tcg(format!("QEMU does not run with KVM: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_right_answer_in_time_counts() {
        assert_eq!(
            judge(Ok(Exit::Code(RIGHT)), SECOND / 10, SECOND).accel,
            Accel::Kvm
        );
        assert_eq!(
            judge(Ok(Exit::Code(RIGHT + 2)), SECOND / 10, SECOND).accel,
            Accel::Tcg
        );
        assert_eq!(judge(Ok(Exit::Code(0)), SECOND / 10, SECOND).accel, Accel::Tcg);
        let late = OutputError::Timeout {
            command: "qemu".into(),
            timeout: SECOND,
            stderr: String::new(),
        };
        let finding = judge(Err(late), SECOND * 4, SECOND);
        assert_eq!(
            finding.reason,
            "a tiny guest was not done with KVM in 4.00 s; translated it takes 1.00 s"
        );
    }
}
