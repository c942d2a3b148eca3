"""Copies of trees that are used again: what gates look at, brought from one tree to the next by their difference.

A slot of the pool is a folder `pool-N`:

* `files`  the copy, which whoever has the slot may do anything with
* `note`   how the copy was left by us; gone while it is being changed
* `busy`   there while somebody works in the copy
* `lock`   held by the process that uses the slot; the kernel gives it back when that one dies
* `bin`    what had to go, on its way out

A kill while the copy is changed leaves no note, and a kill while somebody works in it leaves `busy` (his command may
run on): in both cases the next user throws the copy away and begins with a new folder. Nothing else is left to mend.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostd.base.errors import Cannot, of_os_error
from ghostd.base.files import PRIVATE_FILE, make_dir
from ghostd.repo import noted, rubbish
from ghostd.repo.bring import Bringing, empty_bin
from ghostd.repo.git import Repository

_log = logging.getLogger("repo")

#: More gates at one time than this are slowed down by each other, whatever the machine.
SIZE = 64
#: What the system says of a thing that is another user's, or a place where something is mounted.
_STUCK = frozenset({errno.EPERM, errno.EACCES, errno.EBUSY, errno.ENOTEMPTY})
_SLOT = re.compile(r"pool-\d+")


def is_slot(name: str) -> bool:
    """Whether a folder of this name is one of a pool's: it mends itself, and a start has nothing to sweep."""
    return _SLOT.fullmatch(name) is not None


class Pool:
    """The slots below one folder, each taken by one user at a time. Several threads and processes may use them."""

    def __init__(self, repo: Repository, folder: Path, *, size: int = SIZE) -> None:
        self._repo = repo
        self._folder = folder
        self._size = size
        #: A repository belongs to one thread at a time.
        self._one = threading.Lock()

    @contextmanager
    def checkout(self, tree: str) -> Iterator[Path]:
        """A folder that holds exactly the tree (an object id), for the block alone.

        Files are real copies, modes 0644 and 0755, folders 0755; a submodule is an empty folder. Raises Cannot of kind
        unsafe-tree for a name that would reach out of the folder or pass for a Git folder, disk-full or os-error where
        the disk will not have it, and pool-full where all slots are taken.
        """
        with self._ready(tree) as slot:
            yield slot / "files"
            # Not after an exception: then the command may be running still.
            (slot / "busy").unlink(missing_ok=True)

    @contextmanager
    def _ready(self, tree: str) -> Iterator[Path]:
        trouble: Cannot | None = None
        for number in range(self._size):
            slot = make_dir(make_dir(self._folder) / f"pool-{number}")
            with _locked(slot) as ours:
                if not ours:
                    continue
                trouble = self._brought(slot, tree)
                if trouble is None:
                    yield slot
                    return
        raise trouble or Cannot(
            f"take a copy in {self._folder}: all {self._size} are in use",
            kind="pool-full",
            hint="wait until others are done",
        )

    def _brought(self, slot: Path, tree: str) -> Cannot | None:
        """Bring a slot to the tree; the trouble with it where a command has left what we can not take away."""
        try:
            with self._one:
                _bring(self._repo, slot, tree)
        except OSError as error:
            trouble = of_os_error(error, f"write out {tree} in {slot}")
            if error.errno not in _STUCK:
                raise trouble from error
            _log.warning("a copy is given up: %s", trouble)
            return trouble
        return None

    def trim(self, *, keep: int = 0) -> int:
        """Remove the copies beyond the first `keep` that nobody uses; how many went. Raises Cannot."""
        if not self._folder.is_dir():
            return 0
        slots = sorted((path for path in self._folder.iterdir() if is_slot(path.name)), key=_number)
        gone = 0
        for slot in slots[keep:]:
            with _locked(slot) as ours:
                gone += ours and _emptied(slot)
        return gone


def _number(slot: Path) -> int:
    return int(slot.name.removeprefix("pool-"))


def _emptied(slot: Path) -> bool:
    """Remove a slot's copy. The folder and its lock stay: a lock that goes could be held by two."""
    if not (slot / "files").exists():
        return False
    try:
        _forget(slot)
        for name in ("files", "bin"):
            rubbish.remove(slot / name)
    except OSError as error:
        raise of_os_error(error, f"remove the copy in {slot}") from error
    return True


@contextmanager
def _locked(slot: Path) -> Iterator[bool]:
    """Hold a slot for the block; False where another has it."""
    fd = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def _forget(slot: Path) -> None:
    (slot / "note").unlink(missing_ok=True)


def _bring(repo: Repository, slot: Path, tree: str) -> None:
    """Bring a slot's copy to the tree and mark it as busy."""
    note = None if (slot / "busy").exists() else noted.read(slot / "note")
    if note is None:
        _forget(slot)
        rubbish.remove(slot / "files")
        (slot / "busy").unlink(missing_ok=True)
    bin = empty_bin(slot / "bin")
    try:
        bringing = Bringing(repo, note, bin=bin, begin=lambda: _forget(slot))
        with _files(slot / "files") as top:
            bringing.bring(top, tree)
    finally:
        os.close(bin)
    if bringing.changed or bringing.looked or note is None or note.tree != tree:
        noted.write(slot / "note", tree, bringing.files)
    rubbish.remove(slot / "bin")
    (slot / "busy").touch(mode=PRIVATE_FILE)


@contextmanager
def _files(folder: Path) -> Iterator[int]:
    """The copy's folder, with our permissions; a new one where something else stands there."""
    if folder.is_symlink() or not folder.is_dir():
        rubbish.remove(folder)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    with rubbish.opened_folder(os.fsencode(folder), mode=0o755) as fd:
        yield fd
