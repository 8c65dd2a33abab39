//! Tokens to filters.

use super::{FilterId, FilterTable};
use crate::lexer::{Kind, Token};

/// Why tokens are not a filter.
#[derive(Debug)]
pub(crate) struct FilterError {
    /// The token that does not fit.
    pub(crate) token: Token,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl FilterError {
    fn new(token: &Token, message: impl Into<String>) -> Self {
        FilterError {
            token: token.clone(),
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

/// Parses `tokens`, which end with `End`, into `table`; `label` makes a label of an optional variable and a value. With the
/// filter comes what is wrong with a block that has no labels, as in `a .b`: the grammar allows it, and judging it does not.
///
/// # Errors
/// The first token that the grammar does not allow; the table is then as it was.
pub(crate) fn parse_tokens<L>(
    tokens: &[Token],
    table: &mut FilterTable<L>,
    label: &mut dyn FnMut(Option<&str>, &str) -> L,
) -> Result<(FilterId, Option<FilterError>), FilterError> {
    let mut parser = Parser {
        tokens,
        at: 0,
        table,
        label,
        dots: 1,
        in_block: 0,
        blocks: 0,
        gap: None,
    };
    let result = parser.run();
    let gap = parser.gap.take();
    match result {
        Ok(()) => Ok((table.end_filter(), gap)),
        Err(error) => {
            table.abandon();
            Err(error)
        }
    }
}

struct Parser<'a, L> {
    tokens: &'a [Token],
    at: usize,
    table: &'a mut FilterTable<L>,
    label: &'a mut dyn FnMut(Option<&str>, &str) -> L,
    /// Dots since the last label; 1 at the start of a word.
    dots: u32,
    /// Labels in the open block, and finished blocks in the open word.
    in_block: u32,
    blocks: u32,
    /// The first block without labels.
    gap: Option<FilterError>,
}

impl<'a, L> Parser<'a, L> {
    fn token(&self) -> &'a Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn run(&mut self) -> Result<(), FilterError> {
        match self.token().kind {
            Kind::Word(_) | Kind::Open | Kind::Blank | Kind::End => {}
            _ => return Err(self.unexpected("a filter must start with a variant name")),
        }
        loop {
            match &self.token().kind {
                Kind::Word(word) => {
                    self.joint()?;
                    let label = (self.label)(None, word);
                    self.push(label);
                }
                Kind::Open => {
                    self.joint()?;
                    let label = self.parenthesised()?;
                    self.push(label);
                }
                Kind::Dot => self.dots += 1,
                Kind::Comma | Kind::Blank => {
                    self.separator()?;
                    continue;
                }
                Kind::End => {
                    self.close_word();
                    return Ok(());
                }
                _ => return Err(self.unexpected("unexpected token in a filter")),
            }
            self.at += 1;
        }
    }

    fn unexpected(&self, message: &str) -> FilterError {
        let token = self.token();
        let error = FilterError::new(token, format!("{message}, found {}", token.kind.describe()));
        match token.kind {
            Kind::Text(_) => error.help("filters are written without quotes"),
            Kind::Bang => error.help("negation stands only before a whole condition: `!name:`"),
            Kind::Comma | Kind::Dot => error.help("remove it, or put a variant name before it"),
            _ => error.help("a filter is names joined by `.` (next to), `..` (and), `,` or a blank (or)"),
        }
    }

    /// Checks that the dots before a label join it to what came before.
    fn joint(&self) -> Result<(), FilterError> {
        let message = match self.dots {
            1 | 2 => return Ok(()),
            0 => "two variant names without `.`, `..` or `,` between them",
            _ => "too many dots between variant names",
        };
        let help = "`.` means next to, `..` means and, `,` means or; a condition allows no blanks as or";
        Err(FilterError::new(self.token(), message).help(help))
    }

    fn push(&mut self, label: L) {
        if self.dots == 2 {
            self.end_block();
        }
        self.table.push_label(label);
        self.in_block += 1;
        self.dots = 0;
    }

    fn end_block(&mut self) {
        if self.in_block == 0 {
            let error = FilterError::new(self.token(), "no variant name before `.`");
            self.gap
                .get_or_insert(error.help("remove the blank before the dot, or the dot"));
        }
        self.table.end_block();
        self.in_block = 0;
        self.blocks += 1;
    }

    /// `(name)` or `(name=value)`, blanks allowed inside.
    fn parenthesised(&mut self) -> Result<L, FilterError> {
        let name = self.inner_word("a variable or variant name")?;
        self.skip_inner();
        match &self.token().kind {
            Kind::Close => Ok((self.label)(None, &name)),
            Kind::Operator(crate::lexer::Operator::Set) => {
                let value = self.inner_word("a variant name")?;
                self.skip_inner();
                match &self.token().kind {
                    Kind::Close => Ok((self.label)(Some(&name), &value)),
                    Kind::Dot => Err(FilterError::new(
                        self.token(),
                        "a label in parentheses holds one variant name",
                    )
                    .help(&format!("write `({name}={value}).({name}=...)`"))),
                    other => Err(FilterError::new(
                        self.token(),
                        format!("expected `)`, found {}", other.describe()),
                    )),
                }
            }
            other => Err(FilterError::new(
                self.token(),
                format!("expected `=` or `)`, found {}", other.describe()),
            )),
        }
    }

    fn skip_inner(&mut self) {
        self.at += 1;
        while self.token().kind == Kind::Blank {
            self.at += 1;
        }
    }

    fn inner_word(&mut self, what: &str) -> Result<String, FilterError> {
        self.skip_inner();
        match &self.token().kind {
            Kind::Word(word) => Ok(word.to_string()),
            other => Err(FilterError::new(
                self.token(),
                format!("expected {what}, found {}", other.describe()),
            )),
        }
    }

    fn separator(&mut self) -> Result<(), FilterError> {
        if self.dots > 0 && !(self.at == 0 && self.token().kind == Kind::Blank) {
            let error = FilterError::new(self.token(), "expected a variant name between separators");
            return Err(
                error.help("a blank is already an `or`: write `a, b` or `a b`, and no blanks around dots")
            );
        }
        self.close_word();
        let first = self.at == 0;
        self.dots = 1;
        self.at += 1;
        while self.token().kind == Kind::Blank {
            self.at += 1;
        }
        match self.token().kind {
            Kind::Comma | Kind::Dot if first => {
                Err(self.unexpected("a filter must start with a variant name"))
            }
            Kind::Word(_) | Kind::Comma | Kind::Dot | Kind::Open | Kind::End => Ok(()),
            _ => Err(self.unexpected("expected a variant name")),
        }
    }

    fn close_word(&mut self) {
        if self.in_block > 0 {
            self.end_block();
        }
        if self.blocks > 0 {
            self.table.end_word();
            self.blocks = 0;
        }
    }
}
