//! What the program tells of a configuration: values and where they came from, variants that are not there, lists,
//! warnings, layout, differences. Exact outputs.

mod support;

use support::Sandbox;

/// The configuration of most tests here.
const TESTS: &str = "\
mem = 512
variants:
    - Small:
        image_name = images/small
    - Large:
        mem = 4096
variants test:
    - boot:
        type = boot
    - migrate:
        type = migrate
        variants:
            - @tcp:
                proto = tcp
            - unix:
                proto = unix
                mem += 0
            - slow:
    - stress:
        only Large
variants:
    - @quick:
        no migrate..unix
    - full:
Small:
    migrate:
        mem = 1024
only quick
";

/// The filters that are in force without a word on the command line.
const HEADING: &str = "\
# only quick  (qemu/cfg/tests.cfg:28)
# no migrate..unix  (qemu/cfg/tests.cfg:23)
# only Small  (guest-os in vtbuild.toml)
# no slow  (no in vtbuild.toml)
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "vtbuild.toml",
        "guest-os = \"Small\"\nbundled-tests = false\nno = [\"slow\"]\n",
    );
    sandbox.write("qemu/cfg/tests.cfg", TESTS);
    sandbox
}

#[track_caller]
fn says(sandbox: &Sandbox, words: &str, code: i32, stdout: &str) {
    assert_eq!(sandbox.run(words).exit(code).stdout(), stdout, "{words}");
}

#[track_caller]
fn complains(sandbox: &Sandbox, words: &str, code: i32, stderr: &str) {
    assert_eq!(sandbox.run(words).exit(code).stderr(), stderr, "{words}");
}

#[test]
fn parameters_are_listed_as_the_field_lists_them() {
    let expected = "\
dict    1:  boot.Small
    _name_map_file = {'tests.cfg': 'quick.(test=boot).Small'}
    _short_name_map_file = {'tests.cfg': 'quick.boot.Small'}
    dep = []
    image_name = images/small
    mem = 512
    name = quick.(test=boot).Small
    shortname = boot.Small
    test = boot
    type = boot
";
    says(&sandbox(), "params //boot", 0, expected);
    let full = expected.replace("1:  boot.Small", "1:  quick.(test=boot).Small");
    says(&sandbox(), "params //boot --fullname", 0, &full);
}

#[test]
fn keys_are_chosen_by_name_and_by_pattern() {
    let sandbox = sandbox();
    let one = "dict    1:  boot.Small\n    mem = 512\n";
    says(&sandbox, "params //boot -k mem", 0, one);
    let two = "dict    1:  boot.Small\n    mem = 512\n    test = boot\n    type = boot\n";
    says(&sandbox, "params //boot -k t??? -k t*t -k m*", 0, two);
    let json = "{\"id\":\"boot.Small\",\"shortname\":\"boot.Small\",\"name\":\"quick.(test=boot).Small\",\"params\":{\"mem\":\"512\"}}\n";
    says(&sandbox, "params //boot -k mem --json", 0, json);
}

#[test]
fn every_value_says_which_statements_made_it() {
    let sandbox = sandbox();
    let expected = "\
dict    1:  migrate.Small
    mem = 1024
        qemu/cfg/tests.cfg:1: mem = 512
            =  nothing -> \"512\"
        qemu/cfg/tests.cfg:27: mem = 1024
            =  \"512\" -> \"1024\"
            under qemu/cfg/tests.cfg:25: Small:
            under qemu/cfg/tests.cfg:26: migrate:
        --param: mem = 77
            =  \"1024\" -> \"77\"
    proto = tcp
        qemu/cfg/tests.cfg:14: proto = tcp
            =  nothing -> \"tcp\"
";
    let expected = expected.replace("    mem = 1024\n        qemu", "    mem = 77\n        qemu");
    let words = "params //migrate -k mem -k proto --with-source -p mem=77";
    says(&sandbox, words, 0, &expected);
    let json = sandbox.run("params //boot -k mem -s --json").exit(0);
    let object: serde_json::Value = serde_json::from_str(json.stdout()).unwrap();
    let source = &object["params"]["mem"]["sources"][0];
    assert_eq!(source["place"], "qemu/cfg/tests.cfg:1");
    assert_eq!((&source["line"], &source["after"]), (&1.into(), &"512".into()));
}

#[test]
fn what_is_missing_is_told_with_the_statement_that_removed_it() {
    let sandbox = sandbox();
    let expected = "\
qemu/cfg/tests.cfg:20: only Large
    removed 1 variant, the first in quick.(test=stress).Small
    alone in the way of 1 variant: quick.(test=stress).Small
guest-os in vtbuild.toml: only Small
    removed 1 variant, the first in quick.(test=stress).Large
    alone in the way of 1 variant: quick.(test=stress).Large
qemu/cfg/tests.cfg:28: only quick
    removed 2 variants, the first in full
";
    says(&sandbox, "why-not //stress", 0, expected);
    let capped = "\
qemu/cfg/tests.cfg:20: only Large
    removed 1 variant, the first in quick.(test=stress).Small
    alone in the way of 1 variant: quick.(test=stress).Small
and 2 more statements; --most 3 names them all
";
    says(&sandbox, "why-not stress --most 1", 0, capped);
    let there = sandbox.run("why-not boot").exit(0);
    assert!(
        there.stdout().starts_with("there: 1 variant\n"),
        "{}",
        there.stdout()
    );
}

#[test]
fn what_never_was_gets_the_nearest_names() {
    let sandbox = sandbox();
    says(
        &sandbox,
        "why-not migrte",
        4,
        "no variant is called `migrte`; did you mean `migrate`?\n",
    );
    says(
        &sandbox,
        "why-not boot..stress",
        4,
        "no variant ever had these names together: `boot..stress`\n",
    );
    let loose = sandbox.run("why-not boot.quick").exit(0);
    let first = "`boot.quick` is nowhere side by side; this is about `boot..quick`\n";
    assert!(loose.stdout().starts_with(first), "{}", loose.stdout());
}

#[test]
fn an_empty_selection_names_what_nobody_is_called() {
    let sandbox = sandbox();
    let expected = "\
error: nothing is selected
  only Smal  (from --guest-os)
  no slow  (from no in vtbuild.toml)
  only migrte..tcp  (from the target)
  no variant is called `Smal`; did you mean `Small`?
  no variant is called `migrte`; did you mean `migrate`?
";
    complains(&sandbox, "list //migrte..tcp --guest-os Smal", 4, expected);
    let expected = "\
error: nothing is selected
  only Small  (from guest-os in vtbuild.toml)
  no slow  (from no in vtbuild.toml)
  only stress  (from the target)
  every name in these filters exists, but no variant passes them all together with the filters of the configuration
  guest-os in vtbuild.toml: `only Small` alone is in the way of 1 variant, such as quick.(test=stress).Large
  qemu/cfg/tests.cfg:20: `only Large` alone is in the way of 1 variant, such as quick.(test=stress).Small
";
    complains(&sandbox, "params //stress", 4, expected);
}

#[test]
fn whoever_picks_another_machine_learns_how_to_choose_otherwise() {
    let sandbox = Sandbox::new();
    let told = sandbox.run("list //boot --only q35").exit(4);
    told.complains(&[
        "sets/qemu/cfg/tests.cfg:32: `only qemu_quick` alone is in the way of ",
        "`only i440fx` alone is in the way of 1 variant, such as qemu_quick.",
        "help: to choose otherwise than the built-in set does, write a tests.cfg of your own into qemu/cfg",
    ]);
    sandbox.write(
        "qemu/cfg/tests.cfg",
        "include tests-shared.cfg\nonly virtio_net..virtio_blk..qcow2..smallpages..default_bios..up\n",
    );
    sandbox
        .run("list //boot --only q35")
        .exit(0)
        .says(&["1 variant\n"]);
}

#[test]
fn the_name_of_a_guest_that_nobody_has_is_told_with_its_filter() {
    let sandbox = Sandbox::new();
    let told = sandbox.run("why-not //boot --guest-os JeSO.12").exit(0);
    told.says(&[
        "--guest-os: only JeSO.12\n",
        "    no variant is called `JeSO`; did you mean `JeOS`?\n",
    ]);
}

#[test]
fn a_filter_that_makes_no_sense_is_shown_with_its_mistake() {
    let expected = "\
error: the target:1:10: error: unexpected character `/`
    only boot/x
             ^
  help: special characters are allowed only in the key or value of an assignment
";
    complains(&sandbox(), "list //boot/x", 2, expected);
}

#[test]
fn lists_begin_with_the_filters_in_force() {
    let sandbox = sandbox();
    let listed = format!("{HEADING}boot.Small\nmigrate.Small\n\n2 variants\n");
    says(&sandbox, "list //...", 0, &listed);
    let tree = format!("{HEADING}boot\n    Small\nmigrate\n    Small\n\n2 variants\n");
    says(&sandbox, "list //... --tree", 0, &tree);
    let verbose =
        "# only boot  (the target)\nboot.Small\n    quick.(test=boot).Small\n    6 parameters\n\n1 variant\n";
    says(&sandbox, "list //boot -v", 0, &format!("{HEADING}{verbose}"));
    let json = "{\"id\":\"boot.Small\",\"shortname\":\"boot.Small\",\"name\":\"quick.(test=boot).Small\",\"dep\":[],\"params\":6}\n";
    says(&sandbox, "list //boot --json", 0, json);
    says(&sandbox, "list //... --count", 0, "2\n");
}

#[test]
fn guests_are_listed_with_the_images_they_lack() {
    let sandbox = Sandbox::new();
    sandbox.write("vtbuild.toml", "bundled-tests = false\n");
    let base = "images = image1\nimage_name = images/none\nimage_format = qcow2\n";
    sandbox.write("qemu/cfg/base.cfg", base);
    sandbox.write("qemu/cfg/machines.cfg", "variants:\n    - @i440fx:\n    - q35:\n");
    sandbox.write("qemu/cfg/guest-os/Haiku.cfg", "- Haiku:\n");
    let guest = |bits: &str| format!("- 6.{bits}:\n    image_name = images/haiku-{bits}\n");
    sandbox.write("qemu/cfg/guest-os/Haiku/32.cfg", &guest("32"));
    sandbox.write("qemu/cfg/guest-os/Haiku/64.cfg", &guest("64"));
    sandbox.write(
        "qemu/cfg/guest-os/Haiku/built.cfg",
        "- built:\n    image_name = images/x\n    image_recipe = jeos-12\n",
    );
    sandbox.write("images/haiku-64.qcow2", "an image");
    let listed = sandbox.run("list --guests --only Haiku --only i440fx").exit(0);
    let expected = "\
# only Haiku
# only i440fx
Haiku.6.32.i440fx (missing haiku-32.qcow2)
Haiku.6.64.i440fx
Haiku.built.i440fx

3 guests
";
    assert_eq!(listed.stdout(), expected);
    complains(
        &sandbox,
        "list --guests --guest-os Haikou",
        4,
        "error: no guest passes these filters:\n  only Haikou\n  no variant is called `Haikou`; did you mean `Haiku`?\n",
    );
}

/// Ten blocks of ten variants: 10^10 of them.
fn enormous() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("vtbuild.toml", "guest-os = \"a0\"\nbundled-tests = false\n");
    let mut text = String::new();
    for block in "abcdefghijk".chars() {
        text.push_str("variants:\n");
        (0..10).for_each(|n| text.push_str(&format!("    - {block}{n}:\n        {block} = {n}\n")));
    }
    sandbox.write("qemu/cfg/tests.cfg", &text);
    sandbox
}

#[test]
fn ten_thousand_million_variants_are_counted_and_not_listed() {
    let sandbox = enormous();
    says(&sandbox, "list //... --count", 0, "10000000000\n");
    let listed = sandbox.run("list //...").exit(0);
    assert_eq!(listed.stdout().lines().count(), 20_001);
    let warning = "\
warning: these are the first 20000 of 10000000000 variants
  help: narrow it with a target (//migrate..tcp), --guest-os NAME, --only FILTER or --no FILTER
  help: --count only counts, --tree shows the names, --all lists them all
";
    assert_eq!(listed.stderr(), warning);
    let refused = "\
error: the target selects 10000000000 variants, too many to run by mistake (more than 10000)
  help: narrow it with a target (//migrate..tcp), --guest-os NAME, --only FILTER or --no FILTER
  or insist with --all
";
    complains(&sandbox, "run //...", 2, refused);
    complains(&sandbox, "graph //...", 2, &refused.replace(" run ", " draw "));
    says(&sandbox, "list //b1..c1 --count", 0, "100000000\n");
}

#[test]
fn lint_finds_what_was_hardly_meant() {
    let sandbox = Sandbox::new();
    sandbox.write("vtbuild.toml", "bundled-tests = false\n");
    let text = "\
mem = 512
mem = 1024
variants:
    - Small:
        only Larg
        x = 1
        x += 2
        x = ${x}
        x = 4
    - Large:
        only Small, nope
        no Large
    - Huge: Smal
        yyy = 1
\tz = 2
        Small:
            yyy = 3
        yyy = 4
only Small Hug
";
    sandbox.write("qemu/cfg/tests.cfg", text);
    let expected = "\
qemu/cfg/tests.cfg:4:5: warning[always-dropped]: the variant `Small` is always dropped, by `only Larg` at qemu/cfg/tests.cfg:5
qemu/cfg/tests.cfg:10:5: warning[always-dropped]: the variant `Large` is always dropped, by `only Small, nope` at qemu/cfg/tests.cfg:11
qemu/cfg/tests.cfg:5:9: warning[never-matches]: no variant is called `Larg`, so this filter never matches
    did you mean `Large`?
qemu/cfg/tests.cfg:11:9: warning[never-matches]: no variant is called `nope`, so this filter never matches
qemu/cfg/tests.cfg:16:9: warning[never-matches]: no variant that this filter is about can match `Small`: the names exist, but never so together
qemu/cfg/tests.cfg:1:1: warning[shadowed-assignment]: `mem` is set again to another value at qemu/cfg/tests.cfg:2, before anything reads this one
qemu/cfg/tests.cfg:8:9: warning[shadowed-assignment]: `x` is set again to another value at qemu/cfg/tests.cfg:9, before anything reads this one
qemu/cfg/tests.cfg:15:1: warning[tab]: a tab: it counts as blanks up to the next multiple of eight columns
    `vtbuild fmt` turns tabs into blanks
qemu/cfg/tests.cfg:13:5: warning[unknown-dependency]: no variant is called `Smal`, so this dependency matches nothing
    did you mean `Small`?
qemu/cfg/tests.cfg:19:1: warning[unknown-label]: no variant is called `Hug`, so this alternative of the filter never matches
    did you mean `Huge`?
";
    let notes = "\
qemu/cfg/tests.cfg:14:9: note[unread-key]: nothing known reads `yyy`
qemu/cfg/tests.cfg:15:9: note[unread-key]: nothing known reads `z`
";
    let kinds = "2 always-dropped, 3 never-matches, 2 shadowed-assignment, 1 tab, 1 unknown-dependency, 1 unknown-label";
    let all = format!("{expected}{notes}\n10 warnings ({kinds}); 2 notes\n");
    says(&sandbox, "lint", 1, &all);
    // Without a workspace there are no tests that could read a key.
    let file = format!("{expected}\n10 warnings ({kinds})\n");
    says(&sandbox, "lint qemu/cfg/tests.cfg", 1, &file);
    says(&sandbox, "lint qemu/cfg/tests.cfg --most 1", 1, "\
qemu/cfg/tests.cfg:4:5: warning[always-dropped]: the variant `Small` is always dropped, by `only Larg` at qemu/cfg/tests.cfg:5
… and 1 more of [always-dropped]; --all lists every one
qemu/cfg/tests.cfg:5:9: warning[never-matches]: no variant is called `Larg`, so this filter never matches
    did you mean `Large`?
… and 2 more of [never-matches]; --all lists every one
qemu/cfg/tests.cfg:1:1: warning[shadowed-assignment]: `mem` is set again to another value at qemu/cfg/tests.cfg:2, before anything reads this one
… and 1 more of [shadowed-assignment]; --all lists every one
qemu/cfg/tests.cfg:15:1: warning[tab]: a tab: it counts as blanks up to the next multiple of eight columns
    `vtbuild fmt` turns tabs into blanks
qemu/cfg/tests.cfg:13:5: warning[unknown-dependency]: no variant is called `Smal`, so this dependency matches nothing
    did you mean `Small`?
qemu/cfg/tests.cfg:19:1: warning[unknown-label]: no variant is called `Hug`, so this alternative of the filter never matches
    did you mean `Huge`?

10 warnings (2 always-dropped, 3 never-matches, 2 shadowed-assignment, 1 tab, 1 unknown-dependency, 1 unknown-label)
");
    let json = sandbox.run("lint --json").exit(1);
    let first: serde_json::Value = serde_json::from_str(json.stdout().lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["code"], &first["line"]),
        (&"shadowed-assignment".into(), &1.into())
    );
}

#[test]
fn what_lint_finds_at_several_places_is_told_once() {
    let sandbox = Sandbox::new();
    let text = "variants:\n    - a:\n        no q1\n    - b:\n        no q1\n    - c:\n        no q2\n    - d:\n        no q1\n";
    sandbox.write("t.cfg", text);
    let message = |name: &str| format!("no variant is called `{name}`, so this filter never matches");
    let grouped = format!(
        "t.cfg:3:9: warning[never-matches]: {}\n    and at 2 more places: 5, 9\nt.cfg:7:9: warning[never-matches]: {}\n\n4 warnings\n",
        message("q1"),
        message("q2")
    );
    says(&sandbox, "lint t.cfg", 1, &grouped);
    let all: String = [(3, "q1"), (5, "q1"), (7, "q2"), (9, "q1")]
        .iter()
        .map(|(line, name)| format!("t.cfg:{line}:9: warning[never-matches]: {}\n", message(name)))
        .collect();
    says(&sandbox, "lint t.cfg --all", 1, &format!("{all}\n4 warnings\n"));
    assert_eq!(
        sandbox.run("lint t.cfg --json").exit(1).stdout().lines().count(),
        4
    );
}

#[test]
fn lint_tells_all_errors_of_all_files() {
    let sandbox = Sandbox::new();
    sandbox.write("c/tests.cfg", "include b.cfg\n");
    let text = "include tests.cfg\nonly a..\nx: variants:\ninclude nix.cfg\n";
    sandbox.write("c/b.cfg", text);
    sandbox.write("c/nyx.cfg", "x = 1\n");
    let expected = "\
c/b.cfg:1:1: error[include-cycle]: `tests.cfg` includes itself
    remove one of the includes of the cycle
    included from c/tests.cfg:1
c/b.cfg:3:4: error[variants-in-condition]: `variants` is not allowed inside a conditional block
    included from c/tests.cfg:1
c/b.cfg:4:1: error[missing-include]: include `nix.cfg`: file does not exist
    looked for `c/nix.cfg`; paths are relative to the including file
    did you mean `nyx.cfg`?
    included from c/tests.cfg:1

3 errors (1 include-cycle, 1 missing-include, 1 variants-in-condition)
";
    says(&sandbox, "lint c", 3, expected);
    complains(&sandbox, "lint nix", 2, "error: there is no file nix\n");
}

#[test]
fn the_built_in_configuration_has_no_warnings() {
    says(&Sandbox::new(), "lint", 0, "nothing to complain about\n");
}

/// A configuration in nobody's layout, and in the canonical one.
const LOOSE: &str = "\
mem=512
variants :
  - Small :dep
\t# of Small
\timage_name=\"a b\"   
# of what follows


  - dep:
only  Small,dep # both
!Small : mem  +=  1
";
const TIDY: &str = "\
mem = 512
variants:
    - Small: dep
        # of Small
        image_name = \"a b\"
    # of what follows

    - dep:
only Small, dep  # both
!Small: mem += 1
";

#[test]
fn fmt_changes_the_layout_and_nothing_else() {
    let sandbox = Sandbox::new();
    let loose = LOOSE.replace(" :\n", ":\n").replace(" :dep", ":dep");
    sandbox.write("a/tests.cfg", &loose);
    sandbox.write("a/piece.cfg", "- boot:\n  type=boot\n");
    sandbox.write("a/no.txt", "x=1\n");
    let before = sandbox
        .run("cartesian --sha a/tests.cfg")
        .exit(0)
        .stdout()
        .to_owned();
    let unformatted = sandbox.run("fmt --check a").exit(1);
    assert_eq!(unformatted.stdout(), "a/piece.cfg\na/tests.cfg\n");
    let advice = "error: 2 files not in the canonical layout: `vtbuild fmt` mends that\n";
    assert_eq!(unformatted.stderr(), advice);
    assert_eq!(sandbox.read("a/tests.cfg"), loose, "--check changes nothing");
    says(&sandbox, "fmt a", 0, "a/piece.cfg\na/tests.cfg\n");
    assert_eq!(sandbox.read("a/tests.cfg"), TIDY);
    assert_eq!(sandbox.read("a/piece.cfg"), "- boot:\n    type = boot\n");
    assert_eq!(sandbox.read("a/no.txt"), "x=1\n");
    says(&sandbox, "cartesian --sha a/tests.cfg", 0, &before);
    says(&sandbox, "fmt --check a", 0, "");
}

#[test]
fn the_built_in_configuration_is_in_the_canonical_layout() {
    let root = env!("CARGO_MANIFEST_DIR");
    let words = format!("fmt --check {root}/cfg/sets {root}/providers/bundled {root}/examples");
    says(&Sandbox::new(), &words, 0, "");
}

#[test]
fn fmt_refuses_what_it_would_change_or_cannot_read() {
    let sandbox = Sandbox::new();
    sandbox.write("odd.cfg", "a: b: x = 1\n y = 2\n");
    sandbox.write("bad.cfg", "x = 1\nonly a...b\n");
    sandbox.write("good.cfg", "x=1\n");
    let refused = sandbox.run("fmt bad.cfg good.cfg odd.cfg").exit(3);
    assert_eq!(refused.stdout(), "good.cfg\n");
    let expected = "\
error: bad.cfg:2:10: error: too many dots between variant names
    only a...b
             ^
  help: `.` means next to, `..` means and, `,` means or; a condition allows no blanks as or
odd.cfg: failed to keep its meaning: odd.cfg:1 would be read differently in the canonical layout; it is left as it is
";
    assert_eq!(refused.stderr(), expected);
    assert_eq!(sandbox.read("odd.cfg"), "a: b: x = 1\n y = 2\n");
    complains(&sandbox, "fmt nix.cfg", 2, "error: there is no file nix.cfg\n");
}
