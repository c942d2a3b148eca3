"""Folders below one top, each opened once and step by step, so that no symlink is ever followed."""

from __future__ import annotations

import os
from pathlib import Path

FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: So many are kept open; a process may have 1,024 files open by itself.
_MANY = 128


class Folders:
    """Open folders by their relative path; b"" is the top. For one look or one writing, which takes milliseconds.

    A folder that is moved meanwhile stays the one that was opened: what is written into it moves along. A descriptor is
    good until the next call here.
    """

    __slots__ = ("_open", "_top")

    def __init__(self, top: Path) -> None:
        self._top = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[bytes, int] = {b"": self._top}

    def close(self) -> None:
        self._close_all()
        os.close(self._top)

    def at(self, path: bytes) -> int:
        """The descriptor of a folder. Raises FileNotFoundError, and NotADirectoryError for a file or a symlink."""
        found = self._open.get(path)
        return self._opened(path, None) if found is None else found

    def made(self, path: bytes, touched: set[bytes]) -> int:
        """The same, with the folders that are missing; those that got a new one in them are added to `touched`."""
        found = self._open.get(path)
        return self._opened(path, touched) if found is None else found

    def _opened(self, path: bytes, touched: set[bytes] | None) -> int:
        above = path
        while above not in self._open:
            above = above.rpartition(b"/")[0]
        fd = self._open[above]
        for name in path[len(above) :].lstrip(b"/").split(b"/"):
            below = _below(fd, name) if touched is None else _made_below(fd, above, name, touched)
            above = above + b"/" + name if above else name
            if len(self._open) >= _MANY:
                self._close_all()
            self._open[above] = fd = below
        return fd

    def forget(self, path: bytes) -> None:
        """A folder has gone, with all that was in it."""
        below = path + b"/"
        for each in [each for each in self._open if each == path or each.startswith(below)]:
            os.close(self._open.pop(each))

    def _close_all(self) -> None:
        del self._open[b""]
        for fd in self._open.values():
            os.close(fd)
        self._open = {b"": self._top}


def _below(fd: int, name: bytes) -> int:
    return os.open(name, FLAGS, dir_fd=fd)


def _made_below(fd: int, above: bytes, name: bytes, touched: set[bytes]) -> int:
    try:
        return _below(fd, name)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(name, dir_fd=fd)
        touched.add(above)
    except FileExistsError:
        # Somebody was quicker; what it is, the opening tells.
        pass
    return _below(fd, name)
