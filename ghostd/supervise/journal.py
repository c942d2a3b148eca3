"""`state/run/engine.journal`: what became of the services, as numbered JSON lines.

The engine has no ledger. It writes here, and somebody who has one copies the lines over by their number, exactly once.
The file is bounded: at its size it becomes `engine.journal.1`, and the one before that is gone. A gap in the numbers
means that a line could not be written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ghostd.base.clock import Clock
from ghostd.supervise.logs import LogFile

MAX_SIZE = 1 << 20
_TAIL = 1 << 14


class Journal:
    """The writer's side; there is one, the engine."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._file = LogFile(path, max_size=MAX_SIZE, backups=1)
        self._file.end_line()
        self._seq = _last(path)

    def record(self, **facts: Any) -> None:
        """Append one line. A full disk costs the line, never the service."""
        self._seq += 1
        entry = {"seq": self._seq, "time": self._clock.wall(), **facts}
        self._file.write(json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        self._file.close()


def _last(path: Path) -> int:
    """The number of the newest entry, from the ends of the files only."""
    for file in (path, Path(f"{path}.1")):
        with contextlib.suppress(OSError), file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - _TAIL))
            found = [entry["seq"] for entry in _parsed(opened.read(_TAIL))]
            if found:
                return int(max(found))
    return 0


def entries(path: Path, after: int = 0) -> Iterator[dict[str, Any]]:
    """The entries with a number above `after`, oldest first: seq, time, service, from, to, why, pid, exit.

    A last line that is still being written, and the note about lines that are missing, are passed over.
    """
    for file in (Path(f"{path}.1"), path):
        with contextlib.suppress(FileNotFoundError):
            yield from (entry for entry in _parsed(file.read_bytes()) if entry["seq"] > after)


def _parsed(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("seq"), int):
                yield entry
