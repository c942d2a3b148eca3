"""What people did by hand to the paths of a patch, where its branch is checked out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from ghostd.model.tree import Change, Entry, Mode
from ghostd.repo import checkout as checkouts
from ghostd.repo import disk, index, refs
from ghostd.repo.checkout import Checkout
from ghostd.repo.git import Repository
from ghostd.repo.objects import GitTree, blob_size, read_blob, tree_of

#: A diff is for people: the first part of it tells them what they need.
_DIFF_LIMIT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEdit:
    """A path of the patch that a person edited or staged; `diff` leads from what Git has to what they made of it."""

    path: bytes
    diff: str


def files_of(repo: Repository, checkout: Checkout) -> disk.Files:
    """The work tree's files, with the spare folder to make new ones in."""
    config = repo.handle.config
    trust = "core.filemode" not in config or config.get_bool("core.filemode")
    return disk.Files(
        checkout.where,
        spare=checkout.spare,
        size_of=lambda oid: blob_size(repo, oid),
        durable=repo.durable,
        trust_modes=trust,
    )


def as_git_left_it(repo: Repository, checkout: Checkout, files: disk.Files, path: bytes) -> bool:
    """True for a file that git checked out or staged, even where a filter gave it other bytes than the blob's."""
    spot = files.look(path)
    if spot.kind is not disk.Kind.FILE or spot.stat is None:
        return False
    return index.unchanged_since(repo, checkout, path, spot.stat)


def recorded_ref(branch: str) -> str:
    """Names the commit (or tree) that the work tree of a branch was last brought to."""
    return f"refs/ghost/worktree/{branch}"


def foreign_edits(repo: Repository, where: Path, changes: Sequence[Change]) -> tuple[ForeignEdit, ...]:
    """The paths of `changes` where a person's work would be overwritten. Nothing is read but these paths."""
    checkout = checkouts.at(repo, where)
    look = _Look(repo, checkout, changes)
    with files_of(repo, checkout) as files:
        found = (look.at(files, change) for change in changes)
        return tuple(edit for edit in found if edit is not None)


class _Look:
    """The index and the branch as they are at the start of one check."""

    def __init__(self, repo: Repository, checkout: Checkout, changes: Sequence[Change]) -> None:
        self._repo = repo
        self._checkout = checkout
        self._staged = index.read(repo, checkout, [change.path for change in changes])
        self._recorded = _recorded(repo, checkout)
        self._leaving = {change.path for change in changes if change.after is None}
        self._staying = index.folders(self._staged, self._leaving)

    def at(self, files: disk.Files, change: Change) -> ForeignEdit | None:
        after = _entry_after(change)
        fine = [change.before, after, *((self._recorded.entry(change.path),) if self._recorded else ())]
        return self._staged_by_hand(change, fine) or self._edited(files, change, fine)

    def _staged_by_hand(self, change: Change, fine: list[Entry | None]) -> ForeignEdit | None:
        staged = self._staged.get(change.path)
        below = self._staying.get(change.path) if change.after is not None else None
        if below is not None:
            return ForeignEdit(path=change.path, diff=f"{_shown(below)} is staged below it\n")
        if staged is not None and staged.unmerged:
            return ForeignEdit(path=change.path, diff="its merge conflict is not resolved\n")
        entry = staged.entry if staged else None
        if entry in fine:
            return None
        return ForeignEdit(path=change.path, diff=self._diff(change, entry, self._blob(entry), "staged"))

    def _edited(self, files: disk.Files, change: Change, fine: list[Entry | None]) -> ForeignEdit | None:
        staged = self._staged.get(change.path)
        if staged is not None and staged.hidden:
            return None
        obstacle = files.obstacle(change.path, self._leaving) if change.after is not None else None
        if obstacle is not None:
            return ForeignEdit(
                path=change.path, diff=f"{_shown(obstacle)} stands in its way and is not of this branch\n"
            )
        if any(files.holds(change.path, entry) for entry in fine) or self._known_to_git(files, change):
            return None
        spot = files.look(change.path)
        return ForeignEdit(
            path=change.path, diff=self._diff(change, _entry_on(spot), files.read(change.path), "edited")
        )

    def _known_to_git(self, files: disk.Files, change: Change) -> bool:
        return change.before is not None and as_git_left_it(self._repo, self._checkout, files, change.path)

    def _blob(self, entry: Entry | None) -> bytes:
        return read_blob(self._repo, entry.oid) if entry is not None and entry.mode != Mode.GITLINK else b""

    def _diff(self, change: Change, entry: Entry | None, found: bytes, how: str) -> str:
        name = _shown(change.path)
        if entry is None:
            return f"{name} was deleted ({how} by hand)\n"
        modes = (
            ""
            if change.before is None or change.before.mode == entry.mode
            else f"mode {change.before.mode:o} -> {entry.mode:o}\n"
        )
        patch = pygit2.Patch.create_from(self._blob(change.before), found, old_as_path=name, new_as_path=name)
        return f"{how} by hand\n{modes}" + patch.data.decode("utf-8", "replace")[:_DIFF_LIMIT]


def _entry_after(change: Change) -> Entry | None:
    return Entry(mode=change.after.mode, oid=disk.blob_id(change.after.data)) if change.after else None


def _entry_on(spot: disk.Spot) -> Entry | None:
    if spot.kind is disk.Kind.SYMLINK:
        return Entry(mode=Mode.SYMLINK, oid="")
    runs = spot.stat is not None and bool(spot.stat.st_mode & 0o100)
    return (
        Entry(mode=Mode.EXECUTABLE if runs else Mode.FILE, oid="")
        if spot.kind in (disk.Kind.FILE, disk.Kind.OTHER)
        else None
    )


def _recorded(repo: Repository, checkout: Checkout) -> GitTree | None:
    """The tree that the work tree was last brought to, where the branch has gone on since."""
    head = checkouts.head_ref(checkout.git_dir) or ""
    oid = refs.read(repo, recorded_ref(head.removeprefix("refs/heads/"))) if head.startswith("refs/heads/") else None
    return tree_of(repo, oid) if oid else None


def _shown(path: bytes) -> str:
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode()
