//! Questions about the graph: `rdeps(//..., image(jeos))`. Pure: text to expression, expression and graph to actions.
//!
//! | expression | what it is |
//! |---|---|
//! | `//FILTER` | the tests that a target selects; in quotes where the filter holds commas, blanks or parentheses |
//! | `KIND(NAME)` | actions of a kind by name: `image(jeos)`, `test(boot)`, `file(*.qcow2)` |
//! | `deps(X)`, `deps(X, N)` | X and all that it waits for, at most N steps away |
//! | `rdeps(U, X)`, `rdeps(U, X, N)` | X and all that waits for it, among U and what U waits for |
//! | `somepath(X, Y)` | one shortest way from X to a Y that it waits for |
//! | `allpaths(X, Y)` | all that lies on any such way |
//! | `kind(KIND, X)` | those of X that are of a kind |
//! | `attr(KEY, VALUE, X)` | those of X whose parameter KEY, or else `title`, `label`, `kind` or `variant`, is like VALUE |
//! | `X + Y`, `X - Y`, `X ^ Y` | union, except, intersect (as words too); from left to right, all equally strong |
//!
//! Names and values are like a pattern when they hold it; with `*` or `?` in it, when they are it as a whole.

mod answer;
mod parse;
pub mod pattern;

use std::fmt;
use std::ops::Range;

/// A question that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    root: Expr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expr {
    /// `//FILTER`
    Target(String),
    /// `KIND(NAME)`
    Named { kind: String, name: String },
    /// `kind(KIND, X)`
    Kind { kind: String, of: Box<Self> },
    /// `attr(KEY, VALUE, X)`
    Attr {
        key: String,
        value: String,
        of: Box<Self>,
    },
    /// `deps(X, N)`
    Deps { of: Box<Self>, steps: Option<usize> },
    /// `rdeps(U, X, N)`
    Rdeps {
        among: Box<Self>,
        of: Box<Self>,
        steps: Option<usize>,
    },
    /// `somepath(X, Y)`, `allpaths(X, Y)`
    Paths {
        from: Box<Self>,
        to: Box<Self>,
        all: bool,
    },
    /// `X + Y` and the like
    Set {
        left: Box<Self>,
        op: Op,
        right: Box<Self>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Union,
    Except,
    Intersect,
}

impl Query {
    /// The targets in it, each once, in the order in which they stand.
    #[must_use]
    pub fn targets(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.root.targets(&mut found);
        found
    }
}

impl Expr {
    fn targets<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Target(target) => {
                if !found.contains(&target.as_str()) {
                    found.push(target);
                }
            }
            Self::Named { .. } => {}
            Self::Kind { of, .. } | Self::Attr { of, .. } | Self::Deps { of, .. } => of.targets(found),
            Self::Rdeps {
                among: left,
                of: right,
                ..
            }
            | Self::Paths {
                from: left,
                to: right,
                ..
            }
            | Self::Set { left, right, .. } => {
                left.targets(found);
                right.targets(found);
            }
        }
    }
}

/// A question that makes no sense, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    text: String,
    at: Range<usize>,
    message: String,
    help: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The question is one line, whatever was typed: each kind of blank is as wide as one.
        let line: String = self
            .text
            .chars()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .collect();
        let before = self.text[..self.at.start].chars().count();
        let width = self.text[self.at.clone()].chars().count().max(1);
        writeln!(f, "{}", self.message)?;
        writeln!(f, "    {line}")?;
        writeln!(f, "    {}{}", " ".repeat(before), "^".repeat(width))?;
        write!(f, "  help: {}", self.help)
    }
}

impl std::error::Error for QueryError {}
