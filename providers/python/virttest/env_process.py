"""Starting machines from within a test."""

from virttest import absent

__getattr__ = absent(__name__)


def preprocess_vm(test, params, env, name):
    """Bring machine `name` into the state that its parameters ask for.

    It is made where it does not exist. With ``start_vm = yes`` it runs afterwards, started anew where its parameters
    are others than those it runs with; without, and with ``kill_vm_before_test = yes``, it does not.

    :param params: the machine's own view: ``params.object_params(name)``.
    """
    vm = env.get_vm(name)
    if vm is None:
        vm = env.create_vm(params.get("vm_type", "qemu"), params.get("target"), name, params, test.bindir)
    alive = vm.is_alive()
    if params.get("start_vm") == "yes" or params.get("migration_mode"):
        if alive and vm.params.plain() == params.plain():
            return
        if alive:
            vm.destroy(gracefully=params.get("kill_vm_gracefully") == "yes")
        vm.create(name, params, test.bindir, migration_mode=params.get("migration_mode"))
    elif alive and params.get("kill_vm_before_test") == "yes":
        vm.destroy(gracefully=params.get("kill_vm_gracefully") == "yes")
    else:
        vm.params = params


def preprocess(test, params, env):
    """Bring every machine in ``vms`` into the state that its parameters ask for."""
    for name in params.objects("vms"):
        preprocess_vm(test, params.object_params(name), env, name)


def postprocess(test, params, env):
    """End every machine in ``vms`` that has ``kill_vm = yes``."""
    for name in params.objects("vms"):
        view = params.object_params(name)
        vm = env.get_vm(name)
        if vm is not None and view.get("kill_vm") == "yes":
            vm.destroy(gracefully=view.get("kill_vm_gracefully") == "yes")
