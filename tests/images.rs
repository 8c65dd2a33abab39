//! What the parameters of images come to: overlays, copies, fresh images and chains, always in a folder of the test's own. The
//! tests here look at their images with qemu-img and start no machine.

mod support;

use support::Sandbox;

/// Fails unless every image is what the parameters `expect_…` say.
const PROBE: &str = r#"import json
import os
import subprocess

from virttest import data_dir, storage


def info(params, path):
    tool = params.get("qemu_img_binary") or "qemu-img"
    return json.loads(subprocess.check_output([tool, "info", "-U", "--output=json", path]))


def run(test, params, env):
    vm_params = params.object_params(params["main_vm"])
    for name in vm_params.objects("expect_images"):
        image = vm_params.object_params(name)
        path = storage.get_image_filename(image, data_dir.get_data_dir())
        if not os.path.isfile(path):
            test.fail("%s is not there" % path)
        found = info(params, path)
        if found["format"] != image["expect_format"]:
            test.fail("%s is %s" % (name, found["format"]))
        if found["virtual-size"] != image.get_numeric("expect_size"):
            test.fail("%s has %d bytes" % (name, found["virtual-size"]))
        backing = os.path.basename(found.get("full-backing-filename", "none"))
        wanted = image.get("expect_backing", "none")
        if (wanted == "any") != (backing != "none") and wanted != backing:
            test.fail("%s stands on %s" % (name, backing))
    for path in params.objects("spoil"):
        with open(os.path.join(data_dir.get_data_dir(), path), "r+b") as image:
            image.seek(params.get_numeric("spoil_at", 0))
            image.write(bytes(16))
    for path in params.objects("leak"):
        # Where a fresh qcow2 image of small size counts its clusters: one that nothing leads to.
        with open(os.path.join(data_dir.get_data_dir(), path), "r+b") as image:
            image.truncate(11 * 65536)
            image.seek(2 * 65536 + 2 * 10)
            image.write(bytes([0, 1]))
"#;

const HEAD: &str = "- probe:
    virt_test_type = qemu libvirt
    type = probe
    start_vm = no
    image_recipe_image1 =
    expect_images = image1
    expect_size = 1048576
    image_size_image1 = 1M
";

/// Every way in which an image can come about.
const IMAGES: &str = "    variants:
        - overlay:
            image_name_image1 = images/owned
            expect_format = qcow2
            expect_backing = owned.qcow2
            spoil = images/owned.qcow2
            check_image_image1 = no
        - raw_copy:
            image_name_image1 = images/plain
            image_format_image1 = raw
            expect_format = raw
            spoil = images/plain.raw
        - created:
            image_name_image1 = images/fresh
            force_create_image = yes
            image_size_image1 = 2M
            expect_size = 2097152
            expect_format = qcow2
        - created_if_missing:
            image_name_image1 = images/nowhere
            create_image_image1 = yes
            expect_format = qcow2
        - not_created_if_there:
            image_name_image1 = images/owned
            create_image_image1 = yes
            image_size_image1 = 7M
            expect_format = qcow2
            expect_backing = owned.qcow2
        - chain:
            images = top
            image_chain_top = image1 middle top
            image_chain_middle = image1 middle
            image_name_image1 = images/owned
            image_name_middle = images/middle
            image_name_top = images/top
            expect_images = image1 middle top
            expect_format = qcow2
            expect_backing_image1 = owned.qcow2
            expect_backing_middle = owned.qcow2
            expect_backing_top = middle.qcow2
        - checked:
            image_name_image1 = images/owned
            check_image = yes
            expect_format = qcow2
            expect_backing = owned.qcow2
";

fn workspace(body: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!("{HEAD}{body}"));
    sandbox.write("mine/generic/tests/probe.py", PROBE);
    sandbox
}

fn qemu_img(sandbox: &Sandbox, args: &[&str]) {
    let mut command = sandbox.command("qemu-img");
    command.args(args);
    sandbox.finish(command).exit(0);
}

#[test]
fn every_image_is_covered_copied_or_created_as_its_parameters_say() {
    let sandbox = workspace(IMAGES);
    std::fs::create_dir_all(sandbox.path("images")).unwrap();
    let (owned, plain) = (
        sandbox.path("images/owned.qcow2"),
        sandbox.path("images/plain.raw"),
    );
    qemu_img(&sandbox, &["create", "-q", "-f", "qcow2", owned.as_str(), "1M"]);
    qemu_img(&sandbox, &["create", "-q", "-f", "raw", plain.as_str(), "1M"]);
    let before = (std::fs::read(&owned).unwrap(), std::fs::read(&plain).unwrap());
    let run = sandbox.run("//... --progress plain --accel tcg").exit(0);
    for name in [
        "overlay",
        "raw_copy",
        "created",
        "created_if_missing",
        "not_created_if_there",
        "chain",
        "checked",
    ] {
        assert_eq!(run.verdict(name).status, "PASS", "{name}:\n{}", run.whole());
    }
    // Two of them wrote into their images. The originals do not know.
    assert!(before == (std::fs::read(&owned).unwrap(), std::fs::read(&plain).unwrap()));
    assert!(
        !sandbox.path("images/fresh.qcow2").exists(),
        "what a test creates goes with it"
    );
    // Everything is known now, the missing image included; an image that appears is noticed.
    let again = sandbox
        .run("//... --progress plain --accel tcg --dry-run")
        .exit(0);
    assert!(again.stdout().contains(" 0 would run"), "{}", again.whole());
    let nowhere = sandbox.path("images/nowhere.qcow2");
    qemu_img(&sandbox, &["create", "-q", "-f", "qcow2", nowhere.as_str(), "3M"]);
    let after = sandbox
        .run("//... --progress plain --accel tcg --dry-run")
        .exit(0);
    assert!(
        after.stdout().contains("created_if_missing") && after.stdout().contains(" 1 would run"),
        "{}",
        after.whole()
    );
}

#[test]
fn a_damaged_image_is_found_by_the_check_after_the_test() {
    let sandbox = workspace(
        "    image_name_image1 = images/fresh
    force_create_image = yes
    check_image = yes
    expect_format = qcow2
    # Where a fresh qcow2 image of small size counts its clusters.
    spoil = images/fresh.qcow2
    spoil_at = 131072
",
    );
    let run = sandbox.run("//probe --progress plain --accel tcg").exit(1);
    assert_eq!(run.verdict("probe").status, "ERROR");
    assert!(run.whole().contains("image1 of vm1"), "{}", run.whole());
}

#[test]
fn leaked_clusters_are_warned_of_unless_they_may_leak() {
    let sandbox = workspace(
        "    image_name_image1 = images/fresh
    force_create_image = yes
    check_image = yes
    expect_format = qcow2
    leak = images/fresh.qcow2
    variants:
        - told:
        - tolerated:
            skip_cluster_leak_warn = yes
",
    );
    let run = sandbox.run("//probe --progress plain --accel tcg").exit(0);
    assert_eq!(run.verdict("probe.told").status, "WARN", "{}", run.whole());
    assert!(run.whole().contains("1 leaked clusters"), "{}", run.whole());
    assert_eq!(run.verdict("probe.tolerated").status, "PASS", "{}", run.whole());
}

#[test]
fn a_machine_with_an_image_on_a_server_is_upstream_s() {
    let sandbox = workspace(
        "- served:\n    type = probe\n    images = data\n    enable_nbd_data = yes\n    image_format_data = raw\n    start_vm = yes\n",
    );
    sandbox
        .run("list --runnable //served")
        .exit(0)
        .says(&["upstream  mine.served"]);
    sandbox.run("//served --runtime own --accel tcg").exit(1).says(&[
        "ERROR 1",
        "a machine's image on a server is not part of the built-in test host; upstream's packages have it",
    ]);
}
