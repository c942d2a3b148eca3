"""People's files on disk, written: each is made aside and gets its name in one step; no symlink is ever followed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from ghostd.model.tree import File, Mode
from ghostd.repo.folders import FLAGS
from ghostd.repo.look import Kind, Looks, Spot
from ghostd.repo.sync import Sync

#: So many new files are on their way to the disk at once.
_TOGETHER = 64
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _New(NamedTuple):
    """A file that was made and has no name yet; a symlink has no descriptor."""

    path: bytes
    fd: int | None
    #: What stood at its path.
    over: Kind


class Files(Looks):
    """A folder of people's files, looked at and written."""

    def __init__(
        self,
        root: Path,
        *,
        spare: Path,
        size_of: Callable[[str], int | None],
        durable: bool = True,
        trust_modes: bool = True,
    ) -> None:
        super().__init__(root, size_of=size_of, trust_modes=trust_modes)
        self._spare = spare if _same_disk(root, spare) else None
        self._spare_fd: int | None = None
        self._sync = Sync(root, durable=durable)
        self._durable = durable
        self._touched: set[bytes] = set()
        self._new: list[_New] = []
        self._failed: set[bytes] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_new()
        self._folders.close()
        if self._spare_fd is not None:
            os.close(self._spare_fd)

    def put(self, path: bytes, file: File) -> None:
        """Make a file aside; `place` gives it its name. Raises OSError and leaves all as it was."""
        if len(self._new) >= _TOGETHER:
            self._failed |= self._placed()
        above = path.rpartition(b"/")[0]
        old = self.look(path)
        aside, temporary = self._made_at(self._folders.made(above, self._touched), path)
        try:
            fd = self._make_file(aside, temporary, file, old)
        except FileExistsError:
            # A kill left it.
            os.unlink(temporary, dir_fd=aside)
            fd = self._make_file(aside, temporary, file, old)
        self._new.append(_New(path, fd, old.kind))

    def place(self) -> set[bytes]:
        """Give the new files their names, each in one step, as soon as their bytes may be relied on.

        The paths for which that did not go are returned (a person's folder in the way, a full disk): they are as they
        were.
        """
        failed = self._failed | self._placed()
        self._failed = set()
        return failed

    def _placed(self) -> set[bytes]:
        if len(self._new) > 1:
            for new in self._new:
                if new.fd is not None:
                    self._sync.begin(new.fd)
        failed = {new.path for new in self._new if not self._named(new)}
        self._forget_new()
        return failed

    def _named(self, new: _New) -> bool:
        above, _, name = new.path.rpartition(b"/")
        try:
            if new.fd is not None:
                self._sync.content(new.fd)
            folder = self._folders.at(above)
            if new.over is Kind.FOLDER:
                self._drop_empty(folder, name)
                self._folders.forget(new.path)
            aside, temporary = self._made_at(folder, new.path)
            os.rename(temporary, name, src_dir_fd=aside, dst_dir_fd=folder)
        except OSError:
            return False
        self._touched.add(above)
        return True

    def _forget_new(self) -> None:
        for new in self._new:
            if new.fd is not None:
                os.close(new.fd)
        self._new.clear()

    def _made_at(self, beside: int, path: bytes) -> tuple[int, bytes]:
        """Where a new file is made: the spare folder, or beside its place where that is another disk."""
        name = hashlib.sha1(path, usedforsecurity=False).hexdigest()[:16].encode()
        if self._spare is None:
            return beside, b".ghost-tmp-" + name
        if self._spare_fd is None:
            self._spare.mkdir(mode=0o700, exist_ok=True)
            self._spare_fd = os.open(self._spare, FLAGS)
        return self._spare_fd, name

    def _make_file(self, folder: int, name: bytes, file: File, old: Spot) -> int | None:
        """The descriptor of the new file; none for a symlink. Raises FileExistsError and leaves what is there."""
        if file.mode == Mode.SYMLINK:
            os.symlink(file.data, name, dir_fd=folder)
            return None
        runs = file.mode == Mode.EXECUTABLE
        fd = os.open(name, _NEW, 0o777 if runs else 0o666, dir_fd=folder)
        try:
            if old.kind is Kind.FILE and old.stat:
                os.fchmod(fd, _kept_mode(old.stat.st_mode, runs=runs))
            _write(fd, file.data)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _drop_empty(self, folder: int, name: bytes) -> None:
        """Remove a folder that holds nothing but empty folders. Raises OSError where it holds more."""
        fd = os.open(name, FLAGS, dir_fd=folder)
        try:
            for entry in os.listdir(fd):  # noqa: PTH208 - by descriptor
                self._drop_empty(fd, os.fsencode(entry))
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=folder)

    def remove(self, path: bytes) -> None:
        """Remove a file, and the folders that it leaves empty."""
        above, _, name = path.rpartition(b"/")
        try:
            os.unlink(name, dir_fd=self._folders.at(above))
        except (FileNotFoundError, NotADirectoryError):
            return
        self._touched.add(above)
        while above and self._remove_folder(above):
            above = above.rpartition(b"/")[0]
            self._touched.add(above)

    def _remove_folder(self, path: bytes) -> bool:
        above, _, name = path.rpartition(b"/")
        try:
            os.rmdir(name, dir_fd=self._folders.at(above))
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise
        self._folders.forget(path)
        return True

    def sync(self) -> None:
        """Make every rename and removal so far survive a power cut, where the wait for the index will not do that."""
        covered = self._spare is not None and self._sync.waits_later
        for path in self._touched if self._durable and not covered else ():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.fsync(self._folders.at(path))
        self._touched.clear()

    def forget_temporary(self, path: bytes) -> None:
        """Remove what a kill in the middle of `put` left beside the file."""
        if self._spare is None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                beside, temporary = self._made_at(self._folders.at(path.rpartition(b"/")[0]), path)
                os.unlink(temporary, dir_fd=beside)


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _same_disk(root: Path, spare: Path) -> bool:
    return root.stat().st_dev == spare.parent.stat().st_dev


def _kept_mode(old: int, *, runs: bool) -> int:
    """The permissions a person gave to a file, with the executable bits that Git says."""
    readable = old & 0o666
    return readable | ((readable & 0o444) >> 2) if runs else readable
