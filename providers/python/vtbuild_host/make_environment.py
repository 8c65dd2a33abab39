"""Make the environment that upstream's packages are imported from: a virtual environment, pip, one archive.

``python3 make_environment.py REQUIREMENTS WORK OUT`` installs what REQUIREMENTS pins into a virtual environment in the
folder WORK and writes its packages to the archive OUT. Lines ``step: …`` on standard output say what it is doing. The same
requirements and the same Python make the same bytes.

The environment itself is thrown away: what counts are its packages, which are imported from wherever the archive is
unpacked. No test ever has the environment's programs on its ``PATH``.

=====  ===============================================================================
exit   meaning
=====  ===============================================================================
0      OUT is there
1      what this host lacks, or what pip said, is on standard error
=====  ===============================================================================
"""

import io
import os
import subprocess
import sys
import tarfile

#: What pip is told beside the requirements: nothing that is not pinned, nothing that runs code of its own to be built.
_STRICT = ("--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile")
_QUIET = ("--disable-pip-version-check", "--no-input", "--progress-bar=off")

#: What pip installs beside packages: programs, and a file that changes how the interpreter starts.
_NO_PACKAGES = ("distutils-precedence.pth", "_distutils_hack")

#: The programs that upstream's packages start themselves.
_PROGRAMS = ("aexpect_helper",)


class Lacking(Exception):
    """What this host lacks, and what to do about it."""


def step(text):
    """Say what is being done."""
    print(f"step: {text}", flush=True)


def make(requirements, work, out):
    """Do all of it. Raise Lacking where this host cannot."""
    step("making a virtual environment")
    python = _virtual_environment(os.path.join(work, "venv"))
    packages = os.path.join(work, "packages")
    step("installing upstream's packages with pip")
    _install(python, requirements, packages)
    step("compiling upstream's packages")
    _compile(python, packages)
    step("packing")
    pack(packages, out)


def _virtual_environment(folder):
    """Make a virtual environment with pip in it and return its interpreter."""
    made = _run([sys.executable, "-m", "venv", folder])
    if made.returncode != 0:
        raise Lacking(f"python3 cannot make a virtual environment; run: apt-get install python3-venv ({_last(made)})")
    return os.path.join(folder, "bin", "python")


def _install(python, requirements, packages):
    command = [python, "-m", "pip", "install", *_STRICT, *_QUIET, "--target", packages, "-r", requirements]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    with process.stdout:
        for line in process.stdout:
            line = line.strip()
            lines.append(line)
            print(line, flush=True)
            if line.startswith("Collecting "):
                step(f"installing {line.split()[1]}")
    if process.wait() != 0:
        raise Lacking(
            f"pip could not install {os.path.basename(requirements)}; a network that reaches PyPI, or a mirror of it "
            f"(PIP_INDEX_URL), is needed once: {_complaint(lines)}"
        )


def _complaint(lines):
    """The first of pip's lines that says what is wrong; its last one where none does."""
    wrong = [line for line in lines if line.startswith("ERROR:")]
    return (wrong or [line for line in lines if line] or ["it said nothing"])[0]


def _compile(python, packages):
    # Checked by nobody: the folder that the archive is unpacked to is read-only.
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", packages]
    _run([python, "-m", "compileall", *options, packages])  # files in other dialects of Python stay as they are


def pack(packages, out):
    """Write all files below `packages` to the archive `out`, such that the same files make the same bytes."""
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder, folders, files in os.walk(packages):
            folders[:] = sorted(name for name in folders if folder != packages or name not in _NO_PACKAGES)
            programs = folder == os.path.join(packages, "bin")
            for name in sorted(files):
                if (folder == packages and name in _NO_PACKAGES) or (programs and name not in _PROGRAMS):
                    continue
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    content = _without_interpreter(file.read()) if programs else file.read()
                entry = tarfile.TarInfo(os.path.relpath(path, packages))
                entry.size = len(content)
                entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
                archive.addfile(entry, io.BytesIO(content))


def _without_interpreter(program):
    """A program's text without its first line, which names an interpreter that is thrown away."""
    first, newline, rest = program.partition(b"\n")
    return rest if first.startswith(b"#!") and newline else program


def _run(command):
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )


def _last(finished):
    lines = finished.stdout.strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {finished.returncode}"


def main(arguments):
    """The program."""
    requirements, work, out = arguments
    try:
        make(requirements, work, out)
    except Lacking as lacking:
        print(lacking, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
