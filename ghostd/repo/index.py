"""The index of a work tree: some of its entries read, some replaced, all others kept as they are.

The git binary does the reading and writing where an index is not of the plain kind, because it alone knows every shape
that one can have (split, sparse, versions 3 and 4). It is kept away from people's files, since looking at those can run
their filters: an entry that we replace says "look at the content", and the file keeps its time, so that what had to be
looked at still has to be. (Git believes the times of an entry that is older than the index. With a younger index, edits
of people that were made in the tick of the last one would be believed to be none.)

A kill before the rename leaves `ghost-index` beside the index, which `mend` removes. The one wait for the disk here is
for the work tree's files as well: see `materialise`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ghostd.base.errors import of_os_error
from ghostd.base.files import sync_dir
from ghostd.model.tree import Entry, Mode
from ghostd.repo import locks, plain_index
from ghostd.repo.checkout import Checkout
from ghostd.repo.git import Repository, failed
from ghostd.repo.plain_index import Plain
from ghostd.repo.sync import Sync

#: Beyond so many paths reading all of the index is cheaper than matching each entry against each path.
_MANY = 50

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_LINE = re.compile(rb"(?P<tag>\S) (?P<mode>\d{6}) (?P<oid>[0-9a-f]{40}) (?P<stage>\d)\t(?P<path>[^\0]+)\0")
_STAT = re.compile(
    rb"\0\s*ctime: (\d+):(\d+)\s*mtime: (\d+):(\d+)\s*dev: \d+\s*ino: (\d+)\s*uid: \d+\s*gid: \d+\s*size: (\d+)\s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What the index says of a path."""

    entry: Entry
    #: A conflict that waits for a person.
    unmerged: bool = False
    #: The path is kept out of a sparse work tree.
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of an index, good for as long as the file is the same: an index is only ever replaced."""

    file: tuple[int, ...]
    #: The index by its bytes, if it is plain.
    plain: Plain | None
    #: Else these are the paths that were asked for, and what the git binary said.
    paths: frozenset[bytes] = frozenset()
    found: Mapping[bytes, Staged] = field(default_factory=dict)


def read(repo: Repository, checkout: Checkout, paths: Iterable[bytes]) -> Mapping[bytes, Staged]:
    """The entries at `paths` and below, by path."""
    wanted = frozenset(paths)
    now = _now(repo, checkout)
    found = plain_index.entries(now.plain, wanted) if now.plain is not None else None
    if found is not None:
        return {path: Staged(entry=entry) for path, entry in found.items()}
    if not wanted <= now.paths:
        # The file was looked at before the reading: one that comes in between makes it stale, never fresh.
        now = dataclasses.replace(now, paths=wanted, found=_listed(repo, checkout, wanted))
        repo.readings[checkout.git_dir] = now
    return now.found


def _now(repo: Repository, checkout: Checkout) -> Reading:
    """What is known of the index, read anew where it is another file than it was."""
    last = repo.readings.get(checkout.git_dir)
    try:
        if last is None or last.file != _identity(checkout.index.stat()):
            last = _read(checkout.index)
    except OSError:
        # None there, or none for us: the git binary knows what to say.
        last = last if last is not None and not last.file else Reading(file=(), plain=None)
    repo.readings[checkout.git_dir] = last
    return last


def _identity(info: os.stat_result) -> tuple[int, ...]:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _read(index: Path) -> Reading:
    """Bytes and identity of one and the same file. Raises OSError."""
    with index.open("rb") as stream:
        file = _identity(os.fstat(stream.fileno()))
        return Reading(file=file, plain=plain_index.parse(stream.read()))


def _listed(repo: Repository, checkout: Checkout, paths: frozenset[bytes]) -> dict[bytes, Staged]:
    """As the git binary reads it."""
    limit = [os.fsdecode(path) for path in paths] if len(paths) <= _MANY else []
    done = repo.git("ls-files", "-t", "-s", "-z", "--", *limit, git_dir=checkout.git_dir)
    if done.status:
        raise failed(f"read the index of {checkout.where}", done)
    found = [(match["path"], _staged(match)) for match in _LINE.finditer(done.stdout)]
    if done.stdout and not found:
        raise failed(f"understand the index of {checkout.where}", done)
    return dict(found)


def _staged(match: re.Match[bytes]) -> Staged:
    entry = Entry(mode=Mode(int(match["mode"], 8)), oid=match["oid"].decode())
    return Staged(entry=entry, unmerged=match["stage"] != b"0", hidden=match["tag"] in (b"S", b"s"))


def folders(staged: Mapping[bytes, Staged], leaving: set[bytes]) -> dict[bytes, bytes]:
    """The folders that the index needs, each with a path in it that does not leave: a file there would push it out."""
    needed: dict[bytes, bytes] = {}
    for path in staged.keys() - leaving:
        above = path.rpartition(b"/")[0]
        while above and above not in needed:
            needed[above] = path
            above = above.rpartition(b"/")[0]
    return needed


def unchanged_since(repo: Repository, checkout: Checkout, path: bytes, now: os.stat_result) -> bool:
    """Git's own stat cache: the file is the one that git wrote or staged, whatever a filter made of its bytes."""
    done = repo.git("ls-files", "--debug", "-z", "--", os.fsdecode(path), git_dir=checkout.git_dir)
    found = _STAT.search(done.stdout)
    if found is None or done.status:
        return False
    ctime, ctime_ns, mtime, mtime_ns, inode, size = (int(group) for group in found.groups())
    kept = (ctime, ctime_ns, mtime, mtime_ns, inode, size)
    # A file as young as the index may have changed within the clock's tick.
    return kept == _stat_as_git(now) and now.st_mtime_ns < checkout.index.stat().st_mtime_ns


def _stat_as_git(info: os.stat_result) -> tuple[int, ...]:
    times = (*divmod(info.st_ctime_ns, 10**9), *divmod(info.st_mtime_ns, 10**9))
    return (*times, info.st_ino & 0xFFFFFFFF, info.st_size & 0xFFFFFFFF)


@contextlib.contextmanager
def locked(repo: Repository, checkout: Checkout) -> Iterator[bool]:
    """Keep every other git from the index and, by custom, from the work tree; False where one kept us out too long."""
    with locks.holding(checkout.git_dir / "index.lock", repo.lock_timeout) as ours:
        yield ours


def replace(
    repo: Repository, checkout: Checkout, entries: Mapping[bytes, Entry | None], hidden: Iterable[bytes]
) -> None:
    """Set (None: remove) the entries at these paths. The caller holds the lock. The new index appears in one step."""
    aside = checkout.git_dir / "ghost-index"
    kept_out = b"".join(path + b"\0" for path in hidden)
    if kept_out or not _spliced(repo, checkout, aside, entries):
        _by_git(repo, checkout, aside, entries, kept_out)


def _spliced(repo: Repository, checkout: Checkout, aside: Path, entries: Mapping[bytes, Entry | None]) -> bool:
    """Write the new index by its bytes; False where the old one is not plain: nothing is done then."""
    plain = _now(repo, checkout).plain
    after = plain_index.replaced(plain, entries.items()) if plain is not None else None
    if after is None:
        return False
    try:
        file = _put(checkout, aside, after.data, Sync(checkout.git_dir, durable=repo.durable))
    except OSError as error:
        raise of_os_error(error, f"write the index of {checkout.where}") from error
    repo.readings[checkout.git_dir] = Reading(file=file, plain=after)
    return True


def _put(checkout: Checkout, aside: Path, data: bytes, sync: Sync) -> tuple[int, ...]:
    """Write an index and give it its name; which file it is. It gets the mode and the age of the one before it."""
    before = checkout.index.stat()
    fd = _new(aside)
    try:
        os.fchmod(fd, stat.S_IMODE(before.st_mode))
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        sync.content(fd)
        aside.replace(checkout.index)
        sync.names(fd, [checkout.git_dir])
        return _identity(os.fstat(fd))
    finally:
        os.close(fd)


def _new(aside: Path) -> int:
    try:
        return os.open(aside, _NEW, 0o666)
    except FileExistsError:
        # A kill left it: whoever holds the lock may remove it.
        aside.unlink()
        return os.open(aside, _NEW, 0o666)


def _by_git(
    repo: Repository, checkout: Checkout, aside: Path, entries: Mapping[bytes, Entry | None], kept_out: bytes
) -> None:
    """Have a copy changed by the git binary, and put it in the place of the index."""
    aside.unlink(missing_ok=True)
    before = _copy(checkout.index, aside)
    lines = b"".join(_info(path, entry) for path, entry in entries.items())
    _update(repo, checkout, aside, ("--index-info",), lines)
    if kept_out:
        _update(repo, checkout, aside, ("--skip-worktree", "--stdin"), kept_out)
    if before is not None:
        os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
    aside.replace(checkout.index)
    if repo.durable:
        sync_dir(checkout.git_dir)


def _copy(index: Path, aside: Path) -> os.stat_result | None:
    """Copy the index; its stat, or None where there is none yet."""
    try:
        shutil.copyfile(index, aside)
    except FileNotFoundError:
        return None
    shutil.copymode(index, aside)
    return index.stat()


def _info(path: bytes, entry: Entry | None) -> bytes:
    if entry is None:
        return b"0 %s\t%s\0" % (b"0" * 40, path)
    return b"%o %s 0\t%s\0" % (int(entry.mode), entry.oid.encode(), path)


def _update(repo: Repository, checkout: Checkout, aside: Path, options: tuple[str, ...], lines: bytes) -> None:
    env = {"GIT_INDEX_FILE": str(aside)}
    done = repo.git("update-index", "-z", *options, stdin=lines, git_dir=checkout.git_dir, env=env)
    if done.status:
        raise failed(f"update the index of {checkout.where}", done)


def age(path: Path) -> float | None:
    """Seconds since a file was written; None where there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
