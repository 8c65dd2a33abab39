//! Sessions against a real sshd on this host's loopback address, and against a real shell behind a unix socket.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::time::Instant;

use super::login::LoginError;
use super::ssh::Connection;
use super::transfer::{Copied, TransferError, TransferOptions, from_guest, to_guest};
use super::*;

const LONG: Duration = Duration::from_secs(60);

/// An ssh server of its own: own port, own host key, own user key.
struct Sshd {
    folder: tempfile::TempDir,
    server: Child,
    address: SocketAddr,
}

impl Sshd {
    fn start(sftp: bool) -> Self {
        let port = free_port();
        let (folder, sshd) = Self::prepare(port, sftp);
        Self {
            server: spawn(&sshd, folder.path()),
            folder,
            address: ([127, 0, 0, 1], port).into(),
        }
    }

    /// Keys and a configuration; gives the server's path too.
    fn prepare(port: u16, sftp: bool) -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().to_str().expect("UTF-8");
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &format!("{base}/{key}")])
                .status();
            assert!(made.expect("ssh-keygen runs (openssh-client)").success());
        }
        fs::copy(format!("{base}/user.pub"), format!("{base}/authorized")).expect("copied");
        // As root, sshd wants this folder to exist; what cannot be made is complained of by sshd itself.
        let _ = fs::create_dir_all("/run/sshd");
        let subsystem = if sftp {
            "Subsystem sftp internal-sftp\n"
        } else {
            ""
        };
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {base}/host\nAuthorizedKeysFile {base}/authorized\n\
             PidFile none\nUsePAM no\nPasswordAuthentication yes\nPermitRootLogin yes\nPrintMotd no\n\
             PermitUserRC no\nStrictModes no\nMaxStartups 100\nLogLevel ERROR\n{subsystem}"
        );
        fs::write(format!("{base}/config"), config).expect("written");
        (folder, Utf8PathBuf::from("/usr/sbin/sshd"))
    }

    fn target(&self) -> SshTarget {
        target_in(self.folder.path(), self.address)
    }

    async fn shell(&self) -> Shell {
        let log = fs::File::create(self.folder.path().join("session.log")).expect("a log");
        let mut shell = login::ssh(
            login::Pace::Booting,
            &self.target(),
            any_prompt(),
            "test",
            Some(log),
            LONG,
            &|| Ok(()),
        )
        .await
        .expect("a shell");
        shell
            .cmd_output("PS1='[tester@here \\W]\\$ '", LONG)
            .await
            .expect("sets the prompt");
        shell
    }

    fn connection(&self) -> Connection {
        let before = Instant::now();
        loop {
            match Connection::open(&self.target(), LONG) {
                Ok(connection) => return connection,
                Err(error) => assert!(before.elapsed() < LONG, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.server.kill().expect("kills its own child");
        self.server.wait().expect("waits for its own child");
    }
}

fn spawn(sshd: &Utf8Path, folder: &std::path::Path) -> Child {
    Command::new(sshd)
        .args(["-D", "-e", "-f"])
        .arg(folder.join("config"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(folder.join("sshd.log")).expect("a log"))
        .spawn()
        .expect("sshd runs (openssh-server)")
}

fn target_in(folder: &std::path::Path, address: SocketAddr) -> SshTarget {
    let private = Utf8PathBuf::from_path_buf(folder.join("user")).expect("UTF-8");
    let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
    SshTarget {
        address,
        username: String::from_utf8(user).expect("UTF-8").trim().to_owned(),
        credentials: Credentials::Key {
            private,
            passphrase: None,
        },
        host_key: HostKey::Any,
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

fn any_prompt() -> ShellSetup {
    ShellSetup::posix(Pattern::python(r"[\#\$]\s*$").expect("a prompt"))
}

fn options() -> TransferOptions {
    TransferOptions {
        patience: LONG,
        rate: None,
        times: false,
    }
}

#[tokio::test]
async fn commands_run_in_a_real_login_shell() {
    let sshd = Sshd::start(true);
    let mut shell = sshd.shell().await;
    assert_eq!(
        shell.cmd_output("echo one; echo two", LONG).await.expect("runs"),
        "one\ntwo\n"
    );
    assert_eq!(
        shell
            .cmd_status_output("printf half; (exit 5)", LONG)
            .await
            .expect("runs"),
        (5, "half".into())
    );
    assert_eq!(shell.cmd_output("cd /usr/bin", LONG).await.expect("runs"), "");
    assert_eq!(shell.cmd_output("pwd", LONG).await.expect("runs"), "/usr/bin\n");
    let long = format!("echo {}", "x".repeat(3000));
    assert_eq!(shell.cmd_output(&long, LONG).await.expect("runs").len(), 3001);
    let colours = "printf '\\033[31mred\\033[0m\\n'";
    assert_eq!(shell.cmd_output(colours, LONG).await.expect("runs"), "red\n");
    let output = shell
        .cmd_output("(sleep 0.3; echo late) & echo now", LONG)
        .await
        .expect("runs");
    assert!(output.contains("now\n"), "{output}");
    assert!(
        shell
            .cmd_output("sleep 0.6; echo after", LONG)
            .await
            .expect("runs")
            .contains("after\n")
    );
    let log = fs::read_to_string(sshd.folder.path().join("session.log")).expect("a log");
    assert!(log.contains("/usr/bin\r\n"), "the log has what came");
}

#[tokio::test]
async fn megabytes_come_whole() {
    let sshd = Sshd::start(true);
    let mut shell = sshd.shell().await;
    let before = Instant::now();
    let output = shell.cmd_output("seq 1 700000", LONG).await.expect("runs");
    let numbers: Vec<&str> = output.lines().collect();
    assert_eq!(
        (numbers.len(), numbers.last().copied()),
        (700_000, Some("700000"))
    );
    assert!(before.elapsed() < LONG / 2, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_shell_that_exits_tells_its_status() {
    let sshd = Sshd::start(true);
    let mut shell = sshd.shell().await;
    let error = shell
        .cmd_output("echo bye; exit 9", LONG)
        .await
        .expect_err("it exits");
    let ShellError::Died { end, output, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(end.status, Some(9));
    assert!(output.contains("bye\n"), "{output}");
    assert!(!shell.terminal().alive());
}

#[tokio::test]
async fn a_time_out_leaves_a_session_that_works() {
    let sshd = Sshd::start(true);
    let mut shell = sshd.shell().await;
    let error = shell
        .cmd_output("echo begun; sleep 60", Duration::from_millis(500))
        .await
        .expect_err("late");
    assert!(
        matches!(&error, ShellError::Timeout { output, .. } if output.contains("begun")),
        "{error}"
    );
    shell.send("\u{3}").expect("control-C is typed");
    shell.read(Duration::from_millis(300)).await;
    assert_eq!(
        shell.cmd_output("echo still here", LONG).await.expect("runs"),
        "still here\n"
    );
}

#[tokio::test]
async fn a_server_that_dies_ends_its_sessions_and_closing_ends_a_wait() {
    let sshd = Sshd::start(true);
    let mut closed = sshd.shell().await;
    let terminal = closed.terminal().clone();
    let waiting = tokio::spawn(async move { closed.cmd_output("sleep 60", LONG).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = Instant::now();
    terminal.close();
    assert!(matches!(
        waiting.await.expect("ends"),
        Err(ShellError::Died { .. })
    ));
    assert!(before.elapsed() < LONG / 2);

    let mut killed = sshd.shell().await;
    // The session's own sshd process is the shell's parent.
    let result = killed.cmd_output("kill -9 $PPID; sleep 60", LONG).await;
    assert!(matches!(result, Err(ShellError::Died { .. })));
}

#[tokio::test]
async fn a_wrong_password_is_refused_soon() {
    let sshd = Sshd::start(true);
    let credentials = Credentials::Password("not the password".to_owned());
    let target = SshTarget {
        credentials,
        ..sshd.target()
    };
    let before = Instant::now();
    let result = login::connect(&target, LONG, &|| Ok(())).await;
    let Err(error @ LoginError::Refused(_)) = result else {
        panic!("refused")
    };
    assert!(error.to_string().contains("refused the password"), "{error}");
    assert!(before.elapsed() < LONG / 2, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_found_at_once() {
    let port = free_port();
    let address = ([127, 0, 0, 1], port).into();
    let (folder, sshd) = Sshd::prepare(port, true);
    // What slirp does while the guest boots: connections are taken and nobody speaks.
    let mute = TcpListener::bind(address).expect("binds");
    let starting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(900));
        drop(mute);
        let server = spawn(&sshd, folder.path());
        (
            Sshd {
                folder,
                server,
                address,
            },
            std::time::Instant::now(),
        )
    });
    // The key is made by `prepare`: the target needs only its path.
    let (sshd, target, started);
    {
        let result = starting.join().expect("starts");
        (sshd, started) = result;
        target = sshd.target();
    }
    login::connect(&target, LONG, &|| Ok(())).await.expect("connects");
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_prompt_that_never_comes_is_reported_with_what_came() {
    let sshd = Sshd::start(true);
    let setup = ShellSetup::posix(Pattern::python("never this$").expect("a prompt"));
    let result = login::ssh(
        login::Pace::Up,
        &sshd.target(),
        setup,
        "x",
        None,
        // Enough to connect on a busy machine; the rest of it is waited for in vain.
        Duration::from_secs(10),
        &|| Ok(()),
    )
    .await;
    let Err(error @ LoginError::Prompt(_)) = result else {
        panic!("no prompt")
    };
    assert!(error.to_string().contains("`never this$`"), "{error}");
}

fn source_tree(base: &Utf8Path) {
    fs::create_dir_all(base.join("tree/deep/empty")).expect("folders");
    fs::write(base.join("tree/run.sh"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(base.join("tree/run.sh"), fs::Permissions::from_mode(0o751)).expect("a mode");
    let big: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(base.join("tree/deep/big file"), big).expect("a file");
}

async fn there_and_back(sshd: &Sshd) {
    let base = Utf8Path::from_path(sshd.folder.path()).expect("UTF-8");
    source_tree(base);
    let guest = base.join("guest");
    let want = Copied {
        files: 2,
        bytes: 5_000_010,
    };
    let copied = to_guest(sshd.connection(), &base.join("tree"), guest.as_str(), options()).await;
    assert_eq!(copied.expect("copied"), want);
    let copied = from_guest(sshd.connection(), &format!("{guest}/*"), base, options()).await;
    assert_eq!(copied.expect("copied"), want);
    let same = fs::read(base.join("deep/big file")).expect("there")
        == fs::read(base.join("tree/deep/big file")).expect("there");
    assert!(same && base.join("deep/empty").is_dir());
    let mode = fs::metadata(base.join("run.sh"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o751);
    let error = from_guest(sshd.connection(), "/nowhere/x", base, options())
        .await
        .expect_err("absent");
    assert!(
        matches!(&error, TransferError::NoSource { side: "guest", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn trees_go_there_and_back_over_sftp() {
    there_and_back(&Sshd::start(true)).await;
}

#[tokio::test]
async fn trees_go_there_and_back_over_scp_where_there_is_no_sftp() {
    there_and_back(&Sshd::start(false)).await;
}

#[tokio::test]
async fn a_copy_that_takes_too_long_is_cut_off() {
    let sshd = Sshd::start(true);
    let base = Utf8Path::from_path(sshd.folder.path()).expect("UTF-8");
    source_tree(base);
    let slow = TransferOptions {
        patience: Duration::from_secs(1),
        rate: Some(100_000),
        times: false,
    };
    let before = Instant::now();
    let target = base.join("slow");
    let result = to_guest(
        sshd.connection(),
        &base.join("tree/deep/big file"),
        target.as_str(),
        slow,
    )
    .await;
    let error = result.expect_err("late");
    assert!(
        matches!(&error, TransferError::Timeout { done, .. } if done.bytes < 1_000_000),
        "{error}"
    );
    assert!(before.elapsed() < LONG / 2);
}

/// A shell on a pseudo-terminal behind a unix socket: what a guest's serial console is to us.
struct Console {
    child: Child,
    socket: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

const CONSOLE: &str = r#"
import os, pty, select, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1]); server.listen(1)
peer, _ = server.accept()
pid, master = pty.fork()
if pid == 0:
    os.environ["TERM"] = "vt220"
    os.environ["PS1"] = "[root@console]# "
    os.execvp("bash", ["bash", "--norc", "-i"])
while True:
    for fd in select.select([peer, master], [], [])[0]:
        try:
            data = os.read(fd.fileno() if fd is peer else fd, 65536)
        except OSError:
            data = b""
        if not data:
            sys.exit(0)
        (peer.sendall if fd is master else lambda d: os.write(master, d))(data)
"#;

impl Console {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = Utf8PathBuf::from_path_buf(folder.path().join("serial")).expect("UTF-8");
        let child = Command::new("python3")
            .args(["-c", CONSOLE, socket.as_str()])
            .spawn()
            .expect("python3 runs");
        while !socket.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            child,
            socket,
            _folder: folder,
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.child.kill().expect("kills its own child");
        self.child.wait().expect("waits for its own child");
    }
}

#[tokio::test]
async fn a_serial_console_is_a_shell_too() {
    let mut console = Console::start().await;
    let terminal = serial::connect(&console.socket, "serial", None)
        .await
        .expect("connects");
    let mut shell = login::serial(terminal, "root", "", any_prompt(), LONG, &|| Ok(()))
        .await
        .expect("already logged in");
    let long = format!("echo {} | wc -c", "y".repeat(300));
    assert_eq!(
        shell.cmd_status_output(&long, LONG).await.expect("runs"),
        (0, "301\n".to_owned())
    );
    assert_eq!(
        shell.cmd_status_output("false", LONG).await.expect("runs"),
        (1, String::new())
    );
    console.child.kill().expect("kills its own child");
    let error = shell.cmd_output("true", LONG).await.expect_err("it is gone");
    assert!(
        matches!(&error, ShellError::Died { end, .. } if end.reason.contains("closed by the machine")),
        "{error}"
    );
}
