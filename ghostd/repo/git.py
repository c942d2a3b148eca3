"""The one door to Git: a repository, held through libgit2 and a sealed git binary."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pygit2
from pygit2.enums import ObjectType, RepositoryOpenFlag

from ghostd.base import process
from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.repo import find, seal
from ghostd.repo.pack import OwnPacks
from ghostd.repo.pending import Pending, Recent
from ghostd.repo.sync import Sync

if TYPE_CHECKING:
    from ghostd.repo.index import Reading
    from ghostd.repo.objects import Slot

#: No command that we run takes long; a git that waits for this long waits for something that will not come.
COMMAND_TIMEOUT = 120.0

#: An object needs a little more than its bytes: a folder, a name, a rounded-up end.
_BLOCK = 16 << 10
#: So many objects are written one by one, if they are the first ones.
_FEW = 16
#: So many bytes are too many to be held as a pack in memory.
_LARGE = 256 << 20
#: Bytes of objects that are kept in memory after they were read or written.
_RECENT = 8 << 20


class Repository:
    """One repository. Use as a context manager; an object belongs to one thread.

    `handle` and `git` are for this room only.
    """

    __slots__ = (
        "_binary",
        "_env",
        "_flushed",
        "_packs",
        "_recent",
        "durable",
        "folders",
        "handle",
        "identity",
        "lock_timeout",
        "objects",
        "pending",
        "readings",
        "sync",
        "work_dir",
    )

    def __init__(
        self, located: find.Located, handle: pygit2.Repository, *, durability: str, lock_timeout: float
    ) -> None:
        #: Absolute real path of the common Git folder: the same through whatever door it was opened.
        self.identity = str(located.common)
        self.handle = handle
        #: The work tree that the given path lies in, else the main one; None for a bare repository.
        self.work_dir = located.work_tree or main_work_tree(handle, located.common)
        self.durable = durability == "power"
        self.lock_timeout = lock_timeout
        #: The objects by themselves: merges and diffs in here heed no config, no index, no .gitattributes.
        self.objects = _only_objects(located.common)
        #: Objects that are made and not written yet.
        self.pending = Pending()
        #: How files in the Git folder are made durable.
        self.sync = Sync(located.common, durable=self.durable)
        self._recent: Recent[tuple[ObjectType, bytes]] = Recent(_RECENT)
        #: Folders as `objects` reads them, by the id of their tree, with the bytes of those that were made here.
        self.folders: Recent[tuple[Mapping[bytes, Slot], bytes | None]] = Recent(_RECENT)
        self._packs = OwnPacks(located.common / "objects" / "pack", self.sync)
        self._flushed = False
        #: What was last read of each index, by Git folder.
        self.readings: dict[Path, Reading] = {}
        self._binary = find.git_binary()
        self._env = seal.environment(durability)

    @property
    def bare(self) -> bool:
        return self.handle.is_bare

    def git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        git_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> process.Completed:
        """Run one git command to its end; the caller looks at the status.

        It runs inside the Git folder and takes that for its work tree: no command of ours lets git look at people's
        files, because looking at them can mean running their filters.
        """
        folder = git_dir or Path(self.identity)
        argv = [self._binary, f"--git-dir={folder}", f"--work-tree={folder}", *arguments]
        return process.run(argv, cwd=folder, env={**self._env, **(env or {})}, stdin=stdin, timeout=COMMAND_TIMEOUT)

    def sealed_environment(self) -> dict[str, str]:
        """The environment for a library that runs git by itself."""
        pointed = {"GIT_DIR": self.identity, "GIT_COMMON_DIR": self.identity, "GIT_WORK_TREE": self.identity}
        return {**dict.fromkeys(seal.POINTERS, ""), **self._env, **pointed}

    def store(self, kind: ObjectType, data: bytes) -> pygit2.Oid:
        """Make one object, its bytes as they are: in memory, until `flush`. `read_object` finds it at once.

        A ref is only ever moved through `refs.swap`, which flushes first: no ref can name what is not on the disk.
        """
        return pygit2.Oid(hex=self.pending.add(kind, data))

    def read_object(self, oid: str) -> tuple[ObjectType, bytes]:
        """Kind and bytes of an object, one in memory before one on the disk; for all reading in this room.

        Raises Cannot of kind repo-invalid where the repository lost it.
        """
        found = self.pending.get(oid) or self._recent.get(oid)
        if found is not None:
            return found
        try:
            number, data = self.handle.odb.read(oid)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise lost(oid) from error
        kind = ObjectType(number)
        self._recent.add(oid, (kind, data), len(data))
        return kind, data

    def flush(self) -> None:
        """Write the objects in memory; with `durability = "power"` they are on the disk for good before a ref is that
        is moved afterwards.

        Raises Cannot (disk-full, git-failed); they are in memory still, so it can be tried again.
        """
        if not len(self.pending):
            return
        made = list(self.pending)
        size = sum(len(data) for _, _, data in made)
        try:
            # A command that makes one commit and ends should not leave a pack; who goes on will fold his together.
            if (self._flushed or len(made) > _FEW) and size < _LARGE:
                self._packs.write(made)
            else:
                for _, kind, data in made:
                    self.handle.odb.write(kind, data)
        except (pygit2.GitError, OSError) as error:
            raise unwritten(f"write to {self.identity}", self.identity, one_line(str(error)), size) from error
        self._flushed = True
        for oid, kind, data in made:
            self._recent.add(oid, (kind, data), len(data))
        self.pending.forget()

    def close(self) -> None:
        self.objects.free()
        self.handle.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_repository(path: Path, *, durability: str = "power", lock_timeout: float = 5.0) -> Repository:
    """Open the repository that `path` is, or lies in: work tree, linked work tree, bare.

    Raises Cannot of kind repo-missing, repo-invalid, repo-foreign, repo-unsupported or git-missing.
    """
    located = find.locate(path)
    find.check_owner(located)
    seal.seal_libgit2(durability)
    _check_supported(located.common)
    try:
        handle = pygit2.Repository(str(located.common), RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.NO_DOTGIT)
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        kind = "repo-unsupported" if "extension" in str(error) else "repo-invalid"
        raise Cannot(
            f"open the repository {path}: {one_line(str(error))}",
            kind=kind,
            hint="try `git fsck` there",
            path=str(path),
        ) from error
    handle.set_ident(seal.NAME, seal.MAIL)
    return Repository(located, handle, durability=durability, lock_timeout=lock_timeout)


def _only_objects(common: Path) -> pygit2.Repository:
    bare = pygit2.Repository()
    bare.set_odb(pygit2.Odb(str(common / "objects")))
    return bare


def _check_supported(common: Path) -> None:
    """SHA-1 objects and refs in files are all that libgit2 reads; say so before it says something cryptic."""
    try:
        config = pygit2.Config(str(common / "config"))
        answers = [
            str(config[key]).lower() for key in ("extensions.objectformat", "extensions.refstorage") if key in config
        ]
    except (pygit2.GitError, OSError) as error:
        raise Cannot(
            f"open the repository {common}: {one_line(str(error))}",
            kind="repo-invalid",
            hint="mend its config file",
            path=str(common),
        ) from error
    odd = [value for value in answers if value not in ("sha1", "files")]
    if odd:
        raise Cannot(
            f"open the repository {common}: its {odd[0]} format is not supported",
            kind="repo-unsupported",
            hint="use a repository with SHA-1 objects and refs in files (`git init` without options makes one)",
            path=str(common),
        )


def main_work_tree(handle: pygit2.Repository, common: Path) -> Path | None:
    """The main work tree, None where there is none.

    It has to point back at its repository: a `core.worktree` alone could name any folder of this machine.
    """
    if handle.is_bare or not handle.workdir:
        return None
    folder = Path(os.path.realpath(handle.workdir))
    dot = folder / ".git"
    if dot.is_file():
        return folder if find.follow(dot) == common else None
    return folder if dot.resolve() == common else None


def lost(oid: str) -> Cannot:
    """The error for an object that should be there."""
    return Cannot(f"read object {oid}: missing or broken", kind="repo-invalid", hint="try `git fsck` there", object=oid)


def unwritten(what: str, folder: str, why: str, size: int) -> Cannot:
    """The error for a write that did not go through."""
    if _is_full(folder, size) or os.strerror(errno.EDQUOT) in why:
        return Cannot(f"{what}: the disk is full", kind="disk-full", hint="make room, then try again")
    return Cannot(f"{what}: {why}", kind="git-failed", hint="look at its permissions, and try `git fsck` there")


def _is_full(folder: str, size: int) -> bool:
    """Asked of the disk itself: libgit2 does not hand on what the system told it about a failed write."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < size + _BLOCK or (disk.f_files > 0 and disk.f_favail == 0)


def failed(what: str, done: process.Completed) -> Cannot:
    """The error for a git command that should have worked."""
    why = (
        "it took too long"
        if done.timed_out
        else one_line(done.stderr.decode("utf-8", "replace")) or f"status {done.status}"
    )
    return Cannot(f"{what}: git says: {why}", kind="git-failed", hint="try `git fsck` there")
