"""Where a branch is checked out: the main work tree, or a linked one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.repo import find, refs
from ghostd.repo.git import Repository, main_work_tree

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A work tree and its own Git folder, which holds its HEAD and index."""

    where: Path
    git_dir: Path
    index: Path
    #: Where files are made before they are moved into place: out of sight of whoever watches the work tree.
    spare: Path


def _checkout(where: Path, git_dir: Path) -> Checkout:
    return Checkout(where=where, git_dir=git_dir, index=git_dir / "index", spare=git_dir / "ghost-tmp")


def checkouts(repo: Repository, *, head: str | None = None) -> Iterator[Checkout]:
    """Every work tree that is there and points back at its Git folder; with `head`, those on that branch only."""
    # HEAD is one small file; to find out where a work tree is takes many.
    if head is None or head_ref(repo.identity) == head:
        main = _main(repo)
        if main is not None:
            yield main
    for git_dir in _linked_dirs(repo.identity):
        if head is None or head_ref(git_dir) == head:
            where = _linked(Path(git_dir))
            if where is not None:
                yield _checkout(where, Path(git_dir))


def _linked_dirs(common: str) -> list[str]:
    """The Git folders of all linked work trees."""
    try:
        names = os.listdir(f"{common}/worktrees")  # noqa: PTH208 - there is none most often, and each patch asks
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [f"{common}/worktrees/{name}" for name in sorted(names)]


#: Main work trees by their Git folder, each with what stood at its `.git` when it was found.
_known: dict[str, tuple[Checkout, tuple[int, int]]] = {}


def _main(repo: Repository) -> Checkout | None:
    """The main work tree; found once, and good for as long as the same thing stands at its `.git`."""
    known = _known.get(repo.identity)
    if known is not None and _thing(known[0].where) == known[1]:
        return known[0]
    common = Path(repo.identity)
    where = main_work_tree(repo.handle, common)
    if where is None:
        return None
    found = _checkout(where, common)
    thing = _thing(where)
    if thing is not None:
        _known[repo.identity] = found, thing
    return found


def _thing(where: Path) -> tuple[int, int] | None:
    try:
        info = os.lstat(f"{where}/.git")
    except OSError:
        return None
    # A file that points somewhere can be written over; a folder is itself.
    return (info.st_dev, info.st_ino) if stat.S_ISDIR(info.st_mode) else None


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
    found = _standing_at(repo, where) or _standing_at(repo, where.resolve())
    if found is None:
        raise ValueError(f"no work tree of {repo.identity} at {where}")
    return found


def _standing_at(repo: Repository, where: Path) -> Checkout | None:
    return next((each for each in checkouts(repo) if each.where == where), None)


def head_ref(git_dir: Path | str) -> str | None:
    """The branch that HEAD is; None for a detached one, and where a work tree was half removed."""
    head = f"{git_dir}/HEAD"
    try:
        fd = os.open(head, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return os.readlink(head)  # noqa: PTH115 - a plain name, as below: this is looked at for each patch
    try:
        text = os.fsdecode(os.read(fd, 4096)).strip()
    finally:
        os.close(fd)
    return text.removeprefix("ref:").strip() if text.startswith("ref:") else None
