//! How long things take over a real guest. Run with `--ignored --nocapture`.

use std::fs;
use std::io::Write;
use std::time::Instant;

use serde_json::json;

use crate::bench::{booted, guest};

fn show(what: &str, since: Instant, unit: &str, count: f64) {
    let seconds = since.elapsed().as_secs_f64();
    let line = format!("{what}: {seconds:.2} s, {:.3} {unit}\n", count / seconds);
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
}

#[tokio::test]
#[ignore = "prints figures and checks nothing"]
async fn figures() {
    let Some(folder) = guest("figures") else { return };
    let before = Instant::now();
    let (bench, session) = booted(&folder).await;
    show("power on to a shell", before, "/s", 1.0);
    for _ in 0..3 {
        let before = Instant::now();
        let (session, _) = bench.login().await;
        show("one more login", before, "logins/s", 1.0);
        bench.must("session.close", json!({"session": session})).await;
    }
    let before = Instant::now();
    for _ in 0..50 {
        bench.cmd(&session, "true").await;
    }
    show("50 commands with status", before, "commands/s", 50.0);
    let before = Instant::now();
    let output = bench.cmd(&session, "seq 1 300000").await;
    show("output of a command", before, "MB/s", output.len() as f64 / 1e6);

    let (source, back) = (bench.scratch.join("data"), bench.scratch.join("back"));
    fs::write(&source, vec![7_u8; 20_000_000]).expect("a file");
    let copy = |host| json!({"vm": "vm1", "host_path": host, "guest_path": "/var/tmp/data", "timeout": 200});
    let before = Instant::now();
    bench.must("vm.copy_to", copy(&source)).await;
    show("a file of 20 MB into the guest", before, "MB/s", 20.0);
    let before = Instant::now();
    bench.must("vm.copy_from", copy(&back)).await;
    show("and back", before, "MB/s", 20.0);
}
