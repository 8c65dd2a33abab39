//! Machines that begin from a saved state, and saving them.
//!
//! A guest that was saved an hour ago takes it to be an hour ago, and draws the same random numbers as every other copy of it.
//! So it is greeted before anybody else sees it: somebody enters, sets its clock, and mixes new entropy in. That is its health
//! check, too, and the session is not wasted: the first login of the test is given it. Where a shell waits in the state
//! (`standing`), it is the one who is asked; elsewhere, and where it does not answer, somebody logs in over ssh.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use tokio::time::{Instant, sleep};

use super::access::Entry;
use super::create::{Beginning, Saved, StartError};
use super::{Desk, settings};
use crate::host::protocol::CallError;
use crate::machine::{Machine, MachineError};
use crate::params::Params;
use crate::session::Shell;
use crate::session::login::Pace;

/// How long QEMU may take to read or write a state.
const STATE_PATIENCE: Duration = Duration::from_secs(120);
/// How long a guest that is up may take to let somebody in and to do what it is told. An emulated one on a busy host takes a
/// few seconds.
pub(super) const GREETING_PATIENCE: Duration = Duration::from_secs(30);
/// How long a shell that was kept since the greeting may take to show that it is still there.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);
/// How long a guest may take to become quiet after it has let somebody in. One that never does is saved as it is.
const SETTLE_PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// So many quiet looks in a row make a quiet guest.
const QUIET_LOOKS: usize = 4;
/// Below this share of a processor a guest is quiet.
const QUIET: f64 = 0.25;
/// How long QEMU may take to end once its state is saved.
const QUIT_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of entropy that a guest is given.
const ENTROPY: usize = 32;
/// What a guest says that has done as it was told: nobody finds it in the command itself.
const DONE: &str = "greeted:42";

/// How a guest that was resumed was entered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSession {
    /// By the shell that waits in its state.
    Standing,
    /// By a login over ssh.
    Login,
}

/// Why a machine did not begin from a state.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its guest lets nobody in.
    #[error("{0}")]
    Login(CallError),
    /// Its guest does not do what it is told.
    #[error("set the clock of {vm} and give it entropy: {said}")]
    Greeting {
        /// The machine.
        vm: String,
        /// What came instead.
        said: String,
    },
}

impl Desk {
    /// Starts the machine `vm` from a saved state, and greets its guest. Its disks must be as they were then. Says by which
    /// session.
    ///
    /// # Errors
    /// See [`ResumeError`]. No machine of that name is left then.
    pub async fn resume_vm(
        &self,
        vm: &str,
        params: Params,
        saved: Saved<'_>,
    ) -> Result<FirstSession, ResumeError> {
        let beginning = Beginning::State(saved, STATE_PATIENCE);
        let machine = self.start_vm(vm, params.clone(), beginning, None).await?;
        match self.greet_somehow(vm, saved.standing).await {
            Ok((session, shell)) => {
                self.lock().greeted.insert(vm.to_owned(), shell);
                Ok(session)
            }
            Err(error) => {
                machine.kill().await;
                self.forget_machine(vm, params).await;
                Err(error)
            }
        }
    }

    /// By the standing shell where there is one that answers, else by a login.
    async fn greet_somehow(
        &self,
        vm: &str,
        standing: Option<&str>,
    ) -> Result<(FirstSession, Shell), ResumeError> {
        if let Some(prompt) = standing {
            match self.greet_standing(vm, prompt).await {
                Ok(shell) => return Ok((FirstSession::Standing, shell)),
                Err(reason) => tracing::warn!(vm, reason, "the standing shell does not answer"),
            }
        }
        Ok((FirstSession::Login, self.greet(vm).await?))
    }

    /// Logs in, sets the guest's clock and gives it entropy of its own.
    async fn greet(&self, vm: &str) -> Result<Shell, ResumeError> {
        let mut shell = self
            .shell(vm, Pace::Up, Entry::default(), GREETING_PATIENCE)
            .await
            .map_err(ResumeError::Login)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let failed = |said: String| ResumeError::Greeting {
            vm: vm.to_owned(),
            said,
        };
        let entropy = entropy().map_err(&failed)?;
        match shell
            .cmd_output(&greeting(now, &entropy), GREETING_PATIENCE)
            .await
        {
            Ok(said) if said.contains(DONE) => Ok(shell),
            Ok(said) => Err(failed(format!("it said {:?}", said.trim()))),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The shell of the greeting, where nobody has been given it and it still answers.
    pub(super) async fn greeted(&self, vm: &str) -> Option<Shell> {
        let mut shell = self.lock().greeted.remove(vm)?;
        let answers = shell.terminal().alive() && shell.cmd_output(":", ANSWER_PATIENCE).await.is_ok();
        if answers {
            Some(shell)
        } else {
            shell.terminal().close();
            None
        }
    }

    /// Waits until somebody can log in to a machine that boots and its guest has nothing more to do, writes its state to
    /// `memory`, and ends it. Its disks are as the state needs them then. Gives the prompt of the standing shell that is in the
    /// state, where the guest has what one needs.
    ///
    /// # Errors
    /// When the guest lets nobody in or is not well, or QEMU cannot save it.
    pub async fn save_vm(&self, vm: &str, memory: &Utf8Path) -> Result<Option<String>, ResumeError> {
        let machine = self.machine(vm).ok_or_else(|| ResumeError::Greeting {
            vm: vm.to_owned(),
            said: "it has not been started".into(),
        })?;
        let patience = settings::seconds(
            &self.seat(vm).map_err(ResumeError::Login)?.params,
            "login_timeout",
            240,
        );
        let shell = self.shell(vm, Pace::Booting, Entry::default(), patience).await;
        shell.map_err(ResumeError::Login)?.terminal().close();
        settle(&machine).await;
        // The greeting once more: what it needs is in memory then, and a guest that cannot be greeted is not saved.
        let mut shell = self.greet(vm).await?;
        let standing = match self.stand(vm, &machine, &mut shell).await {
            Ok(standing) => Some(standing),
            Err(reason) => {
                tracing::info!(vm, reason, "no shell waits in this state");
                None
            }
        };
        shell.terminal().close();
        self.vm_verify(vm, None).await.map_err(ResumeError::Login)?;
        settle(&machine).await;
        let saved = machine.save(memory, STATE_PATIENCE).await;
        saved.map_err(StartError::Machine)?;
        machine.quit(QUIT_PATIENCE).await;
        // Nobody hung up on it: its guest has not run since.
        Ok(standing.and_then(|shell| shell.learned().map(str::to_owned)))
    }
}

/// New entropy of this host's.
pub(super) fn entropy() -> Result<[u8; ENTROPY], String> {
    let mut entropy = [0; ENTROPY];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut entropy))
        .map_err(|error| format!("this host gave none: {error}"))?;
    Ok(entropy)
}

/// What a guest is told: its time to the millisecond where its `date` understands that, entropy, and to use it at once
/// (`RNDRESEEDCRNG`; a guest without an interpreter uses it from the next time it would have anyway).
fn greeting(now: Duration, entropy: &[u8]) -> String {
    let (seconds, millis) = (now.as_secs(), now.subsec_millis());
    let mut octal = String::new();
    for byte in entropy {
        // Writing to a string cannot fail.
        let _ = write!(octal, "\\{byte:03o}");
    }
    format!(
        " {{ date -u -s @{seconds}.{millis:03} || date -u -s @{seconds}; }} >/dev/null 2>&1 && printf '{octal}' >/dev/urandom \
         && {{ perl -e 'open R,\">/dev/urandom\";ioctl R,0x5207,0' || python3 -c 'import fcntl;fcntl.ioctl(open(\"/dev/urandom\"),0x5207)' \
         || :; }} >/dev/null 2>&1; echo greeted:$((40+2))"
    )
}

/// Waits until a guest that is up has nothing to do.
async fn settle(machine: &Machine) {
    let deadline = Instant::now() + SETTLE_PATIENCE;
    let mut quiet = 0;
    let mut before = (Instant::now(), processor_time(machine.pid()));
    while quiet < QUIET_LOOKS && Instant::now() < deadline {
        sleep(LOOK).await;
        let now = (Instant::now(), processor_time(machine.pid()));
        let (Some(used), Some(then)) = (now.1, before.1) else {
            return;
        };
        let share = (used - then) / (now.0 - before.0).as_secs_f64();
        quiet = if share < QUIET { quiet + 1 } else { 0 };
        before = now;
    }
}

/// Seconds of processor time that a process has used.
fn processor_time(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the state follows it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11).take(2);
    let ticks: f64 = times.next()?.parse::<f64>().ok()? + times.next()?.parse::<f64>().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "there are about a hundred a second")]
    let a_second = rustix::param::clock_ticks_per_second() as f64;
    Some(ticks / a_second)
}

impl From<MachineError> for ResumeError {
    fn from(error: MachineError) -> Self {
        Self::Start(StartError::Machine(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_sets_the_clock_and_does_not_hold_its_own_answer() {
        let text = greeting(Duration::from_millis(1_700_000_000_042), &[0, 255]);
        assert!(
            text.contains("@1700000000.042") && text.contains(r"'\000\377'"),
            "{text}"
        );
        assert!(!text.contains(DONE));
    }

    #[test]
    fn our_own_processor_time_grows() {
        let begun = processor_time(std::process::id()).unwrap();
        while processor_time(std::process::id()).unwrap() <= begun {
            std::hint::black_box((0..100_000).sum::<u64>());
        }
    }
}
