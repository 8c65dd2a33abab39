#!/usr/bin/env python3
"""Compares `vtbuild cartesian` with the reference's own command line, byte for byte.

Runs under the interpreter that peer.sh makes:

    target/peer/bin/python cfg/conformance/command_line.py --vtbuild target/release/vtbuild --corpus "$VTBUILD_CORPUS"

Every small case of the corpus, every whole file of it and the smaller queries over the configuration set are listed with
several sets of options by both programs. Standard output must be the same, and one must fail if and only if the other does.
Prints each difference; exits 1 if there is any.
"""

import argparse
import csv
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# Imported once, so that the children that run the command need not.
import collections  # noqa: F401  pylint: disable=unused-import
import optparse  # noqa: F401  pylint: disable=unused-import
import pprint  # noqa: F401  pylint: disable=unused-import

OPTIONS = (["-c"], ["-c", "-f"], ["-r"], ["-d", "-c"], ["-s", "-c"], ["-d", "-e", "v, w", "-s", "-r"], ["-f"], [])
QUERY_OPTIONS = (["-c"], ["-r"], ["-d", "-f"])
# Queries with more variants than this take the reference too long to be listed several times.
MOST_VARIANTS = 300


class Main(str):
    """The name of a module that runs as the main program, and still prints its own name where it shows its classes."""

    def __eq__(self, other):
        return other == "__main__" or str.__eq__(self, other)

    def __hash__(self):
        return str.__hash__(self)


def reference(arguments, folder):
    """Standard output of the reference's command, and whether it failed."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.chdir(folder)
                os.dup2(out.fileno(), 1)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                sys.stdout = os.fdopen(1, "w", encoding="utf-8")
                sys.argv = ["cartesian_config.py", *arguments]
                signal.alarm(300)
                runpy.run_module("virttest.cartesian_config", run_name=Main("cartesian_config"))
                status = 0
            except SystemExit as stop:
                status = int(bool(stop.code))
            except BaseException:  # pylint: disable=broad-except
                status = 1
            finally:
                try:
                    sys.stdout.flush()
                finally:
                    os._exit(status)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        return out.read(), os.waitstatus_to_exitcode(status) != 0


def ours(vtbuild, arguments, folder):
    """Standard output of `vtbuild cartesian`, and whether it failed; a failure must have exit code 3 and a position."""
    done = subprocess.run([vtbuild, "cartesian", *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode not in (0, 3):
        return f"exit code {done.returncode}\n".encode() + done.stderr, True
    return done.stdout, done.returncode != 0


def first_difference(theirs, mine):
    theirs, mine = theirs.decode(errors="replace").split("\n"), mine.decode(errors="replace").split("\n")
    for number, (left, right) in enumerate(zip(theirs, mine), 1):
        if left != right:
            return f"line {number}\n    reference {left}\n    ours      {right}"
    return f"{len(theirs)} and {len(mine)} lines"


def inputs(corpus):
    """Name, folder, file, extra texts and sets of options of everything that is listed."""
    for folder in sorted((corpus / "cases").iterdir()):
        if folder.is_dir():
            lines = json.loads((folder / "options.json").read_text()).get("lines", [])
            yield folder.name, folder, "input.cfg", lines, OPTIONS
    for path in sorted((corpus / "files").glob("*.cfg")):
        yield path.name, path.parent, path.name, [], OPTIONS
    with open(corpus / "qemu" / "queries.tsv", newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            plain = not json.loads(row["options_json"])
            if plain and int(row["variants"]) <= MOST_VARIANTS:
                yield row["id"], corpus / "qemu" / "cfg", row["cfg"], json.loads(row["lines_json"]), QUERY_OPTIONS


def compare(vtbuild, corpus):
    runs, different = 0, 0
    for name, folder, file, lines, option_sets in inputs(corpus):
        for options in option_sets:
            # An extra text that looks like an option is one for both programs.
            arguments = [*options, file, *lines]
            (theirs, failed), (mine, refused) = reference(arguments, folder), ours(vtbuild, arguments, folder)
            runs += 1
            if theirs == mine and failed == refused:
                continue
            different += 1
            print(f"{name} {' '.join(options)}: reference {'fails' if failed else 'succeeds'}, "
                  f"ours {'fails' if refused else 'succeeds'}")
            if theirs != mine:
                print("  " + first_difference(theirs, mine))
    print(f"{runs} command lines, {different} differ")
    return different == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--vtbuild", required=True, type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--corpus", default=os.environ.get("VTBUILD_CORPUS"), type=Path)
    args = parser.parse_args()
    if args.corpus is None:
        parser.error("name the corpus by --corpus or VTBUILD_CORPUS")
    sys.exit(0 if compare(args.vtbuild, args.corpus) else 1)


if __name__ == "__main__":
    main()
