//! Every example of the published guide's chapter on Cartesian configuration, with the guide's own output.
//!
//! Where the published text is wrong about what implementations do, a comment says so and the test states what they do:
//! the list of dependencies is called `dep` everywhere, and short names hold plain values even in named blocks.

mod support;

use support::program;
use vtbuild_cfg::{ExpandOptions, Program};

/// Name, dependencies and the rest of each variant, as the guide lists them.
fn listed(program: &Program) -> Vec<String> {
    let mut out = Vec::new();
    for (index, variant) in program.variants(&ExpandOptions::default()).enumerate() {
        let variant = variant.expect("the example expands");
        let mut line = format!("{} {} dep={:?}", index + 1, variant.name(), variant.dep());
        for (key, value) in variant.params().expect("the example applies").sorted() {
            if key != "name" {
                line.push_str(&format!(" {key}={value:?}"));
            }
        }
        out.push(line);
    }
    out
}

fn names(program: &Program) -> Vec<String> {
    let variants = program.variants(&ExpandOptions::default());
    variants
        .map(|variant| variant.expect("the example expands").name().to_owned())
        .collect()
}

const VARIANTS: &str = "
variants:
    - one:
        key1 = Hello
    - two:
        key2 = World
    - three:
variants:
    - four:
        key3 = foo
    - five:
        key3 = bar
    - six:
        key1 = foo
        key2 = bar
";

#[test]
fn variants_combine_with_the_last_block_leftmost() {
    let expected = [
        "four.one",
        "four.two",
        "four.three",
        "five.one",
        "five.two",
        "five.three",
        "six.one",
        "six.two",
        "six.three",
    ];
    assert_eq!(names(&program(VARIANTS)), expected);
}

#[test]
fn named_variants_become_parameters() {
    let text = "
variants var1_name:
     - one:
         key1 = Hello
     - two:
         key2 = World
     - three:
variants var2_name:
     - one:
         key3 = Hello2
     - two:
         key4 = World2
     - three:

only (var2_name=one).(var1_name=two)
";
    // The guide shows the short name with variables; implementations print values only.
    let expected = [
        "1 (var2_name=one).(var1_name=two) dep=[] key2=\"World\" key3=\"Hello2\" shortname=\"one.two\" \
                     var1_name=\"two\" var2_name=\"one\"",
    ];
    assert_eq!(listed(&program(text)), expected);
}

#[test]
fn named_variants_as_plain_variables() {
    let text = "
variants guest_os:
     - fedora:
     - ubuntu:
variants disk_interface:
     - virtio:
     - hda:
";
    let expected = [
        "1 (disk_interface=virtio).(guest_os=fedora) dep=[] disk_interface=\"virtio\" guest_os=\"fedora\" shortname=\"virtio.fedora\"",
        "2 (disk_interface=virtio).(guest_os=ubuntu) dep=[] disk_interface=\"virtio\" guest_os=\"ubuntu\" shortname=\"virtio.ubuntu\"",
        "3 (disk_interface=hda).(guest_os=fedora) dep=[] disk_interface=\"hda\" guest_os=\"fedora\" shortname=\"hda.fedora\"",
        "4 (disk_interface=hda).(guest_os=ubuntu) dep=[] disk_interface=\"hda\" guest_os=\"ubuntu\" shortname=\"hda.ubuntu\"",
    ];
    assert_eq!(listed(&program(text)), expected);
}

#[test]
fn dependencies_are_listed() {
    let text = "
variants:
    - one:
        key1 = Hello
    - two: one
        key2 = World
    - three: one two
";
    let expected = [
        "1 one dep=[] key1=\"Hello\" shortname=\"one\"",
        "2 two dep=[\"one\"] key2=\"World\" shortname=\"two\"",
        "3 three dep=[\"one\", \"two\"] shortname=\"three\"",
    ];
    assert_eq!(listed(&program(text)), expected);
}

#[test]
fn a_condition_changes_what_it_matches() {
    // The guide says "OpenSuse anywhere after Linux"; `..` is an AND in any order.
    let text = "
variants:
    - OpenSuse:
    - Fedora:
variants:
    - Linux:
    - Windows:
Linux..OpenSuse:
    initrd = initrd
";
    let program = program(text);
    let with: Vec<String> = listed(&program)
        .into_iter()
        .filter(|line| line.contains("initrd"))
        .collect();
    assert_eq!(
        with,
        ["1 Linux.OpenSuse dep=[] initrd=\"initrd\" shortname=\"Linux.OpenSuse\""]
    );
}

#[test]
fn only_limits_the_matrix() {
    let text = "
variants:
    - 32:
    - 64:
variants:
    - Fedora:
    - RHEL:
variants:
    - Linux:
    - Windows:
only Linux..Fedora..64
";
    assert_eq!(names(&program(text)), ["Linux.Fedora.64"]);
}

#[test]
fn filters_within_variants() {
    let text = "
variants:
    - one:
        key1 = Hello
variants:
    - two:
        key2 = Complicated
    - three: one two
        key3 = World
variants:
    - default:
        only three
        key2 =

only default
";
    let expected = [
        "1 default.three.one dep=[\"default.one\", \"default.two\"] key1=\"Hello\" key2=\"\" key3=\"World\" \
                     shortname=\"default.three.one\"",
    ];
    assert_eq!(listed(&program(text)), expected);
}

#[test]
fn substitution_in_order() {
    assert_eq!(
        listed(&program(
            "one = 1\ntwo = 2\nthree = 3\norder = ${one}${two}${three}\n"
        )),
        ["1  dep=[] one=\"1\" order=\"123\" shortname=\"\" three=\"3\" two=\"2\""]
    );
    // The guide says that `$key` works like `${key}`; only braces do.
    assert_eq!(
        listed(&program("a = 1\nb = $a\n")),
        ["1  dep=[] a=\"1\" b=\"$a\" shortname=\"\""]
    );
}

#[test]
fn substitution_depends_on_the_place() {
    let text = r#"
key1 = default value
key2 = default value

sub = "key1: ${key1}; key2: ${key2};"

variants:
    - one:
        key1 = Hello
        sub = "key1: ${key1}; key2: ${key2};"
    - two: one
        key2 = World
        sub = "key1: ${key1}; key2: ${key2};"
    - three: one two
        sub = "key1: ${key1}; key2: ${key2};"
"#;
    let expected = [
        "1 one dep=[] key1=\"Hello\" key2=\"default value\" shortname=\"one\" sub=\"key1: Hello; key2: default value;\"",
        "2 two dep=[\"one\"] key1=\"default value\" key2=\"World\" shortname=\"two\" sub=\"key1: default value; key2: World;\"",
        "3 three dep=[\"one\", \"two\"] key1=\"default value\" key2=\"default value\" shortname=\"three\" \
         sub=\"key1: default value; key2: default value;\"",
    ];
    assert_eq!(listed(&program(text)), expected);
}

#[test]
fn sub_arrays() {
    let program = program("vms = vm1 second_vm another_vm\nmem = 128\nmem_vm1 = 512\nmem_second_vm = 1024\n");
    let variant = program
        .variants(&ExpandOptions::default())
        .next()
        .expect("one variant")
        .expect("it expands");
    let params = variant.params().expect("it applies");
    let mem: Vec<_> = params
        .objects("vms")
        .iter()
        .map(|vm| params.object_params(vm).get("mem").map(str::to_owned))
        .collect();
    assert_eq!(
        mem,
        [
            Some("512".to_owned()),
            Some("1024".to_owned()),
            Some("128".to_owned())
        ]
    );
}

const KEYS: &str = "key1 = value1\nkey2 = value2\nkey3 = value3\n";

const ONE_TWO_THREE: &str = "
variants:
    - one:
        key1 = Hello World
        key2 <= some_prefix_
    - two: one
        key2 <= another_prefix_
    - three: one two
";

/// One line of the chapter's examples, whose variants differ only in few things.
fn line(index: usize, name: &str, short: &str, dep: &[&str], keys: [&str; 2], more: &str) -> String {
    let [key1, key2] = keys;
    format!(
        "{index} {name} dep={dep:?} key1={key1:?} key2={key2:?} key3=\"value3\"{more} shortname={short:?}"
    )
}

const ONE: [&str; 2] = ["Hello World", "some_prefix_value2"];
const TWO: [&str; 2] = ["value1", "another_prefix_value2"];
const THREE: [&str; 2] = ["value1", "value2"];

#[test]
fn examples_single_dictionary() {
    assert_eq!(listed(&program(KEYS)), [line(1, "", "", &[], THREE, "")]);
}

#[test]
fn examples_variants_block() {
    let text = format!("{KEYS}\nvariants:\n    - one:\n    - two:\n    - three:\n");
    let expected: Vec<_> = ["one", "two", "three"]
        .iter()
        .enumerate()
        .map(|(at, name)| line(at + 1, name, name, &[], THREE, ""))
        .collect();
    assert_eq!(listed(&program(&text)), expected);
}

#[test]
fn examples_modifying_and_dependencies() {
    let expected = [
        line(1, "one", "one", &[], ONE, ""),
        line(2, "two", "two", &["one"], TWO, ""),
        line(3, "three", "three", &["one", "two"], THREE, ""),
    ];
    assert_eq!(listed(&program(&format!("{KEYS}{ONE_TWO_THREE}"))), expected);
    let without: String = format!("{KEYS}{ONE_TWO_THREE}")
        .replace("two: one", "two:")
        .replace("three: one two", "three:");
    let expected = [
        line(1, "one", "one", &[], ONE, ""),
        line(2, "two", "two", &[], TWO, ""),
        line(3, "three", "three", &[], THREE, ""),
    ];
    assert_eq!(listed(&program(&without)), expected);
}

#[test]
fn examples_multiple_blocks() {
    let text = format!("{KEYS}{ONE_TWO_THREE}\nvariants:\n    - A:\n    - B:\n");
    let mut expected = Vec::new();
    for (at, letter) in ["A", "B"].iter().enumerate() {
        let name = |name: &str| format!("{letter}.{name}");
        let (one, two, three) = (name("one"), name("two"), name("three"));
        expected.push(line(at * 3 + 1, &one, &one, &[], ONE, ""));
        expected.push(line(at * 3 + 2, &two, &two, &[&one], TWO, ""));
        expected.push(line(at * 3 + 3, &three, &three, &[&one, &two], THREE, ""));
    }
    assert_eq!(listed(&program(&text)), expected);
}

#[test]
fn examples_filters_and_short_names() {
    let text = format!(
        "{KEYS}{ONE_TWO_THREE}\nvariants:\n    - A:\n        no one\n    - B:\n        only one,three\n"
    );
    let expect = |two: &str, three: &str| {
        [
            line(1, "A.two", two, &["A.one"], TWO, ""),
            line(2, "A.three", three, &["A.one", "A.two"], THREE, ""),
            line(3, "B.one", "B.one", &[], ONE, ""),
            line(4, "B.three", "B.three", &["B.one", "B.two"], THREE, ""),
        ]
    };
    assert_eq!(listed(&program(&text)), expect("A.two", "A.three"));
    assert_eq!(
        listed(&program(&text.replace("- A", "- @A"))),
        expect("two", "three")
    );
}

#[test]
fn examples_exceptions() {
    let text = format!(
        "{KEYS}{ONE_TWO_THREE}\nvariants:\n    - @A:\n        no one\n    - B:\n        only one,three\n
three: key4 = some_value

A:
    no two
    key5 = yet_another_value
"
    );
    let expected = [
        line(
            1,
            "A.three",
            "three",
            &["A.one", "A.two"],
            THREE,
            " key4=\"some_value\" key5=\"yet_another_value\"",
        ),
        line(2, "B.one", "B.one", &[], ONE, ""),
        line(
            3,
            "B.three",
            "B.three",
            &["B.one", "B.two"],
            THREE,
            " key4=\"some_value\"",
        ),
    ];
    assert_eq!(listed(&program(&text)), expected);
}

#[test]
fn the_formal_definition_of_filters() {
    let text = "
variants:
    - boot:
    - migrate:
variants:
    - ide:
    - scsi:
variants:
    - qcow2:
    - raw:
variants:
    - smp2:
    - up:
variants:
    - Fedora:
        variants:
            - 14:
            - 15:
    - RHEL:
        variants:
            - 6:
";
    let matching = |filter: &str| names(&program(&format!("{text}only {filter}\n")));
    let all = matching("qcow2..Fedora.14, RHEL.6..raw..boot, smp2..qcow2..migrate..ide");
    assert_eq!(all.len(), 8 + 4 + 2);
    assert_eq!(matching("qcow2..Fedora.14"), matching("Fedora.14..qcow2"));
    assert_ne!(matching("qcow2..Fedora.14"), matching("qcow2..14.Fedora"));
    assert!(matching("qcow2..14.Fedora").is_empty());
    assert_eq!(matching("ide, scsi"), matching("scsi, ide"));
}
