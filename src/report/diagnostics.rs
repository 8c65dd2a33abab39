//! How mistakes in a configuration are shown: file, line, the text with a mark under it, what to do.

use std::fmt::Write;

use vtbuild_cfg::Diagnostic;

/// How many mistakes are shown in full.
const SHOWN: usize = 20;

/// The diagnostics one after the other, as text.
pub fn render(found: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in found.iter().take(SHOWN) {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{diagnostic}");
    }
    if found.len() > SHOWN {
        let _ = write!(text, "\nand {} more", found.len() - SHOWN);
    }
    text
}
