//! The page on writing tests: every command of it is run, in the order of the page, and prints what the page says.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use support::Sandbox;

const PAGE: &str = include_str!("../docs/writing-tests.md");
/// Stands for any text.
const ANY: &str = "…";
/// How a line begins that a person ends.
const PROMPTS: [&str; 2] = ["[root@jeos-12 ~]# ", "vtbuild> "];

/// A block of the page that something is done with.
#[derive(Debug)]
enum Block {
    /// A file to be written.
    File { path: String, text: String },
    /// Commands and what they print.
    Console { needs: String, commands: Vec<Command> },
}

#[derive(Debug)]
struct Command {
    line: String,
    prints: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some((_, path)) = info.split_once("file=") {
            let (path, text) = (path.to_owned(), format!("{}\n", body.join("\n")));
            found.push(Block::File { path, text });
        } else if let Some(needs) = info.strip_prefix("console") {
            let mut commands: Vec<Command> = Vec::new();
            for line in body {
                match (line.strip_prefix("$ "), commands.last_mut()) {
                    (Some(line), _) => commands.push(Command {
                        line: line.to_owned(),
                        prints: Vec::new(),
                    }),
                    (None, Some(command)) => command.prints.push(line.to_owned()),
                    (None, None) => panic!("a console block begins with a command, not with {line:?}"),
                }
            }
            let needs = needs.trim().to_owned();
            found.push(Block::Console { needs, commands });
        } else {
            panic!(
                "nobody checks this block of the page: {info}\n{}",
                body.join("\n")
            );
        }
    }
    found
}

/// Whether a line is as the page says.
fn fits(line: &str, said: &str) -> bool {
    let mut parts = said.split(ANY);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The lines, verdicts that follow one another by the names of their tests: these ran side by side, and any may end first.
fn by_name<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let test = |line: &&'a str| match line.split_once(") ") {
        Some((number, test)) if number.starts_with('(') => Some(test),
        _ => None,
    };
    let mut lines: Vec<&str> = lines.collect();
    for run in lines.chunk_by_mut(|one, next| test(one).is_some() && test(next).is_some()) {
        run.sort_by_key(test);
    }
    lines
}

/// Whether the lines are as the page says: one by one, a line of only `…` standing for any number of them.
fn all_fit(lines: &[&str], said: &[&str]) -> bool {
    match said.split_first() {
        None => lines.is_empty(),
        Some((&ANY, said)) => (0..=lines.len()).any(|skipped| all_fit(&lines[skipped..], said)),
        Some((first, said)) => lines
            .split_first()
            .is_some_and(|(line, lines)| fits(line.trim_end(), first) && all_fit(lines, said)),
    }
}

fn run(sandbox: &Sandbox, command: &Command, terminal: bool) -> String {
    let mut shell = if terminal {
        let mut script = sandbox.command("script");
        script.args(["-qec", &command.line, "/dev/null"]);
        script
    } else {
        let mut sh = sandbox.command("sh");
        sh.args(["-c", &command.line]);
        sh
    };
    shell.stdin(if terminal { Stdio::piped() } else { Stdio::null() });
    let mut child = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(mut keyboard) = child.stdin.take() {
        let typed = |line: &String| {
            PROMPTS
                .iter()
                .find_map(|prompt| line.strip_prefix(prompt))
                .map(str::to_owned)
        };
        let mut lines: Vec<String> = command.prints.iter().filter_map(typed).collect();
        // A pause ends with Enter.
        lines.push(String::new());
        keyboard
            .write_all(format!("{}\n", lines.join("\n")).as_bytes())
            .unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let sandbox = Sandbox::with_guest();
    fs::remove_file(sandbox.path("vtbuild.toml")).unwrap();
    symlink(env!("CARGO_BIN_EXE_vtbuild"), sandbox.root().join("bin/vtbuild")).unwrap();
    let look = Command {
        line: "command -v ruff".into(),
        prints: Vec::new(),
    };
    let has_ruff = !run(&sandbox, &look, false).is_empty();
    let mut ran = 0;
    for block in blocks(PAGE) {
        let (needs, commands) = match block {
            Block::File { path, text } => {
                sandbox.write(&path, &text);
                continue;
            }
            Block::Console { needs, commands } => (needs, commands),
        };
        if needs == "ruff" && !has_ruff {
            support::skipped("what ruff finds in the page's test: ruff is not installed");
            continue;
        }
        for command in commands {
            let printed = run(&sandbox, &command, needs == "terminal");
            let lines = by_name(printed.lines());
            // What is typed is echoed before it is asked for; the page shows it where it is asked for.
            let fits = if needs == "terminal" {
                command.prints.iter().all(|said| {
                    let answer = PROMPTS.iter().all(|prompt| !said.starts_with(prompt));
                    !answer || said == ANY || lines.iter().any(|line| fits(line.trim_end(), said))
                })
            } else {
                all_fit(&lines, &by_name(command.prints.iter().map(String::as_str)))
            };
            assert!(
                fits,
                "$ {}\n{printed}\n--- the page says\n{}",
                command.line,
                command.prints.join("\n")
            );
            ran += 1;
        }
    }
    assert!(ran >= 15, "only {ran} commands of the page were run");
    assert!(sandbox.processes().is_empty() && sandbox.scratch().is_empty());
}

#[test]
fn what_the_page_says_is_compared_line_by_line() {
    assert!(all_fit(&["a", "b 1.5 s", "c"], &["a", "b … s", "c"]));
    assert!(all_fit(&["a", "x", "y", "c"], &["a", "…", "c"]));
    assert!(!all_fit(&["a", "b"], &["a"]));
    assert!(!all_fit(&["a"], &["a", "b"]));
    assert!(!all_fit(&["a", "b 1.5 m"], &["a", "b … s"]));
}

#[test]
fn tests_side_by_side_end_in_any_order() {
    let printed = "first\n(1/2) two: PASS\n(2/2) one: PASS\nTESTS : 2";
    let said = "first\n(…/2) one: PASS\n(…/2) two: PASS\nTESTS : 2";
    let sorted = by_name(printed.lines());
    assert_eq!(sorted[3], "TESTS : 2");
    assert!(all_fit(&sorted, &by_name(said.lines())));
    assert!(!all_fit(&sorted, &by_name("(…/2) one: PASS\nTESTS : 2".lines())));
}
