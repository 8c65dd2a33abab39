//! Finding the prompt in a shell's output.
//!
//! A shell is only told from any other program by its prompt, and a prompt is only known as a regular expression that
//! a configuration file gives. Three things make that reliable:
//!
//! * The prompt is looked for in the **last line**, and only after the echo of the command has been seen.
//! * The very text of the prompt is **learned**. A last line that ends with it is accepted after a short silence; one
//!   that merely fits the expression must stand unchanged for longer, because it may be output (`100$ of 200$`) that
//!   happened to pause there.
//! * Where something printed by a background job stands behind a learned prompt, the prompt is found when the
//!   terminal falls silent.

use std::time::Duration;

use super::{Pattern, Transcript};

/// Silence after which a last line that ends with the learned prompt is the prompt.
pub(super) const SETTLED: Duration = Duration::from_millis(20);
/// Silence after which a last line that only fits the expression is the prompt.
pub(super) const FITTING: Duration = Duration::from_millis(300);
/// Silence after which the echo of a command is no longer waited for, and a buried prompt is looked for.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// What a judge says about the output so far.
pub(super) enum Judged<T> {
    /// Not yet.
    More,
    /// This, if nothing else comes for so long.
    After(Duration, T),
}

/// Where the prompt was found.
pub(super) enum Found {
    /// At the end.
    Prompt { start: usize, text: String, learn: bool },
    /// Inside, with a background job's output behind it.
    Buried { start: usize, end: usize },
}

impl Found {
    /// The output without the prompt, from `from` on.
    pub(super) fn cut(&self, text: &str, from: usize) -> String {
        let piece = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
        match self {
            Found::Prompt { start, .. } => piece(from.min(*start)..*start).to_owned(),
            Found::Buried { start, end } => {
                format!("{}{}", piece(from.min(*start)..*start), piece(*end..text.len()))
            }
        }
    }
}

/// The prompt in what was seen, with how long it must stand to be believed.
pub(super) fn find_prompt(
    seen: &Transcript,
    prompt: &Pattern,
    learned: Option<&str>,
    echoed: bool,
    silent: bool,
    echo_end: usize,
) -> Judged<Found> {
    if let Some((start, known)) = prompt_start(seen, prompt, learned) {
        let quiet = match (known, echoed) {
            (true, true) => SETTLED,
            (false, true) => FITTING,
            (_, false) => SILENT,
        };
        let text = seen
            .text()
            .get(start..)
            .unwrap_or_default()
            .trim_end_matches('\n')
            .to_owned();
        return Judged::After(
            quiet,
            Found::Prompt {
                start,
                text,
                learn: !known,
            },
        );
    }
    match learned {
        Some(learned) if silent && echoed => buried_prompt(&seen.text(), learned, echo_end),
        _ => Judged::More,
    }
}

/// Where in the last line the prompt starts, and whether it is the learned one. Output without a final line end
/// stands before a learned prompt on the same line and is not part of it.
pub(super) fn prompt_start(
    seen: &Transcript,
    prompt: &Pattern,
    learned: Option<&str>,
) -> Option<(usize, bool)> {
    let line = seen.last_line();
    if line.is_empty() {
        return None;
    }
    let ends_as_learned = learned.filter(|learned| line.ends_with(*learned));
    let length = match ends_as_learned {
        Some(learned) => learned.len(),
        None if prompt.found_in(&line) => line.len(),
        None => return None,
    };
    let text = seen.text();
    let after = text.len() - text.trim_end_matches('\n').len();
    Some((
        text.len().saturating_sub(after + length),
        ends_as_learned.is_some(),
    ))
}

/// A learned prompt at the start of a line behind the echo, with other text after it.
fn buried_prompt(text: &str, learned: &str, from: usize) -> Judged<Found> {
    let Some(rest) = text.get(from..) else {
        return Judged::More;
    };
    let mut starts = std::iter::once(from).chain(rest.match_indices('\n').map(|(at, _)| from + at + 1));
    match starts.find(|start| text[*start..].starts_with(learned)) {
        Some(start) => Judged::After(
            SETTLED,
            Found::Buried {
                start,
                end: start + learned.len(),
            },
        ),
        None => Judged::More,
    }
}
