//! Where values come from: every key of every variant, on random programs and on a complete configuration set.

#[path = "../conformance/grammar.rs"]
mod grammar;
mod support;

use camino::Utf8Path;
use grammar::Case;
use support::{Disk, corpus, say};
use vtbuild_cfg::provenance::{Explanation, Step};
use vtbuild_cfg::{Diagnostic, ExpandOptions, Program, Unit, Variant, parse};

const PROGRAMS: u64 = 3000;
/// Variants looked at of one program.
const MOST: usize = 40;

fn linked(case: &Case) -> Result<Program, Vec<Diagnostic>> {
    let mut unit = |path: &Utf8Path| {
        let name = path.file_name().unwrap_or_default();
        match case.files.iter().find(|(known, _)| known == name) {
            Some((name, text)) => Unit::File(parse(name.as_str(), text.as_bytes())),
            None => Unit::Absent,
        }
    };
    let program = Program::link(Utf8Path::new("main.cfg"), &mut unit)?;
    let lines: Vec<_> = case
        .lines
        .iter()
        .map(|line| parse("<line>", line.as_bytes()))
        .collect();
    program.with_parsed(&lines, &mut unit)
}

/// The value that a chain of statements makes, each step being held against its statement's text.
fn replay(steps: &[Step]) -> Option<String> {
    let mut factor = None;
    let mut value: Option<String> = None;
    for step in steps {
        if step.operator == "join" {
            // Whatever the factors before had, the last one's value counts.
            assert_eq!(step.after, value, "{step:?}");
            continue;
        }
        // A variant may be joined with itself: then its name does not tell where the next factor begins.
        let again = step.factor.is_some() && step.before.is_none();
        if again || factor != Some(&step.factor) {
            factor = Some(&step.factor);
            value = None;
        }
        assert_eq!(
            step.before, value,
            "what one step leaves the next one finds: {steps:#?}"
        );
        value = apply(step);
    }
    value
}

/// What a step's statement makes of the value before.
fn apply(step: &Step) -> Option<String> {
    let (before, text) = (step.before.as_deref(), step.statement.text.as_str());
    let after = step.after.as_deref();
    // A reference stands for text that the statement does not show; the name of a block has the label as its value.
    if text.contains("${") || text.starts_with('-') {
        return after.map(str::to_owned);
    }
    let ends = |operand: &str| {
        let bare = text.strip_suffix(['"', '\'']).unwrap_or(text);
        assert!(
            operand.is_empty() || text.ends_with(operand) || bare.ends_with(operand),
            "`{operand}` is what the statement adds: {step:?}"
        );
    };
    match step.operator {
        "del" => return None,
        "+=" | "?+=" => ends(after?.strip_prefix(before.unwrap_or_default())?),
        "<=" | "?<=" => ends(after?.strip_suffix(before.unwrap_or_default())?),
        "=" | "?=" => ends(after?),
        "~=" => {
            assert_eq!(before, None, "{step:?}");
            ends(after?);
        }
        "suffix" => return before.map(str::to_owned),
        "-" | "_min" | "_max" | "_fixed" => {}
        other => panic!("an operator that nobody wrote: {other}"),
    }
    after.map(str::to_owned)
}

/// Holds every key of a variant against its chain; how many steps there were.
fn check(variant: &Variant) -> Result<usize, Box<Diagnostic>> {
    let params = variant.params().map_err(|error| Box::new(error.clone()))?;
    let explanation = Explanation::of(variant)?;
    let mut total = 0;
    for (key, value) in params.iter() {
        let steps = explanation.steps(key);
        if steps.is_empty() {
            // A program without variants has names that nothing made.
            assert!(
                ["name", "shortname"].contains(&key) && value.is_empty(),
                "`{key}` = `{value}` of {} has no statement",
                variant.name()
            );
            continue;
        }
        let last = steps.last().and_then(|step| step.after.clone());
        assert_eq!(last.as_deref(), Some(value), "{key} of {}", variant.name());
        let joined = steps.iter().any(|step| step.operator == "join");
        if !(joined && ["name", "shortname"].contains(&key)) {
            assert_eq!(
                replay(&steps).as_deref(),
                Some(value),
                "{key} of {}",
                variant.name()
            );
        }
        total += steps.len();
    }
    // Of joined variants the last factor's count, be they empty.
    if explanation.is_joined() {
        return Ok(total);
    }
    assert_eq!(variant.dep().is_empty(), explanation.steps("dep").is_empty());
    assert_eq!(
        variant.name_map().is_empty(),
        explanation.steps("_name_map_file").is_empty()
    );
    Ok(total)
}

/// The first variant of a program.
fn first(text: &str) -> Variant {
    support::program(text)
        .variants(&ExpandOptions::default())
        .next()
        .expect("one variant")
        .expect("it expands")
}

#[test]
fn every_key_of_random_programs_is_explained() {
    let (mut variants, mut steps, mut joined) = (0, 0, 0);
    for seed in 0..PROGRAMS {
        let mut case = grammar::case(seed);
        // Joins that succeed are rare among random ones.
        if seed % 2 == 0 {
            case.lines.push("join a b".to_owned());
        }
        let Ok(program) = linked(&case) else { continue };
        for variant in program.variants(&case.options).take(MOST) {
            // A program that cannot be expanded is the business of other tests.
            let Ok(variant) = variant else { break };
            let Ok(made) = check(&variant) else { break };
            variants += 1;
            steps += made;
            joined += usize::from(Explanation::of(&variant).is_ok_and(|it| it.is_joined()));
        }
    }
    // A grammar that only made broken programs, or none with joins, would show nothing.
    assert!(variants > 1000 && steps > 5 * variants, "{variants} {steps}");
    assert!(joined > 50, "{joined} joined variants");
}

#[test]
fn factors_of_a_join_are_told_apart() {
    let text = "\
variants:
    - vm1:
        mem = 512
        only_here = 1
        os = linux
        suffix _vm1
    - vm2:
        mem = 1024
        os = linux
        os += 2
        suffix _vm2
shared = 1
vm2: shared = 2
join vm1 vm2
";
    let variant = first(text);
    let explanation = Explanation::of(&variant).expect("it applies");
    let told = |key: &str| -> Vec<String> {
        let steps = explanation.steps(key);
        let one = |step: &Step| {
            let (line, operator) = (step.statement.line, step.operator);
            format!(
                "{line} {operator} {} in {}",
                step.after.as_deref().unwrap_or("-"),
                step.factor.as_deref().unwrap_or("-")
            )
        };
        steps.iter().map(one).collect()
    };
    assert_eq!(told("mem_vm1"), ["3 = 512 in vm1", "6 suffix 512 in vm1"]);
    assert_eq!(told("mem_vm2"), ["8 = 1024 in vm2", "11 suffix 1024 in vm2"]);
    // The only form of its key, so the suffix is left out.
    assert_eq!(told("only_here"), ["4 = 1 in vm1", "6 suffix 1 in vm1"]);
    assert_eq!(
        told("shared"),
        [
            "12 = 1 in vm1",
            "12 = 1 in vm2",
            "13 = 2 in vm2",
            "14 join 2 in -"
        ]
    );
    assert_eq!(
        told("name"),
        ["2 - vm1 in vm1", "7 - vm2 in vm2", "14 join vm1.vm2 in -"]
    );
}

#[test]
fn filters_and_conditions_around_a_statement() {
    let text = "\
no nothing
variants:
    - boot:
        only Linux
        x = 1
        Linux:
            no Windows
            x = 2
variants:
    - Linux:
    - Windows:
";
    let variant = first(text);
    let steps = vtbuild_cfg::provenance::explain(&variant, "x").expect("it applies");
    let lines = |statements: &[vtbuild_cfg::provenance::Statement]| -> Vec<u32> {
        statements.iter().map(|statement| statement.line).collect()
    };
    let told: Vec<_> = steps
        .iter()
        .map(|step| (lines(&step.under), lines(&step.filters)))
        .collect();
    assert_eq!(told, [(vec![], vec![4]), (vec![6], vec![4, 7])]);
}

/// The configuration set of the corpus: some variants of every test, all their keys.
#[test]
fn every_key_of_a_complete_set_is_explained() {
    let Some(corpus) = corpus() else { return };
    let program = Program::load(&corpus.join("qemu/cfg/tests.cfg"), &Disk).expect("the set is correct");
    let (mut variants, mut steps) = (0, 0);
    for filter in [
        "only migrate",
        "only unattended_install",
        "only boot, block_hotplug",
    ] {
        let program = program.with_text("<line>", filter).expect("a correct filter");
        for variant in program.variants(&ExpandOptions::default()).step_by(7).take(60) {
            steps += check(&variant.expect("it expands")).expect("it applies");
            variants += 1;
        }
    }
    say(&format!("{variants} variants, {steps} steps"));
    assert!(variants > 60, "{variants}");
}
