//! Assignments and removals.

use super::{Applier, Cause, Change, Watch};
use crate::diagnostic::Diagnostic;
use crate::graph::{Graph, Operator, TextRef};
use crate::symbols::Sym;

impl Applier {
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one statement, spread by the caller's match"
    )]
    pub(super) fn assign<W: Watch>(
        &mut self,
        graph: &Graph,
        stmt: u32,
        operator: Operator,
        substitutes: bool,
        key: Sym,
        value: TextRef,
        watch: &mut W,
    ) -> Result<(), Box<Diagnostic>> {
        if Graph::is_reserved(key) {
            return Ok(());
        }
        let old = self.dict.get(key.0);
        if operator == Operator::Default && old.is_some() {
            return Ok(());
        }
        let value = if substitutes {
            self.substitute(graph, stmt, value)?
        } else {
            value
        };
        let new = self.combine(graph, operator, old, value);
        self.dict.set(key.0, new);
        if W::ON {
            let text = |at| graph.text(at, self.dict.own());
            watch.changed(Change {
                cause: Cause::Stmt(stmt),
                key: key.0,
                operator: operator.as_str(),
                before: old.map(text),
                after: Some(text(new)),
            });
        }
        Ok(())
    }

    /// The value that an operator makes of the old one and its operand.
    fn combine(
        &mut self,
        graph: &Graph,
        operator: Operator,
        old: Option<TextRef>,
        value: TextRef,
    ) -> TextRef {
        let Some(old) = old.filter(|old| old.len > 0) else {
            return value;
        };
        let (first, second) = match operator {
            Operator::Append => (old, value),
            Operator::Prepend => (value, old),
            _ => return value,
        };
        let joined = [
            graph.text(first, self.dict.own()),
            graph.text(second, self.dict.own()),
        ]
        .concat();
        self.dict.add_text(&joined)
    }

    pub(super) fn assign_matching<W: Watch>(
        &mut self,
        graph: &Graph,
        stmt: u32,
        (operator, substitutes): (Operator, bool),
        matcher: u32,
        value: TextRef,
        watch: &mut W,
    ) -> Result<(), Box<Diagnostic>> {
        let shown = match operator {
            Operator::Append => "?+=",
            Operator::Prepend => "?<=",
            _ => "?=",
        };
        let keys = self.matching(graph, stmt, matcher)?;
        // What `${}` stands for is settled before the first key changes.
        let value = if substitutes && !keys.is_empty() {
            self.substitute(graph, stmt, value)?
        } else {
            value
        };
        for key in keys {
            let old = self.dict.get(key);
            let new = self.combine(graph, operator, old, value);
            self.dict.set(key, new);
            if W::ON {
                let text = |at| graph.text(at, self.dict.own());
                watch.changed(Change {
                    cause: Cause::Stmt(stmt),
                    key,
                    operator: shown,
                    before: old.map(text),
                    after: Some(text(new)),
                });
            }
        }
        Ok(())
    }

    /// The present keys that a pattern matches, in order.
    fn matching(&self, graph: &Graph, stmt: u32, matcher: u32) -> Result<Vec<u32>, Box<Diagnostic>> {
        let matcher = &graph.matchers[matcher as usize];
        if !self.dict.has_suffixes()
            && let Some(literal) = matcher.literal()
        {
            let found = graph
                .symbols
                .find(literal)
                .filter(|key| !Graph::is_reserved(*key));
            return Ok(found
                .filter(|key| self.dict.get(key.0).is_some())
                .map(|key| key.0)
                .into_iter()
                .collect());
        }
        let fail = |error| {
            let message = format!("apply the key pattern `{}`: {error}", matcher.text());
            self.fail(graph, stmt, "key-pattern", message)
        };
        matcher.check().map_err(fail)?;
        let mut hits = Vec::new();
        for (key, _) in self.dict.iter() {
            let hit = if self.dict.is_plain(key) {
                matcher.matches(graph.symbols.text(Sym(key)))
            } else {
                matcher.matches(&self.dict.key_text(graph, key))
            };
            if hit.map_err(fail)? {
                hits.push(key);
            }
        }
        Ok(hits)
    }

    pub(super) fn del<W: Watch>(&mut self, graph: &Graph, stmt: u32, key: Sym, watch: &mut W) {
        if Graph::is_reserved(key) {
            return;
        }
        let name = graph.symbols.text(key);
        let doomed = if self.dict.has_suffixes() {
            self.dict
                .keys()
                .into_iter()
                .filter(|&at| self.dict.key_text(graph, at) == name)
                .collect()
        } else {
            vec![key.0]
        };
        for key in doomed {
            if let Some(old) = self.dict.remove(key)
                && W::ON
            {
                watch.changed(Change {
                    cause: Cause::Stmt(stmt),
                    key,
                    operator: "del",
                    before: Some(graph.text(old, self.dict.own())),
                    after: None,
                });
            }
        }
    }
}
