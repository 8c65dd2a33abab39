//! Counting agrees with the corpus, and with itself where listing would take for ever.

mod support;

use support::{Disk, corpus, program};
use vtbuild_cfg::provenance::why_not;
use vtbuild_cfg::{Count, ExpandOptions, Program};

fn count(program: &Program) -> Count {
    program
        .count(&ExpandOptions::default())
        .expect("it can be counted")
}

/// Blocks of ten variants each, all named alike but for the block.
fn product(blocks: usize) -> String {
    let block = |block: usize| {
        let variants: String = (0..10).map(|at| format!("  - {at}:\n")).collect();
        format!("variants b{block}:\n{variants}")
    };
    (0..blocks).map(block).collect()
}

#[test]
fn queries_of_the_corpus() {
    let Some(folder) = corpus() else { return };
    let folder = folder.join("qemu");
    let table = std::fs::read_to_string(folder.join("queries.tsv")).expect("the table of queries");
    let mut queries = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, cfg, "{}", lines, variants, ..] = fields[..] else {
            continue;
        };
        queries += 1;
        let lines: Vec<String> = serde_json::from_str(lines).expect("lines are JSON");
        let program = Program::load(&folder.join("cfg").join(cfg), &Disk).expect("a correct file");
        let program = lines
            .iter()
            .try_fold(program, |program, line| program.with_text("<string>", line))
            .expect("correct lines");
        let expected = Count::exact(variants.parse().expect("a number"));
        assert_eq!(count(&program), expected, "{id}");
    }
    assert!(queries > 30, "only {queries} queries");
}

#[test]
fn a_large_product_within_a_variant() {
    let inner = product(12).replace('\n', "\n    ");
    // One inner choice excludes one outer choice; everything else is free.
    let text = format!(
        "variants test:\n  - a:\n    {inner}\n  - b:\nvariants guest:\n  - x:\n  - y:\n    no (b3=4)\n"
    );
    let a = 10_u128.pow(12);
    assert_eq!(count(&program(&text)), Count::exact(a + a / 10 * 9 + 2));
}

#[test]
fn adjacent_labels_across_nested_blocks() {
    let nested = "      variants inner:\n        - p:\n        - q:\n";
    let text = format!(
        "{}variants v:\n  - a:\n{nested}  - b:\nno (inner=p).(b11=7)\nno (v=b).(b11=7).(b10=7)\n",
        product(12)
    );
    let below = 10_u128.pow(12);
    assert_eq!(
        count(&program(&text)),
        Count::exact(3 * below - below / 10 - below / 100)
    );
}

#[test]
fn joins_are_counted_by_listing_and_no_further() {
    let small = program("variants:\n  - a:\n  - b:\njoin a b\n");
    assert_eq!(count(&small), Count::exact(1));
    let large = program(&format!("{}variants:\n  - x:\n  - y:\njoin x y\n", product(6)));
    let counted = count(&large);
    assert!(!counted.exact && counted.variants >= 100_000, "{counted}");
}

#[test]
fn why_not_tells_how_many_are_there_exactly() {
    let text = format!("{}no (b2=3)\n", product(15));
    let answer = why_not(&program(&text), "(b0=1)", &ExpandOptions::default()).expect("a filter");
    assert_eq!(answer.present, Count::exact(10_u128.pow(14) / 10 * 9));
}
