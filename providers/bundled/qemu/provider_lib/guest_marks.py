"""Marks in a running guest by which one can tell whether it is still the same, and went on running."""

import hashlib

#: In memory: gone after a reboot.
MEMORY_FILE = "/run/migration-mark"
#: On the disk: kept.
DISK_FILE = "/root/migration-mark"
#: In memory, too: a line for every time that the background process came round.
COUNT_FILE = "/run/migration-count"
KILOBYTES = 512


class GuestMarks:
    """What a guest was like when the marks were set."""

    def __init__(self, session):
        """Set the marks: random bytes in memory and on the disk, and a process that goes on counting."""
        for path in (MEMORY_FILE, DISK_FILE):
            session.cmd("dd if=/dev/urandom of=%s bs=1024 count=%d 2>/dev/null" % (path, KILOBYTES))
        session.cmd("sync", timeout=120)
        counter = "while :; do echo round >> %s; sleep 0.2; done" % COUNT_FILE
        self.pid = session.cmd("nohup sh -c '%s' >/dev/null 2>&1 & echo $!" % counter).split()[-1]
        self.boot_id = read_boot_id(session)
        self.sums = {path: checksum(session, path) for path in (MEMORY_FILE, DISK_FILE)}

    def verify_same_boot(self, test, session):
        """Fail unless the guest never stopped running: the same boot, memory, disk and process."""
        boot_id = read_boot_id(session)
        if boot_id != self.boot_id:
            test.fail("the guest was rebooted: its boot id was %s and is %s" % (self.boot_id, boot_id))
        for path in self.sums:
            self._verify_file(test, session, path)
        if session.cmd_status("kill -0 %s" % self.pid) != 0:
            test.fail("the background process %s is gone" % self.pid)
        before = read_count(session)
        session.cmd("sleep 2")
        after = read_count(session)
        if after <= before:
            test.fail("the background process %s stands still at %d" % (self.pid, after))
        test.log.info(
            "the guest is the same: boot id, memory, disk, and a process that counted from %d to %d", before, after
        )

    def verify_rebooted(self, test, session):
        """Fail unless the guest was rebooted since, and its disk is what it was."""
        boot_id = read_boot_id(session)
        if boot_id == self.boot_id:
            test.fail("the guest was not rebooted: its boot id is still %s" % boot_id)
        if session.cmd_status("test -e %s" % MEMORY_FILE) == 0:
            test.fail("the guest was rebooted, and %s in its memory is still there" % MEMORY_FILE)
        self._verify_file(test, session, DISK_FILE)
        test.log.info("the guest was rebooted, and its disk is the same")

    def _verify_file(self, test, session, path):
        now = checksum(session, path)
        if now != self.sums[path]:
            test.fail("%s changed: its checksum was %s and is %s" % (path, self.sums[path], now))


def read_boot_id(session):
    """Return the id that the kernel makes anew at every boot."""
    return session.cmd("cat /proc/sys/kernel/random/boot_id").strip()


def read_count(session):
    """Return how often the background process came round."""
    return int(session.cmd("wc -l < %s" % COUNT_FILE))


def checksum(session, path):
    """Return the SHA-256 checksum of a file in the guest."""
    digest = session.cmd("sha256sum %s" % path, timeout=120).split()[0]
    if len(digest) != hashlib.sha256().digest_size * 2:
        raise ValueError("sha256sum %s printed %r" % (path, digest))
    return digest
