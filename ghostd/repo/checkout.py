"""Where a branch is checked out: the main work tree, or a linked one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.repo import find, refs
from ghostd.repo.git import Repository, main_work_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A work tree and its own Git folder, which holds its HEAD and index."""

    where: Path
    git_dir: Path

    @property
    def index(self) -> Path:
        return self.git_dir / "index"

    @property
    def spare(self) -> Path:
        """Where files are made before they are moved into place: out of sight of whoever watches the work tree."""
        return self.git_dir / "ghost-tmp"


def checkouts(repo: Repository, *, head: str | None = None) -> Iterator[Checkout]:
    """Every work tree that is there and points back at its Git folder; with `head`, those on that branch only."""
    common = Path(repo.identity)
    linked = common / "worktrees"
    for git_dir in (common, *(sorted(linked.iterdir()) if linked.is_dir() else ())):
        # HEAD is one small file; to find out where a work tree is takes many.
        if head is not None and head_ref(git_dir) != head:
            continue
        where = main_work_tree(repo.handle, common) if git_dir == common else _linked(git_dir)
        if where is not None:
            yield Checkout(where=where, git_dir=git_dir)


def _linked(git_dir: Path) -> Path | None:
    """The folder of a linked work tree; None where it was moved or deleted behind Git's back."""
    try:
        dot = find.pointed(git_dir, (git_dir / "gitdir").read_bytes())
        return dot.parent if dot is not None and dot.is_file() and find.follow(dot) == git_dir else None
    except (OSError, Cannot):
        return None


def of_branch(repo: Repository, branch: str) -> Checkout | None:
    """Where HEAD is this branch, born or not."""
    return next(checkouts(repo, head=refs.branch_ref(branch)), None)


def at(repo: Repository, where: Path) -> Checkout:
    """The work tree at a folder. Raises ValueError where there is none: `where` comes from `checked_out_at`."""
    wanted = where.resolve()
    for each in checkouts(repo):
        if each.where == wanted:
            return each
    raise ValueError(f"no work tree of {repo.identity} at {where}")


def head_ref(git_dir: Path) -> str | None:
    """The branch that HEAD is; None for a detached one, and where a work tree was half removed."""
    head = git_dir / "HEAD"
    try:
        if head.is_symlink():
            return str(head.readlink())
        text = os.fsdecode(head.read_bytes()).strip()
    except FileNotFoundError:
        return None
    return text.removeprefix("ref:").strip() if text.startswith("ref:") else None
