//! The calls of the protocol page, one type for each.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::protocol::CallError;
use crate::session::Scope;

/// Longer than any test: what a time-out is cut to, so that adding it to now never overflows.
const LONGEST: f64 = 366.0 * 86400.0;

/// A time-out in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Ok(Self(Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))))
    }
}

/// What a running machine has, and what it has no more, of what it was started with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct DeviceChanges {
    /// Words of a command line.
    #[serde(default)]
    pub added: Vec<String>,
    /// Names of devices.
    #[serde(default)]
    pub removed: Vec<String>,
}

/// What names a session in later calls.
pub type SessionId = u64;

/// Writes the enum and its decoder from one list, so that no call can be in only one of them.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:literal $variant:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        /// A request of a test.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($(#[$doc])* $variant(Box<$variant>),)*
        }

        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Deserialize)]
            #[expect(missing_docs, reason = "the fields are those of docs/host-protocol.md")]
            pub struct $variant { $($(#[$field_meta])* pub $field: $type,)* }
        )*

        impl Request {
            /// The names of all calls.
            pub const CALLS: &[&str] = &[$($name),*];

            /// Reads a call. An unknown one is `call-unknown`, one with wrong arguments is `argument`.
            pub fn decode(call: &str, args: Value) -> Result<Self, CallError> {
                match call {
                    $($name => serde_json::from_value(args).map(Box::new).map(Self::$variant)
                        .map_err(|error| CallError::new("argument", format!("understand the call {call}: {error}"))),)*
                    _ => Err(CallError::new(
                        "call-unknown",
                        format!("do {call}: this vtbuild has no such call"),
                    )),
                }
            }
        }
    };
}

requests! {
    /// Makes and starts a machine.
    "vm.create" VmCreate {
        vm: String,
        params: Map<String, Value>,
        migration_mode: Option<String>,
        migration_exec_cmd: Option<String>,
        source: Option<String>,
        start: Option<bool>,
    }
    /// Whether with these parameters it would be another one than the one that runs.
    "vm.differs" VmDiffers { vm: String, params: Map<String, Value>, }
    /// Whether it lives, and what it is doing.
    "vm.state" VmState { vm: String, }
    /// Whether it is as it should be.
    "vm.verify" VmVerify { vm: String, checks: Option<Vec<String>>, }
    /// Logs in.
    "vm.login" VmLogin {
        vm: String,
        timeout: Seconds,
        internal_timeout: Option<Seconds>,
        nic_index: Option<usize>,
        serial: Option<bool>,
        username: Option<String>,
        password: Option<String>,
        prompt: Option<String>,
        wait: Option<bool>,
    }
    /// Migrates it to a twin.
    "vm.migrate" VmMigrate {
        vm: String,
        timeout: Seconds,
        protocol: String,
        cancel_delay: Option<Seconds>,
        offline: Option<bool>,
        stable_check: Option<bool>,
        clean: Option<bool>,
        save_path: Option<Utf8PathBuf>,
        dest_host: Option<String>,
        remote_port: Option<Value>,
        exec_src: Option<String>,
        exec_dst: Option<String>,
        speed: Option<Value>,
        downtime: Option<Value>,
        capabilities: Option<BTreeMap<String, bool>>,
        parameters: Option<Map<String, Value>>,
        dest_parameters: Option<Map<String, Value>>,
        not_wait: Option<bool>,
        changes: Option<DeviceChanges>,
    }
    /// Its serial port, without logging in.
    "vm.console" VmConsole { vm: String, name: Option<String>, }
    /// Reboots the guest and logs in again.
    "vm.reboot" VmReboot {
        vm: String,
        session: Option<SessionId>,
        method: String,
        nic_index: Option<usize>,
        timeout: Seconds,
        serial: Option<bool>,
    }
    /// Stops its processors.
    "vm.pause" VmPause { vm: String, timeout: Option<Seconds>, }
    /// Lets them go on.
    "vm.resume" VmResume { vm: String, timeout: Option<Seconds>, }
    /// Ends it.
    "vm.destroy" VmDestroy { vm: String, gracefully: Option<bool>, }
    /// Has the guest shut down.
    "vm.shutdown" VmShutdown { vm: String, method: String, session: Option<SessionId>, timeout: Seconds, }
    /// Waits for its end.
    "vm.wait_for_dead" VmWaitForDead { vm: String, timeout: Seconds, }
    /// A network card's address, as seen from this host.
    "vm.address" VmAddress { vm: String, index: Option<usize>, }
    /// The host port that leads to a guest's.
    "vm.port" VmPort { vm: String, guest_port: u16, nic_index: Option<usize>, }
    /// Copies into the guest.
    "vm.copy_to" VmCopyTo {
        vm: String,
        host_path: Utf8PathBuf,
        guest_path: String,
        timeout: Seconds,
        nic_index: Option<usize>,
        limit: Option<Value>,
        username: Option<String>,
        password: Option<String>,
        times: Option<bool>,
    }
    /// Copies from the guest.
    "vm.copy_from" VmCopyFrom {
        vm: String,
        host_path: Utf8PathBuf,
        guest_path: String,
        timeout: Seconds,
        nic_index: Option<usize>,
        limit: Option<Value>,
        username: Option<String>,
        password: Option<String>,
    }
    /// Makes a guest's folder the same as one of the host's.
    "vm.mirror" VmMirror { vm: String, host_path: Utf8PathBuf, guest_path: String, timeout: Seconds, }
    /// Where its serial output is written.
    "vm.serial_log" VmSerialLog { vm: String, name: Option<String>, }
    /// QEMU's process: what it printed, how it ended, how old it is.
    "vm.process" VmProcess { vm: String, }
    /// What it consists of.
    "vm.devices" VmDevices { vm: String, }
    /// Writes its picture to a file.
    "vm.screendump" VmScreendump { vm: String, path: Utf8PathBuf, }
    /// Its monitors.
    "monitor.list" MonitorList { vm: String, }
    /// Connects to a QMP monitor of a process that is no machine.
    "monitor.open" MonitorOpen { name: String, path: Utf8PathBuf, timeout: Option<Seconds>, }
    /// A command of a monitor.
    "monitor.command" MonitorCommand {
        monitor: String,
        command: String,
        arguments: Option<Value>,
        timeout: Option<Seconds>,
    }
    /// A line for a QMP monitor as it is.
    "monitor.raw" MonitorRaw { monitor: String, text: String, timeout: Option<Seconds>, }
    /// What a QMP monitor said first.
    "monitor.greeting" MonitorGreeting { monitor: String, }
    /// A command for people.
    "monitor.hmp" MonitorHmp { monitor: String, command: String, timeout: Option<Seconds>, }
    /// What a monitor has told.
    "monitor.events" MonitorEvents { monitor: String, clear: Option<bool>, }
    /// Waits for a monitor to tell something.
    "monitor.wait_event" MonitorWaitEvent { monitor: String, event: String, timeout: Seconds, }
    /// Runs a command in a shell.
    "session.cmd" SessionCmd { session: SessionId, command: String, timeout: Seconds, status: Option<bool>, }
    /// Types.
    "session.send" SessionSend { session: SessionId, text: String, eol: Option<bool>, }
    /// Reads until nothing comes.
    "session.read" SessionRead { session: SessionId, timeout: Seconds, }
    /// Reads until something fits.
    "session.read_until" SessionReadUntil {
        session: SessionId,
        patterns: Vec<String>,
        timeout: Seconds,
        internal_timeout: Option<Seconds>,
        scope: Scope,
        filter_prompt: Option<bool>,
    }
    /// Changes what a shell is known by.
    "session.configure" SessionConfigure {
        session: SessionId,
        prompt: Option<String>,
        status_command: Option<String>,
        linesep: Option<String>,
    }
    /// Whether it lives.
    "session.alive" SessionAlive { session: SessionId, }
    /// Ends it.
    "session.close" SessionClose { session: SessionId, }
    /// Runs one of QEMU's tools.
    "image.run" ImageRun { program: String, args: Vec<String>, timeout: Seconds, }
    /// The file behind an image.
    "image.path" ImagePath { params: Map<String, Value>, }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn optional_arguments_may_be_absent_or_null() {
        for args in [
            json!({"vm": "vm1", "timeout": 5}),
            json!({"vm": "vm1", "timeout": 5.0, "serial": null}),
        ] {
            let Ok(Request::VmLogin(login)) = Request::decode("vm.login", args) else {
                panic!("decodes")
            };
            assert_eq!(
                (login.timeout, login.serial),
                (Seconds(Duration::from_secs(5)), None)
            );
        }
    }

    #[test]
    fn unknown_calls_and_wrong_arguments_are_told_apart() {
        let unknown = Request::decode("vm.fly", json!({})).expect_err("no such call");
        assert_eq!(unknown.kind, "call-unknown");
        assert!(unknown.message.contains("vm.fly"), "{unknown}");
        let wrong = Request::decode("vm.state", json!({"vm": 3})).expect_err("not a name");
        assert_eq!(wrong.kind, "argument");
        assert!(wrong.message.contains("vm.state"), "{wrong}");
    }

    #[test]
    fn strange_time_outs_are_cut() {
        for (text, want) in [("-1", 0), ("1e300", 366 * 86400)] {
            let seconds: Seconds = serde_json::from_str(text).expect("a number");
            assert_eq!(seconds.0.as_secs(), want);
        }
    }

    #[test]
    fn the_protocol_page_names_exactly_these_calls() {
        let page = include_str!("../../../docs/host-protocol.md");
        let first_cells = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let mut documented: Vec<&str> = first_cells
            .flat_map(|cell| cell.split(['`', ' ', '/']))
            .filter(|word| word.contains('.') && !word.contains("virttest"))
            .collect();
        let mut known = Request::CALLS.to_vec();
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, documented);
    }
}
