//! Assignments that do not do what they look like.

use super::Statement;
use crate::diagnostic::Diagnostic;
use crate::graph::{LinkedFile, RESERVED};
use crate::items::Item;
use crate::lexer::{Assignment, Operator, assignment};

pub(super) fn check(file: &LinkedFile, statement: &Statement<'_>, found: &mut Vec<Diagnostic>) {
    let (key, operator) = match statement.item {
        Item::Assign { key, operator, .. } => (file.items().symbol(*key), *operator),
        Item::Del(key) => {
            let key = file.items().symbol(*key);
            found.extend(reserved(statement, key));
            return;
        }
        _ => return,
    };
    let Some(written) = assignment(&statement.text) else {
        return;
    };
    let is_pattern = written.operator != Operator::Set
        && written.operator != Operator::Append
        && written.operator != Operator::Prepend
        && written.operator != Operator::Default;
    found.extend(misread(statement, key, written));
    if is_pattern {
        found.extend(pattern(statement, key, operator == written.operator));
    } else {
        found.extend(reserved(statement, key));
        found.extend(bound(statement, key));
    }
    if let quote @ ("\"" | "'") = &statement.text[written.value_start..] {
        let at = (written.value_start, statement.text.len());
        let message = format!("the lone quote `{quote}` stands for an empty value");
        found.push(statement.refuse(
            at,
            "lone-quote",
            message,
            "write `\"\"`, or leave the value empty",
        ));
    }
}

/// Lines that were meant to be something else.
fn misread(statement: &Statement<'_>, key: &str, written: Assignment) -> Option<Diagnostic> {
    let value = &statement.text[written.value_start..];
    let whole = (0, written.key_end.max(1));
    let open = key.matches('(').count() > key.matches(')').count();
    if open && value.split_once(')').is_some_and(|(_, rest)| rest.contains(':')) {
        let message = format!("this sets the key `{key}`: a condition cannot say `(block=label)`");
        let help = "name the label alone, as in `label: key = value`";
        return Some(statement.refuse(whole, "condition-assigns", message, help));
    }
    if key.is_empty() {
        let help = "write `key = value`; there is no operator `:=`";
        return Some(statement.refuse(whole, "empty-key", "an assignment without a key".into(), help));
    }
    if key.starts_with('#') {
        let message = format!("this sets the key `{key}`: no comment may follow a condition's colon");
        let help = "put the comment on a line of its own";
        return Some(statement.refuse(whole, "comment-key", message, help));
    }
    None
}

fn reserved(statement: &Statement<'_>, key: &str) -> Option<Diagnostic> {
    RESERVED.contains(&key).then(|| {
        let at = statement.text.find(key).unwrap_or_default();
        let message = format!("`{key}` is computed: this changes nothing");
        let help = "choose another name for the key";
        statement.refuse((at, at + key.len()), "reserved-key", message, help)
    })
}

fn pattern(statement: &Statement<'_>, key: &str, as_written: bool) -> Option<Diagnostic> {
    let whole = (0, key.len());
    if !as_written {
        let message =
            format!("the pattern `{key}` acts on the key of that very name alone, which is set right before");
        let help = "put the line elsewhere, or use the operator without its `?`";
        return Some(statement.refuse(whole, "literal-pattern", message, help));
    }
    has_open_alternative(key).then(|| {
        let message =
            format!("all alternatives of `{key}` but the last match every key that starts with them");
        let help = format!("write `({key})`");
        statement.refuse(whole, "last-alternative-anchored", message, &help)
    })
}

/// Whether a pattern has a `|` outside of all brackets.
fn has_open_alternative(pattern: &str) -> bool {
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// A key like `x_max_max`: what it bounds is cut off at the first `_max`.
fn bound(statement: &Statement<'_>, key: &str) -> Option<Diagnostic> {
    let end = ["_max", "_min", "_fixed"]
        .into_iter()
        .find(|end| key.ends_with(end))?;
    let first = key.find(end)?;
    (first + end.len() < key.len()).then(|| {
        let message = format!(
            "`{key}` bounds `{}`, not `{}`",
            &key[..first],
            &key[..key.len() - end.len()]
        );
        let help = format!("choose a name with one `{end}`");
        statement.refuse((0, key.len()), "bound-of-bound", message, &help)
    })
}
