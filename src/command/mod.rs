//! The commands, one file each.

pub mod bootstrap;
pub mod cache;
pub mod cartesian;
mod changes;
pub mod clean;
pub mod diff;
pub mod doctor;
pub mod download;
pub mod fmt;
pub mod graph;
pub mod guest;
pub mod lint;
pub mod list;
pub mod log;
pub mod new;
pub mod params;
pub mod pause;
pub mod plan;
pub mod providers;
pub mod query;
pub mod run;
pub mod shell;
mod visit;
pub mod watch;
mod ways;
pub mod why;
pub mod why_not;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use crate::exit::Failure;

/// Terminals that are narrower cut lines as they like.
const NARROWEST: usize = 40;

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes prose to standard output: on a terminal, a line that is longer than that is wide goes on between two words.
pub fn tell(text: &str) -> Result<(), Failure> {
    print(&fitted(text, width()))
}

/// How wide lines of prose on standard output may be, where that matters.
fn width() -> Option<usize> {
    let out = std::io::stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out));
    let width = usize::from(size?.ok()?.ws_col);
    (width >= NARROWEST).then_some(width)
}

fn fitted(text: &str, width: Option<usize>) -> Cow<'_, str> {
    match width {
        Some(width) => Cow::Owned(wrapped(text, width)),
        None => Cow::Borrowed(text),
    }
}

/// Text in lines of at most `width` columns, each but the first of what was one line indented further than it was. What is one
/// word stays one: somebody may copy it.
fn wrapped(text: &str, width: usize) -> String {
    let wrap = |line: &str| {
        let text = line.trim_start();
        let own = &line[..line.len() - text.len()];
        let rest = format!("{own}    ");
        let options = textwrap::Options::new(width)
            .initial_indent(own)
            .subsequent_indent(&rest)
            .break_words(false)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
        textwrap::fill(text, options)
    };
    text.split('\n').map(wrap).collect::<Vec<_>>().join("\n")
}

/// A number with its noun: `1 variant`, `2 variants`.
pub fn plural(number: &impl ToString, noun: &str) -> String {
    let number = number.to_string();
    let ending = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// Standard output for listings of any length: gathered, and given up once nobody reads it.
pub struct Output {
    out: Option<std::io::BufWriter<std::io::StdoutLock<'static>>>,
    width: Option<usize>,
}

impl Output {
    /// Standard output, held for as long as this lives.
    pub fn new() -> Self {
        let width = width();
        let out = Some(std::io::BufWriter::with_capacity(
            64 * 1024,
            std::io::stdout().lock(),
        ));
        Self { out, width }
    }

    /// Writes a piece. Returns whether somebody still reads.
    pub fn write(&mut self, text: &str) -> Result<bool, Failure> {
        self.attempt(|out| out.write_all(text.as_bytes()))
    }

    /// Writes a piece of prose, as [`tell`] does.
    pub fn tell(&mut self, text: &str) -> Result<bool, Failure> {
        self.write(&fitted(text, self.width))
    }

    /// Writes what is still held back.
    pub fn finish(&mut self) -> Result<bool, Failure> {
        self.attempt(Write::flush)
    }

    fn attempt(
        &mut self,
        write: impl FnOnce(&mut std::io::BufWriter<std::io::StdoutLock<'static>>) -> std::io::Result<()>,
    ) -> Result<bool, Failure> {
        let Some(out) = &mut self.out else {
            return Ok(false);
        };
        match write(out) {
            Ok(()) => Ok(true),
            Err(error) => {
                // What is still held back has no reader: written on drop, it would only fail again.
                let _ = self.out.take().map(std::io::BufWriter::into_parts);
                if error.kind() == std::io::ErrorKind::BrokenPipe {
                    Ok(false)
                } else {
                    Err(Failure::environment(format!(
                        "failed to write to standard output: {error}"
                    )))
                }
            }
        }
    }
}

/// What takes a while, on standard error.
pub fn note(text: &str) {
    // Nobody to tell is no reason to stop.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A warning on standard error.
pub fn warn(text: &str) {
    // Nobody to warn is no reason to stop.
    let _ = writeln!(anstream::stderr(), "warning: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_between_words_and_no_word_is_cut() {
        let text = "run  test boot: its last verdict was FAIL\n    vm1.with.a.name.that.is.longer.than.the.terminal boots\n\nshort\n";
        let expected = "run  test boot: its last\n    verdict was FAIL\n    vm1.with.a.name.that.is.longer.than.the.terminal\n        boots\n\nshort\n";
        assert_eq!(wrapped(text, 25), expected);
        assert_eq!(wrapped(text, 200), text);
    }
}
