//! What a machine is and how it is: state, checks, addresses, devices, pictures.

use std::time::Duration;

use camino::Utf8Path;
use serde_json::{Map, Value, json};

use super::{Desk, errors, kernel_log};
use crate::host::protocol::CallError;
use crate::host::request::Seconds;
use crate::machine::spec::{Device, Nic, Serial, SerialKind};
use crate::machine::{Machine, RunState, SerialPort, netdev_id};
use crate::process::Exit;

/// What is checked when a test does not say.
const ALL_CHECKS: [&str; 3] = ["alive", "monitor", "kernel-crash"];
/// How long a guest may take to run again after it was told to.
const RESUME_PATIENCE: Duration = Duration::from_secs(30);

impl Desk {
    pub(super) async fn vm_state(&self, vm: &str) -> Result<Value, CallError> {
        let Some(machine) = self.seat(vm)?.machine.filter(Machine::is_alive) else {
            return Ok(json!({ "alive": false, "dead": true, "pid": null, "status": null }));
        };
        // A monitor that does not answer is what `vm.verify` is for.
        let status = machine.status().await.ok().map(|status| status.name().to_owned());
        let alive = machine.is_alive();
        Ok(json!({ "alive": alive, "dead": !alive, "pid": machine.pid(), "status": status }))
    }

    pub(super) async fn vm_verify(&self, vm: &str, checks: Option<&[String]>) -> Result<(), CallError> {
        let wanted = |check: &str| checks.is_none_or(|checks| checks.iter().any(|wanted| wanted == check));
        if let Some(unknown) = checks
            .unwrap_or_default()
            .iter()
            .find(|check| !ALL_CHECKS.contains(&check.as_str()))
        {
            let known = ALL_CHECKS.join(", ");
            return Err(CallError::new(
                "argument",
                format!("check {unknown} of {vm}: it is none of {known}"),
            ));
        }
        if wanted("kernel-crash") && self.seat(vm)?.machine.is_some() {
            self.verify_kernel(vm)?;
        }
        if wanted("alive") {
            self.alive(vm)?;
        }
        if wanted("monitor") {
            let (machine, _) = self.alive(vm)?;
            verify_status(
                vm,
                &machine.status().await.map_err(|error| errors::machine(&error))?,
            )?;
        }
        Ok(())
    }

    fn verify_kernel(&self, vm: &str) -> Result<(), CallError> {
        for port in self.serial_ports(vm)? {
            if let Some(lines) = kernel_log::crash(&kernel_log::read(&port.log)) {
                let message = format!(
                    "find the kernel of {vm} in good health; {} shows:\n{lines}",
                    port.log
                );
                return Err(CallError::new("kernel-crash", message));
            }
        }
        Ok(())
    }

    pub(super) fn serial_ports(&self, vm: &str) -> Result<Vec<SerialPort>, CallError> {
        let (machine, _) = self.started(vm)?;
        Ok(machine
            .spec()
            .serials()
            .filter_map(|serial| machine.serial(&serial.name))
            .collect())
    }

    /// A serial port by name, or the first.
    pub(super) fn serial_port(&self, vm: &str, name: Option<&str>) -> Result<SerialPort, CallError> {
        let ports = self.serial_ports(vm)?;
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        let message = match name {
            Some(name) => format!(
                "find the serial port {name} of {vm} (serials = {})",
                names.join(" ")
            ),
            None => format!("find a serial port of {vm}: it has none (set serials)"),
        };
        let fits = |port: &SerialPort| name.is_none_or(|name| port.name == name);
        ports
            .into_iter()
            .find(fits)
            .ok_or_else(|| CallError::new("vm-unknown", message))
    }

    /// The last lines of the first serial port, for messages.
    pub(super) fn last_serial_lines(&self, vm: &str) -> String {
        self.serial_port(vm, None)
            .map(|port| kernel_log::last_lines(&kernel_log::read(&port.log), 20))
            .unwrap_or_default()
    }

    pub(super) fn vm_serial_log(&self, vm: &str, name: Option<&str>) -> Result<Value, CallError> {
        Ok(json!({ "path": self.serial_port(vm, name)?.log }))
    }

    pub(super) async fn vm_pause(&self, vm: &str) -> Result<(), CallError> {
        let (machine, _) = self.alive(vm)?;
        machine.stop().await.map_err(|error| errors::machine(&error))?;
        reach(&machine, RESUME_PATIENCE, |status| *status == RunState::Paused).await
    }

    pub(super) async fn vm_resume(&self, vm: &str, timeout: Option<Seconds>) -> Result<(), CallError> {
        let (machine, _) = self.alive(vm)?;
        machine.cont().await.map_err(|error| errors::machine(&error))?;
        let patience = timeout.map_or(RESUME_PATIENCE, |timeout| timeout.0);
        reach(&machine, patience, |status| *status == RunState::Running).await
    }

    /// The name of a network card by its number.
    pub(super) fn nic(machine: &Machine, index: Option<usize>) -> Result<String, CallError> {
        let index = index.unwrap_or(0);
        let count = machine.spec().nics().count();
        machine
            .spec()
            .nics()
            .nth(index)
            .map(|nic| nic.name.clone())
            .ok_or_else(|| {
                let message = format!(
                    "find network card number {index} of {}: it has {count}",
                    machine.name()
                );
                CallError::new("address", message)
            })
    }

    pub(super) fn vm_address(&self, vm: &str, index: Option<usize>) -> Result<String, CallError> {
        let (machine, _) = self.started(vm)?;
        // With user networking a guest is reached over this host.
        Self::nic(&machine, index).map(|_| "127.0.0.1".to_owned())
    }

    pub(super) fn vm_port(&self, vm: &str, index: Option<usize>, guest_port: u16) -> Result<u16, CallError> {
        let (machine, _) = self.started(vm)?;
        let nic = Self::nic(&machine, index)?;
        machine.host_port(&nic, guest_port).ok_or_else(|| {
            let message = format!(
                "find the host port of guest port {guest_port} of {vm}'s {nic}: it is not forwarded (list it in redirs)"
            );
            CallError::new("address", message)
        })
    }

    pub(super) fn vm_process(&self, vm: &str) -> Result<Value, CallError> {
        let (machine, _) = self.started(vm)?;
        // As Python's own processes tell it: a signal is a negative number.
        let status = machine.exit_info().map(|info| match info.exit {
            Exit::Code(code) => json!(code),
            Exit::Signal(signal) => json!(-signal),
            Exit::Lost => Value::Null,
        });
        Ok(json!({
            "pid": machine.pid(),
            "status": status,
            "output": machine.stderr(),
            "age": machine.age().as_secs_f64(),
        }))
    }

    pub(super) fn vm_devices(&self, vm: &str) -> Result<Value, CallError> {
        let (machine, _) = self.started(vm)?;
        let spec = machine.spec();
        let binary = self.setup.launch.qemu.binary.as_str();
        let cmdline: Vec<&str> = std::iter::once(binary)
            .chain(machine.argv().iter().map(String::as_str))
            .collect();
        let images: Map<String, Value> = spec
            .disks()
            .map(|disk| (disk.name.clone(), json!(disk.file)))
            .collect();
        let macs: Vec<&str> = spec.nics().map(|nic| nic.mac.as_str()).collect();
        let devices: Vec<Value> = spec.devices.iter().map(device).collect();
        let nics: Vec<Value> = spec.nics().map(nic).collect();
        let serials: Vec<Value> = spec.serials().map(|own| serial(&machine, own)).collect();
        let smp = &spec.smp;
        Ok(json!({
            "cmdline": cmdline,
            "devices": devices,
            "images": images,
            "uuid": spec.uuid,
            "macs": macs,
            "nics": nics,
            "serials": serials,
            "smp": {
                "smp": smp.cpus,
                "maxcpus": smp.max,
                "sockets": smp.sockets,
                "cores": smp.cores,
                "threads": smp.threads,
            },
        }))
    }

    pub(super) async fn vm_screendump(&self, vm: &str, path: &Utf8Path) -> Result<(), CallError> {
        let (machine, _) = self.alive(vm)?;
        machine
            .screendump(path)
            .await
            .map_err(|error| errors::machine(&error))
    }
}

fn verify_status(vm: &str, status: &RunState) -> Result<(), CallError> {
    let wrong = |kind| {
        Err(CallError::new(
            kind,
            format!("find {vm} in good health: its state is {status}"),
        ))
    };
    match status {
        RunState::Panicked => wrong("kernel-crash"),
        // Paused by nobody's wish.
        RunState::Other(name) if matches!(name.as_str(), "io-error" | "internal-error" | "watchdog") => {
            wrong("vm-paused")
        }
        _ => Ok(()),
    }
}

/// Waits for a state.
async fn reach(
    machine: &Machine,
    patience: Duration,
    wanted: impl Fn(&RunState) -> bool,
) -> Result<(), CallError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let status = machine.status().await.map_err(|error| errors::machine(&error))?;
        if wanted(&status) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let seconds = patience.as_secs_f64();
            let message = format!(
                "change the state of {} within {seconds} s: it is {status}",
                machine.name()
            );
            return Err(CallError::new("vm-status", message));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A network card as the protocol shows it.
fn nic(nic: &Nic) -> Value {
    json!({
        "name": nic.name,
        "model": nic.model,
        "mac": nic.mac,
        "device_id": nic.name,
        "netdev_id": netdev_id(&nic.name),
    })
}

/// A serial port as the protocol shows it.
fn serial(machine: &Machine, serial: &Serial) -> Value {
    let kind = match serial.kind {
        SerialKind::Isa => "isa",
        SerialKind::VirtConsole => "virtconsole",
        SerialKind::VirtPort => "virtport",
    };
    let port = machine.serial(&serial.name);
    json!({
        "name": serial.name,
        "kind": kind,
        "port_name": serial.port_name.as_ref().unwrap_or(&serial.name),
        "socket": port.as_ref().map(|port| &port.socket),
        "log": port.as_ref().map(|port| &port.log),
    })
}

/// A device as the protocol shows it.
fn device(device: &Device) -> Value {
    let mut options = match serde_json::to_value(device) {
        Ok(Value::Object(options)) => options,
        _ => Map::new(),
    };
    let kind = options.shift_remove("device").unwrap_or_default();
    let id = options.shift_remove("name").unwrap_or_default();
    let driver = ["model", "bus", "kind"]
        .iter()
        .find_map(|key| options.get(*key).cloned())
        .unwrap_or_default();
    json!({ "id": id, "kind": kind, "driver": driver, "options": options })
}
