//! Where a machine is reached from outside, in words.

use std::fmt::Write;

use vtbuild_providers::desk::{Desk, WaysIn};

/// Says how each machine of a test is reached. The monitors' sockets go with what is returned beside the text.
pub fn all(desk: &Desk) -> (String, Vec<WaysIn>) {
    let mut text = String::new();
    let mut open = Vec::new();
    for vm in desk.vms() {
        match desk.ways_in(&vm) {
            Ok(ways) => {
                text.push_str(&told(&vm, &ways));
                open.push(ways);
            }
            Err(error) => {
                let _ = writeln!(text, "  {vm} is not running: failed to {}", error.message);
            }
        }
    }
    (text, open)
}

/// The ways into one machine.
fn told(vm: &str, ways: &WaysIn) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(ssh) = &ways.ssh {
        let _ = writeln!(
            text,
            "  {vm} ssh     ssh -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {}@127.0.0.1  (password {})",
            ssh.port, ssh.username, ssh.password
        );
    }
    let _ = writeln!(text, "  {vm} qmp     {}", ways.monitor.path());
    for serial in &ways.serials {
        let _ = writeln!(
            text,
            "  {vm} {:<7} {}  (log {})",
            serial.name, serial.socket, serial.log
        );
    }
    text
}
