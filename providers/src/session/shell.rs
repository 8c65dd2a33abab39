//! A shell on a terminal: commands, their output and exit status, and waiting for what a regular expression says.
//!
//! How the end of a command is recognised is the business of [`super::prompt`].

use std::time::Duration;

use tokio::time::Instant;

use super::echo::end_of_echo;
use super::prompt::{Found, Judged, SETTLED, SILENT, find_prompt, prompt_start};
use super::{End, Pattern, Terminal, Transcript};

/// The echo of a command is looked for so far into the output.
const ECHO_WITHIN: usize = 64 << 10;
/// How much output of one command is kept (the newest).
const OUTPUT_LIMIT: usize = 48 << 20;

/// What a shell needs to know of the guest's.
#[derive(Clone, Debug)]
pub struct ShellSetup {
    /// Fits the last line when the shell is ready for a command (`shell_prompt`).
    pub prompt: Pattern,
    /// What ends a typed line (`shell_linesep`).
    pub line_end: String,
    /// Prints the exit status of the last command (`status_test_command`).
    pub status_command: String,
}

impl ShellSetup {
    /// A POSIX shell with this prompt.
    pub fn posix(prompt: Pattern) -> Self {
        Self {
            prompt,
            line_end: "\n".to_owned(),
            status_command: "echo $?".to_owned(),
        }
    }
}

/// Why a shell did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// It did not come in time.
    #[error("see {awaited} within {:.1} s; so far:\n{}", patience.as_secs_f64(), tail(output))]
    Timeout {
        /// What was waited for.
        awaited: String,
        /// For how long.
        patience: Duration,
        /// What came meanwhile.
        output: String,
    },
    /// The session ended.
    #[error("see {awaited}: the session ended ({}); before that:\n{}", end.reason, tail(output))]
    Died {
        /// What was waited for.
        awaited: String,
        /// How it ended.
        end: End,
        /// What came before.
        output: String,
    },
    /// The command ran, but what should print its exit status printed something else.
    #[error(
        "read the exit status of `{command}` from what `{asked}` printed:\n{}",
        tail(output)
    )]
    NoStatus {
        /// The command.
        command: String,
        /// The status command.
        asked: String,
        /// What that printed.
        output: String,
    },
}

/// The last lines of a long text, for messages.
fn tail(text: &str) -> &str {
    let text = text.trim_end();
    let cut = text.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
    &text[cut..]
}

/// Which part of the output an expected pattern must be found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of it.
    All,
    /// The last line that is not blank.
    LastLine,
    /// Any one line.
    AnyLine,
}

/// A shell session.
pub struct Shell {
    terminal: Terminal,
    setup: ShellSetup,
    learned: Option<String>,
    seen: Transcript,
}

impl Shell {
    /// A shell on `terminal`. Nothing is typed or read until asked.
    pub fn new(terminal: Terminal, setup: ShellSetup) -> Self {
        Self {
            terminal,
            setup,
            learned: None,
            seen: Transcript::new(OUTPUT_LIMIT),
        }
    }

    /// A shell whose prompt, to the letter, was [learned](Self::learned) on another terminal.
    pub fn resumed(terminal: Terminal, setup: ShellSetup, learned: impl Into<String>) -> Self {
        Self {
            learned: Some(learned.into()),
            ..Self::new(terminal, setup)
        }
    }

    /// The prompt to the letter, once it has been seen.
    pub fn learned(&self) -> Option<&str> {
        self.learned.as_deref()
    }

    /// The terminal underneath: closing it ends whatever the shell waits for.
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// The expression that the prompt fits.
    pub fn prompt(&self) -> &Pattern {
        &self.setup.prompt
    }

    /// Changes what the shell is known by. The learned prompt is forgotten.
    pub fn configure(&mut self, change: impl FnOnce(&mut ShellSetup)) {
        change(&mut self.setup);
        self.learned = None;
    }

    /// Reads up to the first prompt and learns it. Gives what came before it (banner, message of the day).
    pub async fn start(&mut self, patience: Duration) -> Result<String, ShellError> {
        self.up_to_prompt(None, patience).await
    }

    /// Runs a command and gives what it printed: without the echo, without the prompt.
    pub async fn cmd_output(&mut self, command: &str, patience: Duration) -> Result<String, ShellError> {
        self.absorb();
        self.seen.clear();
        self.type_line(command)?;
        self.up_to_prompt(Some(command), patience).await
    }

    /// Runs a command and gives its exit status and what it printed.
    pub async fn cmd_status_output(
        &mut self,
        command: &str,
        patience: Duration,
    ) -> Result<(i32, String), ShellError> {
        let output = self.cmd_output(command, patience).await?;
        let asked = self.setup.status_command.clone();
        // The command is over: what is left is one more answer of the shell, whose time is not the command's.
        let answer = self
            .cmd_output(&asked, patience.max(Duration::from_secs(10)))
            .await?;
        match answer.lines().rev().find_map(|line| line.trim().parse().ok()) {
            Some(status) => Ok((status, output)),
            None => Err(ShellError::NoStatus {
                command: command.to_owned(),
                asked,
                output: answer,
            }),
        }
    }

    /// Types text as it is.
    pub fn send(&mut self, text: &str) -> Result<(), ShellError> {
        if self.terminal.send(text.as_bytes()) {
            Ok(())
        } else {
            Err(self.died("the text being taken"))
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<(), ShellError> {
        let line = format!("{line}{}", self.setup.line_end);
        self.send(&line)
    }

    /// What has come since the last read, once nothing more has come for `idle`.
    pub async fn read(&mut self, idle: Duration) -> String {
        loop {
            self.absorb();
            if !self.terminal.wait(idle).await {
                return self.seen.take();
            }
        }
    }

    /// Reads until one of the patterns is found in `scope`. Gives its index and everything read.
    pub async fn read_until(
        &mut self,
        patterns: &[Pattern],
        scope: Scope,
        patience: Duration,
    ) -> Result<(usize, String), ShellError> {
        let sources: Vec<&str> = patterns.iter().map(Pattern::source).collect();
        let awaited = format!("`{}`", sources.join("` or `"));
        let mut lines_done = 0;
        let index = self
            .until(&awaited, patience, |seen, _| {
                match first_match(patterns, scope, seen, &mut lines_done) {
                    // A moment longer, so that the rest of a line that is being printed is not left for the next read.
                    Some(index) => Judged::After(SETTLED, index),
                    None => Judged::More,
                }
            })
            .await?;
        Ok((index, self.seen.take()))
    }

    /// `text` without a prompt at its end.
    pub fn without_prompt<'a>(&self, text: &'a str) -> &'a str {
        let mut transcript = Transcript::new(text.len());
        transcript.push(text.as_bytes());
        match prompt_start(&transcript, &self.setup.prompt, self.learned.as_deref()) {
            Some((start, _)) => text.get(..start).unwrap_or(text),
            None => text,
        }
    }

    /// Moves what has come into the transcript.
    fn absorb(&mut self) {
        let bytes = self.terminal.take();
        if !bytes.is_empty() {
            self.seen.push(&bytes);
        }
    }

    async fn up_to_prompt(
        &mut self,
        command: Option<&str>,
        patience: Duration,
    ) -> Result<String, ShellError> {
        let awaited = match command {
            Some(command) => format!("the end of `{command}`"),
            None => format!("a prompt that fits `{}`", self.setup.prompt.source()),
        };
        let prompt = self.setup.prompt.clone();
        let learned = self.learned.clone();
        let mut echo = None;
        let dropped = self.seen.dropped();
        let found = self
            .until(&awaited, patience, |seen, silent| {
                if echo.is_none() {
                    echo = command
                        .and_then(|command| end_of_echo(&seen.head(ECHO_WITHIN + command.len()), command));
                }
                let echoed = command.is_none_or(|command| command.trim().is_empty()) || echo.is_some();
                find_prompt(
                    seen,
                    &prompt,
                    learned.as_deref(),
                    echoed,
                    silent,
                    echo.unwrap_or(0),
                )
            })
            .await?;
        let echo_end = if self.seen.dropped() == dropped {
            echo.unwrap_or(0)
        } else {
            0
        };
        let text = self.seen.take();
        if let Found::Prompt {
            text: fitting,
            learn: true,
            ..
        } = &found
        {
            self.learned = Some(fitting.clone());
        }
        Ok(found.cut(&text, echo_end))
    }

    /// Waits until `judge` is satisfied with the output so far. The judge is also asked, with `true`, whenever
    /// nothing has come for a while.
    async fn until<T>(
        &mut self,
        awaited: &str,
        patience: Duration,
        mut judge: impl FnMut(&Transcript, bool) -> Judged<T>,
    ) -> Result<T, ShellError> {
        let deadline = Instant::now() + patience;
        let mut silent = false;
        loop {
            self.absorb();
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = self.terminal.end();
            match judge(&self.seen, silent || ended.is_some()) {
                Judged::After(quiet, value) if !self.terminal.wait(quiet.min(left)).await => {
                    return Ok(value);
                }
                Judged::After(..) => silent = false,
                Judged::More if ended.is_some() && !self.terminal.wait(Duration::ZERO).await => {
                    return Err(self.died(awaited));
                }
                Judged::More if left.is_zero() => return Err(self.late(awaited, patience)),
                Judged::More => silent = !self.terminal.wait(SILENT.min(left)).await,
            }
        }
    }

    fn late(&mut self, awaited: &str, patience: Duration) -> ShellError {
        ShellError::Timeout {
            awaited: awaited.to_owned(),
            patience,
            output: self.seen.take(),
        }
    }

    fn died(&mut self, awaited: &str) -> ShellError {
        self.absorb();
        let end = self.terminal.end().unwrap_or(End {
            status: None,
            reason: "the line is gone".to_owned(),
        });
        ShellError::Died {
            awaited: awaited.to_owned(),
            end,
            output: self.seen.take(),
        }
    }
}

/// The first pattern found in the scope. `lines_done` is how far whole lines have been searched already.
fn first_match(
    patterns: &[Pattern],
    scope: Scope,
    seen: &Transcript,
    lines_done: &mut usize,
) -> Option<usize> {
    let any_in = |text: &str| patterns.iter().position(|pattern| pattern.found_in(text));
    match scope {
        Scope::All => any_in(&seen.text()),
        Scope::LastLine => Some(seen.last_line())
            .filter(|line| !line.is_empty())
            .and_then(|line| any_in(&line)),
        Scope::AnyLine => {
            let text = seen.text();
            let fresh = text.get(*lines_done..).unwrap_or(&text);
            let found = fresh
                .lines()
                .filter(|line| !line.trim().is_empty())
                .find_map(any_in);
            // What was found must be found again: more may come while it is waited for the rest of the line.
            if found.is_none() {
                *lines_done += fresh.rfind('\n').map_or(0, |at| at + 1);
            }
            found
        }
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
