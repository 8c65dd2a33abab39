//! `_min`, `_max` and `_fixed` keys: applied once, after all operations.

use super::{Applier, Cause, Change, Watch};
use crate::diagnostic::Diagnostic;
use crate::graph::{BoundKind, Graph, TextRef};
use crate::symbols::Sym;

impl Applier {
    /// Sets the keys that bounds reach. All comparisons see the values from before; for one key the last bound wins.
    pub(super) fn apply_bounds<W: Watch>(
        &mut self,
        graph: &Graph,
        watch: &mut W,
    ) -> Result<(), Box<Diagnostic>> {
        let mut schedule: Vec<(Sym, Sym, TextRef)> = Vec::new();
        for (key, value) in self.dict.iter() {
            if !self.dict.is_plain(key) {
                continue;
            }
            let Some((kind, base)) = graph.bound(key) else {
                continue;
            };
            if Graph::is_reserved(base) || Graph::is_reserved(Sym(key)) {
                continue;
            }
            if self
                .bound_applies(graph, kind, base, value)
                .map_err(|why| self.bad_bound(graph, Sym(key), &why))?
            {
                schedule.push((base, Sym(key), value));
            }
        }
        for (base, key, value) in schedule {
            let old = self.dict.get(base.0);
            self.dict.set(base.0, value);
            if W::ON {
                let text = |at| graph.text(at, self.dict.own());
                let bound = graph.symbols.text(key);
                let operator = if bound.ends_with("_max") {
                    "_max"
                } else if bound.ends_with("_min") {
                    "_min"
                } else {
                    "_fixed"
                };
                watch.changed(Change {
                    cause: Cause::Bound(key),
                    key: base.0,
                    operator,
                    before: old.map(text),
                    after: Some(text(value)),
                });
            }
        }
        Ok(())
    }

    fn bound_applies(
        &self,
        graph: &Graph,
        kind: BoundKind,
        base: Sym,
        bound: TextRef,
    ) -> Result<bool, String> {
        let Some(old) = self.dict.get(base.0) else {
            return Ok(true);
        };
        if kind == BoundKind::Fixed {
            return Ok(true);
        }
        let text = |at| graph.text(at, self.dict.own());
        let order = compare(text(old), text(bound))?;
        Ok(match kind {
            BoundKind::Max => order.is_gt(),
            _ => order.is_lt(),
        })
    }

    fn bad_bound(&self, graph: &Graph, key: Sym, why: &str) -> Box<Diagnostic> {
        let name = graph.symbols.text(key);
        let message = format!("apply the bound `{name}`: {why}");
        let stmt = self.last_assignment(graph, key).unwrap_or(0);
        self.fail(graph, stmt, "bound", message)
    }

    /// The last statement along the path that names `key`.
    fn last_assignment(&self, graph: &Graph, key: Sym) -> Option<u32> {
        let names = |at: &u32| match graph.stmt(*at) {
            crate::graph::Stmt::Assign { key: at, .. } => at == key,
            _ => false,
        };
        self.path
            .iter()
            .find_map(|&node| graph.node(node).content.clone().rev().find(names))
    }
}

/// Compares two numbers or, if either text holds a unit letter, two sizes.
fn compare(a: &str, b: &str) -> Result<std::cmp::Ordering, String> {
    let units = |text: &str| text.contains(|c| "bBkKmMgGtT".contains(c));
    if units(a) || units(b) {
        return Ok(size(a)?.cmp(&size(b)?));
    }
    Ok(integer(a)?.cmp(&integer(b)?))
}

/// A text as a whole number: blanks around it, a sign, and single `_` between digits are fine.
fn integer(text: &str) -> Result<i128, String> {
    let wrong = || format!("`{text}` is not a whole number");
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if !well_separated(digits) {
        return Err(wrong());
    }
    let mut value: i128 = 0;
    for c in digits.chars().filter(|&c| c != '_') {
        let digit = c.to_digit(10).ok_or_else(wrong)?;
        value = value.saturating_mul(10).saturating_add(i128::from(digit));
    }
    Ok(if trimmed.starts_with('-') { -value } else { value })
}

/// Whether `_` stands only between digits, and there is something at all.
fn well_separated(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('_') && !text.ends_with('_') && !text.contains("__")
}

/// A size in bytes; without a unit at its end it counts in M.
fn size(text: &str) -> Result<i128, String> {
    let text = match text.chars().last() {
        Some(c) if "bBkKmMgGtT".contains(c) => text.to_owned(),
        _ => format!("{text}M"),
    };
    let (number, unit) = text.split_at(text.len() - 1);
    let power = "BKMGT".find(&unit.to_uppercase()).unwrap_or(0) as i32;
    let wrong = || format!("`{number}` is not a number");
    let clean = number.trim();
    if clean.contains('_')
        && !clean
            .split(['.', 'e', 'E', '+', '-'])
            .all(|part| part.is_empty() || well_separated(part))
    {
        return Err(wrong());
    }
    let value: f64 = clean.replace('_', "").parse().map_err(|_| wrong())?;
    let bytes = value * 1024f64.powi(power);
    if !bytes.is_finite() {
        return Err(format!("`{number}` is not a finite number"));
    }
    Ok(bytes.trunc() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes() {
        assert_eq!(integer(" +1_000 "), Ok(1000));
        assert!(integer("1__0").is_err());
        assert!(integer("1e3").is_err());
        assert_eq!(size("1.5k"), Ok(1536));
        assert_eq!(size("2"), Ok(2 << 20));
        assert!(size("infB").is_err());
        assert!(size("b").is_err());
        assert!(compare("1G", "1000").expect("sizes").is_gt());
    }
}
