//! Patterns in which `*` stands for any text and `?` for one character.

/// Whether a whole text is what a pattern asks for: `*` stands for any text, `?` for one character, all else for itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and the first character after what it has been tried for.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    (p, t) = (at + 1, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Whether a text is like a pattern: it holds it; with `*` or `?` in the pattern, it is it as a whole.
#[must_use]
pub fn like(pattern: &str, text: &str) -> bool {
    if pattern.contains(['*', '?']) {
        matches(pattern, text)
    } else {
        text.contains(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("mem", "mem", true),
            ("mem", "mem_vm1", false),
            ("mem*", "mem_vm1", true),
            ("*_vm?", "mem_vm1", true),
            ("*a*b", "xxaxxaxb", true),
            ("*a*b", "xxaxxaxbc", false),
            ("**", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn without_stars_a_part_is_enough() {
        assert!(like("jeos", "jeos-12") && !like("jeos?", "jeos-12") && like("jeos*", "jeos-12"));
    }
}
