//! `vm.migrate`: after it, the name means the machine at the destination.

use std::time::Duration;

use camino::Utf8Path;
use serde_json::{Value, json};

use super::{Desk, Seat, errors, settings};
use crate::host::protocol::CallError;
use crate::host::request::VmMigrate;
use crate::machine::{Machine, MigrateError, Migration, Transport};
use crate::params::Params;

impl Desk {
    pub(super) async fn vm_migrate(&self, args: VmMigrate) -> Result<Value, CallError> {
        let (machine, params) = self.alive(&args.vm)?;
        let state = self
            .setup
            .launch
            .run_dir
            .join(format!("state-{}", self.next_number()));
        let migration = migration(&args, &state)?;
        if args.not_wait == Some(true) {
            return self.begin(&args.vm, &machine, params, &migration).await;
        }
        let _moving = Moving::begin(self, &args.vm);
        let migrated = machine.migrate(&self.setup.launch, &migration).await;
        // Of no use to anybody, and as large as the guest's memory.
        let _ = std::fs::remove_file(&state);
        let migrated = match migrated {
            Ok(migrated) => migrated,
            // The test asked for it: the machine is where it was.
            Err(MigrateError::Cancelled { after, .. }) => {
                let total = millis(after);
                return Ok(json!({ "status": "cancelled", "total_time": total, "downtime": null }));
            }
            Err(error) => return Err(errors::migrate(&error)),
        };
        let seat = Seat {
            params,
            machine: Some(migrated.machine),
        };
        self.lock().seats.insert(args.vm.clone(), seat);
        // They lead to the source, which is gone.
        self.hang_up(&args.vm, |_| true);
        Ok(json!({
            "status": migrated.status,
            "total_time": migrated.total_time_ms,
            "downtime": migrated.downtime_ms,
        }))
    }

    /// Begins a migration. The destination gets a name of its own; what becomes of the two is the test's affair.
    async fn begin(
        &self,
        vm: &str,
        machine: &Machine,
        params: Params,
        migration: &Migration,
    ) -> Result<Value, CallError> {
        let destination = machine.begin_migration(&self.setup.launch, migration).await;
        let destination = destination.map_err(|error| errors::migrate(&error))?;
        let name = format!("{vm}_clone");
        let seat = Seat {
            params,
            machine: Some(destination),
        };
        let former = self.lock().seats.insert(name.clone(), seat);
        if let Some(machine) = former.and_then(|seat| seat.machine) {
            machine.kill().await;
        }
        Ok(json!({ "status": "active", "total_time": null, "downtime": null, "destination": name }))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the call asks for. A state that travels through a file travels through `state`.
fn migration(args: &VmMigrate, state: &Utf8Path) -> Result<Migration, CallError> {
    supported(args)?;
    let mut migration = Migration::new(transport(args, state)?);
    migration.timeout = args.timeout.0;
    migration.speed = settings::amount("vm.migrate", "speed", args.speed.as_ref())?;
    migration.downtime_ms = settings::amount("vm.migrate", "downtime", args.downtime.as_ref())?;
    migration.capabilities = args
        .capabilities
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    migration.parameters = args.parameters.clone().unwrap_or_default();
    migration.destination_parameters = args.dest_parameters.clone().unwrap_or_default();
    let changes = args.changes.clone().unwrap_or_default();
    (migration.added, migration.removed) = (changes.added, changes.removed);
    migration.postcopy = migration
        .capabilities
        .iter()
        .any(|(name, on)| *on && name == "postcopy-ram");
    // Tests that do not want it cancelled say so by nothing, and by 0.
    let delay = args.cancel_delay.map(|delay| delay.0);
    migration.cancel_after = delay.filter(|delay| !delay.is_zero());
    migration.offline = args.offline == Some(true);
    Ok(migration)
}

/// Says for as long as it lives that a machine is being migrated.
struct Moving<'d> {
    desk: &'d Desk,
    vm: &'d str,
}

impl<'d> Moving<'d> {
    fn begin(desk: &'d Desk, vm: &'d str) -> Self {
        desk.lock().moving.insert(vm.to_owned());
        Self { desk, vm }
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.desk.lock().moving.remove(self.vm);
    }
}

/// What this does not do is said, not ignored.
fn supported(args: &VmMigrate) -> Result<(), CallError> {
    let elsewhere = args
        .dest_host
        .as_deref()
        .filter(|host| !matches!(*host, "" | "localhost" | "127.0.0.1"));
    let what = if let Some(host) = elsewhere {
        format!("to the host {host}: only to this one")
    } else if args.stable_check == Some(true) {
        "with a check that the state does not change on the way".to_owned()
    } else if args.not_wait == Some(true) && args.protocol == "exec" && args.exec_src.is_some() {
        "through a file without waiting for its end".to_owned()
    } else {
        return Ok(());
    };
    Err(CallError::new(
        "unsupported",
        format!("migrate {} {what}", args.vm),
    ))
}

fn transport(args: &VmMigrate, state: &Utf8Path) -> Result<Transport, CallError> {
    let transport = match args.protocol.as_str() {
        "tcp" => Transport::Tcp,
        "unix" => Transport::Unix,
        "fd" => Transport::Fd,
        "exec" => exec(args, state)?,
        other => {
            let message = format!(
                "migrate {} by {other}: the protocols are tcp, unix, exec and fd",
                args.vm
            );
            return Err(CallError::new("unsupported", message));
        }
    };
    Ok(transport)
}

/// Commands of the test's own get a file, as the field's tests expect of `%s`. A pipe would be quicker and wrong: `gzip -d FILE`
/// takes a pipe that nobody has opened for writing yet for an empty file.
fn exec(args: &VmMigrate, state: &Utf8Path) -> Result<Transport, CallError> {
    let text = |own: &Option<String>| own.clone().filter(|command| !command.trim().is_empty());
    match (text(&args.exec_src), text(&args.exec_dst)) {
        (None, None) => Ok(Transport::exec()),
        (Some(source), Some(destination)) => {
            let file = state.to_owned();
            Ok(Transport::ExecFile {
                source,
                destination,
                file,
            })
        }
        _ => {
            let message = format!(
                "migrate {} by exec: exec_src and exec_dst belong together",
                args.vm
            );
            Err(CallError::new("argument", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Request;

    fn request(more: &Value) -> Result<Migration, CallError> {
        let mut args = json!({"vm": "vm1", "timeout": 60, "protocol": "tcp"});
        let own = more.as_object().expect("a map");
        args.as_object_mut().expect("a map").extend(own.clone());
        match Request::decode("vm.migrate", args).expect("decodes") {
            Request::VmMigrate(args) => migration(&args, Utf8Path::new("/run/state")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn settings_are_carried_over() {
        let migration = request(&json!({
            "speed": "32M", "downtime": 300, "cancel_delay": 2.5, "offline": true, "dest_host": "localhost",
            "capabilities": {"postcopy-ram": true, "xbzrle": false}, "parameters": {"multifd-channels": 4},
            "dest_parameters": {"multifd-channels": 4}, "changes": {"added": ["-device", "x"], "removed": ["nic2"]},
            "protocol": "exec", "exec_src": "gzip > %s", "exec_dst": "gzip -d < %s",
        }))
        .expect("supported");
        assert_eq!(
            (migration.speed, migration.downtime_ms),
            (Some(32 << 20), Some(300))
        );
        assert_eq!(migration.cancel_after, Some(Duration::from_millis(2500)));
        let zero = request(&json!({"cancel_delay": 0})).expect("supported");
        assert_eq!(zero.cancel_after, None, "nobody wants it cancelled");
        assert!(migration.offline && migration.postcopy);
        assert_eq!(migration.destination_parameters, migration.parameters);
        assert_eq!((migration.added.len(), migration.removed.len()), (2, 1));
        assert!(matches!(migration.transport, Transport::ExecFile { source, .. } if source == "gzip > %s"));
    }

    #[test]
    fn what_is_not_done_is_said() {
        for (more, word) in [
            (json!({"protocol": "rdma"}), "rdma"),
            (json!({"dest_host": "far.example"}), "far.example"),
            (
                json!({"not_wait": true, "protocol": "exec", "exec_src": "cat > %s"}),
                "without waiting",
            ),
            (json!({"stable_check": true}), "check"),
        ] {
            let error = request(&more).expect_err("not supported");
            assert_eq!(error.kind, "unsupported");
            assert!(error.message.contains(word), "{error}");
        }
        assert_eq!(
            request(&json!({"protocol": "exec", "exec_src": "cat"}))
                .expect_err("half")
                .kind,
            "argument"
        );
    }
}
