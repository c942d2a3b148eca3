"""Names of commits, moved by compare-and-swap only.

An existing ref is moved in its file as Git does it, or through libgit2 where it is packed: under `<ref>.lock`, compared
under the lock, synced, renamed; no hook runs, and no process is needed that could die. libgit2 does not compare
when it creates a ref, so this rare step, and the removal, go through `git update-ref`.
"""

from __future__ import annotations

import time
from pathlib import Path

import pygit2
from pygit2.enums import ReferenceType

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.repo import locks, ref_file
from ghostd.repo.git import Repository, unwritten

ZERO = "0" * 40


def branch_ref(branch: str) -> str:
    """The full name of a branch. Raises Cannot of kind bad-branch where Git would not take it."""
    name = f"refs/heads/{branch}"
    if branch.startswith("-") or branch == "HEAD" or not pygit2.reference_is_valid_name(name):
        raise Cannot(
            f"use {one_line(branch, 80)!r} as a branch: not a valid name",
            kind="bad-branch",
            hint="see `git help check-ref-format`",
            branch=branch,
        )
    return name


def read(repo: Repository, name: str) -> str | None:
    """The object that a ref names, None where there is no such ref. Raises Cannot for a broken or symbolic one."""
    try:
        ref = repo.handle.lookup_reference(name)
    except KeyError:
        return None
    except (pygit2.GitError, ValueError) as error:
        raise Cannot(
            f"read {name}: {one_line(str(error))}", kind="repo-invalid", hint="try `git fsck` there", ref=name
        ) from error
    if ref.type == ReferenceType.SYMBOLIC:
        raise Cannot(
            f"use {name}: it is only another name of {ref.target}", kind="bad-branch", hint="use that one", ref=name
        )
    return str(ref.target)


def swap(repo: Repository, name: str, new: str | None, expect: str | None, *, why: str = "ghost") -> bool:
    """Move a ref from `expect` (None: it does not exist) to `new` (None: delete it), or do nothing and return False.

    What is in memory still is written first, so that no ref names what is not there. Waits for a lock of somebody
    else, then raises Cannot of kind git-locked.
    """
    repo.flush()
    deadline = time.monotonic() + repo.lock_timeout
    while True:
        # A move compares by itself, under the lock.
        if None in (new, expect) and read(repo, name) != expect:
            return False
        trouble = _attempt(repo, name, new, expect, why)
        now = expect if trouble is None else read(repo, name)
        if trouble is None or (now == new and new is not None):
            # What failed behind the move does not undo it.
            return True
        if now != expect:
            return False
        _wait(repo, name, trouble, deadline)


def _attempt(repo: Repository, name: str, new: str | None, expect: str | None, why: str) -> str | None:
    """Try once; None when done, else what the library said."""
    if expect is None or new is None:
        return _update_ref(repo, name, new, expect, why)
    try:
        if ref_file.move(repo.identity, name, new, expect, why=why, sync=repo.sync):
            return None
        ref = repo.handle.lookup_reference(name)
        if str(ref.target) != expect:
            return "it moved"
        ref.set_target(new, why)
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        return one_line(str(error)) or type(error).__name__
    return None


def _update_ref(repo: Repository, name: str, new: str | None, expect: str | None, why: str) -> str | None:
    command = f"update {name}\0{new or ZERO}\0{expect or ZERO}\0".encode()
    done = repo.git("update-ref", "-m", why, "--stdin", "-z", stdin=command)
    return None if done.status == 0 else one_line(done.stderr.decode("utf-8", "replace")) or "no reason given"


def _wait(repo: Repository, name: str, trouble: str, deadline: float) -> None:
    """The ref is as expected and would not move: pause if a lock is in the way, else give up. Raises Cannot."""
    lock = next((lock for lock in _locks(repo, name) if lock.exists()), None)
    late = time.monotonic() >= deadline
    if lock is not None and late:
        raise locks.locked(f"move {name}", lock, places(repo))
    if lock is None and (late or "lock" not in trouble):
        raise _collision(repo, name) or unwritten(f"move {name}", repo.identity, trouble, 0)
    time.sleep(locks.PAUSE)


def _locks(repo: Repository, name: str) -> tuple[Path, ...]:
    """The lock files that can stand in the way; a branch that is HEAD's has HEAD locked too while it is born."""
    common = Path(repo.identity)
    return common / f"{name}.lock", common / "packed-refs.lock", common / "HEAD.lock"


def places(repo: Repository) -> tuple[Path, ...]:
    """Where a git that works on this repository may stand."""
    return (Path(repo.identity), *((repo.work_dir,) if repo.work_dir else ()))


def _collision(repo: Repository, name: str) -> Cannot | None:
    """A ref `a` forbids a ref `a/b`: Git keeps them as file and folder."""
    parts = name.split("/")
    for length in range(3, len(parts)):
        shorter = "/".join(parts[:length])
        if read(repo, shorter) is not None:
            return Cannot(
                f"make {name}: {shorter} exists, and Git can not hold both",
                kind="bad-branch",
                hint="rename that branch, or choose another one",
                ref=name,
            )
    return None
