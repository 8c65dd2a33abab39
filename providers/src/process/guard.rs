//! The guard: what vtbuild becomes when it is started as `vtbuild __guard ...`.
//!
//! It speaks over the link in lines: `started PID` or `failed REASON` once, then `code N` or `signal N` when the command
//! and all its descent are dead. From the link it takes a byte as a farewell (nobody else is left to write to what it removes)
//! and the end as the order to kill and go.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use super::descent;
use super::duties;
use super::limits::Limit;
use super::remove;

/// The first argument that turns a program into a guard.
pub const WORD: &str = "__guard";

/// How often a folder has to be found gone when we were abandoned: half a second.
const ABANDONED_LOOKS: u32 = 20;

/// How often the host is put back when we were abandoned, and the time between: what a test has started may take a while to
/// die.
const ABANDONED_TURNS: u32 = 4;
const ABANDONED_PAUSE: Duration = Duration::from_millis(500);

/// How long a path may refuse to be removed.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(30);

/// Becomes a guard when the first argument says so, and then never returns.
///
/// The first thing that `main` does in every program whose path is given to a [`Launcher`](super::Launcher).
#[expect(
    clippy::disallowed_methods,
    reason = "a guard has done all its work, and its caller must not go on as vtbuild"
)]
pub fn run_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == WORD) {
        let code = Orders::parse(args).and_then(run).map_or(2, |()| 0);
        std::process::exit(code);
    }
}

/// The guard's arguments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Orders {
    link: Option<RawFd>,
    /// Standard input, output and error of the command.
    streams: [Option<RawFd>; 3],
    /// Descriptors that the command inherits under their own number.
    fds: Vec<RawFd>,
    remove: Vec<PathBuf>,
    /// What a shell runs before that.
    run: Vec<OsString>,
    /// What holds for the command.
    limits: Vec<Limit>,
    /// A child that a fork server made before it became this guard: the command.
    adopt: Option<Pid>,
    /// The command; without any, the guard is a janitor.
    command: Vec<OsString>,
}

impl Orders {
    fn parse(mut args: impl Iterator<Item = OsString>) -> io::Result<Orders> {
        let mut orders = Orders::default();
        while let Some(option) = args.next() {
            if option == "--" {
                orders.command = args.collect();
                break;
            }
            let value = args.next().ok_or_else(invalid)?;
            match option.to_str() {
                Some("--remove") => orders.remove.push(value.into()),
                Some("--run") => orders.run.push(value),
                Some("--limit") => {
                    let limit = value.to_str().and_then(Limit::parse);
                    orders.limits.push(limit.ok_or_else(invalid)?);
                }
                Some("--link") => orders.link = Some(number(&value)?),
                Some("--stdin") => orders.streams[0] = Some(number(&value)?),
                Some("--stdout") => orders.streams[1] = Some(number(&value)?),
                Some("--stderr") => orders.streams[2] = Some(number(&value)?),
                Some("--fd") => orders.fds.push(number(&value)?),
                Some("--adopt") => orders.adopt = number(&value).map(Pid::from_raw)?,
                _ => return Err(invalid()),
            }
        }
        Ok(orders)
    }
}

fn invalid() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

fn number(text: &OsString) -> io::Result<RawFd> {
    text.to_str()
        .and_then(|text| text.parse().ok())
        .filter(|fd| *fd > 2)
        .ok_or_else(invalid)
}

/// Takes possession of an inherited descriptor and keeps it from being inherited any further.
fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the number comes from our own launcher, which names every descriptor once and passes all of them; nothing
    // else in this process, which has just started, owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

impl Orders {
    fn owns(&self, number: RawFd) -> bool {
        let mut given = self
            .link
            .iter()
            .chain(self.streams.iter().flatten())
            .chain(&self.fds);
        given.any(|given| *given == number)
    }
}

/// Closes what we inherited by somebody's mistake: a lock or the end of a pipe that we would hold for as long as we live.
fn close_strangers(orders: &Orders) -> io::Result<()> {
    let listed = std::fs::read_dir("/proc/self/fd")?.flatten();
    let numbers: Vec<RawFd> = listed
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers
        .into_iter()
        .filter(|number| *number > 2 && !orders.owns(*number))
    {
        // SAFETY: only looked at; a number that is no longer open gives an error.
        let open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_ok();
        if open {
            // SAFETY: this process has just started and opened nothing itself, so nobody here owns it.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    Ok(())
}

fn run(orders: Orders) -> io::Result<()> {
    close_strangers(&orders)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let link = inherited(orders.link.ok_or_else(invalid)?)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(guard(link, orders))
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing in a guard depends on its folder, which may have to be removed"
)]
async fn guard(link: OwnedFd, orders: Orders) -> io::Result<()> {
    // Handlers instead of "ignore": the command must not inherit deafness.
    let _deaf = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal);
    let mut child_ended = signal(SignalKind::child())?;
    let link = std::os::unix::net::UnixStream::from(link);
    link.set_nonblocking(true)?;
    let mut link = UnixStream::from_std(link)?;
    let remove = orders.remove.clone();
    let run = orders.run.clone();
    let mut status = None;
    // A janitor's, to the end.
    let mut held = Vec::new();
    let child = if orders.command.is_empty() {
        for number in &orders.fds {
            held.push(inherited(*number)?);
        }
        orders.adopt
    } else {
        match start(orders) {
            Ok(pid) => Some(pid),
            Err(error) => {
                remove
                    .iter()
                    .for_each(|path| remove::until_gone(path, 1, REMOVAL_PATIENCE));
                return say(&mut link, &format!("failed {error}")).await;
            }
        }
    };
    // The command's folder may have to go before we do.
    std::env::set_current_dir("/")?;
    let started = child.map_or(0, |pid| pid.as_raw_nonzero().get());
    // We may have been left already; the read below says so.
    let _ = say(&mut link, &format!("started {started}")).await;
    let mut farewell = false;
    // A child that was adopted may have ended before anybody listened.
    descent::reap(&mut note(child, &mut status));
    while status.is_none() {
        tokio::select! {
            end = link.read_u8() => match end {
                Ok(_) => farewell = true,
                Err(_) => break,
            },
            _ = child_ended.recv() => {
                descent::reap(&mut note(child, &mut status));
            }
        }
    }
    descent::kill_all(note(child, &mut status));
    // With our own descent dead nobody writes there any more; but a janitor whose vtbuild was killed may be faster than
    // the other guards.
    let (looks, turns) = if child.is_some() || farewell {
        (1, 1)
    } else {
        (ABANDONED_LOOKS, ABANDONED_TURNS)
    };
    let undone = put_back(&run, turns);
    remove
        .iter()
        .for_each(|path| remove::until_gone(path, looks, REMOVAL_PATIENCE));
    descent::kill_all(|_, _| {});
    drop(held);
    let words = match child {
        Some(_) => last_words(status),
        None => format!("code {undone}"),
    };
    let _ = say(&mut link, &words).await;
    Ok(())
}

/// Undoes what was done to the host; gives the exit status of the last turn.
fn put_back(run: &[OsString], turns: u32) -> i32 {
    if run.is_empty() {
        return 0;
    }
    let mut code = duties::carry_out(run);
    for _ in 1..turns {
        std::thread::sleep(ABANDONED_PAUSE);
        code = duties::carry_out(run);
    }
    code
}

/// Records the status of the command among those of all that are reaped.
fn note(child: Option<Pid>, status: &mut Option<WaitStatus>) -> impl FnMut(Pid, WaitStatus) {
    move |pid, ended| {
        if Some(pid) == child {
            *status = Some(ended);
        }
    }
}

fn last_words(status: Option<WaitStatus>) -> String {
    match status.map(|status| (status.exit_status(), status.terminating_signal())) {
        Some((Some(code), _)) => format!("code {code}"),
        Some((_, Some(signal))) => format!("signal {signal}"),
        _ => "code 0".to_owned(),
    }
}

async fn say(link: &mut UnixStream, line: &str) -> io::Result<()> {
    link.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
        .await
}

/// Starts the command. What it was given is closed here on return, so that ends of pipes and sockets have no holder but it.
fn start(orders: Orders) -> io::Result<Pid> {
    // They hold for the guard, too, which needs next to nothing.
    orders.limits.iter().try_for_each(Limit::set)?;
    let mut words = orders.command.into_iter();
    let program = words.next().ok_or_else(invalid)?;
    let mut command = Command::new(&program);
    command.args(words);
    let [stdin, stdout, stderr] = orders.streams;
    command
        .stdin(stream(stdin)?)
        .stdout(stream(stdout)?)
        .stderr(stream(stderr)?);
    let kept = orders
        .fds
        .into_iter()
        .map(inherited)
        .collect::<io::Result<Vec<_>>>()?;
    let guard = rustix::process::getpid();
    let child = {
        let numbers: Vec<_> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        let prepare = move || prepare(&numbers, guard);
        // SAFETY: `prepare` makes system calls only: no allocation, no lock.
        unsafe { command.pre_exec(prepare) }.spawn()
    };
    drop(kept);
    let child = child.map_err(|error| with_reason(&error))?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(invalid)
}

fn with_reason(error: &io::Error) -> io::Error {
    // The text of an OS error ends in "(os error N)", which says nothing to the reader that the words do not.
    let text = error.to_string();
    io::Error::new(
        error.kind(),
        text.split(" (os error").next().unwrap_or_default().to_owned(),
    )
}

/// Runs in the forked child before the command replaces it.
fn prepare(kept: &[RawFd], guard: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(guard) {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe));
    }
    for number in kept {
        // SAFETY: the guard, of which this is a copy, owns the descriptor until the fork is over.
        let fd = unsafe { BorrowedFd::borrow_raw(*number) };
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    }
    Ok(())
}

fn stream(fd: Option<RawFd>) -> io::Result<Stdio> {
    fd.map_or_else(|| Ok(Stdio::null()), |fd| inherited(fd).map(Stdio::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> io::Result<Orders> {
        Orders::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn orders_end_where_the_command_begins() {
        let orders = parse(&[
            "--link", "7", "--fd", "9", "--remove", "/x", "--", "qemu", "--fd", "3",
        ])
        .unwrap();
        assert_eq!((orders.link, orders.fds.as_slice()), (Some(7), [9].as_slice()));
        assert_eq!(orders.command, ["qemu", "--fd", "3"]);
        assert_eq!(orders.remove, [PathBuf::from("/x")]);
        let adopts = parse(&["--link", "7", "--adopt", "4711"]).unwrap();
        assert_eq!((adopts.adopt, adopts.command.len()), (Pid::from_raw(4711), 0));
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [["--link", "x"], ["--what", "3"], ["--fd", "1"]] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
        assert!(parse(&["--link"]).is_err());
    }
}
