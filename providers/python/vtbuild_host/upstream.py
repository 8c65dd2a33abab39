"""The upstream runtime: upstream's own packages run the whole test, in a world that the core prepared.

Parameters, images and folders come from the core, as for every other runtime. What upstream does for a test and what
would disturb a neighbour, or be done again for each test, is replaced:

====================================  ================================================================================
upstream                              here
====================================  ================================================================================
reads the user's avocado.conf         reads none (:func:`preload`)
one temporary folder a process        a short one of the test's own
ports and displays: first free one    leased from all tests of this host (:mod:`vtbuild_host.ports`)
forwards ports on all addresses       on the loopback address (:mod:`vtbuild_host.loopback`)
asks QEMU dozens of questions         asks each once per binary (:mod:`vtbuild_host.probes`)
listens to the network with tcpdump   not with user networking, where there is nothing to hear
saves its environment as a pickle     keeps it in the process, which ends with the test
``aexpect_helper`` from the PATH      from a folder with that one program (:mod:`vtbuild_host.programs`)
finds its libvirt guest installed     each test has domains of its own (:mod:`vtbuild_host.domains`)
``remote_build.Builder`` on Python 2  as in the other runtimes (:mod:`vtbuild_host.upstream_builder`)
====================================  ================================================================================

The order of phases is that of upstream's own runner: preprocess, the modules of ``type``, functions at exit, what is to
be done on an error, postprocess. The packages are imported once (:mod:`vtbuild_host.forkserver`); each test is a process.
"""

import importlib
import logging
import sys

from vtbuild_host import domains, layers, loopback, places, ports, probes, programs, stage, upstream_builder, world
from vtbuild_host.verdict import Verdict, one_line

LOG = logging.getLogger("avocado.vtbuild.upstream")
stage.is_of_the_host(__file__)

#: What nearly every test imports: loaded once, before the first test. ``utils_misc`` comes first, as in ``layers``.
_PRELOADED = (
    "virttest.utils_misc",
    "virttest.env_process",
    "virttest.qemu_vm",
    "virttest.qemu_storage",
    "virttest.utils_test",
    "virttest.utils_disk",
    "virttest.error_event",
    "virttest.funcatexit",
    "virttest.remote_build",
)

#: What upstream's own launcher sets from its options and configuration, for a host without privileges.
_OPTIONS = {
    "vm_type": "qemu",
    # Looked into for every card, machine and monitor, whatever its kind.
    "netdst": "virbr0",
    "pci_assignable": "no",
    "flexible_nic_index": "no",
    "qemu_preconfig": "off",
    "qemu_stop": "on",
    "memballoon_model": "virtio",
    "vcpu_books": "INVALID",
    "vcpu_clusters": "INVALID",
    "vcpu_drawers": "INVALID",
    "sysprep_required": "no",
    "image_verify_bootable": "no",
    "run_tcpdump": "no",
    "kill_vm": "yes",
    # Logs in to machines to find out: waits minutes for one that has no system.
    "kill_unresponsive_vms": "no",
    # Belong to all tests of the host, not to one; the second would rewrite its configuration, and start its daemon anew.
    "verify_host_dmesg": "no",
    "enable_libvirtd_debug_log": "no",
    "take_regular_screendumps": "no",
    "store_vm_info": "no",
}


def preload():
    """Import upstream's packages. They see an empty configuration, and folders that are replaced for each test."""
    if not layers.UPSTREAM:
        raise RuntimeError(f"{layers.UPSTREAM_VARIABLE} names no folder of packages")
    sys.path.insert(0, layers.UPSTREAM)
    # Where upstream looks for configuration and keeps data, instead of the user's home.
    with places.unsettled(VIRTUAL_ENV="{root}"):
        importlib.import_module("avocado")
        _stand_in()
        for name in _PRELOADED:
            importlib.import_module(name)


def _stand_in():
    from virttest import data_dir

    places.stand_in({"data_dir": data_dir.DATA_DIR})
    # Whether other users may look into it is decided by the core, which makes the folder.
    data_dir.get_tmp_dir = lambda public=True: places.folder("tmpdir")


def serve(connection, start):
    """Run the test that `start` describes and send its verdict."""
    stage.set_up_log(start["log"])
    folders = stage.extend_path(start)
    try:
        scene = world.World(start)
        programs.offer("aexpect_helper", start["dirs"]["tmpdir"])
        probes.remember(start.get("probes"))
        ports.lease_for_this_process()
        loopback.listen_there()
        _show_steps(connection)
        verdict = _run(scene, start)
        deps = scene.deps.used
    except BaseException as error:  # a fault of ours, or of the packages
        verdict, deps = stage.log_error(error), []
    reads = {**stage.NO_READS, "all": True}
    stage.send_verdict(connection, verdict, modules=stage.loaded_files(folders), deps=deps, reads=reads)


def _run(scene, start):
    """The phases of a test, in upstream's order."""
    from virttest import env_process, utils_env, utils_params

    params = utils_params.Params(start["params"])
    params.update({key: value for key, value in _OPTIONS.items() if key not in params})
    params.update(_generators(params))
    params.update(_programs(start))
    test = scene.test(start, params)
    env = utils_env.Env()
    if all(params.object_params(nic).get("nettype", "user") == "user" for nic in params.objects("nics")):
        env.start_ip_sniffing = lambda params: env.data.setdefault("address_cache", _addresses())
    upstream_builder.offer(scene.deps, env)
    verdict = Verdict()
    try:
        try:
            domains.prepare(params, env, start["dirs"]["data_dir"])
            params = env_process.preprocess(test, params, env)
            for module in start["modules"]:
                run = stage.load(module["name"], module["path"])
                LOG.info("running %s (%s)", module["name"], module["path"])
                run(test, params, env)
                test.verify_background_errors()
        except BaseException as error:
            verdict = stage.log_error(error)
        verdict = _at_exit(verdict, params, env)
        if verdict.status != "PASS":
            _quietly("postprocess_on_error", env_process.postprocess_on_error, test, params, env)
        verdict = _postprocess(verdict, test, params, env)
    finally:
        _quietly("the end of the machines", env.destroy)
    return verdict


def _at_exit(verdict, params, env):
    from virttest import funcatexit

    failures = funcatexit.run_exitfuncs(env, params.get("type", "").split()[-1])
    return verdict.then("WARN", f"funcatexit failed with: {failures}") if failures else verdict


def _postprocess(verdict, test, params, env):
    """A problem here is the test's only where it had passed."""
    from virttest import env_process

    params["test_passed"] = str(verdict.status == "PASS")
    try:
        env_process.postprocess(test, params, env)
    except BaseException as error:
        after = stage.log_error(error)
        return verdict.then(after.status, after.reason)
    return verdict


def _quietly(what, function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        LOG.error("%s: %s: %s", what, type(error).__name__, error)


def _programs(start):
    """What the core found on this host, as parameters."""
    qemu = start.get("qemu", {})
    found = {
        "qemu_binary": qemu.get("binary"),
        "qemu_img_binary": qemu.get("img"),
        "qemu_io_binary": qemu.get("io"),
    }
    if start.get("accelerator") == "tcg":
        found.update(disable_kvm="yes", enable_kvm="no")
    return {key: value for key, value in found.items() if value}


def _generators(params):
    """Where the random numbers of each generator come from, which our configurations leave to us."""
    kinds = {"backend": "rng-builtin", "backend_type": "builtin"}
    return {
        f"{key}_{generator}": kind
        for generator in params.objects("virtio_rngs")
        for key, kind in kinds.items()
        if not params.object_params(generator).get(key)
    }


def _addresses():
    from virttest import ip_sniffing

    return ip_sniffing.AddrCache()


def _show_steps(connection):
    """Tell the core what the test says it is doing."""
    from virttest import error_context

    inner = error_context.context

    def context(s="", log=None):
        inner(s, log)
        if s:
            connection.note("step", text=one_line(s))

    error_context.context = context


def main():
    """Serve the core that started this process; return the process's exit status."""
    return stage.converse(serve)
