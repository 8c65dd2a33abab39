"""Jobs of vtbuild: some of the chosen tests in one run, by one runtime, in a workspace and with a cache of their own."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from original import PROVIDER, SHORTER
from record import Job, is_named, result

RUNTIMES = ("layered", "upstream")

#: How a test ends that asks the layered runtime for something that it has not.
_LACKING = "is not part of the built-in test host"


class Ours:
    """A workspace below `folder` whose only provider is the checkout."""

    def __init__(self, folder, program, tp_qemu, timeout):
        """`timeout`: seconds that one test may take."""
        self.folder = Path(folder)
        self.program = program
        self.timeout = timeout
        self.workspace = self.folder / "workspace"
        self._make_workspace(tp_qemu)

    def prepare(self):
        """Have the bundled guest built and upstream's packages installed, unless that was done. No time includes it."""
        done = self.folder / "prepared"
        if done.exists():
            return
        print("building the bundled guest and installing upstream's packages (2 minutes)", file=sys.stderr, flush=True)
        for runtime in RUNTIMES:
            said, _, tests = self._run(["boot"], runtime, ["--no-guest-state"])
            if not tests:
                raise SystemExit(f"nothing could be run:\n{said[-3000:]}")
        done.write_text("", encoding="utf-8")

    def job(self, names, runtime):
        """Run the tests in one job, known or not, one after the other.

        What the layered runtime lacks is left to the default, `auto`, which falls back to upstream; the reason says so.
        """
        job = self._job(names, runtime, ["--force", "--jobs", "1"])
        lacking = [name for name in names if runtime == "layered" and _lacks(job.results[name])]
        if lacking:
            by_another = self._job(lacking, "auto", ["--force", "--jobs", "1"])
            for name in lacking:
                reason = f"by upstream: {job.results[name]['reason']}"
                job.results[name] = {**by_another.results[name], "reason": reason}
            job.seconds += by_another.seconds
        return job

    def again(self, names, runtime):
        """Run them in one job, from the cache where that knows them: its seconds, and how many it knew."""
        _, seconds, tests = self._run(names, runtime, ["--jobs", "1"])
        return {"wall": seconds, "of": len(tests), "cached": sum(test["cached"] for test in tests)}

    def beside(self, names, runtime):
        """Run them in one job, known or not, as many at once as the host has processors."""
        _, seconds, tests = self._run(names, runtime, ["--force"])
        return {"wall": seconds, "of": len(tests), "passed": sum(test["status"] == "PASS" for test in tests)}

    def _job(self, names, runtime, options):
        said, seconds, tests = self._run(names, runtime, options)
        results = {}
        for name in names:
            found = [test for test in tests if is_named(test["label"], f"{PROVIDER}.{name}")]
            if len(found) == 1:
                results[name] = result(found[0]["status"], found[0]["reason"], found[0]["seconds"])
            else:
                results[name] = result("-", f"{len(found)} tests have this name" if tests else said[:300], None)
        return Job(results, seconds)

    def _run(self, names, runtime, options):
        """What the command said of problems, its seconds, and the tests of its job."""
        results = self.workspace / "job-results"
        shutil.rmtree(results, ignore_errors=True)
        targets = "//" + ",".join(f"{PROVIDER}..{name}" for name in names)
        shorter = [word for key, value in SHORTER.items() for word in ("--param", f"{key}={value}")]
        words = ["run", targets, "--runtime", runtime, "--timeout", str(self.timeout), "--progress", "plain"]
        environment = {**os.environ, "VTBUILD_CACHE": str(self.folder / "cache"), "NO_COLOR": "1"}
        command = [self.program, *words, *options, *shorter]
        began = time.monotonic()
        done = subprocess.run(command, cwd=self.workspace, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        try:
            tests = json.loads((results / "latest" / "results.json").read_text(encoding="utf-8"))["tests"]
        except OSError:
            tests = []
        return done.stderr.strip() or "it said nothing", seconds, tests

    def _make_workspace(self, tp_qemu):
        definitions = self.workspace / "test-providers.d"
        definitions.mkdir(parents=True, exist_ok=True)
        (self.workspace / "vtbuild.toml").touch()
        uri = Path(tp_qemu).resolve().as_uri()
        text = f"[provider]\nuri: {uri}\n[generic]\nsubdir: generic/\n[qemu]\nsubdir: qemu/\n"
        (definitions / f"{PROVIDER}.ini").write_text(text, encoding="utf-8")


def _lacks(ended):
    return ended["status"] == "ERROR" and _LACKING in (ended["reason"] or "")
