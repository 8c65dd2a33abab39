//! Finding the echo of a typed command in a terminal's output.

/// The offset right behind the line (or wrapped lines) in which `text` echoes `command`, if it does.
///
/// The echo may stand behind something else on its line (a prompt that came late), and it may have been wrapped at the
/// terminal's width. Of a command of several lines each line is looked for in turn, with whatever continuation prompt
/// stands before it.
pub(super) fn end_of_echo(text: &str, command: &str) -> Option<usize> {
    let mut lines = command.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next()?;
    let mut end = line_starts(text, 0).find_map(|start| echoed_line(text, start, first))?;
    for line in lines {
        match echoed_line(text, end, line) {
            Some(next) => end = next,
            None => break,
        }
    }
    Some(end)
}

fn line_starts(text: &str, from: usize) -> impl Iterator<Item = usize> {
    std::iter::once(from).chain(text[from..].match_indices('\n').map(move |(at, _)| from + at + 1))
}

/// Whether the line at `start` ends with `command`, or the lines from there spell it wrapped: the offset behind.
fn echoed_line(text: &str, start: usize, command: &str) -> Option<usize> {
    let rest = &text[start..];
    let length = rest.find('\n')?;
    let command = command.trim_end();
    if rest[..length].trim_end().ends_with(command) {
        return Some(start + length + 1);
    }
    wrapped(rest, command).map(|length| start + length)
}

/// How far `text` spells `command` with line ends, or a space and a carriage return, thrown in by wrapping.
fn wrapped(text: &str, command: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for &wanted in command.as_bytes() {
        while bytes.get(at) != Some(&wanted) || bytes[at..].starts_with(b" \r") {
            match bytes.get(at)? {
                b'\n' | b'\r' => at += 1,
                b' ' if bytes.get(at + 1) == Some(&b'\r') => at += 2,
                _ => return None,
            }
        }
        at += 1;
    }
    text[at..]
        .find('\n')
        .filter(|end| text[at..at + end].trim().is_empty())
        .map(|end| at + end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_plain_echo_is_the_first_line() {
        assert_eq!(end_of_echo("echo hi\nhi\n", "echo hi"), Some(8));
        assert_eq!(end_of_echo("root# echo hi\nhi\n", "echo hi"), Some(14));
        assert_eq!(end_of_echo("late\nroot# echo hi\nhi\n", "echo hi"), Some(19));
        assert_eq!(end_of_echo("hi\n", "echo hi"), None);
        assert_eq!(
            end_of_echo("echo hi", "echo hi"),
            None,
            "the line is not finished"
        );
        assert_eq!(end_of_echo("\n", ""), None);
    }

    #[test]
    fn several_lines_are_all_taken() {
        let text = "cat <<E\n> one\n> E\none\n";
        assert_eq!(end_of_echo(text, "cat <<E\none\nE"), Some(text.len() - 4));
    }

    proptest! {
        /// Wrapping at any width, in either style, hides nothing.
        #[test]
        fn a_wrapped_echo_is_found(command in "[a-z][a-z ;|/]{8,60}[a-z]", width in 4usize..40, spaced in any::<bool>()) {
            let pieces: Vec<String> =
                command.as_bytes().chunks(width).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
            let echo = pieces.join(if spaced { " \r" } else { "\n" });
            let text = format!("{echo}\nthe output\n");
            prop_assert_eq!(end_of_echo(&text, &command), Some(echo.len() + 1));
        }
    }
}
