//! Logging in on a serial console.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Alive, LoginError, POLL, REFUSALS};
use crate::session::{Pattern, Shell, ShellSetup, Terminal, Transcript};

/// What a serial console asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    Username,
    Password,
    Command,
}

/// What the console's last line asks for, and whether a login was refused on the way.
fn asks(seen: &Transcript, prompt: &Pattern, login: &Pattern, password: &Pattern) -> Asks {
    let line = seen.last_line();
    if line.is_empty() {
        Asks::Nothing
    } else if password.found_in(&line) {
        Asks::Password
    } else if login.found_in(&line) {
        Asks::Username
    } else if prompt.found_in(&line) {
        Asks::Command
    } else {
        Asks::Nothing
    }
}

/// Logs in on a serial console, whatever it shows at first: a login prompt, a password prompt, or a shell.
///
/// The console's terminal type becomes "dumb" and very wide, so that commands behave as they do over ssh.
pub async fn serial(
    terminal: Terminal,
    username: &str,
    password: &str,
    setup: ShellSetup,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Shell, LoginError> {
    let deadline = Instant::now() + patience;
    let ask_login = Pattern::python(r"(?i)(login|username):\s*$")?;
    let ask_password = Pattern::python(r"(?i)password.*:\s*$")?;
    let refused = Pattern::python(r"(?i)login incorrect|authentication failure|login failed")?;
    let mut console = Console {
        terminal,
        seen: Transcript::new(1 << 20),
        history: VecDeque::new(),
    };
    let mut refusals = 0;
    let mut poke = Instant::now();
    while Instant::now() < deadline {
        alive().map_err(LoginError::MachineDead)?;
        console.listen(POLL).await?;
        if refused.found_in(&console.seen.text()) {
            refusals += 1;
            if refusals > REFUSALS {
                let reason = format!(
                    "the console refused `{username}` and its password: {}",
                    console.tail()
                );
                return Err(LoginError::Refused(reason));
            }
            console.seen.clear();
        }
        match asks(&console.seen, &setup.prompt, &ask_login, &ask_password) {
            Asks::Username => console.answer(username),
            Asks::Password => console.answer(password),
            Asks::Command => return wide_shell(console.terminal, setup, deadline).await,
            Asks::Nothing if Instant::now() >= poke => {
                console.answer("");
                poke = Instant::now() + 8 * POLL;
            }
            Asks::Nothing => {}
        }
    }
    Err(LoginError::Timeout {
        patience,
        last: format!(
            "the serial console shows no prompt; its last lines:\n{}",
            console.tail()
        ),
    })
}

async fn wide_shell(terminal: Terminal, setup: ShellSetup, deadline: Instant) -> Result<Shell, LoginError> {
    let mut shell = Shell::new(terminal, setup);
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_secs(5));
    let command = "export TERM=dumb; stty cols 8192 rows 2000 2>/dev/null";
    // Twice: what the first one prints may still be wrapped and mixed with kernel messages.
    shell.cmd_output(command, left).await?;
    shell.cmd_output(":", left).await?;
    Ok(shell)
}

struct Console {
    terminal: Terminal,
    seen: Transcript,
    history: VecDeque<String>,
}

impl Console {
    /// Takes in what comes until it pauses.
    async fn listen(&mut self, pause: Duration) -> Result<(), LoginError> {
        let until = Instant::now() + 4 * pause;
        while self.terminal.wait(pause).await {
            self.seen.push(&self.terminal.take());
            if Instant::now() > until {
                break;
            }
        }
        match self.terminal.end() {
            Some(end) => Err(LoginError::MachineDead(format!(
                "{}: {}",
                end.reason,
                self.tail()
            ))),
            None => Ok(()),
        }
    }

    /// Types a line; what was seen so far is answered by it.
    fn answer(&mut self, line: &str) {
        self.history.extend(self.seen.text().lines().map(str::to_owned));
        while self.history.len() > 20 {
            self.history.pop_front();
        }
        self.seen.clear();
        self.terminal.send(format!("{line}\n").as_bytes());
    }

    fn tail(&self) -> String {
        let seen = self.seen.text();
        let lines = self.history.iter().map(String::as_str).chain(seen.lines());
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::test_support::scripted;

    const LONG: Duration = Duration::from_secs(20);

    fn setup() -> ShellSetup {
        ShellSetup::posix(Pattern::python(r"[\#\$]\s*$").expect("a prompt"))
    }

    /// A console as a getty keeps it: asks for a name, a password, then runs a shell.
    fn getty(right: &'static str) -> Terminal {
        let place = std::sync::Mutex::new(0);
        let (terminal, _feed) = scripted(move |typed, feed| {
            let mut place = place.lock().expect("one at a time");
            let line = typed.trim_end();
            let (next, reply) = match (*place, line) {
                (0, "") => (0, "\r\nguest login: ".to_owned()),
                (0, name) => (1, format!("{name}\r\nPassword: ")),
                (1, word) if word == right => (2, "\r\nWelcome!\r\nroot@guest:~# ".to_owned()),
                (1, _) => (0, "\r\nLogin incorrect\r\nguest login: ".to_owned()),
                (_, command) => (2, format!("{command}\r\nroot@guest:~# ")),
            };
            *place = next;
            feed.data(reply.as_bytes());
        });
        // The feed lives in the script's line.
        terminal
    }

    #[tokio::test]
    async fn a_console_is_logged_in_to() {
        let mut shell = serial(getty("secret"), "root", "secret", setup(), LONG, &|| Ok(()))
            .await
            .expect("a shell");
        assert_eq!(shell.cmd_output("true", LONG).await.expect("runs"), "");
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_from_silence() {
        let result = serial(getty("secret"), "root", "guess", setup(), LONG, &|| Ok(())).await;
        let Err(error @ LoginError::Refused(_)) = result else {
            panic!("refused")
        };
        assert!(error.to_string().contains("`root`"), "{error}");
    }

    #[tokio::test]
    async fn a_console_that_says_nothing_times_out_with_its_last_lines() {
        let (terminal, feed) = scripted(|_, _| {});
        feed.data(b"Booting...\r\nKernel panic - not syncing\r\n");
        let result = serial(
            terminal,
            "root",
            "x",
            setup(),
            Duration::from_millis(600),
            &|| Ok(()),
        )
        .await;
        let Err(error @ LoginError::Timeout { .. }) = result else {
            panic!("late")
        };
        assert!(
            error
                .to_string()
                .ends_with("Booting...\nKernel panic - not syncing"),
            "{error}"
        );
    }
}
