//! `vtbuild cartesian`: the exact output of each listing, errors with their position and exit code, and a reader that leaves.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sha2::{Digest, Sha256};

const TWO: &str = "\
x = it's
variants v:
  - a:
      y = one
  - @b: a
      y = ${x} \"two\"
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a writable folder");
        }
        Folder(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vtbuild"));
        command.arg("cartesian").args(args).current_dir(self.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("vtbuild starts")
    }

    /// Standard output of a run that succeeds and has nothing to say besides.
    fn list(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(String::from_utf8_lossy(&done.stderr), "");
        assert_eq!(done.status.code(), Some(0));
        String::from_utf8(done.stdout).expect("UTF-8")
    }

    /// Standard output and standard error of a run that finds a mistake.
    fn refuse(&self, args: &[&str]) -> (String, String) {
        let done = self.run(args);
        assert_eq!(done.status.code(), Some(3));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(done.stdout), text(done.stderr))
    }
}

#[test]
fn names_short_and_full() {
    let folder = Folder::with(&[("two.cfg", TWO)]);
    assert_eq!(folder.list(&["two.cfg"]), "dict    1:  a\ndict    2:  \n");
    assert_eq!(
        folder.list(&["-f", "two.cfg"]),
        "dict    1:  (v=a)\ndict    2:  (v=b)\n"
    );
    assert_eq!(folder.list(&["--names", "two.cfg"]), "(v=a)\n(v=b)\n");
}

#[test]
fn contents_are_sorted_and_show_lists_and_maps() {
    let folder = Folder::with(&[("two.cfg", TWO)]);
    let expected = "\
dict    1:  (v=b)
    _name_map_file = {'two.cfg': '(v=b)'}
    _short_name_map_file = {'two.cfg': 'b'}
    dep = ['a']
    name = (v=b)
    shortname = 
    v = b
    x = it's
    y = it's \"two\"
";
    assert_eq!(folder.list(&["-c", "-f", "two.cfg", "only b"]), expected);
}

#[test]
fn repr_is_laid_out_for_80_columns() {
    let folder = Folder::with(&[("two.cfg", TWO)]);
    let words = ["word"; 20].join(" ");
    let expected = format!(
        "[\n{{'_name_map_file': {{'two.cfg': '(v=b)'}},\n '_short_name_map_file': {{'two.cfg': 'b'}},\n 'dep': ['a'],\n \
         'name': '(v=b)',\n 'shortname': '',\n 'v': 'b',\n 'x': \"it's\",\n 'y': 'it\\'s \"two\"',\n \
         'z': '{} '\n      '{}'}},\n]\n",
        ["word"; 14].join(" "),
        ["word"; 6].join(" "),
    );
    assert_eq!(
        folder.list(&["-r", "two.cfg", &format!("z = {words}"), "only b"]),
        expected
    );
    // What fits on one line stays on one.
    let short = Folder::with(&[("short.cfg", "")]);
    assert_eq!(
        short.list(&["-r", "short.cfg"]),
        "[\n{'dep': [], 'name': '', 'shortname': ''},\n]\n"
    );
}

#[test]
fn defaults_and_what_is_expanded_all_the_same() {
    let text = "variants v:\n  - @a:\n  - b:\nvariants w:\n  - @c:\n  - d:\n";
    let folder = Folder::with(&[("d.cfg", text)]);
    assert_eq!(folder.list(&["-d", "--names", "d.cfg"]), "(w=c).(v=a)\n");
    assert_eq!(
        folder.list(&["-d", "-e", "x, v", "--names", "d.cfg"]),
        "(w=c).(v=a)\n(w=c).(v=b)\n"
    );
    assert_eq!(folder.list(&["--names", "d.cfg"]).lines().count(), 4);
}

#[test]
fn options_may_be_said_again_and_cut_short() {
    let text = "variants v:\n  - @a:\n  - b:\nvariants w:\n  - @c:\n  - d:\n";
    let folder = Folder::with(&[("d.cfg", text)]);
    assert_eq!(folder.list(&["-cc", "d.cfg"]), folder.list(&["--cont", "d.cfg"]));
    // Of two lists the last one counts.
    assert_eq!(
        folder.list(&["--def", "-d", "-e", "v", "--exp=w", "--nam", "d.cfg"]),
        "(w=c).(v=a)\n(w=d).(v=a)\n"
    );
}

#[test]
fn suffixed_keys_that_agree() {
    let folder = Folder::with(&[("s.cfg", "variants:\n  - a:\n    x = 1\n    suffix _s\nx = 1\n")]);
    assert!(!folder.list(&["-c", "s.cfg"]).contains("x_s"));
    assert!(folder.list(&["-c", "-s", "s.cfg"]).contains("    x_s = 1\n"));
}

#[test]
fn the_canonical_dump_and_its_digest() {
    let folder = Folder::with(&[("two.cfg", TWO)]);
    let dump = folder.list(&["--jsonl", "two.cfg", "only a"]);
    let expected = "{\"_name_map_file\":{\"two.cfg\":\"(v=a)\"},\"_short_name_map_file\":{\"two.cfg\":\"a\"},\"dep\":[],\
                    \"name\":\"(v=a)\",\"shortname\":\"a\",\"v\":\"a\",\"x\":\"it's\",\"y\":\"one\"}\n";
    assert_eq!(dump, expected);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  0\n";
    assert_eq!(folder.list(&["--sha", "two.cfg", "only c"]), empty);
    let whole = folder.list(&["--jsonl", "two.cfg"]);
    let digest: String = Sha256::digest(&whole)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(folder.list(&["--sha", "two.cfg"]), format!("{digest}  2\n"));
}

#[test]
fn extra_text_may_include_and_hold_lines() {
    let folder = Folder::with(&[("a.cfg", "x = 1\n"), ("b.cfg", "x += 2\n")]);
    let listed = folder.list(&["-c", "a.cfg", "include b.cfg", "variants:\n  - k:\n    x += 3"]);
    assert!(listed.contains("    x = 123\n"), "{listed}");
}

#[test]
fn verbose_names_the_files_and_changes_no_output() {
    let folder = Folder::with(&[("a.cfg", "include b.cfg\n"), ("b.cfg", "x = 1\n")]);
    let done = folder.run(&["-v", "a.cfg"]);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "dict    1:  \n");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("read a.cfg\n") && said.contains("read b.cfg\n"),
        "{said}"
    );
}

#[test]
fn mistakes_have_a_position_and_exit_code_3() {
    let folder = Folder::with(&[
        ("bad.cfg", "x = 1\nonly\n"),
        (
            "late.cfg",
            "variants:\n  - a:\n  - b:\n      x_min = many\nx = 2\n",
        ),
        ("gone.cfg", "include nowhere.cfg\n"),
    ]);
    let (out, said) = folder.refuse(&["bad.cfg"]);
    assert_eq!(out, "");
    assert!(said.contains("bad.cfg:2"), "{said}");
    // What came before a mistake that only some variants show is listed.
    let (out, said) = folder.refuse(&["late.cfg"]);
    assert_eq!(out, "dict    1:  a\n");
    assert!(said.contains("late.cfg:4"), "{said}");
    for file in ["gone.cfg", "absent.cfg", "."] {
        let (out, said) = folder.refuse(&[file]);
        assert_eq!(out, "");
        assert!(said.contains(file), "{said}");
    }
    let (_, said) = folder.refuse(&["late.cfg", "only a", "x"]);
    assert!(said.contains("<string>:1"), "{said}");
}

#[test]
fn strict_refuses_a_join_that_loses_variants() {
    let text = "variants:\n  - a:\n  - b:\n  - c:\njoin a b c\n";
    let folder = Folder::with(&[("join.cfg", text)]);
    assert!(folder.list(&["--names", "join.cfg"]).ends_with('\n'));
    let (_, said) = folder.refuse(&["--strict", "--names", "join.cfg"]);
    assert!(said.contains("join.cfg:5"), "{said}");
}

#[test]
fn strict_tells_all_that_is_wrong_with_the_text() {
    let texts = [
        ("main.cfg", "include part.cfg\n(v=a): x = 1\n"),
        ("part.cfg", "variants:\n  - a:\nonly a?\n"),
    ];
    let folder = Folder::with(&texts);
    assert_eq!(folder.list(&["--names", "main.cfg"]), "a\n");
    let (out, said) = folder.refuse(&["--strict", "--names", "main.cfg"]);
    assert_eq!(out, "");
    let parts = [
        "main.cfg:2:1: ",
        "(v=a): x = 1\n    ^^",
        "part.cfg:3:7: ",
        "help: ",
        "included from main.cfg:1",
    ];
    for part in parts {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut text = String::new();
    for block in 0..5 {
        text.push_str(&format!("variants v{block}:\n"));
        (0..10).for_each(|variant| text.push_str(&format!("  - l{variant}:\n")));
    }
    let folder = Folder::with(&[("many.cfg", &text)]);
    let mut child = folder
        .command(&["-c", "many.cfg"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vtbuild starts");
    let mut reader = BufReader::new(child.stdout.take().expect("asked for"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a first line");
    assert_eq!(line, "dict    1:  l0.l0.l0.l0.l0\n");
    drop(reader);
    let done = child.wait_with_output().expect("it ends");
    assert_eq!(
        (done.status.code(), &*String::from_utf8_lossy(&done.stderr)),
        (Some(0), "")
    );
}

#[test]
fn order_is_kept_over_many_batches() {
    let mut text = String::from("n = 0\n");
    for block in 0..4 {
        text.push_str("variants:\n");
        (0..8).for_each(|variant| {
            text.push_str(&format!("  - b{block}{variant}:\n    k{block} = {variant}\n"));
        });
    }
    let folder = Folder::with(&[("order.cfg", &text)]);
    let names = folder.list(&["--names", "order.cfg"]);
    let number = |line: &str| -> usize {
        line.split('.').fold(0, |sum, label| {
            sum * 8 + label[2..].parse::<usize>().expect("a number")
        })
    };
    let numbers: Vec<usize> = names.lines().map(number).collect();
    assert_eq!(numbers, (0..4096).collect::<Vec<_>>());
}
