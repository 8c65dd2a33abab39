//! What few tests need and no other can do without: lines of QMP as they are, both sides of a migration, devices that come
//! and go, and parts of a machine that have no model of their own.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bare::firmware;
use crate::bench::Bench;

async fn command(bench: &Bench, vm: &str, name: &str, arguments: Value) -> Value {
    let monitor = format!("{vm}/qmpmonitor1");
    let args = json!({ "monitor": monitor, "command": name, "arguments": arguments });
    bench.must("monitor.command", args).await
}

/// Waits for a migration's end at this side.
async fn completed(bench: &Bench, vm: &str) {
    for _ in 0..600 {
        let state = command(bench, vm, "query-migrate", Value::Null).await;
        match state["status"].as_str() {
            Some("completed") => return,
            Some("failed" | "cancelled") => panic!("{vm}: {state}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("the migration of {vm} does not end");
}

#[tokio::test]
async fn lines_of_qmp_are_sent_as_they_are() {
    let bench = Bench::new(None).await;
    bench.must("vm.create", firmware(&json!({}))).await;
    let raw = async |text: &str| {
        let args = json!({ "monitor": "vm1/qmpmonitor1", "text": text, "timeout": 20 });
        bench.must("monitor.raw", args).await
    };
    let answer = raw(r#"{"execute": "query-status", "id": {"a": [1]}}"#).await;
    assert_eq!(
        (&answer["id"], &answer["return"]["running"]),
        (&json!({"a": [1]}), &json!(true))
    );
    assert_eq!(raw(r#"{"execute": "query-version", "id": 7}"#).await["id"], 7);
    for broken in [":", r#"{ "execute": "query-version", }"#, "[]", "\"foo\""] {
        assert_eq!(raw(broken).await["error"]["class"], "GenericError", "{broken}");
    }
    let state = command(&bench, "vm1", "query-status", Value::Null).await;
    assert_eq!(state["status"], "running", "the monitor is none the worse for it");
    let greeting = bench
        .must("monitor.greeting", json!({"monitor": "vm1/qmpmonitor1"}))
        .await;
    assert!(greeting["QMP"]["version"]["qemu"]["major"].is_u64(), "{greeting}");
    let human = json!({ "monitor": "vm1/hmp1", "text": "{}", "timeout": 5 });
    assert_eq!(bench.fails("monitor.raw", human).await.kind, "monitor");
}

#[tokio::test]
async fn a_process_tells_what_became_of_it() {
    let bench = Bench::new(None).await;
    let created = bench.must("vm.create", firmware(&json!({}))).await;
    let vm = json!({"vm": "vm1"});
    let running = bench.must("vm.process", vm.clone()).await;
    assert_eq!(
        (&running["pid"], &running["status"]),
        (&created["pid"], &Value::Null)
    );
    assert!(running["age"].as_f64().is_some_and(|age| age > 0.0), "{running}");
    let monitor = json!({"monitor": "vm1/qmpmonitor1", "command": "quit"});
    bench.must("monitor.command", monitor).await;
    bench
        .must("vm.wait_for_dead", json!({"vm": "vm1", "timeout": 20}))
        .await;
    assert_eq!(bench.must("vm.process", vm.clone()).await["status"], 0);
    bench.must("vm.create", firmware(&json!({}))).await;
    bench
        .must("vm.destroy", json!({"vm": "vm1", "gracefully": false}))
        .await;
    let killed = bench.must("vm.process", vm).await;
    assert!(
        killed["status"].is_i64() || killed["status"].is_null(),
        "{killed}"
    );
}

#[tokio::test]
async fn a_test_may_do_both_sides_of_a_migration() {
    let bench = Bench::new(None).await;
    bench.must("vm.create", firmware(&json!({}))).await;
    let mut other = firmware(&json!({}));
    other["vm"] = "vm2".into();
    other["migration_mode"] = "tcp".into();
    other["source"] = "vm1".into();
    let uri = bench.must("vm.create", other.clone()).await["uri"].clone();
    assert!(
        uri.as_str().is_some_and(|uri| uri.starts_with("tcp:127.0.0.1:")),
        "{uri}"
    );
    assert_eq!(
        bench.must("vm.state", json!({"vm": "vm2"})).await["status"],
        "inmigrate"
    );
    command(&bench, "vm1", "migrate", json!({ "uri": uri })).await;
    completed(&bench, "vm1").await;
    assert_eq!(
        bench.must("vm.state", json!({"vm": "vm1"})).await["status"],
        "postmigrate"
    );

    // Its state in a file, and back.
    let file = bench.scratch.join("state");
    let uri = format!("exec:cat > {file}");
    command(&bench, "vm2", "stop", Value::Null).await;
    command(&bench, "vm2", "migrate", json!({ "uri": uri })).await;
    completed(&bench, "vm2").await;
    other["migration_mode"] = "exec".into();
    other["migration_exec_cmd"] = format!("cat {file}").into();
    bench.must("vm.create", other.clone()).await;
    completed(&bench, "vm2").await;
    other["migration_mode"] = "carrier pigeon".into();
    assert_eq!(bench.fails("vm.create", other).await.kind, "unsupported");
}

#[tokio::test]
async fn what_was_plugged_goes_along() {
    let bench = Bench::new(None).await;
    bench.must("vm.create", firmware(&json!({}))).await;
    let object = json!({ "qom-type": "rng-builtin", "id": "source1" });
    command(&bench, "vm1", "object-add", object).await;
    let device = json!({ "driver": "virtio-rng-pci", "id": "rng1", "rng": "source1", "addr": "0x1a" });
    command(&bench, "vm1", "device_add", device).await;
    let added = [
        "-object",
        "rng-builtin,id=source1",
        "-device",
        "virtio-rng-pci,id=rng1,rng=source1,addr=0x1a",
    ];
    let migrate = json!({
        "vm": "vm1", "timeout": 60, "protocol": "unix", "changes": { "added": added, "removed": [] },
    });
    let done = bench.must("vm.migrate", migrate.clone()).await;
    assert_eq!(done["status"], "completed");
    let plugged = command(
        &bench,
        "vm1",
        "qom-list",
        json!({ "path": "/machine/peripheral" }),
    )
    .await;
    assert!(plugged.to_string().contains("rng1"), "{plugged}");

    // The destination has them on its own command line now: nothing has changed since its start.
    let begun = json!({ "vm": "vm1", "timeout": 60, "protocol": "tcp", "not_wait": true });
    let begun = bench.must("vm.migrate", begun).await;
    assert_eq!(begun["destination"], "vm1_clone");
    completed(&bench, "vm1").await;
    assert_eq!(
        bench.must("vm.state", json!({"vm": "vm1_clone"})).await["alive"],
        true
    );
}

#[tokio::test]
async fn parts_without_a_model_of_their_own_are_there() {
    let bench = Bench::new(None).await;
    let parts = json!({
        "mem": "128", "maxmem_mem": "2G", "slots_mem": "4", "mem_devs": "mem1", "size_mem_mem1": "128M",
        "smp": "2", "vcpu_devices": "vcpu1", "iothreads": "thread1", "usbs": "usb1", "usb_type_usb1": "xhci",
        "usb_devices": "tablet1", "usb_type_tablet1": "usb-tablet", "enable_watchdog": "yes",
        "serials": "serial0 port1", "serial_type_port1": "virtserialport", "machine_type": "q35",
    });
    bench.must("vm.create", firmware(&parts)).await;
    let memory = command(&bench, "vm1", "query-memory-devices", Value::Null).await;
    assert_eq!(memory[0]["data"]["id"], "dimm-mem1", "{memory}");
    let threads = command(&bench, "vm1", "query-iothreads", Value::Null).await;
    assert_eq!(threads[0]["id"], "thread1", "{threads}");
    let slots = command(&bench, "vm1", "query-hotpluggable-cpus", Value::Null).await;
    assert_eq!(slots.as_array().map(Vec::len), Some(2), "{slots}");
    let tree = json!({ "monitor": "vm1/qmpmonitor1", "command": "info qtree" });
    let tree = bench.must("monitor.hmp", tree).await.to_string();
    for part in ["usb-tablet1", "watchdog0", "pcie_extra_root_port_1", "port1"] {
        assert!(tree.contains(part), "{part}");
    }
    let known = bench.must("vm.devices", json!({"vm": "vm1"})).await;
    assert_eq!(known["smp"]["maxcpus"], 2, "{known}");
    assert_eq!(known["nics"][0]["netdev_id"], "net-nic1");
    let ports: Vec<_> = known["serials"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| &port["kind"])
        .collect();
    assert_eq!(ports, ["isa", "virtport"]);
    // On a free port of PCI Express.
    let device = json!({ "driver": "virtio-rng-pci", "id": "plugged", "bus": "pcie_extra_root_port_0" });
    command(&bench, "vm1", "device_add", device).await;
}
