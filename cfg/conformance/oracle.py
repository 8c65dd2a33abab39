"""Answers what the reference implementation makes of a program, many programs a process.

Reads one request a line from standard input, writes one answer a line to standard output; both are JSON objects.

A request: `root` (a file to parse) or `text` (a string to parse), `lines` (strings parsed after it), `defaults`, `expand`,
`keep_dups`, `most` (how many variants are wanted at most) and `seconds` (how long it may take).

An answer: `dumps`, the canonical dump of each variant, and, if something was raised, `error`: its `class`, `file`, `line`
(where it has them) and `message`. An answer with `slow` says that the time ran out.
"""

import importlib.util
import itertools
import json
import signal
import sys
import types


def load(package, name):
    """The module under its bare name: one of its quirks prints it, and users of the file alone see it so."""
    found = importlib.util.spec_from_file_location(name, importlib.util.find_spec(f"{package}.{name}").origin)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


peer = load("virttest", "cartesian_config")


class Slow(BaseException):
    """The time for one program is up. No handler for ordinary errors may swallow it."""


def ring(_signal, _frame):
    raise Slow


def dump(variant):
    return json.dumps(variant, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def expand(request, dumps):
    peer.options = types.SimpleNamespace(skipdups=not request["keep_dups"])
    parser = peer.Parser(defaults=request["defaults"], expand_defaults=request["expand"])
    if request.get("root"):
        parser.parse_file(request["root"])
    else:
        parser.parse_string(request["text"])
    for line in request["lines"]:
        parser.parse_string(line)
    for variant in itertools.islice(parser.get_dicts(), request["most"]):
        dumps.append(dump(variant))


def describe(error):
    place = {"file": getattr(error, "filename", None), "line": getattr(error, "linenum", None)}
    known = (peer.ParserError, peer.MissingIncludeError)
    if not isinstance(error, known):
        place = {"file": None, "line": None}
    return {"class": type(error).__name__, "message": str(error), **place}


def answer(request):
    dumps = []
    reply = {"dumps": dumps}
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    try:
        expand(request, dumps)
    except Slow:
        reply["slow"] = True
    except Exception as error:  # pylint: disable=broad-except
        reply["error"] = describe(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return reply


def main():
    signal.signal(signal.SIGALRM, ring)
    for line in sys.stdin:
        reply = answer(json.loads(line))
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
