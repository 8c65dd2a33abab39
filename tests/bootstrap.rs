//! `vtbuild bootstrap`: eight steps that ask nothing, go on after what fails, and do nothing twice.

mod support;

use support::Sandbox;
use support::server::{Answer, Server};

/// The beginnings of the eight steps, in order.
const STEPS: [&str; 8] = [
    "1 - Updating all test providers",
    "2 - Checking the mandatory programs and headers",
    "3 - Checking the recommended programs and headers",
    "4 - Verifying directories",
    "5 - Verifying the configuration set",
    "6 - Verifying the guest's image",
    "7 - Checking for modules",
    "8 - If you wish",
];

/// A host that has these programs and no others.
fn bootstrap(sandbox: &Sandbox, programs: &[&str], words: &str, code: i32) -> (String, String) {
    for program in programs {
        sandbox.program(program, "exit 0");
    }
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
    command.env("PATH", sandbox.root().join("bin"));
    command.arg("bootstrap").args(words.split_whitespace());
    let output = sandbox.finish(command).exit(code);
    let stdout = output.stdout().to_owned();
    let mut rest = stdout.as_str();
    for step in STEPS {
        let at = rest
            .find(step)
            .unwrap_or_else(|| panic!("{step:?} is not in its place: {stdout}"));
        rest = &rest[at..];
    }
    (stdout, output.stderr().to_owned())
}

const MANDATORY: [&str; 3] = ["python3", "qemu-system-x86_64", "qemu-img"];

#[test]
fn the_eight_steps_are_done_once() {
    let sandbox = Sandbox::new();
    let words = "--vt-type qemu --vt-no-downloads --yes-to-all --vt-update-config";
    let (first, stderr) = bootstrap(&sandbox, &MANDATORY, words, 0);
    assert_eq!(stderr, "");
    for text in [
        "bin/python3 OK",
        "xz MISSING: unpacks",
        "apt-get install ",
        "images made",
        "tests.cfg OK, built in",
    ] {
        assert!(first.contains(text), "{text}: {first}");
    }
    assert!(
        first.contains("subtests.cfg OK") && first.contains("JeOS.12: "),
        "{first}"
    );
    assert!(sandbox.path("isos").is_dir() && sandbox.path("shared/downloads").is_dir());
    let (again, _) = bootstrap(&sandbox, &MANDATORY, words, 0);
    assert!(again.contains("images OK") && !again.contains(" made"), "{again}");
}

#[test]
fn what_is_missing_is_told_and_all_else_is_done() {
    let sandbox = Sandbox::new();
    sandbox.write("test-providers.d/gone.ini", "[provider]\nuri: nowhere\n");
    let (stdout, _) = bootstrap(&sandbox, &[], "--vt-no-downloads", 5);
    for text in [
        "gone LEFT OUT: failed to use the test provider",
        "gone.ini:2",
        "qemu-img MISSING: makes and checks images; install qemu-utils",
        "apt-get install python3 qemu-system-x86 qemu-utils",
    ] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    assert!(sandbox.path("images").is_dir());
}

#[test]
fn each_backend_has_its_own_needs_and_all_have_a_configuration() {
    let sandbox = Sandbox::new();
    for (backend, need) in [
        ("libvirt", "virsh MISSING"),
        ("v2v", "virt-v2v MISSING"),
        ("lvsb", "virt-sandbox MISSING"),
        ("openvswitch", "ovs-vsctl MISSING"),
    ] {
        let words = format!("--vt-type {backend} --vt-no-downloads");
        let (stdout, _) = bootstrap(&sandbox, &[], &words, 5);
        assert!(
            stdout.contains(need) && stdout.contains("subtests.cfg OK"),
            "{backend}: {stdout}"
        );
    }
    // A name that nobody knows yet needs what all need.
    let (stdout, _) = bootstrap(
        &sandbox,
        &["python3", "qemu-img"],
        "--vt-type newcomer --vt-no-downloads",
        0,
    );
    assert!(stdout.contains("subtests.cfg OK"), "{stdout}");
}

#[test]
fn a_configuration_that_makes_no_sense_is_shown_and_the_rest_done() {
    let sandbox = Sandbox::new();
    sandbox.write("qemu/cfg/tests.cfg", "include nowhere.cfg\n");
    let (stdout, _) = bootstrap(&sandbox, &MANDATORY, "--vt-no-downloads", 3);
    assert!(
        stdout.contains("tests.cfg OK, yours") && stdout.contains("nowhere.cfg"),
        "{stdout}"
    );
}

#[test]
fn a_guest_that_is_a_download_is_fetched_and_kept() {
    let sandbox = Sandbox::new();
    let guest = "FooLinux:\n    image_name = images/foo-linux\n";
    sandbox.write("shared/cfg/guest-os/Linux/LinuxCustom/foo.cfg", guest);
    let words = "--vt-guest-os LinuxCustom.FooLinux";
    let (stdout, _) = bootstrap(&sandbox, &MANDATORY, words, 5);
    assert!(stdout.contains("foo-linux.qcow2 MISSING"), "{stdout}");
    let server = Server::new(b"an image".to_vec(), |_, _| Answer::Well);
    let text = format!(
        "[foo]\nurl = {}\ndestination = images/foo-linux.qcow2\n",
        server.url("foo")
    );
    sandbox.write("shared/downloads/foo.ini", &text);
    let (stdout, _) = bootstrap(
        &sandbox,
        &MANDATORY,
        &format!("{words} --vt-skip-verify-download-assets"),
        0,
    );
    assert!(stdout.contains("left alone"), "{stdout}");
    let (stdout, stderr) = bootstrap(&sandbox, &MANDATORY, words, 0);
    assert!(
        stdout.contains("foo-linux.qcow2 downloaded") && stderr.contains("downloading foo"),
        "{stdout}{stderr}"
    );
    assert_eq!(sandbox.read("images/foo-linux.qcow2"), "an image");
    let (stdout, _) = bootstrap(&sandbox, &MANDATORY, words, 0);
    assert!(stdout.contains("foo-linux.qcow2 OK"), "{stdout}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_recipe_s_image_is_built_once() {
    let sandbox = Sandbox::new();
    let recipe =
        "name = \"tiny\"\nimage_size = \"1M\"\nsource_date_epoch = 0\n[outputs]\n\"disk.qcow2\" = \"disk\"\n";
    sandbox.write("recipes/tiny/recipe.toml", recipe);
    sandbox.write(
        "recipes/tiny/build",
        "#!/bin/sh\necho 'step: making it'\necho disk > \"$OUT/disk.qcow2\"\n",
    );
    let guest = "TinyLinux:\n    image_name = images/tiny\n    image_recipe = tiny\n";
    sandbox.write("shared/cfg/guest-os/Linux/LinuxCustom/tiny.cfg", guest);
    let words = "--vt-guest-os LinuxCustom.TinyLinux";
    let offline = format!("{words} --vt-no-downloads");
    let (stdout, _) = bootstrap(&sandbox, &MANDATORY, &offline, 0);
    let image = sandbox.path("images/tiny.qcow2");
    let left = format!("LinuxCustom.TinyLinux: {image} not there; --vt-no-downloads leaves it so");
    assert!(stdout.contains(&left), "{stdout}");
    let (stdout, stderr) = bootstrap(&sandbox, &MANDATORY, words, 0);
    assert!(
        stdout.contains("built by the recipe tiny") && stderr.contains("making it"),
        "{stdout}{stderr}"
    );
    for words in [words, &offline] {
        let (stdout, stderr) = bootstrap(&sandbox, &MANDATORY, words, 0);
        assert!(
            stdout.contains("OK, the cache has it") && stderr.is_empty(),
            "{stdout}{stderr}"
        );
    }
    assert_eq!(sandbox.scratch(), Vec::<camino::Utf8PathBuf>::new());
}

#[test]
fn options_that_are_not_taken_over_are_explained() {
    let sandbox = Sandbox::new();
    sandbox
        .run("bootstrap --help")
        .exit(0)
        .says(&["--vt-selinux-setup", "--vt-host-distro-"]);
    sandbox
        .run("bootstrap --vt-selinux-setup")
        .exit(2)
        .complains(&["--vt-selinux-setup"]);
}
