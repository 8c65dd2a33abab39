"""What is known of the tests, kept on disk as soon as it is known, and the tables that are made of it."""

import dataclasses
import json
import re

#: The columns. The first two are runtimes of vtbuild.
WAYS = ("layered", "upstream", "original")

_FOOTNOTE = (
    "Names in bold ended differently. ¹ The layered runtime lacks something; the default runs the test by upstream's packages."
)


def is_named(label, name):
    """Whether a test that calls itself `label` is the variant `name`: there may be a number and a group before it."""
    return re.fullmatch(r"(\d+-)?(.*\.)?" + re.escape(name), label) is not None


def result(status, reason, seconds):
    """How one test ended; `seconds` is None where nothing ran."""
    return {"status": status, "reason": reason, "seconds": seconds}


@dataclasses.dataclass
class Job:
    """Tests that were run by one command."""

    #: By name.
    results: dict
    #: Of the whole command, with all that it did beside running tests.
    seconds: float

    def shares(self):
        """Each test's result with its part of the command's seconds: its own, and of the rest as much as any other's."""
        own = sum(ended["seconds"] or 0 for ended in self.results.values())
        rest = (self.seconds - own) / len(self.results)
        return {name: {**ended, "wall": (ended["seconds"] or 0) + rest} for name, ended in self.results.items()}


class Record:
    """Results by test and way, kept line by line. The last one counts."""

    def __init__(self, path):
        self._path = path
        self._results = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self._results[entry["name"], entry["way"]] = entry

    def has(self, name, way):
        return (name, way) in self._results

    def get(self, name, way):
        return self._results.get((name, way))

    def add(self, name, way, result):
        entry = {"name": name, "way": way, **result}
        self._results[name, way] = entry
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


#: Names under which whole runs are kept.
AGAIN = "*second time*"
BESIDE = "*side by side*"


def table(names, record):
    """What is known, as Markdown: a line for each test, and the sums."""
    lines = ["| test | " + " | ".join(f"{way} | s" for way in WAYS) + " |", "|---|" + "---|--:|" * len(WAYS)]
    for name in names:
        cells = []
        for way in WAYS:
            ended = record.get(name, way)
            by_another = "¹" if ended and (ended["reason"] or "").startswith("by upstream") else ""
            cells += [ended["status"] + by_another, _seconds(ended["seconds"])] if ended else ["", ""]
        differ = len({cell.rstrip("¹") for cell in cells[::2] if cell}) > 1
        lines.append(f"| {'**' + name + '**' if differ else name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_sums(names, record)]) + "\n"


def _seconds(seconds):
    return "" if seconds is None else f"{seconds:.1f}"


def _sums(names, record):
    used = [way for way in WAYS if any(record.has(name, way) for name in names)]
    every = [name for name in names if all(record.has(name, way) for way in used)]
    lines = [f"{len(every)} tests have a result each way. {_FOOTNOTE}", ""]
    lines += ["| | " + " | ".join(used) + " |", "|---|" + "--:|" * len(used)]
    for status in sorted({record.get(name, way)["status"] for name in every for way in used}):
        counts = [sum(record.get(name, way)["status"] == status for name in every) for way in used]
        lines.append(f"| {status} | " + " | ".join(map(str, counts)) + " |")
    for head, key in (("seconds of the tests", "seconds"), ("seconds of the jobs, cold", "wall")):
        sums = [sum(record.get(name, way)[key] or 0 for name in every) for way in used]
        lines.append(f"| {head} | " + " | ".join(map(_seconds, sums)) + " |")
        if "original" in used:
            times = [f"{sums[-1] / seconds:.1f} times as fast" if seconds else "" for seconds in sums]
            lines.append("| | " + " | ".join(times) + " |")
    lines += _whole_runs(used, record, AGAIN, "the second time, what passed", "{cached} of {of} from the cache")
    lines += _whole_runs(used, record, BESIDE, "all of it, side by side", "{passed} of {of} passed")
    return lines


def _whole_runs(used, record, name, head, what):
    runs = [record.get(name, way) for way in used]
    if not any(runs):
        return []
    cells = [f"{run['wall']:.1f} ({what.format(**run)})" if run else "" for run in runs]
    return [f"| {head} | " + " | ".join(cells) + " |"]
