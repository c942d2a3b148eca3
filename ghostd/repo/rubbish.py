"""Take away whatever a command has left, however deep, and whatever it did to the permissions. Nothing is followed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: For a look at a thing that may not be read: only its name and its kind are wanted.
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened_folder(name: str | bytes, above: int | None = None, *, mode: int | None = None) -> Iterator[int]:
    """A descriptor of a folder, never through a symlink; with `mode` it gets that first. Raises OSError."""
    if mode is not None:
        _set_mode(name, above, mode)
    fd = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield fd
    finally:
        os.close(fd)


def _set_mode(name: str | bytes, above: int | None, mode: int) -> None:
    """`chmod` that follows no symlink and needs no permission on the thing: Linux has one by the open handle only."""
    fd = os.open(name, _HANDLE | os.O_DIRECTORY, dir_fd=above)
    try:
        Path(f"/proc/self/fd/{fd}").chmod(mode)
    finally:
        os.close(fd)


def clear(folder: Path) -> None:
    """Empty a folder of ours. Folders deep inside are moved up first, so that no depth is too deep. Raises OSError.

    A kill leaves less than there was; doing it again is right.
    """
    with opened_folder(os.fsencode(folder)) as top:
        number = 0
        while left := os.listdir(top):  # noqa: PTH208 - by descriptor
            for name in left:
                number = _take_away(top, name, number)


def _take_away(top: int, name: str, number: int) -> int:
    if not _is_folder(top, name):
        os.unlink(name, dir_fd=top)
        return number
    with opened_folder(name, top, mode=stat.S_IRWXU) as fd:
        for below in os.listdir(fd):  # noqa: PTH208 - by descriptor
            if _is_folder(fd, below):
                _set_mode(below, fd, stat.S_IRWXU)
                number = _moved_up(fd, below, top, number)
            else:
                os.unlink(below, dir_fd=fd)
    os.rmdir(name, dir_fd=top)
    return number


def _moved_up(fd: int, name: str, top: int, number: int) -> int:
    while True:
        number += 1
        try:
            os.stat(f"up-{number}", dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, f"up-{number}", src_dir_fd=fd, dst_dir_fd=top)
            return number


def _is_folder(fd: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)


def remove(folder: Path) -> None:
    """Remove a folder of ours with all that is in it; nothing where there is none. Raises OSError."""
    try:
        clear(folder)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        folder.unlink()
        return
    folder.rmdir()


def discard(name: str, above: int, bin: int) -> None:
    """Take one thing out of an open folder: a folder goes to the folder `bin` in one step, to be cleared there."""
    info = os.stat(name, dir_fd=above, follow_symlinks=False)
    if not stat.S_ISDIR(info.st_mode):
        os.unlink(name, dir_fd=above)
        return
    # To move a folder away, it has to be writable itself.
    _set_mode(name, above, stat.S_IRWXU)
    os.rename(name, str(info.st_ino), src_dir_fd=above, dst_dir_fd=bin)
