"""Work trees that people have open: where a branch is checked out, what they edited there, and how its files catch up.

This file is the door; each verb lives in a file of its name.
"""

from __future__ import annotations

import time
from pathlib import Path

from ghostd.repo import checkout as checkouts
from ghostd.repo import locks
from ghostd.repo.foreign import ForeignEdit, foreign_edits
from ghostd.repo.git import Repository
from ghostd.repo.materialise import CURRENT, NONE, PENDING, materialise, remember_worktree
from ghostd.repo.mend import mend
from ghostd.repo.pool import Pool, is_slot
from ghostd.repo.read_back import read_back

__all__ = [
    "CURRENT",
    "NONE",
    "PENDING",
    "ForeignEdit",
    "Pool",
    "await_index",
    "checked_out_at",
    "foreign_edits",
    "is_slot",
    "materialise",
    "mend",
    "pool",
    "read_back",
    "remember_worktree",
]


def pool(repo: Repository, folder: Path) -> Pool:
    """The copies of trees below `folder` (made where it is missing), for gates and commands to work in."""
    return Pool(repo, folder)


def checked_out_at(repo: Repository, branch: str) -> Path | None:
    """The work tree, main or linked, whose HEAD is this branch, born or not; None where there is none."""
    here = checkouts.of_branch(repo, branch)
    return here.where if here else None


def await_index(repo: Repository, where: Path) -> None:
    """Wait until nobody holds the index of a work tree. Raises Cannot of kind git-locked after the lock's timeout."""
    lock = checkouts.at(repo, where).git_dir / "index.lock"
    deadline = time.monotonic() + repo.lock_timeout
    while lock.exists():
        if time.monotonic() > deadline:
            raise locks.locked(f"bring the files in {where} along", lock, (where, Path(repo.identity)))
        time.sleep(locks.PAUSE)
