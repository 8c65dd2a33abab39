"""Bringing machines and images into the state that parameters ask for, before a test and from within it."""

import logging

from virttest import absent

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.env_process")


# Images.


def preprocess_image(test, params, image_name, vm_process_status=None):
    """Make an image: with ``force_create_image = yes`` always, with ``create_image = yes`` where it is not there.

    :param params: the image's own view: ``params.object_params("image1")``.
    """
    import os

    image = _image(params, image_name)
    forced = params.get("force_create_image") == "yes"
    exists = os.path.exists(image.image_filename)
    if not forced and (exists or params.get("create_image") != "yes"):
        return
    if exists:
        os.unlink(image.image_filename)
    os.makedirs(os.path.dirname(image.image_filename), exist_ok=True)
    image.create(params)


def check_image(test, params, image_name, vm_process_status=None):
    """Check an image where ``check_image = yes``; one in use is left alone.

    With ``skip_cluster_leak_warn = yes`` nothing comes of clusters that leak.
    """
    from avocado.core.exceptions import TestWarn

    if params.get("check_image") != "yes" or vm_process_status == "running":
        return
    image = _image(params, image_name)
    try:
        image.check_image(params, image.root_dir)
    except TestWarn as warning:
        if params.get("skip_cluster_leak_warn") != "yes" or "leaked cluster" not in str(warning).lower():
            raise
        LOG.warning("%s", warning)


def postprocess_image(test, params, image_name, vm_process_status=None):
    """Remove an image unless ``remove_image = no``; one in use is left alone."""
    if vm_process_status == "running":
        LOG.warning("image %s is in use: it stays as it is", image_name)
    elif params.get("remove_image", "yes") == "yes" and params.get("clone_master") is None:
        _image(params, image_name).remove()


def _image(params, name):
    from virttest import data_dir
    from virttest.qemu_storage import QemuImg

    return QemuImg(params, params.get("images_base_dir", data_dir.get_data_dir()), name)


def process_images(image_func, test, params, vm_process_status=None):
    """Call `image_func` for every image in ``images``."""
    for name in params.objects("images"):
        image_func(test, params.object_params(name), name, vm_process_status)


# File system sources.


def preprocess_fs_source(test, params, fs_name, vm_process_status=None):
    """Make the folder that a file system of the guest shows."""
    folder = _fs_folder(params)
    if folder and (params.get("force_create_fs_source") == "yes" or params.get("create_fs_source") == "yes"):
        import os

        os.makedirs(folder, exist_ok=True)


def postprocess_fs_source(test, params, fs_name, vm_process_status=None):
    """Remove it where ``remove_fs_source = yes``."""
    folder = _fs_folder(params)
    if folder and params.get("remove_fs_source") == "yes" and vm_process_status != "running":
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def _fs_folder(params):
    """The folder, below the test's data folder where its name is relative."""
    import os

    from virttest import data_dir

    name = params.get("fs_source_dir")
    if not name or params.get("fs_source_type", "mount") != "mount":
        return None
    return os.path.join(params.get("fs_source_base_dir", data_dir.get_data_dir()), name)


# Machines.


def preprocess_vm(test, params, env, name):
    """Bring machine `name` into the state that its parameters ask for.

    It is made where it does not exist. With ``start_vm = yes`` it runs afterwards; without, and with
    ``kill_vm_before_test = yes``, it does not. A machine that runs goes on running, unless its command line would be
    another one with `params`; with ``check_vm_needs_restart = no`` nobody looks. With ``migration_mode`` it is started
    in any case. What is started with ``reuse_previous_config = yes`` keeps the parameters that it had.

    :param params: the machine's own view: ``params.object_params(name)``.
    """
    vm = env.get_vm(name)
    if vm is None:
        vm = env.create_vm(params.get("vm_type", "qemu"), params.get("target"), name, params, test.bindir)
    if _is_to_start(vm, name, params, test.bindir):
        vm.destroy(gracefully=params.get("kill_vm_gracefully") == "yes")
        vm.create(
            *(() if params.get("reuse_previous_config", "no") != "no" else (name, params, test.bindir)),
            migration_mode=params.get("migration_mode"),
            migration_exec_cmd=params.get("migration_exec_cmd_dst"),
        )
    elif params.get("start_vm") == "yes":
        LOG.debug("machine %s runs already, and goes on", name)
    elif params.get("kill_vm_before_test") == "yes":
        vm.destroy(gracefully=params.get("kill_vm_gracefully") == "yes")
    else:
        vm.params = params
    if params.get("paused_after_start_vm") == "yes" and vm.is_alive() and not vm.is_paused():
        vm.pause()


def _is_to_start(vm, name, params, basedir):
    """Whether the machine is to be started, or started anew."""
    if params.get("migration_mode"):
        return True
    if params.get("start_vm") != "yes":
        return False
    if params.get("check_vm_needs_restart", "yes") == "yes":
        return vm.needs_restart(name, params, basedir)
    return not vm.is_alive()


def postprocess_vm(test, params, env, name):
    """End machine `name` where ``kill_vm = yes``, once it has had ``kill_vm_timeout`` seconds for ending by itself."""
    vm = env.get_vm(name)
    if vm is None or params.get("kill_vm") != "yes" or vm.is_dead():
        return
    patience = float(params.get("kill_vm_timeout", 0))
    if patience:
        vm.wait_for_shutdown(patience)
    vm.destroy(gracefully=params.get("kill_vm_gracefully") == "yes")


def _kill_unresponsive(env):
    """End the machines that run and let nobody log in."""
    from aexpect.remote import LoginError
    from virttest.virt_vm import VMError

    for vm in env.get_all_vms():
        if vm.is_dead() or vm.is_paused():
            continue
        try:
            vm.login().close()
        except (LoginError, VMError) as error:
            LOG.warning("machine %s is ended, as it does not answer: %s", vm.name, error)
            vm.destroy(gracefully=False)


def process(test, params, env, image_func, vm_func, vm_first=False, fs_source_func=None):
    """Call `image_func` for every image, `fs_source_func` for every file system, and `vm_func` for every machine.

    A machine that runs is paused while its images are dealt with.

    :param vm_first: machines before images, which are checked then.
    """

    def machines():
        for name in params.objects("vms"):
            vm_func(test, params.object_params(name), env, name)

    def images(function):
        if params.get("skip_image_processing") != "yes":
            _for_each_machine(params, env, lambda view, status: process_images(function, test, view, status))

    def file_systems():
        if fs_source_func is not None and params.get("skip_fs_source_processing") != "yes":
            for name in params.objects("filesystems"):
                fs_source_func(test, params.object_params(name), name, None)

    if vm_first:
        machines()
        try:
            images(check_image)
        finally:
            images(image_func)
            file_systems()
    else:
        images(image_func)
        file_systems()
        machines()


def _for_each_machine(params, env, function):
    names = params.objects("vms")
    if not names:
        function(params, None)
    for name in names:
        vm = env.get_vm(name)
        alive = vm is not None and vm.is_alive()
        pause = alive and not vm.is_paused()
        if pause:
            vm.pause()
        try:
            function(params.object_params(name), "running" if alive else "dead")
        finally:
            if pause:
                vm.resume()


def preprocess(test, params, env):
    """Bring every image and every machine into the state that its parameters ask for; return the parameters."""
    if params.get("not_preprocess") != "yes":
        process(test, params, env, preprocess_image, preprocess_vm, fs_source_func=preprocess_fs_source)
    return params


def postprocess(test, params, env):
    """End the machines, and remove the images, that the parameters say are to go.

    With ``kill_unresponsive_vms = yes`` machines end, too, that run and let nobody log in.
    """
    process(test, params, env, postprocess_image, postprocess_vm, True, postprocess_fs_source)
    if params.get("kill_unresponsive_vms") == "yes":
        _kill_unresponsive(env)


def postprocess_on_error(test, params, env):
    """Let the parameters that end in ``_on_error`` take the place of those without."""
    params.update(params.object_params("on_error"))
