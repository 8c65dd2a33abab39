//! Monitors, by handles. Those of a machine are `MACHINE/MONITOR`, and mean the destination's after a migration; those
//! of another process are `/NUMBER`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Desk, errors};
use crate::host::protocol::CallError;
use crate::host::request::{MonitorCommand, MonitorHmp, MonitorOpen, MonitorRaw, MonitorWaitEvent, Seconds};
use crate::machine::spec::MonitorKind;
use crate::qmp::{Qmp, Transcript};

const PATIENCE: Duration = Duration::from_secs(240);
/// For a socket that its process is about to make.
const OPEN_PATIENCE: Duration = Duration::from_secs(60);
/// How the handles of monitors begin that belong to no machine: as no machine's name does.
const OPENED: &str = "/";

impl Desk {
    pub(super) fn monitor_list(&self, vm: &str) -> Result<Value, CallError> {
        let (machine, _) = self.started(vm)?;
        let monitors = &machine.spec().monitors;
        let main = monitors
            .iter()
            .position(|monitor| monitor.kind == MonitorKind::Qmp);
        let rows = monitors.iter().enumerate().map(|(number, monitor)| {
            let handle = format!("{vm}/{}", monitor.name);
            let protocol = if monitor.kind == MonitorKind::Qmp {
                "qmp"
            } else {
                "human"
            };
            json!({ "monitor": handle, "protocol": protocol, "main": Some(number) == main })
        });
        Ok(Value::Array(rows.collect()))
    }

    /// Connects to the QMP monitor of a process that the test has started itself, such as a storage daemon.
    ///
    /// A monitor serves one client at a time: who opens a socket again takes the place of whoever did so before.
    pub(super) async fn monitor_open(&self, args: MonitorOpen) -> Result<Value, CallError> {
        let MonitorOpen { name, path, timeout } = args;
        self.lock().opened.retain(|_, qmp| qmp.path() != path);
        let log = self.setup.log_dir.join(format!("qmp-{}.log", file_name(&name)));
        // A monitor without a log is better than none.
        let transcript = Transcript::open(&log)
            .inspect_err(|error| tracing::warn!(path = %log, %error, "a monitor's log cannot be written"))
            .ok();
        let patience = timeout.map_or(OPEN_PATIENCE, |timeout| timeout.0);
        let qmp = Qmp::connect(&path, transcript, patience).await;
        let qmp = qmp.map_err(|error| errors::monitor(&error))?;
        let handle = format!("{OPENED}{}", self.next_number());
        self.lock().opened.insert(handle.clone(), qmp);
        Ok(json!({ "monitor": handle }))
    }

    /// The connection behind a handle, and what the monitor speaks. A human monitor has no connection of its own: its
    /// commands go through the machine's main one.
    fn monitor(&self, handle: &str) -> Result<(Qmp, MonitorKind), CallError> {
        let unknown = || CallError::new("monitor", format!("find the monitor {handle}"));
        if handle.starts_with(OPENED) {
            let opened = self.lock().opened.get(handle).cloned();
            return Ok((opened.ok_or_else(unknown)?, MonitorKind::Qmp));
        }
        let (vm, name) = handle.rsplit_once('/').ok_or_else(unknown)?;
        let (machine, _) = self.started(vm)?;
        let monitors = &machine.spec().monitors;
        let monitor = monitors.iter().find(|monitor| monitor.name == name);
        let kind = monitor.map(|monitor| monitor.kind).ok_or_else(unknown)?;
        let qmp = machine.monitor(name).unwrap_or_else(|| machine.qmp());
        Ok((qmp.clone(), kind))
    }

    pub(super) async fn monitor_command(&self, args: MonitorCommand) -> Result<Value, CallError> {
        let (qmp, kind) = self.monitor(&args.monitor)?;
        let patience = patience(args.timeout);
        let result = match kind {
            MonitorKind::Qmp => qmp.command(&args.command, args.arguments, patience).await,
            MonitorKind::Human => qmp.hmp(&args.command, patience).await.map(Value::String),
        };
        result.map_err(|error| errors::monitor(&error))
    }

    pub(super) async fn monitor_raw(&self, args: MonitorRaw) -> Result<Value, CallError> {
        let (qmp, kind) = self.monitor(&args.monitor)?;
        if kind == MonitorKind::Human {
            let message = format!("send a line of QMP to {}: it is a human monitor", args.monitor);
            return Err(CallError::new("monitor", message));
        }
        let answer = qmp.raw(&args.text, patience(args.timeout)).await;
        answer.map_err(|error| errors::monitor(&error))
    }

    pub(super) fn monitor_greeting(&self, handle: &str) -> Result<Value, CallError> {
        let (qmp, _) = self.monitor(handle)?;
        Ok(json!({ "QMP": qmp.greeting() }))
    }

    pub(super) async fn monitor_hmp(&self, args: MonitorHmp) -> Result<Value, CallError> {
        let (qmp, _) = self.monitor(&args.monitor)?;
        let result = qmp.hmp(&args.command, patience(args.timeout)).await;
        result.map(Value::String).map_err(|error| errors::monitor(&error))
    }

    pub(super) fn monitor_events(&self, handle: &str, clear: bool) -> Result<Value, CallError> {
        let (qmp, _) = self.monitor(handle)?;
        let events = qmp.events().iter().map(crate::qmp::Event::to_json).collect();
        if clear {
            qmp.clear_events();
        }
        Ok(Value::Array(events))
    }

    pub(super) async fn monitor_wait_event(&self, args: MonitorWaitEvent) -> Result<Value, CallError> {
        let (qmp, _) = self.monitor(&args.monitor)?;
        let event = qmp.wait_event(&args.event, args.timeout.0).await;
        Ok(event.map_or(Value::Null, |event| event.to_json()))
    }
}

fn patience(timeout: Option<Seconds>) -> Duration {
    timeout.map_or(PATIENCE, |timeout| timeout.0)
}

/// A name of the test's choice as a part of a file's name.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}
