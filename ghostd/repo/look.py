"""What stands in people's files on disk: reached through folder descriptors, so that no symlink is ever followed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from ghostd.model.tree import Entry, Mode
from ghostd.repo.folders import Folders

_CHUNK = 1 << 20
#: Line ends are compared in memory, so only in files of a sane size.
_TEXT_LIMIT = 16 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kind(Enum):
    ABSENT = "absent"
    FILE = "file"
    SYMLINK = "symlink"
    FOLDER = "folder"
    #: One of the folders on the way is a file or a symlink.
    BLOCKED = "blocked"
    OTHER = "other"


_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFDIR: Kind.FOLDER}


class Spot(NamedTuple):
    """What stands at a path."""

    kind: Kind
    stat: os.stat_result | None = None


#: What opening says of a path at which a file was a moment ago.
_WENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_ABSENT, _BLOCKED = Spot(Kind.ABSENT), Spot(Kind.BLOCKED)


class Looks:
    """A folder of people's files, looked at. Paths are relative, `/`-separated bytes without `.` and `..`."""

    def __init__(self, root: Path, *, size_of: Callable[[str], int | None], trust_modes: bool = True) -> None:
        self._folders = Folders(root)
        #: The size of a blob, so that a huge file is only read where it can be the one.
        self._size_of = size_of
        #: core.fileMode: whether the executable bit on this disk means anything.
        self._trust_modes = trust_modes

    def look(self, path: bytes) -> Spot:
        """What stands at a path."""
        above, _, name = path.rpartition(b"/")
        try:
            info = os.stat(name, dir_fd=self._folders.at(above), follow_symlinks=False)
        except FileNotFoundError:
            return _ABSENT
        except NotADirectoryError:
            return _BLOCKED
        return Spot(_KINDS.get(stat.S_IFMT(info.st_mode), Kind.OTHER), info)

    def see(self, path: bytes) -> Seen:
        """One look at a path, to be compared with as many entries as there are."""
        return Seen(self, path, self.look(path))

    def read(self, path: bytes, limit: int = _TEXT_LIMIT) -> bytes:
        """The first bytes of a file, or a symlink's target; nothing for anything else."""
        return self.bytes_at(path, self.look(path), limit)

    def bytes_at(self, path: bytes, spot: Spot, limit: int = _TEXT_LIMIT) -> bytes:
        """The same, of what was seen there."""
        match spot.kind:
            case Kind.FILE:
                return b"".join(self._chunks(path, limit))
            case Kind.SYMLINK:
                return self._target(path)
            case _:
                return b""

    def _target(self, path: bytes) -> bytes:
        above, _, name = path.rpartition(b"/")
        return os.readlink(name, dir_fd=self._folders.at(above))

    def _chunks(self, path: bytes, limit: int) -> Iterator[bytes]:
        above, _, name = path.rpartition(b"/")
        fd = os.open(name, _READ, dir_fd=self._folders.at(above))
        try:
            while limit > 0 and (chunk := os.read(fd, min(_CHUNK, limit))):
                limit -= len(chunk)
                yield chunk
        finally:
            os.close(fd)

    def holds(self, path: bytes, entry: Entry | None) -> bool:
        """True where the disk has what Git's entry says; None asks for "no file here" (a folder is no file)."""
        return self.see(path).holds(entry)

    def mode_fits(self, spot: Spot, entry: Entry) -> bool:
        """Whether the executable bit is the entry's, where that bit means anything."""
        return (
            not self._trust_modes
            or spot.stat is None
            or bool(spot.stat.st_mode & 0o100) == (entry.mode == Mode.EXECUTABLE)
        )

    def is_huge(self, path: bytes, size: int, oid: str) -> bool:
        """Whether a file that is too large to be compared in memory is that blob."""
        return self._size_of(oid) == size and _blob_hash(size, self._chunks(path, size)) == oid

    def obstacle(self, path: bytes, leaving: set[bytes]) -> bytes | None:
        """What would have to go before a file can stand at `path`, beside the paths in `leaving`; None for nothing."""
        spot = self.look(path)
        if spot.kind is Kind.BLOCKED:
            return self._blocking(path, leaving)
        if spot.kind is not Kind.FOLDER:
            return None
        return next((found for found in self.walk(path) if found not in leaving), None)

    def _blocking(self, path: bytes, leaving: set[bytes]) -> bytes | None:
        """The first of the folders on the way that is none; None where it is leaving."""
        parts = path.split(b"/")
        for length in range(1, len(parts)):
            above = b"/".join(parts[:length])
            if self.look(above).kind in (Kind.FILE, Kind.SYMLINK, Kind.OTHER):
                return None if above in leaving else above
        return None

    def walk(self, folder: bytes) -> Iterator[bytes]:
        """Every path below a folder that is no folder itself."""
        with os.scandir(self._folders.at(folder)) as found:
            names = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in found]
        for name, is_folder in names:
            path = folder + b"/" + name
            if is_folder:
                yield from self.walk(path)
            else:
                yield path


class Seen:
    """What stood at a path at one look; its bytes are read when first asked for, and once."""

    __slots__ = ("_files", "_ids", "path", "spot")

    def __init__(self, files: Looks, path: bytes, spot: Spot) -> None:
        self.path = path
        self.spot = spot
        self._files = files
        self._ids: tuple[str, ...] | None = None

    def holds(self, entry: Entry | None) -> bool:
        """True where it is what Git's entry says; None asks for "no file here" (a folder is no file)."""
        kind = self.spot.kind
        if entry is None:
            return kind in (Kind.ABSENT, Kind.BLOCKED, Kind.FOLDER)
        match entry.mode:
            case Mode.GITLINK:
                # What happens inside of a submodule is its own business.
                return True
            case Mode.SYMLINK:
                return kind is Kind.SYMLINK and entry.oid in self._known()
            case _:
                return kind is Kind.FILE and self._files.mode_fits(self.spot, entry) and self._is(entry.oid)

    def _is(self, oid: str) -> bool:
        size = self.spot.stat.st_size if self.spot.stat else 0
        return self._files.is_huge(self.path, size, oid) if size > _TEXT_LIMIT else oid in self._known()

    def _known(self) -> tuple[str, ...]:
        """The ids of the bytes, and of those with other line ends, which is what `core.autocrlf` makes of them."""
        if self._ids is None:
            try:
                data = self._files.bytes_at(self.path, self.spot)
            except OSError as error:
                if error.errno not in _WENT:
                    raise
                # It went after the look: no id is that of nothing.
                self._ids = ()
                return self._ids
            other = (blob_id(data.replace(b"\r\n", b"\n")),) if b"\r\n" in data else ()
            self._ids = blob_id(data), *other
        return self._ids


def blob_id(data: bytes) -> str:
    """The id that Git gives to these bytes."""
    return _blob_hash(len(data), iter((data,)))


def _blob_hash(size: int, chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
