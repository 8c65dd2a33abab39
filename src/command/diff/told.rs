//! How a difference is told: on a terminal, to programs, and as a comment for a pull request.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::json;

use super::rerun::{Group, Rerun};
use crate::command::changes::{Change, Counts};
use crate::command::{Output, plural};
use crate::exit::Failure;
use crate::report::about;

/// How many names of a group the terminal is told.
const NAMED: usize = 5;
/// How many groups, and names of a group, a comment has. What hosts of repositories take is limited.
const GROUPS: usize = 15;
const NAMED_IN_COMMENT: usize = 30;
/// How many keys of a variant a comment has.
const KEYS: usize = 10;
/// How much of a line a comment has.
const WIDE: usize = 200;

/// Variants, then groups of what runs.
pub fn text(
    out: &mut Output,
    changes: &[Change],
    counts: Counts,
    rerun: Option<&Rerun>,
) -> Result<(), Failure> {
    for change in changes {
        // Values, which somebody may copy.
        if !out.write(&change.text(usize::MAX))? {
            return Ok(());
        }
    }
    let gap = if counts.nothing() { "" } else { "\n" };
    out.tell(&format!("{gap}{counts}\n"))?;
    let Some(rerun) = rerun else { return Ok(()) };
    out.tell(&format!("{}\n", sum(rerun)))?;
    for group in rerun.groups() {
        let mut text = format!("    {}: {} ({})\n", group.count(), group.why, time(&group));
        for action in group.actions.iter().take(NAMED) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "        {}", action.title);
        }
        if group.actions.len() > NAMED {
            let _ = writeln!(text, "        and {} more", group.actions.len() - NAMED);
        }
        out.tell(&text)?;
    }
    Ok(())
}

/// One object a line: variants, what runs, the sum.
pub fn json(
    out: &mut Output,
    changes: &[Change],
    counts: Counts,
    rerun: Option<&Rerun>,
) -> Result<(), Failure> {
    for change in changes {
        if !out.write(&format!("{}\n", change.json()))? {
            return Ok(());
        }
    }
    for action in rerun.into_iter().flat_map(|rerun| &rerun.actions) {
        out.write(&format!("{}\n", action.json()))?;
    }
    let Counts {
        added,
        removed,
        changed,
        same,
    } = counts;
    let sum = json!({
        "variants": { "added": added, "removed": removed, "changed": changed, "same": same },
        "tests": rerun.map(Rerun::json),
    });
    out.write(&format!("{sum}\n"))?;
    Ok(())
}

/// `3 of 12 tests would run because of this, about 45 s with 2 jobs`, and what becomes of the others.
fn sum(rerun: &Rerun) -> String {
    let (tests, all) = (rerun.tests(), rerun.tests() + rerun.served + rerun.unknown);
    let mut text = match (tests, rerun.actions.is_empty()) {
        (0, true) if all == 0 => "no test is selected".to_owned(),
        (0, true) => format!("none of {} would run because of this", plural(&all, "test")),
        _ => format!(
            "{tests} of {} would run because of this, about {} with {}",
            plural(&all, "test"),
            about(rerun.wall),
            plural(&rerun.jobs, "job")
        ),
    };
    if rerun.served > 0 {
        let _ = write!(text, "; {} from the cache", rerun.served);
    }
    if rerun.unknown > 0 {
        let _ = write!(text, "; {} without a verdict before and after", rerun.unknown);
    }
    text
}

/// How long a group takes; a guess is marked.
fn time(group: &Group<'_>) -> String {
    let known = if group.known() { "" } else { "?" };
    format!("about {}{known}", about(group.seconds()))
}

/// A comment in Markdown: the sum, a table of what runs, all else folded away.
pub fn markdown(names: (&str, &str), changes: &[Change], counts: Counts, rerun: Option<&Rerun>) -> String {
    let mut text = match rerun {
        Some(rerun) => format!("### vtbuild: {}\n", sum(rerun)),
        None => "### vtbuild: what this changes\n".to_owned(),
    };
    let (old, new) = (code(names.0), code(names.1));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\nVariants from {old} to {new}: {counts}.");
    if let Some(rerun) = rerun.filter(|rerun| !rerun.actions.is_empty()) {
        runs(&mut text, rerun);
    }
    if !changes.is_empty() {
        let title = format!("what differs in {}", plural(&changes.len(), "variant"));
        folded(&mut text, &title, &variants(changes));
    }
    text
}

/// Variants, those with the same differences together.
fn variants(changes: &[Change]) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for change in changes {
        let text = change.text(KEYS);
        let (name, keys) = text.split_once('\n').unwrap_or((&text, ""));
        // What was added or removed has nothing in common but its sign.
        let same = format!("{}{keys}", &name[..1]);
        let place = *at.entry(same).or_insert(groups.len());
        if place == groups.len() {
            groups.push((keys.to_owned(), Vec::new()));
        }
        groups[place].1.push(name.to_owned());
    }
    let mut list = String::new();
    for (keys, names) in groups.iter().take(GROUPS) {
        let told = names.iter().take(NAMED_IN_COMMENT).map(String::as_str);
        for line in told.chain(keys.lines()) {
            list.push_str(&cut(line));
            list.push('\n');
        }
        if names.len() > NAMED_IN_COMMENT {
            // Writing to a string cannot fail.
            let _ = writeln!(list, "    and so {} more", names.len() - NAMED_IN_COMMENT);
        }
    }
    if groups.len() > GROUPS {
        let more: usize = groups[GROUPS..].iter().map(|(_, names)| names.len()).sum();
        let _ = writeln!(list, "and {more} more");
    }
    list
}

fn runs(text: &mut String, rerun: &Rerun) {
    let groups = rerun.groups();
    text.push_str("\n| what would run | why | time |\n|---|---|--:|\n");
    for group in groups.iter().take(GROUPS) {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            group.count(),
            code(&group.why),
            time(group)
        );
    }
    if let Some(rest) = groups.get(GROUPS..).filter(|rest| !rest.is_empty()) {
        let count: usize = rest.iter().map(|group| group.actions.len()).sum();
        let seconds = rest.iter().map(Group::seconds).sum();
        let _ = writeln!(
            text,
            "| {count} more | {} | about {} |",
            plural(&rest.len(), "other reason"),
            about(seconds)
        );
    }
    if rerun.groups().iter().any(|group| !group.known()) {
        text.push_str(
            "\n`?`: not all of these have passed before; their time is that of others of their kind.\n",
        );
    }
    let mut list = String::new();
    for group in groups.iter().take(GROUPS) {
        let _ = writeln!(list, "{}", cut(&group.why));
        for action in group.actions.iter().take(NAMED_IN_COMMENT) {
            let known = if action.known { "" } else { "?" };
            let _ = writeln!(
                list,
                "  {}  (about {}{known})",
                cut(&action.title),
                about(action.seconds)
            );
        }
        if group.actions.len() > NAMED_IN_COMMENT {
            let _ = writeln!(list, "  and {} more", group.actions.len() - NAMED_IN_COMMENT);
        }
    }
    folded(text, "what would run, by name", &list);
}

/// A block that opens on a click, with a text as it is.
fn folded(text: &mut String, title: &str, inside: &str) {
    let longest = inside.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(
        text,
        "\n<details><summary>{title}</summary>\n\n{fence}\n{inside}{fence}\n\n</details>"
    );
}

/// A text as code, in a cell of a table: nothing in it ends the code or the cell.
fn code(text: &str) -> String {
    format!("`{}`", cut(text).replace('`', "'").replace('|', "\\|"))
}

/// One line of bearable length.
fn cut(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match line.char_indices().nth(WIDE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_block_that_it_stands_in() {
        assert_eq!(code("a|b`c\nd"), "`a\\|b'c d`");
        let mut text = String::new();
        folded(&mut text, "title", "a ``` b\n");
        assert!(text.contains("\n````\na ``` b\n````\n"), "{text}");
        assert!(cut(&"x".repeat(500)).chars().count() == WIDE + 1);
    }
}
