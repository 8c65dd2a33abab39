//! What benchmarks share.

#![allow(
    dead_code,
    reason = "each benchmark compiles this module and uses a part of it"
)]

use vtbuild_engine::spec::RuleName;

/// The rule of made-up tests.
pub const TEST: RuleName = RuleName {
    name: "test",
    version: 1,
};
/// The rule of made-up images.
pub const IMAGE: RuleName = RuleName {
    name: "image",
    version: 1,
};

/// Seconds that this process's threads were on CPUs: about the same on a busy machine and on an idle one.
pub fn on_cpu() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let nanos = |thread: std::io::Result<std::fs::DirEntry>| -> f64 {
        let path = thread.expect("threads are listed").path().join("schedstat");
        let stat = std::fs::read_to_string(path).expect("threads of the pool stay");
        let first = stat.split_whitespace().next();
        first.and_then(|nanos| nanos.parse().ok()).expect("nanoseconds")
    };
    threads.map(nanos).sum::<f64>() / 1e9
}
