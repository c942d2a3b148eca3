"""Bring a folder to exactly a tree: plain files, real copies, no `.git`, the same permissions under every umask.

What a note says of the folder is believed where the marks on the disk are the noted ones; everything else in it,
whoever made it, is taken away and written anew. The steps go through folder descriptors: no symlink is ever followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.model.tree import Mode
from ghostd.repo import rubbish
from ghostd.repo.git import Repository
from ghostd.repo.noted import Note, Noted, marks_of
from ghostd.repo.objects import Folder, Slot, load_folder, read_blob

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER_MODE = 0o755
_FILE_MODES = {Mode.FILE: 0o644, Mode.EXECUTABLE: 0o755}
#: Deeper than any project; each level costs a descriptor.
DEPTH = 200
_CHUNK = 1 << 20
#: Attributes that a command may have set on a folder; others are the system's.
_ATTRIBUTES = ("user.", "system.posix_acl")

# Characters that some file systems leave out of a name, so that `.g\u200cit` is `.git` to them.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_DOT_GIT = re.compile(r"(?:\.git|git~\d+)(?:::?\$?.*|[. ]*)", re.IGNORECASE)
#: Most names: nothing in them to look at twice.
_HARMLESS = re.compile(rb"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class Bringing:
    """One folder on its way to one tree."""

    def __init__(self, repo: Repository, note: Note | None, *, bin: int, begin: Callable[[], None]) -> None:
        """`begin` is called before the first change; `bin` is a folder for what has to go, on the same disk."""
        self._repo = repo
        self._note = note
        self._old = note.files if note else {}
        self._bin = bin
        self._begin: Callable[[], None] | None = begin
        #: What the folder holds, for a new note.
        self.files: dict[bytes, Noted] = {}
        #: Some of it was young and had to be read; a new note saves the next one from that.
        self.looked = False

    @property
    def changed(self) -> bool:
        return self._begin is None

    def bring(self, top: int, tree: str) -> None:
        """Bring the open folder `top` to the tree. Raises Cannot of kind unsafe-tree, and OSError."""
        self._folder(top, b"", load_folder(self._repo, tree), 0)

    def _changing(self) -> None:
        if self._begin is not None:
            self._begin()
            self._begin = None

    def _folder(self, fd: int, above: bytes, slots: Folder, depth: int) -> None:
        if depth > DEPTH:
            raise _unsafe(above, "too deep")
        found = self._kept(fd, above, slots)
        for name, slot in slots.items():
            if slot.is_folder or slot.mode == Mode.GITLINK:
                self._below(fd, above, name, slot, found.get(name), depth)
            elif name not in found:
                self._write(fd, above + name, name, slot)

    def _kept(self, fd: int, above: bytes, slots: Folder) -> dict[bytes, os.stat_result]:
        """Take away what is not to be there or was touched; what stays, by name."""
        kept: dict[bytes, os.stat_result] = {}
        with os.scandir(fd) as entries:
            found = [(os.fsencode(entry.name), entry.stat(follow_symlinks=False)) for entry in entries]
        for name, info in found:
            slot = slots.get(name)
            if slot is not None and self._is_as_noted(fd, above + name, name, slot, info):
                kept[name] = info
            else:
                self._changing()
                rubbish.discard(os.fsdecode(name), fd, self._bin)
        return kept

    def _is_as_noted(self, fd: int, path: bytes, name: bytes, slot: Slot, info: os.stat_result) -> bool:
        if slot.is_folder or slot.mode == Mode.GITLINK:
            return stat.S_ISDIR(info.st_mode)
        noted = self._old.get(path)
        marks = marks_of(info)
        if noted is None or noted.marks != marks or noted.oid != slot.oid or noted.mode != slot.entry().mode:
            return False
        if self._note is not None and self._note.young(marks):
            self.looked = True
            if not _holds(fd, name, noted):
                return False
        self.files[path] = noted
        return True

    def _below(self, fd: int, above: bytes, name: bytes, slot: Slot, info: os.stat_result | None, depth: int) -> None:
        path = above + name
        if info is None:
            check_name(name, above)
            self._changing()
            os.mkdir(name, _FOLDER_MODE, dir_fd=fd)
        mode = _FOLDER_MODE if info is None or stat.S_IMODE(info.st_mode) != _FOLDER_MODE else None
        with rubbish.opened_folder(name, fd, mode=mode) as below:
            self._plain_folder(below, info)
            # A submodule is an empty folder.
            slots = load_folder(self._repo, slot.oid.hex()) if slot.is_folder else {}
            self._folder(below, path + b"/", slots, depth + 1)

    def _plain_folder(self, fd: int, info: os.stat_result | None) -> None:
        """Take the attributes off that a command has put on a folder: they would rule over the new files in it."""
        if info is None or (self._note is not None and info.st_ctime_ns < self._note.taken):
            return
        for name in os.listxattr(fd):
            if name.startswith(_ATTRIBUTES):
                self._changing()
                os.removexattr(fd, name)

    def _write(self, fd: int, path: bytes, name: bytes, slot: Slot) -> None:
        check_name(name, path[: -len(name)] if name else path)
        self._changing()
        mode = slot.entry().mode
        data = read_blob(self._repo, slot.oid.hex())
        info = _link(fd, name, data) if mode == Mode.SYMLINK else _file(fd, name, data, _FILE_MODES[mode])
        self.files[path] = Noted(int(mode), slot.oid, marks_of(info))


def _link(fd: int, name: bytes, target: bytes) -> os.stat_result:
    os.symlink(target, name, dir_fd=fd)
    return os.stat(name, dir_fd=fd, follow_symlinks=False)


def _file(fd: int, name: bytes, data: bytes, mode: int) -> os.stat_result:
    made = os.open(name, _NEW_FILE, mode, dir_fd=fd)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(made, view) :]
        os.fchmod(made, mode)
        return os.fstat(made)
    finally:
        os.close(made)


def _holds(fd: int, name: bytes, noted: Noted) -> bool:
    """Whether a file or symlink in an open folder has the noted bytes."""
    if stat.S_ISLNK(noted.marks.st_mode):
        return blob_id(os.readlink(name, dir_fd=fd)) == noted.oid
    return file_id(fd, name, noted.marks.size) == noted.oid


def read_file(fd: int, name: bytes) -> bytes:
    """The bytes of a regular file in an open folder. Raises OSError."""
    with os.fdopen(os.open(name, _OLD_FILE, dir_fd=fd), "rb") as stream:
        return stream.read()


def file_id(fd: int, name: bytes, size: int) -> bytes:
    """The id that Git gives to a regular file of this size in an open folder. Raises OSError."""
    digest = _head(size)
    with os.fdopen(os.open(name, _OLD_FILE, dir_fd=fd), "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def blob_id(data: bytes) -> bytes:
    """The id that Git gives to these bytes."""
    digest = _head(len(data))
    digest.update(data)
    return digest.digest()


def _head(size: int) -> hashlib._Hash:
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def check_name(name: bytes, above: bytes) -> None:
    """Refuse a name that would reach out of its folder or pass for a Git folder; odd ones are people's own affair."""
    if _HARMLESS.fullmatch(name) and name[:4].lower() != b"git~":
        return
    text = _IGNORED.sub("", name.decode("utf-8", "surrogateescape"))
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or _DOT_GIT.fullmatch(text):
        raise _unsafe(above + name, "not a safe name")


def _unsafe(path: bytes, why: str) -> Cannot:
    shown = os.fsdecode(path[-1000:]).encode("utf-8", "backslashreplace").decode()
    return Cannot(f"write out {shown}: {why}", kind="unsafe-tree", hint="rename it in a commit of its own", path=shown)


def empty_bin(folder: Path) -> int:
    """Make the folder for what has to go, empty; its descriptor."""
    rubbish.remove(folder)
    folder.mkdir(mode=0o700)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
