//! Guests that come with the configuration set, and guests of one's own.

mod support;

use rustix::process::Signal;
use support::{Sandbox, until};

const FILE: &str = "shared/cfg/guest-os/Linux/LinuxCustom/FooLinux.cfg";
const LISTED: &str = "list --guests --only i440fx";

/// A small image that nothing boots from.
fn empty_image(sandbox: &Sandbox, name: &str, format: &str) {
    let path = sandbox.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut create = sandbox.command("qemu-img");
    create.args(["create", "-q", "-f", format, path.as_str(), "1M"]);
    drop(sandbox.finish(create).exit(0));
}

#[test]
fn the_families_of_the_field_resolve() {
    let sandbox = Sandbox::new();
    let images = [
        ("RHEL.9.3.x86_64", "images/rhel93-64"),
        ("RHEL.6.1.i386", "images/rhel61-32"),
        ("Linux.CentOS.6.6.i386.i440fx", "images/centos66-32"),
        ("CentOS-Stream.9.devel", "images/centos-stream9devel-x86_64"),
        ("Fedora.21", "images/f21-x86_64"),
        ("Debian.12.x86_64", "images/debian-12-64"),
        ("Ubuntu.22.04-server", "images/ubuntu-22.04-server-64"),
        ("OpenSUSE.42.3", "images/openSUSE-Leap-42.3-64"),
        ("SLES.12.3.x86_64", "images/sles12sp3-64"),
        ("JeOS.27", "images/jeos-27-x86_64"),
        ("Windows.Win2022.x86_64", "images/win2022-64"),
        ("Win2008.x86_64.sp2", "images/win2008-sp2-64"),
        ("Win7.i386.sp1", "images/win7-32-sp1"),
    ];
    for (guest, image) in images {
        let params = sandbox.run_args(&[
            "params",
            "//uptime",
            "--guest-os",
            guest,
            "-k",
            "image_name",
            "--json",
        ]);
        let params = params.exit(0).json();
        assert_eq!(params["params"]["image_name"], image, "{guest}");
    }
    sandbox.run(LISTED).exit(0).says(&[
        "\nLinux.CentOS.6.6.i386.i440fx (missing centos66-32.qcow2)\n",
        "\nLinux.CentOS.6.6.x86_64.i440fx (missing centos66-64.qcow2)\n",
        "\nLinux.JeOS.12.x86_64.i440fx\n",
        "\nWindows.Win2022.x86_64.i440fx (missing win2022-64.qcow2)\n",
    ]);
}

#[test]
fn memory_is_the_test_s_then_the_guest_s_then_the_usual() {
    let sandbox = Sandbox::new();
    let mem = |words: &str| {
        let params = sandbox
            .run(&format!("params //uptime -k mem --json {words}"))
            .exit(0)
            .json();
        params["params"]["mem"].as_str().unwrap().to_owned()
    };
    assert_eq!(mem(""), "512");
    assert_eq!(mem("--guest-os RHEL.9.3"), "2048");
    assert_eq!(mem("--guest-os RHEL.9.3 -p mem=3G"), "3G");
    sandbox.provide("- plain:\n    type = plain\n    mem = 1G\n");
    let own = sandbox
        .run("params //plain -k mem --json --guest-os RHEL.9.3")
        .exit(0)
        .json();
    assert_eq!(own["params"]["mem"], "1G");
}

#[test]
fn a_guest_is_added_without_being_booted_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    empty_image(&sandbox, "images/foo-linux.qcow2", "qcow2");
    let add = [
        "guest",
        "add",
        "FooLinux",
        "--image",
        "images/foo-linux.qcow2",
        "--no-verify",
    ];
    let prompt = r"[\#\$>]\s*$";
    sandbox
        .run_args(
            &[
                &add[..],
                &["--password", "a # b", "--prompt", prompt, "--mem", "1G"],
            ]
            .concat(),
        )
        .exit(0)
        .says(&[&format!("made {FILE}\n"), "--guest-os LinuxCustom.FooLinux\n"]);
    sandbox
        .run(LISTED)
        .exit(0)
        .says(&["\nLinux.LinuxCustom.FooLinux.i440fx\n"]);
    let params = sandbox
        .run("params //uptime --guest-os LinuxCustom.FooLinux --json")
        .exit(0)
        .json();
    let params = &params["params"];
    assert_eq!(
        (
            &params["image_name"],
            &params["password"],
            &params["shell_prompt"],
            &params["mem"]
        ),
        (
            &"images/foo-linux".into(),
            &"a # b".into(),
            &prompt.into(),
            &"1G".into()
        )
    );
    sandbox
        .run_args(&add)
        .exit(2)
        .complains(&["FooLinux.cfg already; --force"]);
    drop(
        sandbox
            .run_args(&[&add[..], &["--force"]].concat())
            .exit(0)
            .says(&["made"]),
    );
    assert_eq!(
        sandbox.read(FILE),
        "- FooLinux:\n    image_name = \"images/foo-linux\"\n"
    );
}

#[test]
fn images_of_any_place_and_format_are_named_so_that_they_are_found() {
    let sandbox = Sandbox::new();
    empty_image(&sandbox, "images/raw.raw", "raw");
    empty_image(&sandbox, "images/disk.img", "qcow2");
    drop(
        sandbox
            .run("guest add Raw --image images/raw.raw --no-verify")
            .exit(0)
            .says(&["made"]),
    );
    drop(
        sandbox
            .run("guest add Img --image images/disk.img --windows --no-verify")
            .exit(0)
            .says(&["made"]),
    );
    let raw = sandbox
        .run("params //uptime --guest-os LinuxCustom.Raw --json")
        .exit(0)
        .json();
    assert_eq!(
        (
            &raw["params"]["image_name"],
            &raw["params"]["image_format_image1"]
        ),
        (&"images/raw".into(), &"raw".into())
    );
    let img = sandbox
        .run("params //uptime --guest-os WindowsCustom.Img --json")
        .exit(0)
        .json();
    assert_eq!(
        (&img["params"]["image_name"], &img["params"]["image_raw_device"]),
        (&"images/disk.img".into(), &"yes".into())
    );
    sandbox.run(LISTED).exit(0).says(&[
        "\nWindows.WindowsCustom.Img.i440fx\n",
        "\nLinux.LinuxCustom.Raw.i440fx\n",
    ]);
}

#[test]
fn what_cannot_be_a_guest_is_refused() {
    let sandbox = Sandbox::new();
    sandbox
        .run("guest add a.b --image x")
        .exit(2)
        .complains(&["`a.b` cannot be a guest's name"]);
    sandbox
        .run("guest add FooLinux --image x.qcow2")
        .exit(2)
        .complains(&["failed to find the image x.qcow2"]);
    empty_image(&sandbox, "x.qcow2", "qcow2");
    sandbox
        .run_args(&[
            "guest",
            "add",
            "FooLinux",
            "--image",
            "x.qcow2",
            "--no-verify",
            "--password",
            "a\"\nb",
        ])
        .exit(3)
        .complains(&["no guest was added"]);
    assert!(!sandbox.path(FILE).exists());
}

#[test]
fn a_guest_that_boots_and_lets_us_in_is_added_and_any_other_is_not() {
    let sandbox = Sandbox::with_guest();
    sandbox.copy_disk("images/foo-linux.qcow2");
    let add = "guest add FooLinux --image images/foo-linux.qcow2 --accel tcg";
    let refused = sandbox.run(&format!("{add} --password wrong")).exit(1);
    refused
        .says(&[])
        .complains(&["the guest refused the password", "no guest was added"]);
    assert!(!sandbox.path(FILE).exists());
    sandbox
        .run(add)
        .exit(0)
        .says(&[
            "LinuxCustom.FooLinux boots and lets root in (",
            &format!("made {FILE}\n"),
        ])
        .complains(&["# starting vm1\n", "# logging in to vm1\n"]);
    let stopped = sandbox.start("guest add Other --image images/foo-linux.qcow2 --accel tcg");
    until(60, "it starts the guest", || {
        stopped.stderr().contains("# starting vm1").then_some(())
    });
    stopped.signal(Signal::INT);
    drop(
        stopped
            .wait()
            .exit(130)
            .complains(&["stopped; no guest was added"]),
    );
    assert!(!sandbox.path(&FILE.replace("FooLinux", "Other")).exists());
    assert!(sandbox.processes().is_empty() && sandbox.scratch().is_empty());
}
