//! One statement of a block.

use std::borrow::Cow;

use super::{Frame, Parser};
use crate::diagnostic::Class;
use crate::filter::{FilterId, parse_tokens};
use crate::items::{Item, ItemLabel};
use crate::lexer::{
    Assignment, Keyword, Kind, Operator, Token, assignment, keyword, scan, scan_header, skip_blanks, unquote,
};
use crate::lines::{Line, is_blank};
use crate::matcher::Matcher;
use crate::provenance::nearest;

impl<'t> Parser<'t> {
    /// Parses the statement on `line`.
    pub(super) fn statement(&mut self, line: &Line<'t>, conditional: bool) {
        let Some((keyword, at)) = keyword(&line.text) else {
            match assignment(&line.text) {
                Some(_) if self.after_empty_block && self.no_assignment(line) => {}
                Some(found) if !self.after_empty_block => self.assign(line, found),
                _ => self.condition(line),
            }
            return;
        };
        let at = skip_blanks(&line.text, at);
        match keyword {
            Keyword::Variants => self.variants(line, at, conditional),
            Keyword::Dash => {
                self.report(
                    line,
                    (0, 1),
                    Class::Parser,
                    "statement",
                    "a `-` line must belong to a `variants:` block",
                )
                .help = Some("indent it deeper than the `variants:` line and as deep as its siblings".into());
                self.skip_block(i64::from(line.indent));
            }
            Keyword::Only => self.filtered(line, at, Item::Only),
            Keyword::No => self.filtered(line, at, Item::No),
            Keyword::Join => self.filtered(line, at, Item::Join),
            Keyword::Include => {
                let path = self.items.push_text(&line.text[at..]);
                self.push(Item::Include(path), line);
            }
            Keyword::Del => self.named(line, at, true),
            Keyword::Suffix => self.named(line, at, false),
        }
    }

    /// Refuses an assignment after a `variants` block without variants. Other implementations read such lines character
    /// by character, like the header, up to the next block, and take no value from them.
    fn no_assignment(&mut self, line: &Line<'_>) -> bool {
        let tokens = scan(&line.text, 0);
        let ends = |token: &Token| matches!(token.kind, Kind::Colon | Kind::Operator(_));
        let Some(end) = tokens.iter().position(ends) else {
            return false;
        };
        let starts = matches!(tokens[0].kind, Kind::Word(_) | Kind::Bang);
        if !starts || tokens[end].kind == Kind::Colon {
            return false;
        }
        if !self.lexical_error(line, &tokens[..(end + 2).min(tokens.len())]) {
            let at = (tokens[end].start, tokens[end].end);
            let message = "no assignment can follow a `variants` block that has no variants";
            self.report(line, at, Class::Parser, "after-empty-variants", message)
                .help = Some("remove the empty `variants:` line, or move it to the end of its block".into());
        }
        true
    }

    fn assign(&mut self, line: &Line<'_>, found: Assignment) {
        let key_text = &line.text[..found.key_end];
        let value = unquote(&line.text[found.value_start..]);
        let operator = self.literal_in_run(found.operator, key_text, value);
        let key = self.items.symbols.intern(key_text);
        let value = self.items.push_text(value);
        self.push(Item::Assign { operator, key, value }, line);
    }

    /// A regex operator whose key text is literally one of the keys set right before it, in a run of plain `=` lines,
    /// acts on that key alone. It matters only for texts that are more than a plain name.
    fn literal_in_run(&self, operator: Operator, key: &str, value: &str) -> Operator {
        let literal = match operator {
            Operator::SetMatching => Operator::Set,
            Operator::AppendMatching => Operator::Append,
            Operator::PrependMatching => Operator::Prepend,
            _ => return operator,
        };
        if value.contains('$') || key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return operator;
        }
        // A text that is no pattern is refused when it is applied.
        if self.run_sets(key) && Matcher::new(key).check().is_ok() {
            literal
        } else {
            operator
        }
    }

    /// Whether the run of plain assignments that ends here sets `key`.
    fn run_sets(&self, key: &str) -> bool {
        let block_start = match self.stack.last() {
            Some(Frame::Block {
                header: Some(header), ..
            }) => header + 1,
            _ => 0,
        };
        // Every operator line of a run acts on a key that the run has set, or it would have ended the run.
        let mut wanted: Vec<&str> = vec![key];
        for item in self.items.items[block_start..].iter().rev() {
            let Item::Assign {
                operator,
                key: at,
                value,
            } = item
            else {
                return false;
            };
            let text = self.items.symbol(*at);
            if self.items.text(*value).contains('$') {
                return false;
            }
            if *operator != Operator::Set {
                wanted.push(text);
                continue;
            }
            wanted.retain(|wanted| *wanted != text);
            if wanted.is_empty() {
                return true;
            }
        }
        false
    }

    fn filtered(&mut self, line: &Line<'_>, at: usize, make: fn(FilterId) -> Item) {
        let tokens = scan(&line.text, at);
        if self.lexical_error(line, &tokens) {
            return;
        }
        // Blanks in front are gone: this one follows a character that is passed over.
        if tokens[0].kind == Kind::Blank {
            let at = (tokens[0].start, tokens[0].end);
            let message = "expected a variant name, found a blank";
            let help = "labels are no patterns: remove what stands before the blank";
            self.report(line, at, Class::Parser, "filter-syntax", message)
                .help = Some(help.into());
            return;
        }
        if let Some(filter) = self.filter(line, &tokens) {
            self.push(make(filter), line);
        }
    }

    /// Parses filter tokens, reporting what is wrong with them.
    pub(super) fn filter(&mut self, line: &Line<'_>, tokens: &[Token]) -> Option<FilterId> {
        let symbols = &mut self.items.symbols;
        let mut label = |variable: Option<&str>, value: &str| ItemLabel {
            variable: variable.map(|variable| symbols.intern(variable)),
            value: symbols.intern(value),
        };
        match parse_tokens(tokens, &mut self.items.filters, &mut label) {
            Ok((filter, _)) => Some(filter),
            Err(error) => {
                let at = (error.token.start, error.token.end);
                self.report(line, at, Class::Parser, "filter-syntax", error.message)
                    .help = error.help;
                None
            }
        }
    }

    /// `del NAME` and `suffix NAME`.
    fn named(&mut self, line: &Line<'_>, at: usize, is_del: bool) {
        let mut tokens = scan(&line.text, at);
        // A blank can still be first: behind a character that is passed over.
        if is_del && tokens[0].kind == Kind::Blank {
            tokens.remove(0);
        }
        let what = if is_del { "del" } else { "suffix" };
        let Kind::Word(name) = &tokens[0].kind else {
            if !(tokens.len() == 1 && self.lexical_error(line, &tokens)) {
                let message = format!(
                    "expected a name after `{what}`, found {}",
                    tokens[0].kind.describe()
                );
                self.report(
                    line,
                    (tokens[0].start, tokens[0].end),
                    Class::Parser,
                    "name",
                    message,
                );
            }
            return;
        };
        let mut rest = tokens[1..].iter();
        let mut next = rest.next();
        if is_del && next.is_some_and(|token| token.kind == Kind::Blank) {
            next = rest.next();
        }
        let Some(next) = next.filter(|token| token.kind != Kind::End) else {
            let sym = self.items.symbols.intern(name);
            self.push(if is_del { Item::Del(sym) } else { Item::Suffix(sym) }, line);
            return;
        };
        if matches!(next.kind, Kind::Unexpected(_) | Kind::Unterminated) {
            self.lexical_error(line, &tokens);
            return;
        }
        let message = format!(
            "expected the end of the line after `{what} {name}`, found {}",
            next.kind.describe()
        );
        let help = match (is_del, &next.kind) {
            (true, Kind::Dot) => "`del` takes one plain name, not a pattern",
            (false, Kind::Blank) => "not even a comment may follow `suffix NAME`",
            _ => "write one name a line",
        };
        self.report(line, (next.start, next.end), Class::Parser, "name", message)
            .help = Some(help.into());
    }

    /// `filter:` and `!filter:`, or a line that is no statement at all.
    fn condition(&mut self, line: &Line<'t>) {
        let indent = i64::from(line.indent);
        let header = self.condition_header(line);
        let Some((filter, negated, rest)) = header else {
            if line.text.ends_with(':') {
                self.skip_block(indent);
            }
            return;
        };
        let item = self.push(
            Item::Condition {
                filter,
                negated,
                end: 0,
            },
            line,
        );
        let rest = skip_blanks(&line.text, rest);
        if rest < line.text.len() {
            let offset = line.offset
                + if matches!(line.text, Cow::Borrowed(_)) {
                    rest as u32
                } else {
                    0
                };
            let text = Self::rest_of(line, rest);
            self.pushed_back = Some(Line {
                text,
                indent: line.indent + 1,
                number: line.number,
                offset,
            });
        }
        self.open(Frame::Block {
            above: indent,
            header: Some(item),
            conditional: true,
        });
    }

    fn condition_header(&mut self, line: &Line<'_>) -> Option<(FilterId, bool, usize)> {
        let mut tokens = scan_header(&line.text);
        let negated = match tokens[0].kind {
            Kind::Bang => true,
            Kind::Word(_) => false,
            _ => {
                self.not_a_statement(line, &tokens);
                return None;
            }
        };
        let Some(colon) = tokens.iter().position(|token| token.kind == Kind::Colon) else {
            tokens.retain(|token| token.kind != Kind::Blank);
            let lexical = matches!(
                tokens.last(),
                Some(Token {
                    kind: Kind::Unexpected(_) | Kind::Unterminated,
                    ..
                })
            );
            if !negated || lexical || self.filter(line, &tokens[1..]).is_some() {
                self.no_colon(line, &tokens, negated);
            }
            return None;
        };
        let rest = tokens[colon].end;
        tokens.truncate(colon);
        tokens.retain(|token| token.kind != Kind::Blank);
        tokens.push(Token {
            kind: Kind::End,
            start: rest - 1,
            end: rest,
        });
        let filter = self.filter(line, &tokens[usize::from(negated)..])?;
        Some((filter, negated, rest))
    }

    fn not_a_statement(&mut self, line: &Line<'_>, tokens: &[Token]) {
        let first = &tokens[0];
        if tokens.len() == 1 && self.lexical_error(line, tokens) {
            return;
        }
        let message = format!("a statement cannot start with {}", first.kind.describe());
        let help = match first.kind {
            Kind::Open => "a condition must start with a plain variant name: write `name..(variable=value):`",
            Kind::End => "a comment may not follow a condition's colon",
            _ => {
                "expected an assignment, `variants:`, `only`, `no`, `include`, `del`, `suffix`, `join` or `filter:`"
            }
        };
        self.report(
            line,
            (first.start, first.end),
            Class::Parser,
            "statement",
            message,
        )
        .help = Some(help.into());
    }

    fn no_colon(&mut self, line: &Line<'_>, tokens: &[Token], negated: bool) {
        if self.lexical_error(line, tokens) {
            return;
        }
        let end = line.text.len();
        let class = if negated { Class::Other } else { Class::Parser };
        let message = "expected `:` or an operator such as `=` before the end of the line";
        let help = match &*line.text {
            "only" | "no" | "del" | "include" | "suffix" | "join" => {
                format!("`{}` needs something after it on the same line", line.text)
            }
            text => match meant(text) {
                Some(keyword) => format!("did you mean `{keyword}`?"),
                None => "write `key = value`, or `filter:` to open a conditional block".into(),
            },
        };
        self.report(line, (end, end), class, "statement", message).help = Some(help);
    }
}

/// The keyword that a line most likely was to start with: its first word is nearly one, and something follows.
fn meant(text: &str) -> Option<String> {
    const KEYWORDS: [&str; 7] = ["variants", "only", "no", "include", "del", "suffix", "join"];
    let (word, _) = text.split_once(is_blank)?;
    nearest(word, KEYWORDS.into_iter(), 1).pop()
}
