//! Where values come from, and why variants are not there.

mod support;

use support::program;
use vtbuild_cfg::provenance::{explain, unknown_labels, why_not};
use vtbuild_cfg::{Count, ExpandOptions, Variant};

const TEXT: &str = "\
mem = 512
variants:
    - boot:
    - migrate:
        mem += 0
        variants:
            - tcp:
            - exec:
variants:
    - Linux:
        no exec
    - Windows:
        only boot
migrate:
    Linux: mem ?= 7${mem}
mem_max = 900
";

fn variant(name: &str) -> Variant {
    let mut variants = program(TEXT).variants(&ExpandOptions::default());
    variants
        .find_map(|v| v.ok().filter(|v| v.name() == name))
        .expect("the variant is there")
}

#[test]
fn a_chain_of_statements() {
    let steps = explain(&variant("Linux.migrate.tcp"), "mem").expect("it applies");
    let told: Vec<String> = steps
        .iter()
        .map(|step| {
            let under: Vec<_> = step
                .under
                .iter()
                .map(|s| format!("{}:{}", s.line, s.text))
                .collect();
            format!(
                "{} {} {:?} -> {:?} under {under:?}",
                step.statement.line, step.operator, step.before, step.after
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 = None -> Some(\"512\") under []",
            "5 += Some(\"512\") -> Some(\"5120\") under []",
            "15 ?= Some(\"5120\") -> Some(\"75120\") under [\"14:migrate:\", \"15:Linux: mem ?= 7${mem}\"]",
            "16 _max Some(\"75120\") -> Some(\"900\") under []",
        ]
    );
    let last = steps.last().and_then(|step| step.after.clone());
    assert_eq!(
        last.as_deref(),
        variant("Linux.migrate.tcp")
            .params()
            .expect("it applies")
            .get("mem")
    );
}

#[test]
fn the_filter_that_removed_each_candidate() {
    let program = program(TEXT);
    let answer = why_not(&program, "migrate", &ExpandOptions::default()).expect("a correct filter");
    assert_eq!(answer.present, Count::exact(1));
    let told: Vec<String> = answer
        .removals
        .iter()
        .map(|r| format!("{} {} ({})", r.candidates, r.statement, r.example))
        .collect();
    assert_eq!(
        told,
        [
            "2 <string>:13: only boot (Windows.migrate)",
            "1 <string>:11: no exec (Linux.migrate.exec)"
        ]
    );
    assert!(answer.unknown.is_empty());
}

#[test]
fn unknown_labels_have_neighbours() {
    let program = program(TEXT);
    let answer = why_not(&program, "migrte..tcp", &ExpandOptions::default()).expect("a correct filter");
    assert_eq!(answer.unknown.len(), 1);
    assert_eq!(
        (answer.unknown[0].label.as_str(), &answer.unknown[0].nearest[..]),
        ("migrte", &["migrate".to_owned()][..])
    );
    assert!(unknown_labels(&program, &"boot, Linux".parse().expect("a filter")).is_empty());
}

#[test]
fn counting_agrees_with_listing() {
    for (text, extra) in [
        (TEXT, ""),
        (TEXT, "only migrate"),
        (TEXT, "no tcp"),
        (TEXT, "only nothing"),
    ] {
        let program = program(&format!("{text}{extra}\n"));
        let listed = program.variants(&ExpandOptions::default()).count() as u128;
        assert_eq!(
            program.count(&ExpandOptions::default()).expect("no joins"),
            Count::exact(listed)
        );
    }
}
