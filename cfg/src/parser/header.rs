//! `variants` headers and the `-` lines under them.

use super::{Frame, Next, Parser};
use crate::diagnostic::{Class, Diagnostic};
use crate::items::{Item, ItemId, VariantHeader};
use crate::lexer::{Keyword, Kind, Operator, Token, assignment, keyword, scan, skip_blanks};
use crate::lines::Line;
use crate::provenance::{did_you_mean, nearest};

/// What established implementations call the variable of `variants [meta] NAME:`: not its name, but what they print for
/// the class of any name.
pub(crate) const NAME_AFTER_META: &str = "<class 'cartesian_config.LIdentifier'>";

/// The code of a `[default=…]` that is found to match nothing only at the end of the file, though it is told at its header.
pub(crate) const UNMATCHED_AT_END: &str = "unmatched-default";

/// A `variants` block whose variants are being read.
pub(super) struct VariantList {
    /// The item of the header.
    header: usize,
    /// The indent of the header's line, and the limit of the block it stands in.
    indent: i64,
    above: i64,
    /// The indent of the first `-`.
    dash: Option<i64>,
    /// `[default=...]` values that no variant has matched yet.
    defaults: Vec<Vec<Kind>>,
}

/// A parsed header.
#[derive(Default)]
struct Header {
    variable: Option<String>,
    defaults: Vec<Vec<Kind>>,
}

/// A token that does not fit, what to say of it, and what to do.
type Misfit = (Token, String, &'static str);

impl<'t> Parser<'t> {
    /// Parses a `variants` line whose keyword ends at `at` and opens its list.
    pub(super) fn variants(&mut self, line: &Line<'_>, at: usize, conditional: bool) {
        let indent = i64::from(line.indent);
        let above = match self.stack.last() {
            Some(Frame::Block { above, .. }) => *above,
            _ => -1,
        };
        if conditional {
            let message = "`variants` is not allowed inside a conditional block";
            self.report(line, (0, 8), Class::Parser, "variants-in-condition", message);
            self.skip_block(indent);
            return;
        }
        let tokens = scan(&line.text, at);
        match read_header(&tokens) {
            Ok(header) => {
                let named = header.variable.filter(|name| !name.is_empty());
                let variable = named.map(|name| self.items.symbols.intern(&name));
                let item = self.push(Item::Variants { variable, end: 0 }, line);
                let list = VariantList {
                    header: item,
                    indent,
                    above,
                    dash: None,
                    defaults: header.defaults,
                };
                self.stack.push(Frame::Variants(list));
            }
            Err(misfit) => {
                self.misfit(line, &tokens, misfit);
                self.skip_block(indent);
            }
        }
    }

    fn misfit(&mut self, line: &Line<'_>, tokens: &[Token], (token, message, help): Misfit) {
        if matches!(token.kind, Kind::Unexpected(_) | Kind::Unterminated) && self.lexical_error(line, tokens)
        {
            return;
        }
        let diagnostic = self.report(
            line,
            (token.start, token.end),
            Class::Parser,
            "variants-syntax",
            message,
        );
        if !help.is_empty() {
            diagnostic.help = Some(help.to_owned());
        }
    }

    /// Reads the next variant of the list on top of the stack, or ends the list.
    pub(super) fn variant(&mut self) {
        let Some(Frame::Variants(list)) = self.stack.last() else {
            return;
        };
        let (first, indent) = (list.dash.is_none(), list.indent);
        let above = if first { list.above } else { indent };
        let Next::Line(line) = self.next_line(above) else {
            // A header with nothing below it does nothing, whatever it asks for.
            if first {
                self.after_empty_block = true;
            } else {
                self.missing_default();
            }
            self.end_list();
            return;
        };
        let line_indent = i64::from(line.indent);
        let Some((Keyword::Dash, at)) = keyword(&line.text) else {
            self.not_a_variant(&line, first);
            self.skip_block(line_indent);
            if first && line_indent <= indent {
                self.end_list();
            }
            return;
        };
        let dash = match self.stack.last_mut() {
            Some(Frame::Variants(list)) => *list.dash.get_or_insert(line_indent),
            _ => line_indent,
        };
        if !self.variant_line(&line, at) {
            self.skip_block(dash);
            return;
        }
        let header = Some(self.items.items.len() - 1);
        self.open(Frame::Block {
            above: dash,
            header,
            conditional: false,
        });
    }

    /// Reports a line that stands where a `-` line must.
    fn not_a_variant(&mut self, line: &Line<'_>, first: bool) {
        let assigns = !first && assignment(&line.text).is_some();
        let scanned = keyword(&line.text).is_none() && !assigns;
        if scanned && self.lexical_error(line, &scan(&line.text, 0)[..1]) {
            return;
        }
        let message = "expected a `-` line with a variant's name";
        let help = "statements of a variant must be indented deeper than its `-`";
        self.report(line, (0, line.text.len()), Class::Parser, "variant", message)
            .help = Some(help.into());
    }

    fn end_list(&mut self) {
        if let Some(Frame::Variants(list)) = self.stack.pop() {
            self.close(list.header);
        }
    }

    /// Parses `- [@]name: [deps]` and adds its item; `false` if it is wrong.
    fn variant_line(&mut self, line: &Line<'t>, at: usize) -> bool {
        let at = skip_blanks(&line.text, at);
        let mut tokens = scan(&line.text, at);
        // A blank can still be first: behind a character that is passed over.
        if tokens[0].kind == Kind::Blank {
            tokens.remove(0);
        }
        let (at_sign, names, colon) = match read_names(&tokens) {
            Ok(read) => read,
            Err(misfit) => {
                self.misfit(line, &tokens, misfit);
                return false;
            }
        };
        let deps = &tokens[colon + 1..];
        if self.lexical_error(line, deps) {
            return false;
        }
        let deps = match deps {
            [Token { kind: Kind::End, .. }] => None,
            tokens => match self.filter(line, tokens) {
                None => return false,
                filter => filter,
            },
        };
        let by_meta = self.take_default(names);
        let first = self.items.labels.len() as u32;
        for token in names {
            if let Kind::Word(word) = &token.kind {
                let label = self.items.symbols.intern(word);
                self.items.labels.push(label);
            }
        }
        let labels = first..self.items.labels.len() as u32;
        let variant = VariantHeader {
            labels,
            deps,
            is_default: by_meta || at_sign,
            end: 0,
        };
        self.push(Item::Variant(variant), line);
        true
    }

    /// Uses up the `[default=...]` that these name tokens match pairwise, up to the shorter of the two.
    fn take_default(&mut self, names: &[Token]) -> bool {
        let Some(Frame::Variants(list)) = self.stack.last_mut() else {
            return false;
        };
        let matches = |wanted: &Vec<Kind>| {
            wanted
                .iter()
                .zip(names)
                .all(|(wanted, name)| *wanted == name.kind)
        };
        let found = list.defaults.iter().position(matches);
        if let Some(index) = found {
            list.defaults.remove(index);
        }
        found.is_some()
    }

    fn missing_default(&mut self) {
        let Some(Frame::Variants(list)) = self.stack.last() else {
            return;
        };
        let Some(wanted) = list.defaults.first() else {
            return;
        };
        let wanted: String = wanted.iter().map(Kind::mark).collect();
        let message = format!("no variant of the block matches `[default={wanted}]`");
        let header = self.spans.location(ItemId(list.header as u32));
        let note = format!("the block starts at line {}", header.line);
        let names = self.variants_of(list.header);
        let help = did_you_mean(&nearest(&wanted, names.iter().map(String::as_str), 3));
        match self.peek().cloned() {
            Some(line) => {
                let diagnostic = self.report(&line, (0, 0), Class::Parser, "missing-default", message);
                diagnostic.notes.push(note);
                diagnostic.help = help;
            }
            None => {
                let error = Diagnostic::error(Class::Parser, UNMATCHED_AT_END, message, header);
                self.diagnostics
                    .push(Diagnostic { help, ..error }.with_note(note));
            }
        }
    }

    /// The names of the variants of the block whose header is item `header`.
    fn variants_of(&self, header: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = header + 1;
        while let Some(Item::Variant(variant)) = self.items.items.get(next) {
            let labels: Vec<&str> = self.items.labels(variant).collect();
            names.push(labels.join("."));
            next = (variant.end as usize).max(next + 1);
        }
        names
    }
}

fn is_end(kind: &Kind) -> bool {
    matches!(kind, Kind::End | Kind::Unexpected(_) | Kind::Unterminated)
}

/// The tokens of a line without blanks; past the end it gives the end again.
struct Tokens<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> &'a Token {
        let last = self.tokens.len() - 1;
        while self.at < last && self.tokens[self.at].kind == Kind::Blank {
            self.at += 1;
        }
        let token = &self.tokens[self.at.min(last)];
        self.at += 1;
        token
    }
}

/// Reads `[ name][ [meta]...]:`.
fn read_header(tokens: &[Token]) -> Result<Header, Misfit> {
    let mut header = Header::default();
    let mut tokens = Tokens { tokens, at: 0 };
    // The first run: anything up to a name, `[`, `:` or the end. The variable is called like the run's first token.
    let mut run: Option<&Token> = None;
    let mut after_meta = false;
    let mut stop = loop {
        let token = tokens.next();
        if matches!(token.kind, Kind::Word(_) | Kind::OpenSquare | Kind::Colon) || is_end(&token.kind) {
            break token;
        }
        run.get_or_insert(token);
    };
    loop {
        match &stop.kind {
            Kind::Word(_) if header.variable.is_none() && after_meta => {
                header.variable = Some(NAME_AFTER_META.to_owned());
            }
            Kind::Word(word) if header.variable.is_none() => {
                header.variable = Some(run.map_or(word.as_str(), |token| token.kind.mark()).to_owned());
            }
            Kind::Word(_) => {
                let message = "a `variants` block has one variable".to_owned();
                return Err((stop.clone(), message, "expected `[` or `:` after the variable"));
            }
            Kind::OpenSquare => {
                read_meta(&mut tokens, &mut header)?;
                after_meta = true;
            }
            Kind::Colon => break,
            Kind::End => {
                return Err((
                    stop.clone(),
                    "expected `:` at the end of the `variants` line".into(),
                    "",
                ));
            }
            other => {
                let message = format!("expected a variable, `[` or `:`, found {}", other.describe());
                return Err((stop.clone(), message, ""));
            }
        }
        stop = tokens.next();
    }
    let token = tokens.next();
    if token.kind == Kind::End {
        return Ok(header);
    }
    let message = format!(
        "expected the end of the line after `:`, found {}",
        token.kind.describe()
    );
    Err((
        token.clone(),
        message,
        "variants are written on lines of their own, each after a `-`",
    ))
}

/// Reads `key]` or `key=value]` after a `[`.
fn read_meta(tokens: &mut Tokens<'_>, header: &mut Header) -> Result<(), Misfit> {
    let token = tokens.next();
    let Kind::Word(key) = &token.kind else {
        return Err((
            token.clone(),
            format!("expected a name after `[`, found {}", token.kind.describe()),
            "",
        ));
    };
    let next = tokens.next();
    match &next.kind {
        Kind::CloseSquare if key == "default" => {
            return Err((
                token.clone(),
                "`[default]` needs a value".into(),
                "write `[default=NAME]`",
            ));
        }
        Kind::CloseSquare => return Ok(()),
        Kind::Operator(Operator::Set) => {}
        other => {
            return Err((
                next.clone(),
                format!("expected `=` or `]`, found {}", other.describe()),
                "",
            ));
        }
    }
    let mut value = Vec::new();
    loop {
        let token = tokens.next();
        if token.kind == Kind::CloseSquare {
            break;
        }
        if is_end(&token.kind) {
            return Err((token.clone(), "expected `]`".into(), ""));
        }
        value.push(token.kind.clone());
    }
    if key == "default" {
        header.defaults.push(value);
    }
    Ok(())
}

/// Reads `[@]name(.name)*:`: whether it had the `@`, the tokens of the name, and the index of the colon.
fn read_names(tokens: &[Token]) -> Result<(bool, &[Token], usize), Misfit> {
    let at_sign = tokens[0].kind == Kind::At;
    let first = usize::from(at_sign);
    if !at_sign && !matches!(tokens[0].kind, Kind::Word(_)) {
        let message = format!(
            "expected a variant's name after `-`, found {}",
            tokens[0].kind.describe()
        );
        return Err((tokens[0].clone(), message, ""));
    }
    let is_name = |token: &Token| matches!(token.kind, Kind::Word(_) | Kind::Dot);
    let stop = first + tokens[first..].iter().take_while(|token| is_name(token)).count();
    let token = &tokens[stop];
    if token.kind == Kind::Colon {
        return Ok((at_sign, &tokens[first..stop], stop));
    }
    let message = format!(
        "expected `:` after the variant's name, found {}",
        token.kind.describe()
    );
    let help = match token.kind {
        Kind::Blank => "no blank may stand between a variant's name and its `:`, or after `@`",
        _ => "a variant line is `- name:`, with what it depends on after the colon",
    };
    Err((token.clone(), message, help))
}
