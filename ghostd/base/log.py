"""Log lines for people: one line each, UTC, no control characters of a stranger."""

from __future__ import annotations

import logging
import re
import sys

from ghostd.base.clock import rfc3339

# C0 and C1 controls, line separators and bidirectional overrides can rewrite what a terminal shows.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A stranger's text with every unsafe character written as `\\xNN` or `\\uNNNN`; newlines and tabs stay."""
    return _UNSAFE.sub(lambda m: m[0].encode("unicode_escape").decode(), text)


def one_line(text: str, limit: int = 500) -> str:
    """A stranger's text as a single safe line of at most `limit` characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{rfc3339(record.created)} {record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return printable(text)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send all loggers to stderr in our format; a service's stderr is kept by the supervisor."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=level, handlers=[handler], force=True)
