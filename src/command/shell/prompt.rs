//! The prompt: where the person is (a guest's shell, its serial port, a monitor), and going from one to another.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use vtbuild_providers::desk::Desk;
use vtbuild_rules::test::{Scene, Visitor};

use super::input::{Input, RawTerminal};
use super::monitor::{self, Typed};
use crate::command::ways;

/// Ctrl-], which leaves the guest for our own prompt.
const ESCAPE: u8 = 0x1d;
/// How long a monitor's command may take.
const PATIENCE: Duration = Duration::from_secs(3600);
const HELP: &str = "commands: ssh, serial, qmp, vm NAME, info, quit";

/// Where what is typed goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A shell over ssh.
    Ssh,
    /// The first serial port.
    Serial,
    /// The main monitor.
    Monitor,
}

/// Somebody at the keyboard, or a script at its place.
pub struct Prompt {
    place: Place,
    vm: Option<String>,
    terminal: bool,
    failed: AtomicBool,
    input: Mutex<Input>,
}

/// What a line of ours asks for.
#[derive(PartialEq, Eq, Debug)]
enum Order {
    Go(Place),
    Vm(String),
    Info,
    Quit,
    Unknown,
}

impl Order {
    fn parse(line: &str) -> Self {
        let mut words = line.trim().trim_start_matches(':').split_whitespace();
        match (words.next(), words.next()) {
            (Some("ssh"), None) => Self::Go(Place::Ssh),
            (Some("serial"), None) => Self::Go(Place::Serial),
            (Some("qmp"), None) => Self::Go(Place::Monitor),
            (Some("vm"), Some(name)) => Self::Vm(name.to_owned()),
            (Some("info"), None) => Self::Info,
            (Some("quit" | "exit"), None) => Self::Quit,
            _ => Self::Unknown,
        }
    }
}

/// How a stay at one place ended.
enum Left {
    /// Our own prompt is wanted.
    Escaped,
    /// A line for us came.
    Ordered(Order),
    /// The input or the session ended.
    Ended,
}

impl Prompt {
    /// A prompt that begins at `place` of the machine `vm`, or of the test's main one.
    pub fn new(place: Place, vm: Option<String>, terminal: bool) -> Self {
        Self {
            place,
            vm,
            terminal,
            failed: AtomicBool::new(false),
            input: Mutex::new(Input::stdin()),
        }
    }

    /// Whether the last command failed.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn ended_with(&self, good: bool) {
        self.failed.store(!good, Ordering::Relaxed);
    }

    fn complain(&self, text: &str) {
        self.ended_with(false);
        tell(&format!("error: failed to {text}\n"));
    }

    async fn stay(&self, desk: &Desk, vm: &str, place: Place, input: &mut Input) -> Left {
        if place == Place::Monitor {
            return self.at_the_monitor(desk, vm, input).await;
        }
        tell(&format!("# logging in to {vm}\n"));
        let session = match desk.log_in(vm, place == Place::Serial).await {
            Ok(session) => session,
            Err(error) => {
                self.complain(&error.message);
                return if self.terminal { Left::Escaped } else { Left::Ended };
            }
        };
        if self.terminal {
            return pass_through(desk, session, input).await;
        }
        while let Some(line) = input.line().await {
            if line.starts_with(':') && !line.starts_with(": ") {
                return Left::Ordered(Order::parse(&line));
            }
            if line.trim().is_empty() {
                continue;
            }
            match desk.run_command(session, &line).await {
                Ok((status, output)) => {
                    self.ended_with(status == 0);
                    show(&output);
                }
                Err(error) => {
                    self.complain(&error.message);
                    return Left::Ended;
                }
            }
        }
        Left::Ended
    }

    async fn at_the_monitor(&self, desk: &Desk, vm: &str, input: &mut Input) -> Left {
        loop {
            if self.terminal {
                tell(&format!("qmp {vm}> "));
            }
            let Some(line) = input.line().await else {
                return Left::Ended;
            };
            if line.as_bytes().first() == Some(&ESCAPE) {
                return Left::Escaped;
            }
            if line.starts_with(':') {
                return Left::Ordered(Order::parse(&line));
            }
            if !line.trim().is_empty() {
                match self.ask_the_monitor(desk, vm, &line).await {
                    Ok(answer) => {
                        self.ended_with(true);
                        show(&answer);
                    }
                    Err(error) => {
                        self.ended_with(false);
                        tell(&format!("error: {error}\n"));
                    }
                }
            }
        }
    }

    async fn ask_the_monitor(&self, desk: &Desk, vm: &str, line: &str) -> Result<String, String> {
        let machine = desk.machine(vm).ok_or_else(|| format!("{vm} is not running"))?;
        let failed = |error: vtbuild_providers::qmp::QmpError| format!("failed to {error}");
        Ok(match monitor::parse(line)? {
            Typed::Human(line) => machine.qmp().hmp(&line, PATIENCE).await.map_err(failed)?,
            Typed::Qmp(name, arguments) => {
                let value = machine
                    .qmp()
                    .command(&name, arguments, PATIENCE)
                    .await
                    .map_err(failed)?;
                format!("{value:#}")
            }
        })
    }

    /// Our own prompt, on a terminal.
    async fn order(&self, input: &mut Input) -> Order {
        tell("\nvtbuild> ");
        input.line().await.map_or(Order::Quit, |line| Order::parse(&line))
    }
}

#[async_trait]
impl Visitor for Prompt {
    async fn visit(&self, scene: Scene<'_>) {
        let mut input = self.input.lock().await;
        let mut vm = self.vm.clone().unwrap_or_else(|| scene.main_vm.to_owned());
        let mut place = self.place;
        let (told, _open) = ways::all(scene.desk);
        tell(&format!("# {}\n{told}", scene.test));
        if self.terminal {
            tell("# Ctrl-] leaves the guest for vtbuild's own prompt\n");
        }
        loop {
            let mut left = self.stay(scene.desk, &vm, place, &mut input).await;
            loop {
                let complaint = match left {
                    Left::Ended | Left::Ordered(Order::Quit) => return,
                    Left::Ordered(Order::Go(to)) => {
                        place = to;
                        break;
                    }
                    Left::Ordered(Order::Vm(name)) if scene.desk.machine(&name).is_some() => {
                        vm = name;
                        break;
                    }
                    Left::Ordered(Order::Vm(name)) => {
                        let known = scene.desk.vms().join(", ");
                        Some(format!(
                            "find the machine {name} (machines of this test: {known})"
                        ))
                    }
                    Left::Ordered(Order::Info) => {
                        tell(&told);
                        None
                    }
                    Left::Ordered(Order::Unknown) => Some(format!("understand that; {HELP}")),
                    Left::Escaped => None,
                };
                complaint.iter().for_each(|text| self.complain(text));
                if !self.terminal {
                    break;
                }
                left = Left::Ordered(self.order(&mut input).await);
            }
        }
    }
}

/// Keys go to the session as they are, and what it prints to standard output, until Ctrl-] or its end.
async fn pass_through(desk: &Desk, session: u64, input: &mut Input) -> Left {
    let Some(terminal) = desk.terminal(session) else {
        return Left::Ended;
    };
    let _raw = RawTerminal::enter();
    // The first prompt was read by the login: this brings another.
    terminal.send(b"\r");
    loop {
        tokio::select! {
            typed = input.bytes() => {
                let Some(typed) = typed else { return Left::Ended };
                if let Some(at) = typed.iter().position(|byte| *byte == ESCAPE) {
                    terminal.send(&typed[..at]);
                    input.unread(&typed[at + 1..]);
                    return Left::Escaped;
                }
                terminal.send(&typed);
            }
            came = terminal.wait(Duration::from_secs(3600)) => {
                if came {
                    let _ = std::io::stdout().write_all(&terminal.take()).and_then(|()| std::io::stdout().flush());
                } else if !terminal.alive() {
                    return Left::Ended;
                }
            }
        }
    }
}

/// Says something about the session itself.
fn tell(text: &str) {
    // Nobody to tell is no reason to stop.
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// Shows what a command printed.
fn show(output: &str) {
    let end = if output.is_empty() || output.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    // A reader that went away has seen enough.
    let _ = crate::command::print(&format!("{output}{end}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_understood_with_and_without_their_colon() {
        assert_eq!(Order::parse(":qmp"), Order::Go(Place::Monitor));
        assert_eq!(Order::parse(" serial "), Order::Go(Place::Serial));
        assert_eq!(Order::parse(":vm vm2"), Order::Vm("vm2".into()));
        assert_eq!(Order::parse("exit"), Order::Quit);
        for line in ["", ":", "vm", "qmp now", "uptime"] {
            assert_eq!(Order::parse(line), Order::Unknown, "{line:?}");
        }
    }
}
