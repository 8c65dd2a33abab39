//! From the text of a question to its expression, or to what is wrong with it and where.

use std::ops::Range;

use super::{Expr, Op, Query, QueryError};

/// How deep parentheses may be nested.
const DEEPEST: usize = 200;
const FUNCTIONS: [&str; 6] = ["deps", "rdeps", "somepath", "allpaths", "kind", "attr"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, a pattern, a number, or a target.
    Word(String),
    /// The same in quotes: never an operator.
    Quoted(String),
    Open,
    Close,
    Comma,
    Op(Op),
    End,
}

struct Parser<'a> {
    text: &'a str,
    kinds: &'a [&'a str],
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

impl Query {
    /// Reads a question. `kinds` are the names that may stand before a name in parentheses, as in `image(jeos)`.
    ///
    /// # Errors
    /// Where it makes no sense; the error shows the place.
    pub fn parse(text: &str, kinds: &[&str]) -> Result<Self, QueryError> {
        let tokens = tokens(text)?;
        let mut parser = Parser {
            text,
            kinds,
            tokens,
            at: 0,
            depth: 0,
        };
        let root = parser.expr()?;
        match parser.next() {
            (Token::End, _) => Ok(Self { root }),
            (Token::Close, at) => Err(parser.wrong(
                at,
                "this parenthesis closes nothing",
                "take it out, or open one before it",
            )),
            (_, at) => Err(parser.wrong(
                at,
                "an operator was expected",
                "put `+` (union), `-` (except) or `^` (intersect) between two expressions",
            )),
        }
    }
}

fn error(text: &str, at: Range<usize>, message: &str, help: &str) -> QueryError {
    QueryError {
        text: text.to_owned(),
        at,
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, QueryError> {
    let mut tokens = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let single = |token: Token| (token, at..at + c.len_utf8());
        match c {
            c if c.is_whitespace() => {}
            '(' => tokens.push(single(Token::Open)),
            ')' => tokens.push(single(Token::Close)),
            ',' => tokens.push(single(Token::Comma)),
            '+' => tokens.push(single(Token::Op(Op::Union))),
            '^' => tokens.push(single(Token::Op(Op::Intersect))),
            '"' | '\'' => {
                let inside = at + 1;
                let Some(length) = text[inside..].find(c) else {
                    let help = "put the same quote behind the text";
                    return Err(error(text, at..text.len(), "this quote is not closed", help));
                };
                let end = inside + length;
                tokens.push((Token::Quoted(text[inside..end].to_owned()), at..end + 1));
                while rest.next_if(|(at, _)| *at <= end).is_some() {}
            }
            _ => {
                let mut end = at + c.len_utf8();
                let goes_on = |c: char| !c.is_whitespace() && !"(),+^\"'".contains(c);
                while let Some((at, c)) = rest.next_if(|(_, c)| goes_on(*c)) {
                    end = at + c.len_utf8();
                }
                // A name may hold dashes; one that stands alone is an operator.
                let token = match &text[at..end] {
                    "-" | "except" => Token::Op(Op::Except),
                    "union" => Token::Op(Op::Union),
                    "intersect" => Token::Op(Op::Intersect),
                    word => Token::Word(word.to_owned()),
                };
                tokens.push((token, at..end));
            }
        }
    }
    tokens.push((Token::End, text.len()..text.len()));
    Ok(tokens)
}

impl Parser<'_> {
    fn wrong(&self, at: Range<usize>, message: &str, help: &str) -> QueryError {
        error(self.text, at, message, help)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    /// The next token; the end as often as it is asked for.
    fn next(&mut self) -> (Token, Range<usize>) {
        let token = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn expr(&mut self) -> Result<Expr, QueryError> {
        let mut left = self.term()?;
        while let Token::Op(op) = *self.peek() {
            self.next();
            let right = Box::new(self.term()?);
            left = Expr::Set {
                left: Box::new(left),
                op,
                right,
            };
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Expr, QueryError> {
        let (token, at) = self.next();
        match token {
            Token::Open => {
                self.deeper(&at)?;
                let inside = self.expr()?;
                self.close(&at)?;
                Ok(inside)
            }
            Token::Word(word) | Token::Quoted(word) if word.starts_with("//") => {
                if word.len() > 2 {
                    Ok(Expr::Target(word))
                } else {
                    Err(self.wrong(at, "this target names nothing", "`//...` means everything"))
                }
            }
            Token::Word(word) if *self.peek() == Token::Open => self.call(&word, at),
            Token::Word(word) | Token::Quoted(word) => {
                let help = format!("write //{word} for tests, or image({word}) for images by name");
                Err(self.wrong(at, "this is neither a target nor a function", &help))
            }
            Token::End => Err(self.wrong(
                at,
                "an expression was expected, and this is the end",
                "for example //boot, image(jeos) or deps(//boot)",
            )),
            Token::Close | Token::Comma | Token::Op(_) => Err(self.wrong(
                at,
                "an expression was expected",
                "for example //boot, image(jeos) or deps(//boot); a filter with commas stands in quotes",
            )),
        }
    }

    fn deeper(&mut self, at: &Range<usize>) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(
                at.clone(),
                "the parentheses are nested too deep",
                "take some of them out",
            ));
        }
        Ok(())
    }

    fn close(&mut self, open: &Range<usize>) -> Result<(), QueryError> {
        self.depth -= 1;
        match self.next() {
            (Token::Close, _) => Ok(()),
            (Token::End, _) => Err(self.wrong(
                open.clone(),
                "this parenthesis is not closed",
                "put `)` behind it",
            )),
            (_, at) => Err(self.wrong(
                at,
                "`)` was expected",
                "functions and what they take are listed by `vtbuild query --help`",
            )),
        }
    }

    fn comma(&mut self, usage: &str) -> Result<(), QueryError> {
        match self.next() {
            (Token::Comma, _) => Ok(()),
            (_, at) => Err(self.wrong(at, "`,` was expected", &format!("it is written {usage}"))),
        }
    }

    fn word(&mut self, what: &str, usage: &str) -> Result<String, QueryError> {
        match self.next() {
            (Token::Word(word) | Token::Quoted(word), _) => Ok(word),
            (_, at) => Err(self.wrong(
                at,
                &format!("{what} was expected"),
                &format!("it is written {usage}"),
            )),
        }
    }

    fn kind(&mut self, usage: &str) -> Result<String, QueryError> {
        let at = self.tokens[self.at].1.clone();
        let kind = self.word("a kind", usage)?;
        if self.kinds.contains(&kind.as_str()) {
            Ok(kind)
        } else {
            let help = format!("there are {}", self.kinds.join(", "));
            Err(self.wrong(at, "there is no such kind", &help))
        }
    }

    fn steps(&mut self) -> Result<Option<usize>, QueryError> {
        if *self.peek() != Token::Comma {
            return Ok(None);
        }
        self.next();
        let (token, at) = self.next();
        let number = match token {
            Token::Word(word) => word.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| {
            self.wrong(
                at,
                "a number of steps was expected",
                "for example deps(//boot, 1)",
            )
        })
    }

    fn call(&mut self, name: &str, at: Range<usize>) -> Result<Expr, QueryError> {
        let (_, open) = self.next();
        self.deeper(&open)?;
        let expr = match name {
            "deps" => Expr::Deps {
                of: Box::new(self.expr()?),
                steps: self.steps()?,
            },
            "rdeps" => {
                let among = Box::new(self.expr()?);
                self.comma("rdeps(UNIVERSE, X), for example rdeps(//..., image(jeos))")?;
                Expr::Rdeps {
                    among,
                    of: Box::new(self.expr()?),
                    steps: self.steps()?,
                }
            }
            "somepath" | "allpaths" => {
                let from = Box::new(self.expr()?);
                self.comma(&format!("{name}(X, Y), for example {name}(//boot, image(jeos))"))?;
                Expr::Paths {
                    from,
                    to: Box::new(self.expr()?),
                    all: name == "allpaths",
                }
            }
            "kind" => {
                let usage = "kind(KIND, X), for example kind(image, deps(//boot))";
                let kind = self.kind(usage)?;
                self.comma(usage)?;
                let of = Box::new(self.expr()?);
                Expr::Kind { kind, of }
            }
            "attr" => {
                let usage = "attr(KEY, VALUE, X), for example attr(mem, 512, //...)";
                let key = self.word("the name of a parameter", usage)?;
                self.comma(usage)?;
                let value = self.word("a value", usage)?;
                self.comma(usage)?;
                let of = Box::new(self.expr()?);
                Expr::Attr { key, value, of }
            }
            kind if self.kinds.contains(&kind) => Expr::Named {
                kind: kind.to_owned(),
                name: self.word("a name", &format!("{kind}(NAME); `*` stands for any text"))?,
            },
            _ => {
                let help = format!(
                    "there are {}, and the kinds {}",
                    FUNCTIONS.join(", "),
                    self.kinds.join(", ")
                );
                return Err(self.wrong(at, "there is no such function and no such kind", &help));
            }
        };
        self.close(&open)?;
        Ok(expr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 2] = ["image", "test"];

    fn parse(text: &str) -> Query {
        Query::parse(text, &KINDS).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn operators_are_equally_strong_and_go_from_left_to_right() {
        assert_eq!(
            parse("//a + //b - //c ^ //d"),
            parse("((//a union //b) except //c) intersect //d")
        );
        assert_ne!(parse("//a - (//b - //c)"), parse("//a - //b - //c"));
        assert_eq!(parse("//a-b").targets(), ["//a-b"]);
    }

    #[test]
    fn targets_are_told_once() {
        let query = parse("deps(\"//boot,reboot\", 2) ^ rdeps(//..., image('jeos 12')) - kind(test, //...)");
        assert_eq!(query.targets(), ["//boot,reboot", "//..."]);
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (text, column, message) in [
            ("", 0, "an expression was expected, and this is the end"),
            ("deps(//a", 4, "this parenthesis is not closed"),
            ("//a)", 3, "this parenthesis closes nothing"),
            ("//a //b", 4, "an operator was expected"),
            ("boot", 0, "this is neither a target nor a function"),
            ("dep(//a)", 0, "there is no such function and no such kind"),
            ("rdeps(//a)", 9, "`,` was expected"),
            ("deps(//a, x)", 10, "a number of steps was expected"),
            ("kind(imge, //a)", 5, "there is no such kind"),
            ("ü + 'x", 4, "this quote is not closed"),
            ("//", 0, "this target names nothing"),
            ("image()", 6, "a name was expected"),
        ] {
            let error = Query::parse(text, &KINDS).unwrap_err().to_string();
            let lines: Vec<&str> = error.lines().collect();
            assert_eq!(lines[0], message, "{text}");
            assert_eq!(lines[2].find('^'), Some(4 + column), "{error}");
            assert!(lines[3].starts_with("  help: "), "{error}");
        }
        let deep = format!("{}//a{}", "(".repeat(100_000), ")".repeat(100_000));
        let error = Query::parse(&deep, &KINDS).unwrap_err().to_string();
        assert!(error.starts_with("the parentheses are nested too deep"));
    }
}
