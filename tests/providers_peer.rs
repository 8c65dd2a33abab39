//! `subtests.cfg` against the one that the field's own tool generates from the same test providers. Needs a checkout of
//! tp-qemu (`VTBUILD_TP_QEMU`) and the corpus with the file that was generated from it (`VTBUILD_CORPUS`).

mod support;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use support::Sandbox;

/// A place outside, or a loud word about its absence.
fn outside(variable: &str) -> Option<Utf8PathBuf> {
    let found = std::env::var(variable).ok().map(Utf8PathBuf::from);
    if found.is_none() {
        #[expect(
            clippy::print_stderr,
            reason = "whoever runs the tests must see what was not run"
        )]
        {
            eprintln!("SKIPPED: the comparison with the peer's subtests.cfg needs {variable}");
        }
    }
    found
}

/// The tests of a file, by the part of the file that they are in and by their first line, with how often each text is there.
/// The order differs from one run of the peer to the next, and so do comments between tests.
fn tests(text: &str) -> BTreeMap<(&'static str, String, String), usize> {
    let mut found = BTreeMap::new();
    let mut part = "first";
    let mut open: Option<(String, String)> = None;
    let lines = text
        .lines()
        .map(|line| (line.len() - line.trim_start().len(), line.trim()));
    for (indent, line) in lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .chain([(4, "- end:")])
    {
        let header = line.starts_with("- ") && (indent == 4 || (part == "specific" && indent == 12));
        if !header {
            if let Some((_, body)) = &mut open {
                body.push_str(line);
                body.push('\n');
            }
            continue;
        }
        if let Some((name, body)) = open.take() {
            *found.entry((part, name, body)).or_default() += 1;
        }
        match (part, indent, line) {
            (_, 4, "- @type_specific:") => part = "specific",
            ("specific", 4, _) => {
                part = "generic";
                open = Some((line.to_owned(), String::new()));
            }
            _ => open = Some((line.to_owned(), String::new())),
        }
    }
    found
}

#[test]
fn the_peer_generates_the_same_tests() {
    let (Some(provider), Some(corpus)) = (outside("VTBUILD_TP_QEMU"), outside("VTBUILD_CORPUS")) else {
        return;
    };
    let sandbox = Sandbox::new();
    sandbox.write("vtbuild.toml", "bundled-tests = false\n");
    let sections: String = ["generic", "multi_host_migration", "qemu", "openvswitch"]
        .iter()
        .map(|name| format!("[{name}]\nsubdir: {name}/\n"))
        .collect();
    let ini = format!("[provider]\nuri: file://{provider}\n{sections}");
    sandbox.write("test-providers.d/io-github-autotest-qemu.ini", &ini);
    let output = sandbox.run("providers subtests --vt-type qemu").exit(0);
    let ours = tests(output.stdout());
    let theirs = tests(&std::fs::read_to_string(corpus.join("qemu/cfg/subtests.cfg")).unwrap());
    assert!(theirs.len() > 800, "{}", theirs.len());
    let names = |mine: &BTreeMap<_, usize>, other: &BTreeMap<_, usize>| -> Vec<String> {
        let lone = mine.iter().filter(|(test, many)| other.get(*test) != Some(many));
        lone.map(|((part, name, _), _): (&(&str, String, String), _)| format!("{part} {name}"))
            .collect()
    };
    assert_eq!(
        names(&theirs, &ours),
        Vec::<String>::new(),
        "only the peer has these"
    );
    assert_eq!(names(&ours, &theirs), Vec::<String>::new(), "only we have these");
}
