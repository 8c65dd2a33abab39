//! Intervals of versions, as `required_qemu` and `required_kernel` write them: `[5.1.0,)`, `(,4.2]`, `[6.0, 7.0)`.

use std::cmp::Ordering;

/// A version: its numbers from the left. What is left out counts as 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Numbers(Vec<u64>);

impl Numbers {
    /// The numbers at the beginning of a text, up to the first part that is none: `6.1.0-13-amd64` is 6.1.0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(text.len());
        let numbers: Vec<u64> = text[..end]
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.0.len().max(other.0.len());
        let padded = |numbers: &Self| {
            (0..length)
                .map(|at| numbers.0.get(at).copied().unwrap_or(0))
                .collect::<Vec<_>>()
        };
        padded(self).cmp(&padded(other))
    }
}

/// One end of an interval, and whether it belongs to it.
type End = Option<(Numbers, bool)>;

/// An interval of versions.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Interval {
    lowest: End,
    highest: End,
}

impl Interval {
    /// Reads `[LOWEST, HIGHEST)`; either end may be left out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (opening, closing) = (text.chars().next()?, text.chars().next_back()?);
        if !['[', '('].contains(&opening) || ![']', ')'].contains(&closing) {
            return None;
        }
        let (lowest, highest) = text.get(1..text.len() - 1)?.split_once(',')?;
        let end = |text: &str, within: bool| -> Option<End> {
            let text = text.trim();
            if text.is_empty() {
                return Some(None);
            }
            Numbers::parse(text).map(|numbers| Some((numbers, within)))
        };
        Some(Self {
            lowest: end(lowest, opening == '[')?,
            highest: end(highest, closing == ']')?,
        })
    }

    /// Whether a version lies in it.
    pub(super) fn contains(&self, version: &Numbers) -> bool {
        let fits = |end: &End, beyond: Ordering| match end {
            None => true,
            Some((bound, within)) => {
                let order = version.cmp(bound);
                order == beyond || (*within && order == Ordering::Equal)
            }
        };
        fits(&self.lowest, Ordering::Greater) && fits(&self.highest, Ordering::Less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(interval: &str, version: &str) -> bool {
        let interval = Interval::parse(interval).unwrap();
        interval.contains(&Numbers::parse(version).unwrap())
    }

    #[test]
    fn ends_belong_to_it_as_the_brackets_say() {
        assert!(holds("[5.1.0,)", "5.1") && holds("[5.1.0,)", "10.0.2") && !holds("[5.1.0,)", "5.0.99"));
        assert!(!holds("(5.1.0,)", "5.1.0") && holds("(5.1.0,)", "5.1.1"));
        assert!(holds("(,4.2]", "4.2.0") && !holds("(,4.2]", "4.2.1") && !holds("(,4.2)", "4.2"));
        assert!(holds("[6.0, 7.0)", "6.1.0-13-amd64") && !holds("[6.0, 7.0)", "7"));
        assert!(holds("(,)", "1"));
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in ["", "[", "5.1.0", "[5.1.0)", "[a,)", "{1,2}", "[1,2"] {
            assert_eq!(Interval::parse(text), None, "{text:?}");
        }
        assert_eq!(Numbers::parse("v5"), None);
    }
}
