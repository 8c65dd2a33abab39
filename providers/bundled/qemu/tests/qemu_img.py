import json
import os

from virttest.qemu_io import QemuIOSystem
from virttest.qemu_storage import QemuImg


def run(test, params, env):
    """
    Try qemu-img on an image of its own, without any machine:

    create: the new image has the format and the size that were asked for.
    info:   'qemu-img info' says the same in words and as JSON.
    check:  after qemu-io has written to the image, it reads the same back, and 'qemu-img check' finds nothing wrong.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    tag = params["images"]
    image_params = params.object_params(tag)
    image_params["image_name"] = os.path.join(test.tmpdir, tag)
    image = QemuImg(image_params, test.bindir, tag)
    subcommands = {"create": check_create, "info": check_info, "check": check_check}
    subcommand = params["subcommand"]
    if subcommand not in subcommands:
        test.error("subcommand is %s; known are %s" % (subcommand, ", ".join(subcommands)))

    image.create()
    try:
        subcommands[subcommand](test, image_params, image)
    finally:
        image.remove()


def check_create(test, params, image):
    """Fail unless the image is what was asked for."""
    found = json.loads(image.info(output="json"))
    wanted = params.get_numeric("image_size_in_bytes")
    if (found["format"], found["virtual-size"]) != (image.image_format, wanted):
        test.fail("a %s image of %d bytes was asked for, this came: %s" % (image.image_format, wanted, found))


def check_info(test, params, image):
    """Fail unless the words agree with the JSON."""
    words = image.info()
    found = json.loads(image.info(output="json"))
    for text in (
        "image: %s" % image.image_filename,
        "file format: %s" % found["format"],
        "%d bytes" % found["virtual-size"],
    ):
        if text not in words:
            test.fail("'qemu-img info' does not say %r: %s" % (text, words))


def check_check(test, params, image):
    """Fail unless what is written can be read, and the image is clean."""
    image_io = QemuIOSystem(test, params, image.image_filename)
    for offset in ("0", "1M", "10M"):
        image_io.cmd_output("write -P 0x5a %s 64k" % offset)
        output = image_io.cmd_output("read -P 0x5a %s 64k" % offset)
        if "verification failed" in output:
            test.fail("what was written at %s is not what is read: %s" % (offset, output))
    image.check_image()
