//! `subtests.cfg`: the tests of all providers for one backend.
//!
//! It is one block `variants subtest:`. Files called `unattended_install.cfg` come first, because they make the guests that
//! all others use. The tests of the chosen backend follow, inside one variant `@type_specific`; then the generic ones;
//! `shutdown.cfg` is last, because what it leaves behind is a guest that is off. In each file every line `- NAME:` that
//! starts in the first column becomes `- PROVIDER.NAME:`, followed by `provider = PROVIDER`, inside `@type_specific` with
//! `virt_test_type = BACKEND` before that.

use std::sync::Arc;

use super::{Generated, Piece, ProviderPieces};

/// The files, by stem, whose tests come before all others.
const FIRST: [&str; 1] = ["unattended_install"];
/// The file, by stem, whose tests come after all others.
const LAST: &str = "shutdown";
/// The file that also comes last where the backend keeps guests defined from one test to the next.
const LAST_OF_LIBVIRT: (&str, &str) = ("libvirt", "remove_guest");
/// The backend that runs processes, not machines: the generic tests are not for it.
const WITHOUT_GENERIC: &str = "lvsb";
/// The parameter with the backends that a test is for.
const TEST_TYPE: &str = "virt_test_type";

/// The text of `subtests.cfg` for a backend.
#[must_use]
pub fn subtests(providers: &[ProviderPieces], backend: &str) -> Generated {
    let mut out = Generated::default();
    out.add(0, "variants subtest:");
    let stages = Stages::of(providers, backend);
    for (provider, piece) in stages.first {
        out.test(4, provider, piece, None);
    }
    if !stages.specific.is_empty() {
        out.add(4, "- @type_specific:");
        out.add(8, "variants subtest:");
        for (provider, piece) in stages.specific {
            out.test(12, provider, piece, Some(backend));
        }
    }
    for (provider, piece) in stages.generic.into_iter().chain(stages.last) {
        out.test(4, provider, piece, None);
    }
    out
}

/// The names (`PROVIDER.NAME`) of the tests that say themselves, at their own level, that they are not for `backend`. A name
/// that stands for another test too, one that is for it, is left out.
#[must_use]
pub fn foreign(providers: &[ProviderPieces], backend: &str) -> Vec<Arc<str>> {
    let stages = Stages::of(providers, backend);
    let (mut foreign, mut welcome) = (Vec::new(), Vec::new());
    let all = [stages.first, stages.specific, stages.generic, stages.last];
    for (provider, piece) in all.iter().flatten() {
        for (label, backends) in types(&piece.text) {
            let name: Arc<str> = Arc::from(format!("{}.{label}", provider.name));
            let named = |list: &str| list.split_whitespace().any(|one| one == backend);
            let side = if backends.is_none_or(named) {
                &mut welcome
            } else {
                &mut foreign
            };
            side.push(name);
        }
    }
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    foreign.retain(|name| !welcome.contains(name) && is_name(name));
    foreign
}

/// One file and whose it is.
type Owned<'p> = (&'p ProviderPieces, &'p Piece);

/// All files in the order in which they are written.
struct Stages<'p> {
    first: Vec<Owned<'p>>,
    specific: Vec<Owned<'p>>,
    generic: Vec<Owned<'p>>,
    last: Vec<Owned<'p>>,
}

impl<'p> Stages<'p> {
    fn of(providers: &'p [ProviderPieces], backend: &str) -> Self {
        let rank = |piece: &Piece| match stem(&piece.file) {
            LAST => Some(0),
            stem if (backend, stem) == LAST_OF_LIBVIRT => Some(1),
            _ => None,
        };
        let (mut first, mut specific, mut generic, mut last) = (vec![], vec![], vec![], vec![]);
        for provider in providers {
            let generics: &[Piece] = if backend == WITHOUT_GENERIC {
                &[]
            } else {
                &provider.generic
            };
            for (pieces, own) in [(provider.specific.as_slice(), true), (generics, false)] {
                for piece in pieces {
                    let stage = match (stem(&piece.file), rank(piece)) {
                        (_, Some(_)) => &mut last,
                        (stem, None) if FIRST.contains(&stem) => &mut first,
                        _ if own => &mut specific,
                        _ => &mut generic,
                    };
                    stage.push((provider, piece));
                }
            }
        }
        last.sort_by_key(|(_, piece)| rank(piece));
        Self {
            first,
            specific,
            generic,
            last,
        }
    }
}

impl Generated {
    fn test(&mut self, indent: usize, provider: &ProviderPieces, piece: &Piece, backend: Option<&str>) {
        for (number, line) in (1..).zip(piece.text.lines()) {
            let origin = Some((piece.file.clone(), number));
            let Some(header) = header(line) else {
                self.push(indent, line, origin);
                continue;
            };
            self.push(indent, &format!("- {}.{header}", provider.name), origin.clone());
            if let Some(backend) = backend {
                self.push(indent + 4, &format!("{TEST_TYPE} = {backend}"), origin.clone());
            }
            self.push(indent + 4, &format!("provider = {}", provider.name), origin);
        }
    }
}

/// What follows the dash of a first-column `- NAME: …`. A default marker makes no sense on one test of many.
fn header(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("- ")?.trim_start();
    Some(rest.strip_prefix('@').unwrap_or(rest))
}

/// The tests of a file, each with the value of `virt_test_type` at its own level.
fn types(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut found: Vec<(&str, Option<&str>)> = Vec::new();
    let mut level = None;
    for line in text.lines() {
        if let Some(header) = header(line) {
            let label = header.split(':').next().unwrap_or(header).trim();
            found.push((label, None));
            level = None;
            continue;
        }
        let inner = line.trim_start();
        if inner.is_empty() || inner.starts_with('#') {
            continue;
        }
        let depth = line.len() - inner.len();
        let own = *level.get_or_insert(depth) == depth;
        let assigned = inner.split_once('=').filter(|(key, _)| key.trim() == TEST_TYPE);
        if let (true, Some((_, value)), Some(test)) = (own, assigned, found.last_mut()) {
            test.1 = Some(value.trim());
        }
    }
    found
}

fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".cfg").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::piece;
    use super::*;

    fn provider() -> ProviderPieces {
        ProviderPieces {
            name: Arc::from("bundled"),
            specific: vec![
                piece("q/migrate.cfg", "- migrate: install\n    type = migrate\n"),
                piece("q/remove_guest.cfg", "- remove_guest:\n    type = remove_guest\n"),
                piece("q/unattended_install.cfg", "- install:\n    type = install\n"),
            ],
            generic: vec![
                piece("g/shutdown.cfg", "- shutdown:\n    type = shutdown\n"),
                piece(
                    "g/uptime.cfg",
                    "- @uptime:\n    virt_test_type = qemu libvirt\n    type = uptime\n",
                ),
            ],
        }
    }

    #[test]
    fn tests_get_their_provider_s_name_and_their_place() {
        let generated = subtests(&[provider()], "qemu");
        let expected = "\
variants subtest:
    - bundled.install:
        provider = bundled
        type = install
    - @type_specific:
        variants subtest:
            - bundled.migrate: install
                virt_test_type = qemu
                provider = bundled
                type = migrate
            - bundled.remove_guest:
                virt_test_type = qemu
                provider = bundled
                type = remove_guest
    - bundled.uptime:
        provider = bundled
        virt_test_type = qemu libvirt
        type = uptime
    - bundled.shutdown:
        provider = bundled
        type = shutdown
";
        assert_eq!(generated.text, expected);
        assert_eq!(generated.origins[17], Some((Arc::from("g/uptime.cfg"), 3, 4)));
        assert_eq!(generated.origins.len(), expected.lines().count());
    }

    #[test]
    fn libvirt_removes_its_guest_last_and_lvsb_has_no_machines() {
        let libvirt = subtests(&[provider()], "libvirt").text;
        let tail = "    - bundled.shutdown:\n        provider = bundled\n        type = shutdown\n    - bundled.remove_guest:\n        provider = bundled\n        type = remove_guest\n";
        assert!(libvirt.ends_with(tail), "{libvirt}");
        assert!(!subtests(&[provider()], "lvsb").text.contains("uptime"));
    }

    #[test]
    fn a_test_for_other_backends_is_foreign() {
        let foreign_to = |backend: &str| foreign(&[provider()], backend);
        assert!(foreign_to("libvirt").is_empty());
        assert_eq!(foreign_to("v2v"), [Arc::from("bundled.uptime")]);
    }

    #[test]
    fn only_a_test_s_own_level_decides() {
        let text = "- a: b\n    # virt_test_type = x\n    variants:\n        - c:\n            virt_test_type = y\n    virt_test_type = qemu v2v\n- d:\n";
        assert_eq!(types(text), [("a", Some("qemu v2v")), ("d", None)]);
    }
}
