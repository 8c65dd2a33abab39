//! Machines without a guest: the firmware alone shows what these tests look at.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::support::{alive, eventually};

pub(crate) fn firmware(more: &Value) -> Value {
    let mut params = json!({
        "mem": "64", "nics": "nic1", "serials": "serial0", "monitors": "qmpmonitor1 hmp1",
        "monitor_type_hmp1": "human", "redirs": "web", "guest_port_web": "80", "monitor_type": "qmp",
    });
    params
        .as_object_mut()
        .expect("a map")
        .extend(more.as_object().expect("a map").clone());
    json!({"vm": "vm1", "params": params})
}

#[tokio::test]
async fn a_machine_without_a_guest_is_created_asked_paused_and_destroyed() {
    let bench = Bench::new(None).await;
    let vm = json!({"vm": "vm1"});
    assert_eq!(bench.fails("vm.state", vm.clone()).await.kind, "vm-unknown");
    let created = bench.must("vm.create", firmware(&json!({}))).await;
    let state = bench.must("vm.state", vm.clone()).await;
    assert_eq!(
        state,
        json!({"alive": true, "dead": false, "pid": created["pid"], "status": "running"})
    );
    assert_eq!(bench.must("vm.verify", vm.clone()).await, Value::Null);
    bench.must("vm.pause", vm.clone()).await;
    assert_eq!(bench.must("vm.state", vm.clone()).await["status"], "paused");
    bench.must("vm.verify", vm.clone()).await;
    bench.must("vm.resume", json!({"vm": "vm1", "timeout": 10})).await;

    let again = bench.must("vm.create", firmware(&json!({}))).await;
    assert_ne!(again["pid"], created["pid"]);
    assert!(!alive(
        u32::try_from(created["pid"].as_u64().expect("a number")).expect("a pid")
    ));
    bench
        .must("vm.destroy", json!({"vm": "vm1", "gracefully": false}))
        .await;
    assert_eq!(bench.must("vm.state", vm.clone()).await["dead"], true);
    assert_eq!(bench.fails("vm.verify", vm.clone()).await.kind, "vm-dead");
    assert_eq!(
        bench
            .must("vm.wait_for_dead", json!({"vm": "vm1", "timeout": 1}))
            .await,
        true
    );
    assert_eq!(
        bench
            .fails("vm.login", json!({"vm": "vm1", "timeout": 5}))
            .await
            .kind,
        "vm-dead"
    );
    bench.must("vm.destroy", vm).await;
}

#[tokio::test]
async fn addresses_ports_and_devices_are_told() {
    let bench = Bench::new(None).await;
    let vm = json!({"vm": "vm1"});
    bench.must("vm.create", firmware(&json!({}))).await;
    assert_eq!(
        bench.must("vm.address", json!({"vm": "vm1", "index": 0})).await,
        "127.0.0.1"
    );
    assert_eq!(
        bench
            .fails("vm.address", json!({"vm": "vm1", "index": 4}))
            .await
            .kind,
        "address"
    );
    assert!(
        bench
            .must("vm.port", json!({"vm": "vm1", "guest_port": 80}))
            .await
            .as_u64()
            .is_some()
    );
    assert_eq!(
        bench
            .fails("vm.port", json!({"vm": "vm1", "guest_port": 81}))
            .await
            .kind,
        "address"
    );
    let devices = bench.must("vm.devices", vm).await;
    assert!(
        devices["cmdline"][0]
            .as_str()
            .is_some_and(|binary| binary.contains("qemu")),
        "{devices}"
    );
    let list = devices["devices"].as_array().expect("a list");
    assert!(
        list.iter()
            .any(|device| device["kind"] == "nic" && device["id"] == "nic1"),
        "{devices}"
    );
    assert_eq!(devices["macs"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn monitors_are_listed_and_answer() {
    let bench = Bench::new(None).await;
    bench.must("vm.create", firmware(&json!({}))).await;
    let list = bench.must("monitor.list", json!({"vm": "vm1"})).await;
    assert_eq!(
        list,
        json!([
            {"monitor": "vm1/qmpmonitor1", "protocol": "qmp", "main": true},
            {"monitor": "vm1/hmp1", "protocol": "human", "main": false},
        ])
    );
    let qmp = |command: &str| json!({"monitor": "vm1/qmpmonitor1", "command": command, "timeout": 20});
    assert_eq!(
        bench.must("monitor.command", qmp("query-status")).await["running"],
        true
    );
    let error = bench.fails("monitor.command", qmp("no-such")).await;
    assert_eq!(
        (error.kind, error.data["class"].as_str()),
        ("monitor-command", Some("CommandNotFound"))
    );
    let hmp = json!({"monitor": "vm1/hmp1", "command": "info status"});
    assert!(
        bench
            .must("monitor.command", hmp.clone())
            .await
            .as_str()
            .is_some_and(|text| text.contains("running"))
    );
    assert!(
        bench
            .must("monitor.hmp", hmp)
            .await
            .as_str()
            .is_some_and(|text| text.contains("running"))
    );

    let events = json!({"monitor": "vm1/qmpmonitor1", "clear": true});
    bench.must("monitor.events", events.clone()).await;
    bench.must("vm.pause", json!({"vm": "vm1"})).await;
    let stop = json!({"monitor": "vm1/qmpmonitor1", "event": "STOP", "timeout": 20});
    assert_eq!(
        bench.must("monitor.wait_event", stop.clone()).await["event"],
        "STOP"
    );
    let listed = bench.must("monitor.events", events.clone()).await;
    assert_eq!(listed[0]["event"], "STOP");
    assert_eq!(bench.must("monitor.events", events).await, json!([]));
    let never = json!({"monitor": "vm1/qmpmonitor1", "event": "NEVER", "timeout": 0.1});
    assert_eq!(bench.must("monitor.wait_event", never).await, Value::Null);

    assert_eq!(
        bench
            .fails("monitor.hmp", json!({"monitor": "vm1/x", "command": "info"}))
            .await
            .kind,
        "monitor"
    );
    bench.must("vm.destroy", json!({"vm": "vm1"})).await;
    assert_eq!(
        bench.fails("monitor.command", qmp("query-status")).await.kind,
        "monitor-closed"
    );
}

#[tokio::test]
async fn a_process_that_is_no_machine_has_a_monitor_too() {
    let bench = Bench::new(None).await;
    let socket = bench.scratch.join("qsd.sock");
    let open = json!({"name": "qsd/1", "path": socket, "timeout": 0.1});
    assert_eq!(bench.fails("monitor.open", open).await.kind, "monitor-closed");
    let mut daemon = std::process::Command::new("qemu-storage-daemon")
        .arg(format!("--chardev=socket,server=on,wait=off,path={socket},id=m"))
        .args(["--monitor", "chardev=m,mode=control"])
        .spawn()
        .expect("a storage daemon (qemu-utils)");
    let open = json!({"name": "qsd/1", "path": socket, "timeout": 120});
    let first = bench.must("monitor.open", open.clone()).await["monitor"].clone();
    let ask = |monitor: &Value, command: &str| json!({"monitor": monitor, "command": command});
    let exports = bench.must("monitor.command", ask(&first, "query-block-exports"));
    assert_eq!(exports.await, json!([]));
    let refused = bench.fails("monitor.command", ask(&first, "no-such")).await;
    assert_eq!(refused.kind, "monitor-command");
    let greeting = bench.must("monitor.greeting", json!({"monitor": first})).await;
    assert!(greeting["QMP"]["version"].is_object(), "{greeting}");

    let second = bench.must("monitor.open", open).await["monitor"].clone();
    let gone = bench
        .fails("monitor.command", ask(&first, "query-block-exports"))
        .await;
    assert_eq!(
        gone.kind, "monitor",
        "QEMU serves one client: the first is closed"
    );
    bench.must("monitor.command", ask(&second, "quit")).await;
    assert!(daemon.wait().expect("it ends").success());
    let closed = bench
        .fails("monitor.command", ask(&second, "query-block-exports"))
        .await;
    assert_eq!(closed.kind, "monitor-closed");
    let log = fs::read_to_string(bench.scratch.join("logs/qmp-qsd_1.log")).expect("a log");
    assert!(log.contains("query-block-exports"), "{log}");
}

#[tokio::test]
async fn a_machine_is_asked_whether_other_parameters_would_make_another_one() {
    let bench = Bench::new(None).await;
    let with = |more: Value| firmware(&more);
    let unknown = bench.fails("vm.differs", with(json!({}))).await;
    assert_eq!(unknown.kind, "vm-unknown");
    bench.must("vm.create", with(json!({}))).await;
    assert_eq!(bench.must("vm.differs", with(json!({}))).await, false);
    assert_eq!(
        bench
            .must("vm.differs", with(json!({"login_timeout": "5"})))
            .await,
        false
    );
    for other in [
        json!({"mem": "65"}),
        json!({"nic_model": "e1000"}),
        json!({"mem": "lots"}),
    ] {
        assert_eq!(
            bench.must("vm.differs", with(other.clone())).await,
            true,
            "{other}"
        );
    }
    bench.must("vm.destroy", json!({"vm": "vm1"})).await;
    assert_eq!(bench.fails("vm.differs", with(json!({}))).await.kind, "vm-dead");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let bench = Bench::new(None).await;
    let error = bench.fails("vm.create", firmware(&json!({"mem": "lots"}))).await;
    assert_eq!(error.kind, "vm-create");
    assert!(error.message.contains("mem = lots"), "{error}");
    let error = bench
        .fails("vm.create", firmware(&json!({"extra_params": "-device nothing"})))
        .await;
    assert_eq!(
        (error.kind, error.data["status"].clone()),
        ("vm-create", json!(1))
    );
    assert!(
        error.data["output"]
            .as_str()
            .is_some_and(|text| text.contains("nothing")),
        "{error:?}"
    );
    let error = bench
        .fails(
            "vm.create",
            firmware(&json!({"images": "image1", "image_name": "gone"})),
        )
        .await;
    assert_eq!(error.kind, "image");
    assert_eq!(bench.must("vm.state", json!({"vm": "vm1"})).await["dead"], true);
    let error = bench
        .fails(
            "vm.create",
            json!({"vm": "vm2", "params": {}, "migration_mode": "rdma"}),
        )
        .await;
    assert_eq!(error.kind, "unsupported");
}

#[tokio::test]
async fn a_guest_that_never_answers_is_shown_with_its_picture_and_a_killed_one_is_noticed() {
    let bench = Bench::new(None).await;
    bench.must("vm.create", firmware(&json!({"vga": "std"}))).await;
    let error = bench.fails("vm.login", json!({"vm": "vm1", "timeout": 2})).await;
    assert_eq!(error.kind, "login-timeout");
    let picture = error
        .message
        .rsplit("the screen is in ")
        .next()
        .expect("a path")
        .to_owned();
    assert!(
        fs::metadata(&picture).is_ok_and(|file| file.len() > 100),
        "{error}"
    );

    bench.must("vm.pause", json!({"vm": "vm1"})).await;
    let error = bench
        .fails("vm.login", json!({"vm": "vm1", "timeout": 0.3}))
        .await;
    assert!(error.message.contains("the machine is paused"), "{error}");

    let machine = bench.desk.machine("vm1").expect("there");
    let before = Instant::now();
    let kill = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        machine.kill().await
    };
    let (error, _) = tokio::join!(
        bench.fails("vm.login", json!({"vm": "vm1", "timeout": 600})),
        kill
    );
    assert_eq!(error.kind, "vm-dead");
    assert!(
        before.elapsed() < Duration::from_secs(300),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn the_tools_run_and_the_end_leaves_nothing() {
    let bench = Bench::new(None).await;
    let disk = bench.scratch.join("new.qcow2");
    let create = json!({"program": "img", "args": ["create", "-f", "qcow2", disk, "1M"], "timeout": 30});
    assert_eq!(bench.must("image.run", create).await["status"], 0);
    let info = json!({"program": "img", "args": ["info", "/nowhere"], "timeout": 30});
    let answer = bench.must("image.run", info).await;
    assert_eq!(answer["status"], 1);
    assert!(
        answer["stderr"]
            .as_str()
            .is_some_and(|text| text.contains("/nowhere")),
        "{answer}"
    );
    assert_eq!(
        bench
            .fails("image.run", json!({"program": "rm", "args": [], "timeout": 1}))
            .await
            .kind,
        "argument"
    );

    let pid = bench.must("vm.create", firmware(&json!({}))).await["pid"]
        .as_u64()
        .expect("a number");
    bench.desk.shutdown_all(true).await;
    assert!(!alive(u32::try_from(pid).expect("a pid")));
    let pid = bench.must("vm.create", firmware(&json!({}))).await["pid"]
        .as_u64()
        .expect("a number");
    drop(bench);
    let pid = u32::try_from(pid).expect("a pid");
    assert!(eventually(Duration::from_secs(60), || !alive(pid)));
}
