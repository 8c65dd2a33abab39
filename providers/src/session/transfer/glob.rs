//! File name patterns, as a shell has them: `*`, `?`, `[a-z]`, `[!x]`.

/// Whether a path holds anything that makes it a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name fits a pattern. A leading dot must be written out.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    fits_from(&pattern, &name)
}

/// Greedy with one step back: each `*` only ever needs to remember the latest one.
fn fits_from(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => set(&pattern[at..], name[position]),
            Some(letter) if *letter == name[position] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => (at, position) = (at + width, position + 1),
            (None, Some((star_at, from))) => {
                star = Some((star_at, from + 1));
                (at, position) = (star_at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// The width of the `[...]` at the start of the pattern, if it holds the letter. One that is never closed is a `[`.
fn set(pattern: &[char], letter: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    let Some(end) = pattern.iter().skip(start + 1).position(|letter| *letter == ']') else {
        return (letter == '[').then_some(1);
    };
    let body = &pattern[start..=start + end];
    let mut held = false;
    let mut at = 0;
    while at < body.len() {
        if body.get(at + 1) == Some(&'-') && at + 2 < body.len() {
            held |= (body[at]..=body[at + 2]).contains(&letter);
            at += 3;
        } else {
            held |= body[at] == letter;
            at += 1;
        }
    }
    (held != negated).then_some(start + end + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "x"),
            ("*.log", "a.log"),
            ("a*b*c", "aXbXbYc"),
            ("?x", "1x"),
            ("[a-c]1", "b1"),
            ("[!a]1", "b1"),
            ("[]]x", "]x"),
            ("[", "["),
            (".*", ".bashrc"),
            ("**", ""),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*", ".hidden"),
            ("*.log", "a.txt"),
            ("?", ""),
            ("[a-c]1", "d1"),
            ("[!a]1", "a1"),
            ("a", "ab"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    proptest! {
        /// Replacing any piece of a name by `*` still fits it.
        #[test]
        fn a_star_fits_any_piece(name in "[a-z][a-z.]{0,12}", from in 0usize..12, length in 0usize..12) {
            let from = from.clamp(0, name.len());
            let to = (from + length).min(name.len());
            let pattern = format!("{}*{}", &name[..from], &name[to..]);
            prop_assert!(fits(&pattern, &name), "{} {}", pattern, name);
        }
    }
}
