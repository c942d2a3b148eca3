"""Log files that are rotated at a line's end and never stop anybody: what can not be written is counted and told."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from pathlib import Path

from ghostd.base.log import one_line

#: A "line" that is longer than a whole file and this is no line: it may be split.
_OVERLONG = 1 << 20


class LogFile:
    """One append-only file with numbered older ones beside it (`.1` is the newest). No method raises OSError."""

    def __init__(self, path: Path, *, max_size: int, backups: int) -> None:
        self.path = path
        self.max_size = max_size
        self.backups = backups
        #: Bytes that could not be written since the last time it worked.
        self.dropped = 0
        self._trouble = ""
        self._fd: int | None = None
        self._size = 0
        self._fresh_line = True

    def write(self, data: bytes) -> None:
        """Append; a file that is full is put aside, at a line's end."""
        while data:
            piece = data[: self._cut(data)]
            data = data[len(piece) :]
            try:
                self._append(piece)
            except OSError as error:
                self.dropped += len(piece)
                self._trouble = error.strerror or str(error)
                self.close()

    def touch(self) -> None:
        """Make the file, so that a service which says nothing has an empty log and not none."""
        with contextlib.suppress(OSError):
            if self._fd is None:
                self._open()

    def end_line(self) -> None:
        """Close a line that somebody before us was killed in the middle of."""
        self.touch()
        if self._fd is not None and not self._fresh_line:
            with contextlib.suppress(OSError):
                self._put(b"\n")

    def reopen(self) -> None:
        """Follow a file that somebody has moved away."""
        self.close()

    def clear(self) -> None:
        """Begin anew with an empty file."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.touch()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _cut(self, data: bytes) -> int:
        """How much of it goes into the current file: whole lines, as long as there is one."""
        room = self.max_size - self._size
        if self.max_size <= 0 or len(data) <= room:
            return len(data)
        last = data.rfind(b"\n", 0, max(room, 0)) + 1
        return last or data.find(b"\n", max(room, 0)) + 1 or len(data)

    def _append(self, piece: bytes) -> None:
        if self._fd is None:
            self._open()
        over = self._size + len(piece) - self.max_size
        if self._size and self.max_size > 0 and (over > 0 if self._fresh_line else over > _OVERLONG):
            self._rotate()
        self._tell_dropped()
        self._put(piece)

    def _put(self, data: bytes) -> None:
        assert self._fd is not None
        while data:
            written = os.write(self._fd, data)
            self._size += written
            self._fresh_line = data[written - 1 : written] == b"\n"
            data = data[written:]

    def _tell_dropped(self) -> None:
        if self.dropped:
            line = f"[ghostd: {self.dropped} bytes of output are missing here: {self._trouble}]\n"
            self._put((b"" if self._fresh_line else b"\n") + line.encode())
            self.dropped = 0

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._fresh_line = self._size == 0 or os.pread(self._fd, 1, self._size - 1) == b"\n"

    def _rotate(self) -> None:
        self.close()
        if self.backups <= 0:
            self.path.unlink(missing_ok=True)
        else:
            older = [self.path, *(Path(f"{self.path}.{number}") for number in range(1, self.backups + 1))]
            for newer, old in reversed(list(itertools.pairwise(older))):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(newer, old)
        self._open()


class Pump:
    """The read end of a service's output, poured into its log. The descriptor does not block."""

    CHUNK = 1 << 17

    def __init__(self, fd: int, log: LogFile) -> None:
        self.fd = fd
        self.log = log

    def pour(self) -> bool:
        """Move one chunk; False when nothing will come any more."""
        try:
            data = os.read(self.fd, self.CHUNK)
        except BlockingIOError:
            return True
        self.log.write(data)
        return bool(data)

    def drain(self, most: int) -> None:
        """Move all that is there, but not more than `most` bytes: a survivor may still write."""
        for _ in range(most // self.CHUNK + 1):
            try:
                data = os.read(self.fd, self.CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            self.log.write(data)

    def close(self) -> None:
        os.close(self.fd)
        self.log.close()


class LogHandler(logging.Handler):
    """The engine's own log, in a file of the same kind."""

    def __init__(self, log: LogFile) -> None:
        super().__init__()
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        self.log.write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")


class ForSupervisor:
    """The logger interface of supervisor's classes, which speak of levels that `logging` does not know."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.handlers: list[object] = []

    def critical(self, message: str, **words: object) -> None:
        self._say(logging.ERROR, message, words)

    error = critical

    def warn(self, message: str, **words: object) -> None:
        self._say(logging.WARNING, message, words)

    def info(self, message: str, **words: object) -> None:
        self._say(logging.INFO, message, words)

    def debug(self, message: str, **words: object) -> None:
        self._say(logging.DEBUG, message, words)

    trace = blather = debug

    def log(self, level: int, message: str, **words: object) -> None:
        self._say(logging.DEBUG, message, words)

    def close(self) -> None:
        """Nothing of it is ours to close."""

    def _say(self, level: int, message: str, words: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", one_line(message % words if words else message, 2000))
