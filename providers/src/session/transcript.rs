//! What a terminal printed, as text: escape sequences removed, line ends made plain, size bounded.
//!
//! Bytes may be cut anywhere (inside an escape sequence, a line end or a character), so cleaning is a small state
//! machine that carries over from one push to the next.

use std::borrow::Cow;

/// Where the cleaner stands between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text,
    /// After ESC.
    Escape,
    /// In `ESC [ ...`, until a byte from `@` to `~`.
    Control,
    /// In `ESC ] ...`, until BEL or `ESC \`.
    SystemCommand,
    /// After ESC inside a system command.
    SystemCommandEnd,
    /// After `ESC (` and its like: one more byte to skip.
    Charset,
}

/// Terminal output as plain text. The oldest part is dropped when more than the limit has come.
#[derive(Clone, Debug)]
pub struct Transcript {
    plain: Vec<u8>,
    place: Place,
    /// Carriage returns that have come and may turn out to be part of a line end.
    returns: usize,
    limit: usize,
    dropped: u64,
}

impl Transcript {
    /// An empty transcript that keeps at least the newest `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            plain: Vec::new(),
            place: Place::Text,
            returns: 0,
            limit,
            dropped: 0,
        }
    }

    /// Takes in what a terminal printed.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
        if self.plain.len() > self.limit + self.limit / 4 {
            let excess = self.plain.len() - self.limit;
            self.plain.drain(..excess);
            self.dropped += excess as u64;
        }
    }

    fn step(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::Text, 0x1b) => Place::Escape,
            (Place::Text, _) => {
                self.text_byte(byte);
                Place::Text
            }
            (Place::Escape, b'[') => Place::Control,
            (Place::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Place::SystemCommand,
            (Place::Escape, b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ') => Place::Charset,
            (Place::Control, 0x40..=0x7e) => Place::Text,
            // A line end never belongs to a sequence: a stray ESC must not swallow the line after it.
            (Place::Control | Place::Escape | Place::Charset, b'\n') => {
                self.text_byte(byte);
                Place::Text
            }
            (Place::Control, _) => Place::Control,
            (Place::SystemCommand, 0x07) => Place::Text,
            (Place::SystemCommand, 0x1b) => Place::SystemCommandEnd,
            (Place::SystemCommand, _) => Place::SystemCommand,
            (Place::SystemCommandEnd, b'\\') => Place::Text,
            (Place::SystemCommandEnd, _) => Place::SystemCommand,
            (Place::Escape | Place::Charset, _) => Place::Text,
        };
    }

    fn text_byte(&mut self, byte: u8) {
        match byte {
            b'\r' => {
                self.returns += 1;
                return;
            }
            b'\n' => {}
            _ => self.plain.extend(std::iter::repeat_n(b'\r', self.returns)),
        }
        self.returns = 0;
        self.plain.push(byte);
    }

    /// Everything kept, decoded with replacement.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.plain)
    }

    /// The first `limit` bytes or fewer.
    pub fn head(&self, limit: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.plain[..self.plain.len().min(limit)])
    }

    /// The number of bytes kept.
    pub fn len(&self) -> usize {
        self.plain.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// How many bytes were dropped because the limit was reached.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The last line that is not blank, from its last carriage return on: what a person sees at the cursor.
    pub fn last_line(&self) -> Cow<'_, str> {
        let is_end = |byte: &u8| *byte == b'\n';
        let Some(last) = self.plain.iter().rposition(|byte| !byte.is_ascii_whitespace()) else {
            return Cow::Borrowed("");
        };
        let start = self.plain[..last].iter().rposition(is_end).map_or(0, |at| at + 1);
        let end = self.plain[last..]
            .iter()
            .position(is_end)
            .map_or(self.plain.len(), |at| last + at);
        let line = &self.plain[start..end];
        let overwritten = line[..=last - start]
            .iter()
            .rposition(|byte| *byte == b'\r')
            .map_or(0, |at| at + 1);
        String::from_utf8_lossy(&line[overwritten..])
    }

    /// Takes out what has come, except a character whose last bytes are still missing.
    pub fn take(&mut self) -> String {
        let whole = match std::str::from_utf8(&self.plain) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.plain.len(),
        };
        let rest = self.plain.split_off(whole);
        let taken = std::mem::replace(&mut self.plain, rest);
        String::from_utf8(taken)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Forgets the text; an escape sequence that has begun is still recognised.
    pub fn clear(&mut self) {
        self.plain.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(bytes: &[u8]) -> String {
        let mut transcript = Transcript::new(1 << 20);
        transcript.push(bytes);
        transcript.take()
    }

    #[test]
    fn escapes_and_line_ends_become_plain() {
        assert_eq!(clean(b"\x1b[?2004h\x1b[01;32mroot\x1b[0m# "), "root# ");
        assert_eq!(clean(b"\x1b]0;title\x07a\x1b]0;t\x1b\\b\x1b(Bc\x1b=d"), "abcd");
        assert_eq!(clean(b"one\r\ntwo\r\r\nthree\n"), "one\ntwo\nthree\n");
        assert_eq!(clean(b" 10%\r 20%\r\n"), " 10%\r 20%\n");
        assert_eq!(clean(b"\x1b[12\nnext"), "\nnext");
    }

    #[test]
    fn the_last_line_is_what_stands_at_the_cursor() {
        for (bytes, want) in [
            (&b"a\nroot@x:~# "[..], "root@x:~# "),
            (b"a\nroot# \n\n", "root# "),
            (b"", ""),
            (b"\n\n", ""),
            (b"x\n 10%\r 20%", " 20%"),
            (b"only", "only"),
        ] {
            let mut transcript = Transcript::new(100);
            transcript.push(bytes);
            assert_eq!(transcript.last_line(), want, "{bytes:?}");
        }
    }

    #[test]
    fn the_newest_part_survives_the_limit() {
        let mut transcript = Transcript::new(100);
        for number in 0..1000 {
            transcript.push(format!("{number}\n").as_bytes());
        }
        assert!(transcript.len() <= 125);
        assert!(transcript.text().ends_with("998\n999\n"));
        assert_eq!(
            transcript.dropped() + transcript.len() as u64,
            10 * 2 + 90 * 3 + 900 * 4
        );
    }

    #[test]
    fn a_character_cut_in_two_is_given_whole() {
        let mut transcript = Transcript::new(100);
        transcript.push(b"a\xc3");
        assert_eq!(transcript.take(), "a");
        transcript.push(b"\xa9b\xff");
        assert_eq!(transcript.take(), "\u{e9}b\u{fffd}");
    }

    proptest! {
        /// Where the transport cuts the stream never changes the text.
        #[test]
        fn cuts_do_not_matter(
            bytes in proptest::collection::vec(
                prop_oneof![Just(0x1b), Just(b'['), Just(b']'), Just(7), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
            cut in 0usize..200,
        ) {
            let cut = cut.min(bytes.len());
            let mut whole = Transcript::new(1 << 20);
            whole.push(&bytes);
            let mut pieces = Transcript::new(1 << 20);
            pieces.push(&bytes[..cut]);
            pieces.push(&bytes[cut..]);
            prop_assert_eq!(whole.text(), pieces.text());
            prop_assert!(!whole.plain.contains(&0x1b));
        }
    }
}
