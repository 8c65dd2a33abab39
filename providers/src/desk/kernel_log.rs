//! Signs of a crashed kernel in what a guest printed on its serial port.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use camino::Utf8Path;

/// What a Linux kernel prints when it is beyond help.
const CRASHES: [&str; 5] = [
    "Kernel panic - not syncing",
    "BUG: unable to handle",
    "BUG: kernel NULL pointer dereference",
    "kernel BUG at ",
    "Unable to handle kernel ",
];
/// The beginning of the counter in "Oops: 0002 [#1] PREEMPT SMP", the first line of every report of a dying kernel.
const DEATH_COUNTER: &str = " [#";
/// How much of a log is looked at, from the end.
const LOOKED_AT: u64 = 4 << 20;
/// How many lines are shown from the first sign on.
const SHOWN: usize = 30;

/// The lines from the first sign of a crash on, if there is one.
pub(super) fn crash(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let first = lines.iter().position(|line| is_sign(line))?;
    let shown: Vec<&str> = lines[first..]
        .iter()
        .take(SHOWN)
        .map(|line| line.trim_end())
        .collect();
    Some(shown.join("\n"))
}

fn is_sign(line: &str) -> bool {
    CRASHES.iter().any(|sign| line.contains(sign))
        || line.split_once(DEATH_COUNTER).is_some_and(|(before, after)| {
            after.starts_with(|letter: char| letter.is_ascii_digit())
                && ["Oops", "fault", "error", "opcode", "BUG"]
                    .iter()
                    .any(|word| before.contains(word))
        })
}

/// The last lines that are not blank.
pub(super) fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The end of a log. Empty where it cannot be read: a serial port that nobody has written to has none.
pub(super) fn read(path: &Utf8Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_AT)))?;
        file.read_to_end(&mut bytes)
    });
    if let Err(error) = read {
        tracing::debug!(%path, %error, "a serial log cannot be read");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_and_shown_with_what_follows() {
        let log =
            "[1.0] fine\r\n[2.0] Kernel panic - not syncing: Attempted to kill init!\r\n[2.1] CPU: 0\r\n";
        let shown = crash(log).expect("a crash");
        assert_eq!(
            shown,
            "[2.0] Kernel panic - not syncing: Attempted to kill init!\n[2.1] CPU: 0"
        );
    }

    #[test]
    fn an_oops_is_one_and_a_program_that_crashes_is_none() {
        for line in [
            "[ 9.1] Oops: 0002 [#1] PREEMPT SMP NOPTI",
            "[ 9.1] general protection fault: 0000 [#1] SMP PTI",
            "[ 9.1] invalid opcode: 0000 [#2] SMP",
            "[ 9.1] BUG: kernel NULL pointer dereference, address: 0000000000000000",
        ] {
            assert_eq!(crash(line).as_deref(), Some(line));
        }
        for line in [
            "[ 9.1] traps: a.out[77] general protection fault ip:401000 sp:7ffc error:0 in a.out",
            "[ 9.1] a.out[77]: segfault at 0 ip 0 sp 0 error 14",
            "mdadm: error on disk [#x]",
        ] {
            assert_eq!(crash(line), None);
        }
    }

    #[test]
    fn an_ordinary_boot_is_no_crash() {
        let log = "[0.0] Command line: panic=1 oops=panic\r\n[0.1] debug: BUGs are checked\r\nlogin: ";
        assert_eq!(crash(log), None);
        assert_eq!(last_lines("a\n\nb\r\nc\n", 2), "b\nc");
        assert_eq!(read(Utf8Path::new("/nowhere/serial.log")), "");
    }
}
