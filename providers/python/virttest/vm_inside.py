"""What a guest says of itself: processors, memory, system, kernel messages."""

import logging
import re

from virttest import absent, core, virt_vm

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.vm_inside")


class GuestFacts:
    """The part of a machine that asks its guest. Commands come from the parameters. Times are in seconds."""

    @property
    def cpuinfo(self):
        """The processors that the machine was started with."""
        return virt_vm.CpuInfo.of(self.params, core.call("vm.devices", vm=self.name).get("smp"))

    def _ask(self, command, timeout=60):
        session = self.wait_for_login(timeout=float(self.params.get("login_timeout", 240)))
        try:
            return session.cmd_output(command, timeout=timeout).strip()
        finally:
            session.close()

    def get_cpu_count(self, check_cmd="cpu_chk_cmd", connect_uri=None):
        """How many processors the guest counts; the parameter `check_cmd` names has the command."""
        return int(_last_number(self._ask(self.params[check_cmd])))

    def get_memory_size(self, cmd=None, timeout=60):
        """How much memory the guest counts, in mebibytes."""
        return self._memory(cmd or self.params.get("mem_chk_cmd"), timeout)

    def get_current_memory_size(self):
        """How much memory the guest has now, in mebibytes."""
        return self._memory(self.params.get("mem_chk_cur_cmd"), 60)

    def _memory(self, command, timeout):
        if not command:
            raise virt_vm.VMError("the parameter mem_chk_cmd says nothing about how a guest counts its memory")
        from virttest.utils_numeric import normalize_data_size

        output = self._ask(command, timeout).replace(",", "")
        sizes = re.findall(r"[0-9]+\s*[BbKkMmGgTt]?", output)
        if not sizes:
            raise virt_vm.VMError(f"the guest of {self.name} counts its memory as {output!r}")
        return int(sum(float(normalize_data_size(size, "M")) for size in sizes))

    def get_distro(self, connect_uri=None):
        """The name of the guest's distribution, ``unknown`` where it does not say."""
        text = self._ask("cat /etc/os-release /etc/redhat-release 2>/dev/null")
        name = re.search(r'^ID="?([^"\n]+)"?$', text, re.MULTILINE)
        return name.group(1) if name else "unknown"

    def uptime(self, connect_uri=None):
        """How long the guest has been up."""
        return float(self._ask("cat /proc/uptime").split()[0])

    def verify_dmesg(self, dmesg_log_file=None, connect_uri=None):
        """Raise TestFail where the guest's kernel has complained.

        The parameters ``guest_dmesg_level`` (3: up to ``crit``), ``expected_guest_dmesg`` (regular expressions between
        commas) and ``guest_dmesg_ignore`` say about what.
        """
        from avocado.core.exceptions import TestFail

        level = int(self.params.get("guest_dmesg_level", 3))
        session = self.wait_for_login(timeout=float(self.params.get("login_timeout", 240)))
        try:
            names = ",".join(_LEVELS[:level])
            status, text = session.cmd_status_output(f"dmesg -T -l {names}")
            if status != 0:  # busybox: no levels by name; the number stands before each line with -r
                lines = session.cmd_output("dmesg -r").splitlines()
                text = "\n".join(line for line in lines if _level(line) < level)
        finally:
            session.close()
        expected = self.params.get("expected_guest_dmesg", "").split(",")
        ignored = [re.compile(pattern.strip(" '\"")) for pattern in expected if pattern.strip()]
        lines = [line for line in text.splitlines() if line.strip() and not any(one.search(line) for one in ignored)]
        if not lines:
            return
        if dmesg_log_file:
            with open(dmesg_log_file, "a", encoding="utf-8") as log:
                log.write("\n".join(lines) + "\n")
        else:
            LOG.debug("the guest's kernel says: %s", "\n".join(lines))
        if self.params.get("guest_dmesg_ignore", "no") == "yes":
            return
        raise TestFail(f"the kernel of the guest of {self.name} complains: {lines[0]}")

    def verify_illegal_instruction(self):
        """Raise VMInvalidInstructionCode where the serial console shows that the guest stumbled over one."""
        with open(self.serial_console_log, encoding="utf-8", errors="replace") as log:
            found = re.search(r"invalid opcode.*", log.read())
        if found:
            raise virt_vm.VMInvalidInstructionCode(found.group(0))

    def verify_bsod(self, scrdump_file):
        """A Linux guest has no blue screen."""


#: The kernel's levels, most urgent first.
_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")


def _level(line):
    number = re.match(r"<(\d+)>", line)
    return int(number.group(1)) & 7 if number else len(_LEVELS)


def _last_number(text):
    numbers = re.findall(r"\d+", text)
    if not numbers:
        raise virt_vm.VMError(f"the guest counts its processors as {text!r}")
    return numbers[-1]
