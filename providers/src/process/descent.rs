//! Every process below one of ours: finding them in `/proc` and killing them to the last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

/// One line of `/proc/PID/stat`, as far as it matters here. A process is the same one as long as both its number and its start
/// time are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    started: u64,
}

/// Kills every descendant of this process and reaps it, until none is left. Calls `reaped` for each process reaped.
///
/// This process must be a child subreaper, or descendants whose parent ended would be out of reach.
pub(super) fn kill_all(mut reaped: impl FnMut(Pid, WaitStatus)) {
    let mut pause = Duration::from_millis(1);
    loop {
        // Whoever is below us is below a child of ours. Mostly there is none any more, and thousands of processes of others
        // need not be looked at.
        if !reap(&mut reaped) {
            return;
        }
        let alive = descendants(std::process::id().cast_signed());
        if alive.is_empty() {
            return;
        }
        for (pid, stat) in alive {
            kill(pid, stat);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Reaps all children that have ended. Returns whether others are left.
pub(super) fn reap(reaped: &mut impl FnMut(Pid, WaitStatus)) -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => reaped(pid, status),
            Ok(None) => return true,
            Err(error) => return error != Errno::CHILD,
        }
    }
}

/// Kills the process unless its number has been given to another one since it was listed.
fn kill(pid: i32, stat: Stat) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if read_stat(pid.as_raw_nonzero().get()).is_some_and(|now| now.started == stat.started) {
        // A process that ended in between needs no killing.
        let _ = rustix::process::pidfd_send_signal(&handle, Signal::KILL);
    }
}

/// All processes below `root`, which itself is not among them.
fn descendants(root: i32) -> BTreeMap<i32, Stat> {
    let all = processes();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            all.iter()
                .filter(|(_, stat)| found.contains(&stat.parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            break;
        }
    }
    found.remove(&root);
    all.into_iter().filter(|(pid, _)| found.contains(pid)).collect()
}

fn processes() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, read_stat(pid)?)))
        .collect()
}

fn read_stat(pid: i32) -> Option<Stat> {
    // The command name may hold anything but is between the first "(" and the last ")"; it need not be UTF-8.
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&bytes))
}

fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_look_like_anything() {
        let line = "4242 (a) b (c) S 17 4242 4242 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 998877 1000 2";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                parent: 17,
                started: 998_877
            })
        );
        assert_eq!(parse_stat("no parenthesis"), None);
    }

    #[test]
    fn a_child_is_a_descendant_and_so_is_its_child() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 60; true"])
            .spawn()
            .unwrap();
        let me = std::process::id().cast_signed();
        let child_pid = child.id().cast_signed();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let grandchild = loop {
            let below = descendants(me);
            assert!(below.contains_key(&child_pid));
            if let Some((pid, _)) = below.iter().find(|(_, stat)| stat.parent == child_pid) {
                break *pid;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "the shell never started its child"
            );
        };
        assert_eq!(
            descendants(child_pid).keys().copied().collect::<Vec<_>>(),
            [grandchild]
        );
        for pid in [child_pid, grandchild] {
            kill(pid, read_stat(pid).unwrap());
        }
        child.wait().unwrap();
    }
}
