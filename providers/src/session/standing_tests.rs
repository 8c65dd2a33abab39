//! Standing shells: the frames against a guest that is played, the program with a shell of this host.

use std::process::Command;

use tokio::net::TcpListener;

use super::*;
use crate::session::{Pattern, Scope, Shell, ShellError, ShellSetup};

/// Longer than any host needs.
const LONG: Duration = Duration::from_secs(120);

/// A standing shell, and what its guest reads and writes.
fn played() -> (Standing, tokio::io::DuplexStream) {
    let (ours, guests) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(ours);
    (Standing::over(reader, writer, "vm1", None), guests)
}

#[tokio::test]
async fn a_greeting_carries_the_time_and_entropy_and_output_may_come_before_its_answer() {
    let (mut standing, mut guest) = played();
    let guest = tokio::spawn(async move {
        let (kind, bytes) = read_frame(&mut guest).await.unwrap();
        guest.write_all(&frame(b'D', b"Done")).await.unwrap();
        guest.write_all(&frame(b'G', b"done")).await.unwrap();
        (kind, bytes, guest)
    });
    standing.greet(&[7; 32], LONG).await.unwrap();
    let (kind, bytes, _guest) = guest.await.unwrap();
    assert_eq!((kind, bytes.len()), (b'G', 48));
    let seconds = i64::from_le_bytes(bytes[..8].try_into().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(seconds.unsigned_abs()) < LONG.as_secs());
    assert_eq!(bytes[16..], [7; 32]);
    assert_eq!(standing.terminal().take(), b"Done");
}

#[tokio::test]
async fn a_guest_that_cannot_do_it_or_is_gone_says_so() {
    let (mut standing, mut guest) = played();
    guest
        .write_all(&frame(b'G', b"Operation not permitted"))
        .await
        .unwrap();
    let said = standing.greet(&[], LONG).await.unwrap_err();
    assert!(said.contains("Operation not permitted"), "{said}");
    drop(guest);
    let said = standing.greet(&[], LONG).await.unwrap_err();
    assert!(said.contains("closed by the machine"), "{said}");
}

#[tokio::test]
async fn what_is_typed_is_cut_into_frames_and_closing_hangs_up() {
    let (standing, mut guest) = played();
    let typed = vec![b'x'; LARGEST + 1];
    assert!(standing.terminal().send(&typed));
    standing.terminal().close();
    let lengths = [(b'D', LARGEST), (b'D', 1), (b'H', 0)];
    for expected in lengths {
        let (kind, bytes) = read_frame(&mut guest).await.unwrap();
        assert_eq!((kind, bytes.len()), expected);
    }
}

/// The program with a shell of this host at its other end. It is never greeted: that would set this host's clock.
async fn of_this_host() -> (Standing, Shell) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = tempfile::tempdir().unwrap();
    let started = Command::new("sh")
        .args(["-c", &command("127.0.0.1", port)])
        .env("HOME", home.path())
        .env("PS1", "[standing]# ")
        .status()
        .expect("a standing shell needs sh and perl");
    assert!(started.success(), "{started}");
    let (reader, writer) = listener.accept().await.unwrap().0.into_split();
    let standing = Standing::over(reader, writer, "here", None);
    let prompt = Pattern::python(r"[#$] $").unwrap();
    let mut shell = Shell::new(standing.terminal().clone(), ShellSetup::posix(prompt));
    shell.start(LONG).await.unwrap();
    (standing, shell)
}

#[tokio::test]
async fn the_program_gives_a_login_shell_on_a_terminal_and_tells_its_status() {
    let (standing, mut shell) = of_this_host().await;
    let size = shell.cmd_output("stty size", LONG).await.unwrap();
    assert_eq!(size.trim(), "2000 8192");
    let (status, output) = shell
        .cmd_status_output("echo $TERM; (exit 3)", LONG)
        .await
        .unwrap();
    assert_eq!((status, output.trim()), (3, "dumb"));
    // More than a terminal's queue and a frame take in at once; typed when somebody reads it, as the prompt's editor throws away
    // what it finds there.
    let count =
        "echo begin:$((1+1)); n=0; while read -r line && [ \"$line\" ]; do n=$((n+1)); done; echo lines:$n";
    shell.type_line(count).unwrap();
    let until = async |shell: &mut Shell, text: &str| {
        let pattern = [Pattern::python(text).unwrap()];
        shell.read_until(&pattern, Scope::AnyLine, LONG).await.unwrap();
    };
    until(&mut shell, "begin:2").await;
    shell.type_line(&"some text\n".repeat(4000)).unwrap();
    until(&mut shell, "lines:4000").await;
    let empty = shell.cmd_output(":", LONG).await.unwrap();
    assert_eq!(empty.trim(), "");
    shell.type_line("exit 7").unwrap();
    let nothing = [Pattern::python("nobody prints this").unwrap()];
    let ended = shell.read_until(&nothing, Scope::LastLine, LONG).await;
    assert!(matches!(ended, Err(ShellError::Died { .. })), "{ended:?}");
    assert_eq!(standing.terminal().end().unwrap().status, Some(7));
}

#[tokio::test]
async fn hanging_up_ends_what_runs_in_it() {
    let (standing, mut shell) = of_this_host().await;
    let folder = tempfile::tempdir().unwrap();
    let (begun, ended) = (folder.path().join("begun"), folder.path().join("ended"));
    let trap = format!(
        "sh -c 'trap \"> {}; exit\" HUP; > {}; while :; do sleep 0.05; done'",
        ended.display(),
        begun.display()
    );
    shell.type_line(&trap).unwrap();
    let deadline = tokio::time::Instant::now() + LONG;
    let appears = async |path: &std::path::Path| {
        while !path.exists() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        path.exists()
    };
    assert!(appears(&begun).await);
    standing.terminal().close();
    assert!(appears(&ended).await);
}

#[test]
fn the_command_is_one_line_that_a_shell_takes_as_it_is() {
    let command = command("10.0.2.100", 4222);
    assert!(!command.contains('\n') && command.matches('\'').count() == 2);
    assert!(command.ends_with("' 10.0.2.100 4222"));
}
