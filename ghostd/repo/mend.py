"""What a start does after a crash: locks and half-made files of those who are gone, and the work tree."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ghostd.repo import checkout as checkouts
from ghostd.repo import index, locks, maintenance, refs
from ghostd.repo.git import Repository
from ghostd.repo.materialise import CURRENT, materialise

#: A lock that somebody else may have taken is left alone for so many seconds.
STALE_AFTER = 3.0


def mend(repo: Repository, branch: str, *, stale_after: float = STALE_AFTER) -> list[str]:
    """Bring a branch and its work tree back into order; what was mended, in words. For its only writer."""
    mended = [f"removed {lock}, left by a process that is gone" for lock in _stale_locks(repo, branch, stale_after)]
    mended += [f"removed {path}, left half made" for path in (*_leftovers(repo), *maintenance.half_made(repo))]
    lagged = _lags(repo, branch)
    if materialise(repo, branch) == CURRENT and lagged:
        mended.append(f"brought the files of {branch} to its tip")
    return mended


def _lags(repo: Repository, branch: str) -> bool:
    recorded = refs.read(repo, f"refs/ghost/worktree/{branch}")
    return recorded is not None and recorded != refs.read(repo, refs.branch_ref(branch))


def _stale_locks(repo: Repository, branch: str, stale_after: float) -> Iterator[Path]:
    """Remove and name each lock that nobody holds."""
    for lock, patience in _locks(repo, branch, stale_after):
        age = index.age(lock)
        if age is None or (locks.author(lock) is None and age < patience):
            continue
        if locks.holder(lock, _places(repo)) is None:
            lock.unlink(missing_ok=True)
            yield lock


def _locks(repo: Repository, branch: str, stale_after: float) -> Iterator[tuple[Path, float]]:
    """Every lock that we may have left, with the age from which it counts as left: our refs have no other writer."""
    common = Path(repo.identity)
    own = {common / f"{refs.branch_ref(branch)}.lock", *common.glob(f"refs/ghost/*/{branch}.lock")}
    own |= {*common.glob("refs/tags/phase/**/*.lock"), *common.glob("refs/ghost/thawed/**/*.lock")}
    yield from ((lock, 0.0) for lock in sorted(own))
    shared = {*common.glob("refs/ghost/**/*.lock"), *common.glob("refs/tags/**/*.lock"), common / "packed-refs.lock"}
    for here in checkouts.checkouts(repo):
        shared |= {here.git_dir / "index.lock", here.git_dir / "HEAD.lock"}
    yield from ((lock, stale_after) for lock in sorted(shared - own))


def _places(repo: Repository) -> list[Path]:
    return [Path(repo.identity), *(here.where for here in checkouts.checkouts(repo))]


def _leftovers(repo: Repository) -> Iterator[Path]:
    """Remove and name what a kill left of our own in the Git folders."""
    for here in checkouts.checkouts(repo):
        # As long as somebody holds the index, these are his.
        if (here.git_dir / "index.lock").exists():
            continue
        for path in [*here.git_dir.glob("ghost-lock-*"), *here.git_dir.glob("ghost-index*"), here.spare]:
            if path.is_dir() and any(path.iterdir()):
                shutil.rmtree(path)
                yield path
            elif path.is_file() and not _alive(path):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                yield path


def _alive(path: Path) -> bool:
    """A lock claim that a living process is about to use."""
    return bool(locks.author(path))
