//! Monitors, by handles of the form `MACHINE/MONITOR`: after a migration they mean the destination's.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Desk, errors};
use crate::host::protocol::CallError;
use crate::host::request::{MonitorCommand, MonitorHmp, MonitorRaw, MonitorWaitEvent, Seconds};
use crate::machine::Machine;
use crate::machine::spec::MonitorKind;
use crate::qmp::Qmp;

const PATIENCE: Duration = Duration::from_secs(240);

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

    /// The machine and what the monitor speaks.
    fn monitor(&self, handle: &str) -> Result<(Machine, String, MonitorKind), CallError> {
        let unknown = || CallError::new("monitor", format!("find the monitor {handle}"));
        let (vm, name) = handle.rsplit_once('/').ok_or_else(unknown)?;
        let (machine, _) = self.started(vm)?;
        let monitor = machine
            .spec()
            .monitors
            .iter()
            .find(|monitor| monitor.name == name);
        let kind = monitor.map(|monitor| monitor.kind).ok_or_else(unknown)?;
        Ok((machine, name.to_owned(), kind))
    }

    pub(super) async fn monitor_command(&self, args: MonitorCommand) -> Result<Value, CallError> {
        let (machine, name, kind) = self.monitor(&args.monitor)?;
        let patience = patience(args.timeout);
        let qmp = qmp(&machine, &name);
        let result = match kind {
            MonitorKind::Qmp => qmp.command(&args.command, args.arguments, patience).await,
            MonitorKind::Human => qmp.hmp(&args.command, patience).await.map(Value::String),
        };
        result.map_err(|error| errors::monitor(&error))
    }

    pub(super) async fn monitor_raw(&self, args: MonitorRaw) -> Result<Value, CallError> {
        let (machine, name, kind) = self.monitor(&args.monitor)?;
        if kind == MonitorKind::Human {
            let message = format!("send a line of QMP to {}: it is a human monitor", args.monitor);
            return Err(CallError::new("monitor", message));
        }
        let answer = qmp(&machine, &name).raw(&args.text, patience(args.timeout)).await;
        answer.map_err(|error| errors::monitor(&error))
    }

    pub(super) fn monitor_greeting(&self, handle: &str) -> Result<Value, CallError> {
        let (machine, name, _) = self.monitor(handle)?;
        Ok(json!({ "QMP": qmp(&machine, &name).greeting() }))
    }

    pub(super) async fn monitor_hmp(&self, args: MonitorHmp) -> Result<Value, CallError> {
        let (machine, name, _) = self.monitor(&args.monitor)?;
        let result = qmp(&machine, &name)
            .hmp(&args.command, patience(args.timeout))
            .await;
        result.map(Value::String).map_err(|error| errors::monitor(&error))
    }

    pub(super) fn monitor_events(&self, handle: &str, clear: bool) -> Result<Value, CallError> {
        let (machine, name, _) = self.monitor(handle)?;
        let qmp = qmp(&machine, &name);
        let events = qmp.events().iter().map(crate::qmp::Event::to_json).collect();
        if clear {
            qmp.clear_events();
        }
        Ok(Value::Array(events))
    }

    pub(super) async fn monitor_wait_event(&self, args: MonitorWaitEvent) -> Result<Value, CallError> {
        let (machine, name, _) = self.monitor(&args.monitor)?;
        let event = qmp(&machine, &name).wait_event(&args.event, args.timeout.0).await;
        Ok(event.map_or(Value::Null, |event| event.to_json()))
    }
}

/// The QMP connection behind a monitor. A human monitor has none of its own: its commands go through the main one.
fn qmp<'a>(machine: &'a Machine, name: &str) -> &'a Qmp {
    machine.monitor(name).unwrap_or_else(|| machine.qmp())
}

fn patience(timeout: Option<Seconds>) -> Duration {
    timeout.map_or(PATIENCE, |timeout| timeout.0)
}
