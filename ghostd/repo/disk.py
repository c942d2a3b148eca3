"""People's files on disk, reached step by step through folder descriptors: no symlink is ever followed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from ghostd.model.tree import Entry, File, Mode

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
#: Line ends are compared in memory, so only in files of a sane size.
_TEXT_LIMIT = 16 << 20


class Kind(Enum):
    ABSENT = "absent"
    FILE = "file"
    SYMLINK = "symlink"
    FOLDER = "folder"
    #: One of the folders on the way is a file or a symlink.
    BLOCKED = "blocked"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What stands at a path."""

    kind: Kind
    stat: os.stat_result | None = None


def _spot(info: os.stat_result) -> Spot:
    kinds = {stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFDIR: Kind.FOLDER}
    return Spot(kind=kinds.get(stat.S_IFMT(info.st_mode), Kind.OTHER), stat=info)


class Files:
    """A folder of people's files. Paths are relative, `/`-separated bytes without `.` and `..`."""

    def __init__(
        self,
        root: Path,
        *,
        spare: Path,
        size_of: Callable[[str], int | None],
        durable: bool = True,
        trust_modes: bool = True,
    ) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._spare = spare if _same_disk(root, spare) else None
        #: The size of a blob, so that a huge file is only read where it can be the one.
        self._size_of = size_of
        self._durable = durable
        #: core.fileMode: whether the executable bit on this disk means anything.
        self._trust_modes = trust_modes
        self._touched: set[bytes] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    # --- looking ---

    @contextlib.contextmanager
    def _folder(self, path: bytes, *, make: bool = False) -> Iterator[int]:
        """A descriptor of a folder (b"" is the top). Raises FileNotFoundError or NotADirectoryError."""
        fd = os.dup(self._root)
        above = b""
        try:
            for name in path.split(b"/") if path else ():
                if make:
                    self._make(fd, above, name)
                below = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
                os.close(fd)
                fd, above = below, above + name + b"/"
            yield fd
        finally:
            os.close(fd)

    def _make(self, fd: int, above: bytes, name: bytes) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=fd)
            self._touched.add(above.rstrip(b"/"))

    def look(self, path: bytes) -> Spot:
        """What stands at a path."""
        above, _, name = path.rpartition(b"/")
        try:
            with self._folder(above) as fd:
                return _spot(os.stat(name, dir_fd=fd, follow_symlinks=False))
        except FileNotFoundError:
            return Spot(kind=Kind.ABSENT)
        except NotADirectoryError:
            return Spot(kind=Kind.BLOCKED)

    def read(self, path: bytes, limit: int = _TEXT_LIMIT) -> bytes:
        """The first bytes of a file, or a symlink's target; nothing for anything else."""
        match self.look(path).kind:
            case Kind.FILE:
                return b"".join(self._chunks(path, limit))
            case Kind.SYMLINK:
                return self._target(path)
            case _:
                return b""

    def _target(self, path: bytes) -> bytes:
        above, _, name = path.rpartition(b"/")
        with self._folder(above) as fd:
            return os.readlink(name, dir_fd=fd)

    def _chunks(self, path: bytes, limit: int) -> Iterator[bytes]:
        above, _, name = path.rpartition(b"/")
        with self._folder(above) as folder:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(fd, "rb") as file:
            while limit > 0 and (chunk := file.read(min(_CHUNK, limit))):
                limit -= len(chunk)
                yield chunk

    def holds(self, path: bytes, entry: Entry | None) -> bool:
        """True where the disk has what Git's entry says; None asks for "no file here" (a folder is no file)."""
        spot = self.look(path)
        if entry is None:
            return spot.kind in (Kind.ABSENT, Kind.BLOCKED, Kind.FOLDER)
        match entry.mode:
            case Mode.GITLINK:
                # What happens inside of a submodule is its own business.
                return True
            case Mode.SYMLINK:
                return spot.kind is Kind.SYMLINK and blob_id(self._target(path)) == entry.oid
            case _:
                return (
                    spot.kind is Kind.FILE and self._mode_fits(spot, entry) and self._same_file(path, spot, entry.oid)
                )

    def _mode_fits(self, spot: Spot, entry: Entry) -> bool:
        return (
            not self._trust_modes
            or spot.stat is None
            or bool(spot.stat.st_mode & 0o100) == (entry.mode == Mode.EXECUTABLE)
        )

    def _same_file(self, path: bytes, spot: Spot, oid: str) -> bool:
        """The blob's bytes, or those with other line ends, which is what `core.autocrlf` makes of them."""
        size = spot.stat.st_size if spot.stat else 0
        if size > _TEXT_LIMIT:
            return self._size_of(oid) == size and _blob_hash(size, self._chunks(path, size)) == oid
        data = self.read(path)
        return blob_id(data) == oid or (b"\r\n" in data and blob_id(data.replace(b"\r\n", b"\n")) == oid)

    def obstacle(self, path: bytes, leaving: set[bytes]) -> bytes | None:
        """What would have to go before a file can stand at `path`, beside the paths in `leaving`; None for nothing."""
        parts = path.split(b"/")
        for length in range(1, len(parts)):
            above = b"/".join(parts[:length])
            if self.look(above).kind in (Kind.FILE, Kind.SYMLINK, Kind.OTHER):
                return None if above in leaving else above
        if self.look(path).kind is not Kind.FOLDER:
            return None
        return next((found for found in self.walk(path) if found not in leaving), None)

    def walk(self, folder: bytes) -> Iterator[bytes]:
        """Every path below a folder that is no folder itself."""
        with self._folder(folder) as fd:
            names = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in os.scandir(fd)]
        for name, is_folder in names:
            path = folder + b"/" + name
            if is_folder:
                yield from self.walk(path)
            else:
                yield path

    # --- writing ---

    def put(self, path: bytes, file: File) -> None:
        """Replace or make a file in one step. Raises OSError (a folder in the way) and leaves all as it was."""
        above, _, name = path.rpartition(b"/")
        old = self.look(path)
        with self._folder(above, make=True) as fd, self._maker(fd, path) as (aside, temporary):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=aside)
            self._make_file(aside, temporary, file, old)
            if old.kind is Kind.FOLDER:
                self._drop_empty(fd, name)
            os.rename(temporary, name, src_dir_fd=aside, dst_dir_fd=fd)
        self._touched.add(above)

    @contextlib.contextmanager
    def _maker(self, beside: int, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Where a new file is made: the spare folder, or beside its place where that is another disk."""
        name = hashlib.sha1(path, usedforsecurity=False).hexdigest()[:16].encode()
        if self._spare is None:
            yield beside, b".ghost-tmp-" + name
            return
        self._spare.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(self._spare, _FOLDER_FLAGS)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def _make_file(self, folder: int, name: bytes, file: File, old: Spot) -> None:
        if file.mode == Mode.SYMLINK:
            os.symlink(file.data, name, dir_fd=folder)
            return
        runs = file.mode == Mode.EXECUTABLE
        fd = os.open(
            name,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o777 if runs else 0o666,
            dir_fd=folder,
        )
        with os.fdopen(fd, "wb") as stream:
            if old.kind is Kind.FILE and old.stat:
                os.fchmod(fd, _kept_mode(old.stat.st_mode, runs=runs))
            stream.write(file.data)
            stream.flush()
            if self._durable:
                os.fsync(fd)

    def _drop_empty(self, folder: int, name: bytes) -> None:
        """Remove a folder that holds nothing but empty folders. Raises OSError where it holds more."""
        fd = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
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
            with self._folder(above) as fd:
                os.unlink(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return
        self._touched.add(above)
        while above and self._remove_folder(above):
            above = above.rpartition(b"/")[0]
            self._touched.add(above)

    def _remove_folder(self, path: bytes) -> bool:
        above, _, name = path.rpartition(b"/")
        try:
            with self._folder(above) as fd:
                os.rmdir(name, dir_fd=fd)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise
        return True

    def sync(self) -> None:
        """Make every rename and removal so far survive a power cut."""
        for path in self._touched if self._durable else ():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._folder(path) as fd:
                os.fsync(fd)
        self._touched.clear()

    def forget_temporary(self, path: bytes) -> None:
        """Remove what a kill in the middle of `put` left beside the file."""
        above = path.rpartition(b"/")[0]
        if self._spare is None:
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                self._folder(above) as fd,
                self._maker(fd, path) as (aside, temporary),
            ):
                os.unlink(temporary, dir_fd=aside)


def _same_disk(root: Path, spare: Path) -> bool:
    return root.stat().st_dev == spare.parent.stat().st_dev


def _kept_mode(old: int, *, runs: bool) -> int:
    """The permissions a person gave to a file, with the executable bits that Git says."""
    readable = old & 0o666
    return readable | ((readable & 0o444) >> 2) if runs else readable


def blob_id(data: bytes) -> str:
    """The id that Git gives to these bytes."""
    return _blob_hash(len(data), iter((data,)))


def _blob_hash(size: int, chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
