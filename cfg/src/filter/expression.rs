//! A free-standing filter that callers parse, print and match.

use std::fmt;

use super::{FilterError, FilterTable, parse_tokens};
use crate::lexer::{Kind, scan};

/// A label of a variant: its name, and the variable of the block it stands in if that has one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Label {
    /// The variable of a named `variants` block.
    pub variable: Option<String>,
    /// The variant's name.
    pub value: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "({variable}={})", self.value),
            None => f.write_str(&self.value),
        }
    }
}

/// A label within a filter. Without a variable it matches labels of any block.
pub type Pattern = Label;

/// A parsed filter expression.
///
/// ```
/// use vtbuild_cfg::filter::{Filter, Label};
/// let filter: Filter = "migrate..tcp, boot".parse()?;
/// let label = |value: &str| Label { variable: None, value: value.into() };
/// assert!(filter.matches(&[label("tcp"), label("migrate")]));
/// assert!(!filter.matches(&[label("migrate")]));
/// # Ok::<(), vtbuild_cfg::filter::FilterSyntaxError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Filter {
    words: Vec<Vec<Vec<Pattern>>>,
}

/// Why a text is not a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("parse filter `{text}`: {message} at column {column}")]
pub struct FilterSyntaxError {
    /// The whole text.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// Where, in characters from 1.
    pub column: usize,
    /// What to write instead.
    pub help: Option<String>,
}

impl FilterSyntaxError {
    fn new(text: &str, error: FilterError) -> Self {
        let column = text[..error.token.start].chars().count() + 1;
        FilterSyntaxError {
            text: text.to_owned(),
            message: error.message,
            column,
            help: error.help,
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tokens = scan(text, 0);
        if let Some(bad) = tokens
            .iter()
            .find(|t| matches!(t.kind, Kind::Unexpected(_) | Kind::Unterminated))
        {
            let message = format!("unexpected {}", bad.kind.describe());
            return Err(FilterSyntaxError::new(
                text,
                FilterError {
                    token: bad.clone(),
                    message,
                    help: None,
                },
            ));
        }
        let mut table = FilterTable::default();
        let mut label = |variable: Option<&str>, value: &str| Label {
            variable: variable.map(str::to_owned),
            value: value.to_owned(),
        };
        let parsed = parse_tokens(&tokens, &mut table, &mut label);
        let parsed = parsed.and_then(|(id, gap)| gap.map_or(Ok(id), Err));
        let id = parsed.map_err(|error| FilterSyntaxError::new(text, error))?;
        let words = table
            .get(id)
            .words()
            .map(|word| word.map(<[Label]>::to_vec).collect())
            .collect();
        Ok(Filter { words })
    }
}

impl Filter {
    /// The OR-list of AND-lists of adjacent labels.
    pub fn words(&self) -> &[Vec<Vec<Pattern>>] {
        &self.words
    }

    /// Every label that the filter names.
    pub fn labels(&self) -> impl Iterator<Item = &Pattern> {
        self.words.iter().flatten().flatten()
    }

    /// Whether a variant with these labels, outermost first, matches.
    pub fn matches(&self, labels: &[Label]) -> bool {
        self.words
            .iter()
            .any(|word| word.iter().all(|block| has_block(block, labels)))
    }
}

fn has_block(block: &[Pattern], labels: &[Label]) -> bool {
    labels.windows(block.len()).any(|window| {
        window
            .iter()
            .zip(block)
            .all(|(label, pattern)| fits(pattern, label))
    })
}

fn fits(pattern: &Pattern, label: &Label) -> bool {
    pattern.value == label.value && (pattern.variable.is_none() || pattern.variable == label.variable)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |items: Vec<String>, separator: &str| items.join(separator);
        let block = |block: &Vec<Pattern>| join(block.iter().map(Label::to_string).collect(), ".");
        let word = |word: &Vec<Vec<Pattern>>| join(word.iter().map(block).collect(), "..");
        f.write_str(&join(self.words.iter().map(word).collect(), ", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<Filter>() {
            Ok(filter) => filter.to_string(),
            Err(error) => format!("{}: {}", error.column, error.message),
        }
    }

    #[test]
    fn forms() {
        assert_eq!(shown("a b,c  d"), "a, b, c, d");
        assert_eq!(shown("a..b.c, (v = d)"), "a..b.c, (v=d)");
        assert_eq!(shown("a.."), "a");
        assert_eq!(shown("a."), "a");
        assert_eq!(shown("a,"), "a");
        assert_eq!(shown(""), "");
        assert_eq!(shown("(a)"), "a");
    }

    #[test]
    fn mistakes() {
        assert_eq!(shown("a , b"), "3: expected a variant name between separators");
        assert_eq!(shown("a...b"), "5: too many dots between variant names");
        assert_eq!(shown("a .b"), "4: no variant name before `.`");
        assert_eq!(
            shown(".a"),
            "1: a filter must start with a variant name, found `.`"
        );
        assert_eq!(
            shown("(v=a)(v=b)"),
            "6: two variant names without `.`, `..` or `,` between them"
        );
        assert_eq!(shown("a/b"), "2: unexpected `/`");
    }
}
