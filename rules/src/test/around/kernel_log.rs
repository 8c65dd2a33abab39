//! Serious messages of a kernel, as `dmesg -r` prints them: each with its level in front.

use vtbuild_providers::params::{ParamError, Params};
use vtbuild_providers::session::Pattern;

use super::asked;

/// Levels below this one are serious: 3 is emergency, alert and critical.
const LEVEL: u8 = 3;
/// How many messages go into a reason.
const SHOWN: usize = 3;

/// Which messages count, from `guest_dmesg_…` or `host_dmesg_…`.
pub(super) struct Rules {
    whose: &'static str,
    level: u8,
    expected: Vec<Pattern>,
    ignored: bool,
    file: String,
}

impl Rules {
    /// The rules of `guest` or `host`.
    pub(super) fn of(params: &Params, whose: &'static str) -> Result<Self, ParamError> {
        let key = format!("expected_{whose}_dmesg");
        let expressions = params.text(&key).unwrap_or_default().trim_matches(['"', ' ']);
        let patterns = expressions
            .split(',')
            .map(|text| text.trim_matches([' ', '\'']))
            .filter(|text| !text.is_empty())
            .map(Pattern::python)
            .collect::<Result<_, _>>();
        let file = format!("{whose}_dmesg_logfile");
        Ok(Self {
            whose,
            level: params.number(&format!("{whose}_dmesg_level"))?.unwrap_or(LEVEL),
            expected: patterns.map_err(|_| params.bad(&key, "regular expressions, separated by commas"))?,
            ignored: asked(params, &format!("{whose}_dmesg_ignore"))?,
            file: params
                .text(&file)
                .map_or_else(|| format!("{whose}_dmesg.log"), str::to_owned),
        })
    }

    /// The name of the file that serious messages are written to; no path.
    pub(super) fn file(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// The messages of a log that count.
    pub(super) fn serious<'l>(&self, log: &'l str) -> Vec<&'l str> {
        let counts = |line: &&str| match level(line) {
            Some(level) => level < self.level && !self.expected.iter().any(|pattern| pattern.found_in(line)),
            None => false,
        };
        log.lines().map(str::trim_end).filter(counts).collect()
    }

    /// Why a test with these messages is no pass; none where they are ignored.
    pub(super) fn reason(&self, of: &str, serious: &[&str]) -> Option<String> {
        if serious.is_empty() || self.ignored {
            return None;
        }
        let shown = serious.iter().take(SHOWN).copied().collect::<Vec<_>>().join("; ");
        let more = match serious.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("; and {more} more in {}", self.file()),
        };
        Some(format!(
            "the kernel of {of} reported serious problems (verify_{}_dmesg): {shown}{more}",
            self.whose
        ))
    }
}

/// The level that a line begins with: `<3>`; facilities are above the lowest three bits.
fn level(line: &str) -> Option<u8> {
    let (number, _) = line.strip_prefix('<')?.split_once('>')?;
    number.parse::<u32>().ok().map(|number| (number & 7) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "<6>[1.0] fine\r\n<2>[2.0] CPU is on fire\r\n<3>[2.5] an error\n<0>[3.0] panic\nno level\n<26>[4.0] a daemon is critical\n";

    fn rules(params: &[(&str, &str)]) -> Rules {
        Rules::of(&params.iter().copied().collect(), "guest").unwrap()
    }

    #[test]
    fn messages_above_the_level_that_nobody_expects_count() {
        assert_eq!(
            rules(&[]).serious(LOG),
            [
                "<2>[2.0] CPU is on fire",
                "<0>[3.0] panic",
                "<26>[4.0] a daemon is critical"
            ]
        );
        let strict = rules(&[
            ("guest_dmesg_level", "4"),
            ("expected_guest_dmesg", "\"'on fire$', 'daemon .* critical'\""),
        ]);
        assert_eq!(strict.serious(LOG), ["<3>[2.5] an error", "<0>[3.0] panic"]);
    }

    #[test]
    fn reasons_name_the_first_and_count_the_rest() {
        let lines = ["a", "b", "c", "d", "e"];
        let reason = rules(&[]).reason("vm1", &lines).unwrap();
        assert!(
            reason.ends_with("a; b; c; and 2 more in guest_dmesg.log"),
            "{reason}"
        );
        assert_eq!(rules(&[]).reason("vm1", &[]), None);
        assert_eq!(
            rules(&[("guest_dmesg_ignore", "yes")]).reason("vm1", &lines),
            None
        );
        assert_eq!(rules(&[("guest_dmesg_logfile", "../../x.log")]).file(), "x.log");
        assert!(Rules::of(&[("expected_guest_dmesg", "(")].into_iter().collect(), "guest").is_err());
    }
}
