//! The shell against a scripted terminal.

use std::sync::Arc;
use std::thread::sleep;

use proptest::prelude::*;

use super::*;
use crate::session::Feed;
use crate::session::prompt::FITTING;
use crate::session::test_support::{fake_line, scripted};

const PROMPT: &str = "root@guest:~# ";
const LONG: Duration = Duration::from_secs(60);

fn setup() -> ShellSetup {
    ShellSetup::posix(Pattern::python(r"[\#\$]\s*$").expect("a prompt"))
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A shell whose other end answers with `answer`, its prompt learned.
async fn shell_with(answer: impl Fn(&str, &Feed) + Send + Sync + 'static) -> (Shell, Arc<Feed>) {
    let (terminal, feed) = scripted(answer);
    let mut shell = Shell::new(terminal, setup());
    feed.data(b"Welcome\r\n\r\n");
    feed.data(PROMPT.as_bytes());
    assert_eq!(shell.start(LONG).await.expect("the first prompt"), "Welcome\n\n");
    (shell, feed)
}

fn echo(feed: &Feed, typed: &str) {
    feed.data(typed.replace('\n', "\r\n").as_bytes());
}

#[tokio::test]
async fn echo_and_prompt_are_not_output() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        feed.data(b"one\r\ntwo\r\n\x1b[?2004hroot@guest:~# ");
    })
    .await;
    assert_eq!(shell.cmd_output("ls", LONG).await.expect("output"), "one\ntwo\n");
}

#[tokio::test]
async fn output_without_a_line_end_is_kept() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        feed.data(b"no end");
        feed.data(PROMPT.as_bytes());
    })
    .await;
    assert_eq!(shell.cmd_output("printf", LONG).await.expect("output"), "no end");
}

#[tokio::test]
async fn a_prompt_inside_the_output_is_not_the_end() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        feed.data(b"price: 100$ ");
        sleep(millis(120));
        feed.data(b"of 200$\r\nroot# \r\n");
        sleep(millis(120));
        feed.data(b"done\r\nroot@guest:~# ");
    })
    .await;
    let output = shell.cmd_output("bill", LONG).await.expect("output");
    assert_eq!(output, "price: 100$ of 200$\nroot# \ndone\n");
}

#[tokio::test]
async fn a_changed_prompt_is_learned_again() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        feed.data(b"root@guest:/tmp# ");
    })
    .await;
    assert_eq!(shell.cmd_output("cd /tmp", LONG).await.expect("output"), "");
    // A busy machine may be slow once, and a doubted prompt is slow always.
    let mut quickest = LONG;
    for _ in 0..20 {
        let before = Instant::now();
        assert_eq!(shell.cmd_output("true", LONG).await.expect("output"), "");
        quickest = quickest.min(before.elapsed());
        if quickest < FITTING {
            break;
        }
    }
    assert!(quickest < FITTING, "a learned prompt is believed at once");
}

#[tokio::test]
async fn what_a_background_job_prints_behind_the_prompt_does_not_hide_it() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        feed.data(b"[1] 77\r\nroot@guest:~# job says hello\r\n");
    })
    .await;
    assert_eq!(
        shell.cmd_output("job &", LONG).await.expect("output"),
        "[1] 77\njob says hello\n"
    );
}

#[tokio::test]
async fn a_prompt_that_comes_late_is_not_taken_for_the_answer() {
    let (mut shell, feed) = shell_with(|typed, feed| {
        sleep(millis(80));
        feed.data(PROMPT.as_bytes());
        sleep(millis(80));
        echo(feed, typed);
        feed.data(b"answer\r\nroot@guest:~# ");
    })
    .await;
    feed.data(b"rest of an older command\r\n");
    assert_eq!(shell.cmd_output("ask", LONG).await.expect("output"), "answer\n");
}

#[tokio::test]
async fn a_terminal_that_does_not_echo_works_too() {
    let (mut shell, _feed) = shell_with(|_typed, feed| feed.data(b"plain\r\nroot@guest:~# ")).await;
    assert_eq!(shell.cmd_output("quiet", LONG).await.expect("output"), "plain\n");
}

#[tokio::test]
async fn status_is_a_number_or_an_error() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        match typed {
            "echo $?\n" => feed.data(b"3\r\nroot@guest:~# "),
            _ => feed.data(b"42 files\r\nroot@guest:~# "),
        }
    })
    .await;
    assert_eq!(
        shell.cmd_status_output("ls", LONG).await.expect("both"),
        (3, "42 files\n".to_owned())
    );
    shell.setup.status_command = "nonsense".to_owned();
    let error = shell.cmd_status_output("ls", LONG).await.expect_err("no number");
    assert!(
        matches!(&error, ShellError::NoStatus { output, .. } if output == "42 files\n"),
        "{error}"
    );
}

#[tokio::test]
async fn a_time_out_carries_the_output_so_far() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        feed.data(b"half\r\n");
    })
    .await;
    let error = shell
        .cmd_output("sleep 100", millis(200))
        .await
        .expect_err("no prompt");
    assert!(
        matches!(&error, ShellError::Timeout { output, .. } if output == "sleep 100\nhalf\n"),
        "{error}"
    );
    assert!(error.to_string().contains("`sleep 100` within 0.2 s"), "{error}");
}

#[tokio::test]
async fn death_carries_the_status_and_the_output() {
    let (terminal, feed, _typed) = fake_line();
    let mut shell = Shell::new(terminal, setup());
    feed.data(b"exit\r\nlogout\r\n");
    feed.end(Some(7), "the remote program exited");
    let error = shell.start(LONG).await.expect_err("it is over");
    let ShellError::Died { end, output, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((end.status, output.as_str()), (Some(7), "exit\nlogout\n"));
    assert!(matches!(shell.type_line("more"), Err(ShellError::Died { .. })));
}

#[tokio::test]
async fn several_megabytes_pass_quickly() {
    let (mut shell, _feed) = shell_with(|typed, feed| {
        echo(feed, typed);
        let block = "0123456789abcde $ # >\r\n".repeat(1000);
        for _ in 0..400 {
            feed.data(block.as_bytes());
        }
        feed.data(PROMPT.as_bytes());
    })
    .await;
    let before = Instant::now();
    let output = shell.cmd_output("flood", LONG).await.expect("output");
    assert_eq!(output.len(), 400 * 1000 * 22);
    assert!(before.elapsed() < LONG / 2, "{:?}", before.elapsed());
}

#[tokio::test]
async fn patterns_are_found_in_their_scope_only() {
    let (terminal, feed, _typed) = fake_line();
    let mut shell = Shell::new(terminal, setup());
    let patterns = |texts: &[&str]| -> Vec<Pattern> {
        texts
            .iter()
            .map(|text| Pattern::python(text).expect("a pattern"))
            .collect()
    };
    feed.data(b"Booting\r\nready to serve\r\nlogin: ");
    let found = shell
        .read_until(&patterns(&["nothing", "^ready"]), Scope::AnyLine, LONG)
        .await;
    assert_eq!(
        found.expect("a line"),
        (1, "Booting\nready to serve\nlogin: ".to_owned())
    );

    feed.data(b"ready\r\nbusy");
    let error = shell
        .read_until(&patterns(&["^ready"]), Scope::LastLine, millis(100))
        .await
        .expect_err("not last");
    assert!(
        matches!(&error, ShellError::Timeout { output, .. } if output == "ready\nbusy"),
        "{error}"
    );

    feed.data(b"a\r\nb\r\n");
    let found = shell.read_until(&patterns(&[r"a\nb"]), Scope::All, LONG).await;
    assert_eq!(found.expect("over lines"), (0, "a\nb\n".to_owned()));
}

#[tokio::test]
async fn read_gives_what_came_once() {
    let (terminal, feed, typed) = fake_line();
    let mut shell = Shell::new(terminal, setup());
    feed.data(b"abc");
    assert_eq!(shell.read(millis(10)).await, "abc");
    assert_eq!(shell.read(millis(10)).await, "");
    shell.send("x\u{3}").expect("typed");
    assert_eq!(typed.text(), "x\u{3}");
}

#[test]
fn a_prompt_is_cut_off_where_asked() {
    let (terminal, _feed, _typed) = fake_line();
    let shell = Shell::new(terminal, setup());
    assert_eq!(shell.without_prompt("one\ntwo\nroot# "), "one\ntwo\n");
    assert_eq!(shell.without_prompt("one\ntwo\n"), "one\ntwo\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However the transport cuts what a command prints, and whatever that is, the output is exactly that.
    #[test]
    fn output_does_not_depend_on_how_it_is_cut(
        lines in proptest::collection::vec("[ -~]{0,30}", 0..6),
        last in "[ -!%-~]{0,10}",
        cuts in proptest::collection::vec(0usize..300, 0..5),
    ) {
        let printed: String = lines.iter().map(|line| format!("{line}\n")).chain([last]).collect();
        let bytes = format!("{}{PROMPT}", printed.replace('\n', "\r\n")).into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let answer = move |typed: &str, feed: &Feed| {
            echo(feed, typed);
            for piece in cuts.windows(2) {
                feed.data(&bytes[piece[0]..piece[1]]);
                std::thread::yield_now();
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let output = runtime.block_on(async {
            let (terminal, _feed) = scripted(answer);
            let mut shell = Shell::new(terminal, setup());
            shell.learned = Some(PROMPT.to_owned());
            shell.cmd_output("print it", LONG).await.expect("output")
        });
        prop_assert_eq!(output, printed);
    }
}

#[test]
fn a_line_that_was_found_is_found_again_when_more_has_come() {
    let mut seen = Transcript::new(1 << 10);
    let pattern = [Pattern::python("two").unwrap()];
    let mut lines_done = 0;
    seen.push(b"one\n");
    assert_eq!(
        first_match(&pattern, Scope::AnyLine, &seen, &mut lines_done),
        None
    );
    for piece in ["two\n", "[root@guest ~]# "] {
        seen.push(piece.as_bytes());
        assert_eq!(
            first_match(&pattern, Scope::AnyLine, &seen, &mut lines_done),
            Some(0)
        );
    }
}
