//! Names that a filter asks for and nothing carries, and the names closest to them.

use crate::filter::Filter;
use crate::graph::Graph;
use crate::program::Program;

/// A label of a filter that no variant has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownLabel {
    /// The label as the filter writes it.
    pub label: String,
    /// The closest labels that variants have, the closest first.
    pub nearest: Vec<String>,
}

/// The labels of `filter` that no variant of `program` has, filtered out or not.
pub fn unknown_labels(program: &Program, filter: &Filter) -> Vec<UnknownLabel> {
    let known = known_labels(&program.graph);
    let is_known = |variable: Option<&str>, value: &str| {
        known.iter().any(|(known_variable, known_value)| {
            *known_value == value && (variable.is_none() || *known_variable == variable)
        })
    };
    let mut out: Vec<UnknownLabel> = Vec::new();
    for label in filter
        .labels()
        .filter(|label| !is_known(label.variable.as_deref(), &label.value))
    {
        let shown = label.to_string();
        if out.iter().all(|known| known.label != shown) {
            let values = known.iter().map(|(_, value)| *value);
            out.push(UnknownLabel {
                label: shown,
                nearest: nearest(&label.value, values, 3),
            });
        }
    }
    out
}

fn known_labels(graph: &Graph) -> Vec<(Option<&str>, &str)> {
    let text = |sym| graph.symbols.text(sym);
    let mut out: Vec<_> = graph
        .labels
        .iter()
        .map(|label| (label.variable.map(text), text(label.value)))
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// The up to `limit` distinct `candidates` that are within a small edit distance of `word`, the closest first.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let most = (word.chars().count() / 3).max(1);
    let mut scored: Vec<(usize, &str)> = candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most * 4)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored
        .into_iter()
        .take(limit)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// Offers names in place of one that there is not; nothing where none is near.
pub fn did_you_mean(nearest: &[String]) -> Option<String> {
    (!nearest.is_empty()).then(|| format!("did you mean `{}`?", nearest.join("` or `")))
}

/// Edit distance with swaps of neighbours counted as one; letters that differ only in case are free of charge.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_first() {
        let names = ["migrate", "migration", "reboot", "boot", "Boot"];
        assert_eq!(nearest("migrte", names.into_iter(), 3), ["migrate"]);
        assert_eq!(nearest("bot", names.into_iter(), 3), ["Boot", "boot"]);
        assert!(nearest("zzzz", names.into_iter(), 3).is_empty());
        assert_eq!(distance("ab", "ba"), 1);
    }
}
