//! Makes a program smaller as long as it keeps a property: fewer files, lines and options, then shorter lines.

use super::grammar::Case;

/// How many smaller programs are tried at most.
const TRIES: usize = 4000;

/// The smallest program found for which `holds` is true; it is true for `case`.
pub fn shrink(case: Case, holds: impl FnMut(&Case) -> bool) -> Case {
    let mut search = Search {
        best: case,
        holds,
        left: TRIES,
    };
    loop {
        let before = search.best.clone();
        search.options();
        search.files();
        search.lines();
        search.characters();
        if search.best == before || search.left == 0 {
            return search.best;
        }
    }
}

struct Search<F> {
    best: Case,
    holds: F,
    left: usize,
}

impl<F: FnMut(&Case) -> bool> Search<F> {
    /// Takes the candidate if it still has the property.
    fn attempt(&mut self, candidate: Case) -> bool {
        if self.left == 0 || candidate == self.best {
            return false;
        }
        self.left -= 1;
        let holds = (self.holds)(&candidate);
        if holds {
            self.best = candidate;
        }
        holds
    }

    fn options(&mut self) {
        let mut plain = self.best.clone();
        plain.options.defaults = false;
        plain.options.expand.clear();
        self.attempt(plain);
        let mut merged = self.best.clone();
        merged.options.keep_dups = false;
        self.attempt(merged);
        for index in (0..self.best.lines.len()).rev() {
            let mut candidate = self.best.clone();
            candidate.lines.remove(index);
            self.attempt(candidate);
        }
    }

    fn files(&mut self) {
        for index in (1..self.best.files.len()).rev() {
            let mut candidate = self.best.clone();
            candidate.files.remove(index);
            self.attempt(candidate);
        }
    }

    /// Removes runs of lines, long ones first.
    fn lines(&mut self) {
        for file in 0..self.best.files.len() {
            let mut run = self.best.files[file].1.lines().count().max(1);
            while run > 0 {
                let mut at = 0;
                loop {
                    let lines: Vec<&str> = self.best.files[file].1.split_inclusive('\n').collect();
                    if at >= lines.len() {
                        break;
                    }
                    let end = (at + run).min(lines.len());
                    let text = lines[..at].concat() + &lines[end..].concat();
                    if !self.attempt_text(file, text) {
                        at += run;
                    }
                }
                run /= 2;
            }
        }
    }

    /// Removes single characters.
    fn characters(&mut self) {
        for file in 0..self.best.files.len() {
            let mut at = 0;
            while let Some((start, c)) = self.best.files[file].1.char_indices().nth(at) {
                let mut text = self.best.files[file].1.clone();
                text.replace_range(start..start + c.len_utf8(), "");
                if !self.attempt_text(file, text) {
                    at += 1;
                }
            }
        }
        for line in 0..self.best.lines.len() {
            let mut at = 0;
            while let Some((start, c)) = self.best.lines[line].char_indices().nth(at) {
                let mut candidate = self.best.clone();
                candidate.lines[line].replace_range(start..start + c.len_utf8(), "");
                if !self.attempt(candidate) {
                    at += 1;
                }
            }
        }
    }

    fn attempt_text(&mut self, file: usize, text: String) -> bool {
        let mut candidate = self.best.clone();
        candidate.files[file].1 = text;
        self.attempt(candidate)
    }
}
