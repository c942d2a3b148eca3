"""A tree as plain files in a folder of its own, without any `.git`: what gates look at."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.base.files import make_dir
from ghostd.model.tree import Mode
from ghostd.repo.git import Repository
from ghostd.repo.objects import Folder, load_folder, read_blob

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Characters that some file systems leave out of a name, so that `.g\u200cit` is `.git` to them.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_DOT_GIT = re.compile(r"(?:\.git|git~\d+)(?:::?\$?.*|[. ]*)", re.IGNORECASE)


def export(repo: Repository, tree: str, folder: Path) -> None:
    """Write a tree into `folder`, which is made, or is empty. Modes and symlinks stay; a submodule is an empty folder.

    Raises Cannot of kind unsafe-tree for a name that would reach out of the folder or pass for a Git folder.
    """
    make_dir(folder)
    fd = os.open(folder, _OPEN_FOLDER)
    try:
        _export(repo, load_folder(repo, tree), fd, b"")
    finally:
        os.close(fd)


def _export(repo: Repository, slots: Folder, fd: int, above: bytes) -> None:
    for name, slot in slots.items():
        _check(name, above)
        if slot.is_folder:
            _export_folder(repo, load_folder(repo, slot.oid.hex()), fd, above, name)
            continue
        entry = slot.entry()
        match entry.mode:
            case Mode.GITLINK:
                os.mkdir(name, dir_fd=fd)
            case Mode.SYMLINK:
                os.symlink(read_blob(repo, entry.oid), name, dir_fd=fd)
            case _:
                _export_file(read_blob(repo, entry.oid), fd, name, runs=entry.mode == Mode.EXECUTABLE)


def _export_folder(repo: Repository, slots: Folder, fd: int, above: bytes, name: bytes) -> None:
    os.mkdir(name, dir_fd=fd)
    below = os.open(name, _OPEN_FOLDER, dir_fd=fd)
    try:
        _export(repo, slots, below, above + name + b"/")
    finally:
        os.close(below)


def _export_file(data: bytes, fd: int, name: bytes, *, runs: bool) -> None:
    with os.fdopen(os.open(name, _NEW_FILE, 0o777 if runs else 0o666, dir_fd=fd), "wb") as file:
        file.write(data)


def _check(name: bytes, above: bytes) -> None:
    """Only what could do harm here is refused; odd names that people have committed are theirs."""
    text = _IGNORED.sub("", name.decode("utf-8", "surrogateescape"))
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or _DOT_GIT.fullmatch(text):
        path = os.fsdecode(above + name).encode("utf-8", "backslashreplace").decode()
        raise Cannot(
            f"write out {path}: not a safe name", kind="unsafe-tree", hint="rename it in a commit of its own", path=path
        )
