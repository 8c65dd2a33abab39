//! From the errors of machines, monitors and sessions to the kinds of the protocol.

use serde_json::{Value, json};

use crate::host::protocol::CallError;
use crate::machine::{ExitInfo, MachineError, MigrateError};
use crate::qmp::QmpError;
use crate::session::login::LoginError;
use crate::session::transfer::TransferError;
use crate::session::{PatternError, ShellError};

/// The machine has ended.
pub(super) fn dead(vm: &str, info: &ExitInfo) -> CallError {
    CallError::new("vm-dead", format!("use the machine {vm}: {}", why_dead(info)))
}

/// How a machine ended, in words.
pub(super) fn why_dead(info: &ExitInfo) -> String {
    match info.stderr.trim() {
        "" => format!("QEMU has ended ({})", info.exit),
        stderr => format!("QEMU has ended ({}) and said: {stderr}", info.exit),
    }
}

pub(super) fn monitor(error: &QmpError) -> CallError {
    let message = error.to_string();
    match error {
        QmpError::Command { failure, .. } => CallError::new("monitor-command", message)
            .with(json!({ "class": failure.class, "desc": failure.desc })),
        QmpError::Timeout { .. } => CallError::new("monitor-timeout", message),
        QmpError::Closed { .. } | QmpError::Connect { .. } => CallError::new("monitor-closed", message),
        QmpError::Reply { .. } => CallError::new("monitor", message),
    }
}

/// A command that the desk itself gives: whatever is wrong, it is the monitor.
pub(super) fn machine(error: &MachineError) -> CallError {
    CallError::new("monitor", error.to_string())
}

pub(super) fn start(error: &MachineError) -> CallError {
    let data = match error {
        MachineError::DiedAtStart { exit, stderr, .. } => {
            let status = if let crate::process::Exit::Code(code) = exit {
                json!(code)
            } else {
                Value::Null
            };
            json!({ "output": stderr, "status": status })
        }
        _ => json!({ "output": "", "status": null }),
    };
    CallError::new("vm-create", error.to_string()).with(data)
}

pub(super) fn migrate(error: &MigrateError) -> CallError {
    let kind = match error {
        MigrateError::Timeout { .. } => "migrate-timeout",
        _ => "migrate",
    };
    CallError::new(kind, error.to_string())
}

pub(super) fn shell(error: ShellError, timeout_kind: &'static str) -> CallError {
    let message = error.to_string();
    match error {
        ShellError::Timeout { output, .. } => {
            CallError::new(timeout_kind, message).with(json!({ "output": output }))
        }
        ShellError::Died { output, end, .. } => {
            CallError::new("shell-died", message).with(json!({ "output": output, "status": end.status }))
        }
        ShellError::NoStatus { output, .. } => {
            CallError::new("shell-status", message).with(json!({ "output": output }))
        }
    }
}

pub(super) fn login(error: &LoginError) -> CallError {
    let kind = match error {
        LoginError::Timeout { .. } => "login-timeout",
        LoginError::Refused(_) => "login-auth",
        LoginError::MachineDead(_) => "vm-dead",
        LoginError::Prompt(_) | LoginError::Ssh(_) | LoginError::Pattern(_) => "login",
    };
    let output = match error {
        LoginError::Prompt(ShellError::Timeout { output, .. } | ShellError::Died { output, .. }) => output,
        LoginError::Timeout { last, .. } => last,
        _ => "",
    };
    CallError::new(kind, error.to_string()).with(json!({ "output": output }))
}

pub(super) fn transfer(error: &TransferError) -> CallError {
    let kind = match error {
        TransferError::Timeout { .. } => "transfer-timeout",
        _ => "transfer",
    };
    CallError::new(kind, error.to_string())
}

pub(super) fn pattern(error: &PatternError) -> CallError {
    CallError::new("argument", error.to_string())
}
