"""From how a test's body ended to what the core is told."""

import traceback

#: The statuses that the core knows.
STATUSES = ("PASS", "FAIL", "ERROR", "WARN", "SKIP", "CANCEL")

#: A reason is one line of at most so many characters; the whole text is in the traceback.
REASON_LENGTH = 600


class Verdict:
    """A status and, unless it is PASS, why."""

    def __init__(self, status="PASS", reason=None, class_name=None, trace=None):
        self.status = status
        self.reason = reason
        self.class_name = class_name
        self.traceback = trace

    def then(self, status, reason):
        """The verdict after something else went wrong behind the body: only a pass becomes worse by it."""
        return Verdict(status, one_line(reason)) if self.status == "PASS" else self

    def fields(self):
        """The fields of the note."""
        return {
            "status": self.status,
            "reason": self.reason,
            "class": self.class_name,
            "traceback": self.traceback,
        }


def judge(error, skip_frames_of=()):
    """The verdict on a test whose body raised `error`.

    :param skip_frames_of: files whose frames, at the outer end of the traceback, are the host's and not the test's.
    """
    status = error.status if _carries_status(error) else "ERROR"
    if status not in STATUSES:
        status = "ERROR"  # an interruption is the core's to decide
    return Verdict(status, _reason(error), type(error).__name__, _trace(error, skip_frames_of))


def _carries_status(error):
    from avocado.core.exceptions import TestBaseException  # whose it is, is decided after this module is loaded

    return isinstance(error, TestBaseException)


def one_line(text):
    """`text` with every run of white space made one space; the middle of what is longer than REASON_LENGTH is left out.

    What went wrong stands at the beginning, the newest lines of a log at the end.
    """
    line = " ".join(str(text).split())
    if len(line) <= REASON_LENGTH:
        return line
    head = REASON_LENGTH // 2
    return line[: head - 1] + "…" + line[head - REASON_LENGTH :]


def _reason(error):
    text = one_line(error)
    if _carries_status(error) and text:
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _trace(error, skip_frames_of):
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in skip_frames_of:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))
