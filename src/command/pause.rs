//! `--pause-on-fail`: the guests of a test that did not pass are kept until somebody presses Enter.

use std::io::{BufRead, IsTerminal, Write};

use async_trait::async_trait;
use tokio::sync::Mutex;
use vtbuild_rules::test::{Scene, Visitor};

use super::ways;
use crate::exit::{Exit, Failure};

/// Keeps guests while a person looks at them. Tests that fail at the same time wait for each other.
pub struct Pause {
    turn: Mutex<()>,
}

impl Pause {
    /// A pause that ends with Enter. Without a terminal nobody could press it.
    pub fn at_the_terminal() -> Result<Self, Failure> {
        if std::io::stdin().is_terminal() {
            return Ok(Self {
                turn: Mutex::default(),
            });
        }
        let message = "--pause-on-fail waits for Enter, and standard input is no terminal; leave it out, or look at the logs in job-results/latest";
        Err(Failure::new(Exit::Usage, message))
    }
}

#[async_trait]
impl Visitor for Pause {
    async fn visit(&self, scene: Scene<'_>) {
        let _turn = self.turn.lock().await;
        let (status, reason) = scene
            .ended
            .map_or(("", ""), |(status, reason)| (status.word(), reason));
        // The sockets of the monitors last as long as `_open`.
        let (ways, _open) = ways::all(scene.desk);
        let text = format!(
            "{}: {status}: {reason}\nits guests are kept:\n{ways}Enter ends them and goes on, Ctrl-C ends the run: ",
            scene.test
        );
        let _ = anstream::stderr().write_all(text.as_bytes());
        // A thread of its own: the one that a stopped run leaves behind must not keep the program from ending.
        let (tell, entered) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().lock().read_line(&mut String::new());
            let _ = tell.send(());
        });
        let _ = entered.await;
    }
}
