//! Text without what only a terminal obeys.

use std::borrow::Cow;
use std::io::{Result, Write};

/// Takes out colours and the like, which programs that were run put into what they say. Each text is written in one go.
pub struct Stripped<W>(pub W);

impl<W: Write> Write for Stripped<W> {
    fn write(&mut self, text: &[u8]) -> Result<usize> {
        let shown = String::from_utf8_lossy(text);
        self.0.write_all(stripped(&shown).as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

/// The text without it. Nearly always there is none.
pub fn stripped(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n');
    if text.bytes().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(anstream::adapter::strip_str(text).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_the_rest_stays() {
        let mut out = Stripped(Vec::new());
        for text in [
            "plain\n",
            "\x1b[1;31mred\x1b[0m \tund größer\n",
            "\x1b]0;title\x07end\n",
        ] {
            assert_eq!(out.write(text.as_bytes()).unwrap(), text.len());
        }
        assert_eq!(
            String::from_utf8(out.0).unwrap(),
            "plain\nred \tund größer\nend\n"
        );
    }
}
