"""What people did by hand to the paths of a patch, where its branch is checked out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from ghostd.model.tree import Change, Entry, Mode
from ghostd.repo import checkout as checkouts
from ghostd.repo import disk, index, look, refs
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
    return disk.Files(
        checkout.where,
        spare=checkout.spare,
        size_of=lambda oid: blob_size(repo, oid),
        durable=repo.durable,
        trust_modes=_trusts_modes(repo),
    )


#: What the config of a repository says of modes, with the file that said so.
_modes: dict[str, tuple[tuple[int, int, int], bool]] = {}


def _trusts_modes(repo: Repository) -> bool:
    """core.fileMode, which Git finds out when it makes a repository and writes into its config."""
    info = Path(repo.identity, "config").stat()
    file = info.st_ino, info.st_size, info.st_mtime_ns
    known = _modes.get(repo.identity)
    if known is None or known[0] != file:
        config = repo.handle.config
        known = file, "core.filemode" not in config or config.get_bool("core.filemode")
        _modes[repo.identity] = known
    return known[1]


def as_git_left_it(repo: Repository, checkout: Checkout, seen: look.Seen) -> bool:
    """True for a file that git checked out or staged, even where a filter gave it other bytes than the blob's."""
    if seen.spot.kind is not look.Kind.FILE or seen.spot.stat is None:
        return False
    return index.unchanged_since(repo, checkout, seen.path, seen.spot.stat)


def recorded_ref(branch: str) -> str:
    """Names the commit (or tree) that the work tree of a branch was last brought to."""
    return f"refs/ghost/worktree/{branch}"


def foreign_edits(repo: Repository, where: Path, changes: Sequence[Change]) -> tuple[ForeignEdit, ...]:
    """The paths of `changes` where a person's work would be overwritten. Nothing is read but these paths."""
    checkout = checkouts.at(repo, where)
    check = _Look(repo, checkout, changes)
    with files_of(repo, checkout) as files:
        found = (check.at(files, change) for change in changes)
        return tuple(edit for edit in found if edit is not None)


class _Look:
    """The index and the branch as they are at the start of one check."""

    def __init__(self, repo: Repository, checkout: Checkout, changes: Sequence[Change]) -> None:
        self._repo = repo
        self._checkout = checkout
        self._staged = index.read(repo, checkout, [change.path for change in changes])
        self._leaving = {change.path for change in changes if change.after is None}
        self._staying = index.folders(self._staged, self._leaving)

    def at(self, files: disk.Files, change: Change) -> ForeignEdit | None:
        return self._staged_by_hand(change) or self._edited(files, change)

    def _fits(self, change: Change, holds: Callable[[Entry | None], bool]) -> bool:
        """Whether it holds what the branch has, or shall have, or had when the files were last brought along."""
        if holds(change.before) or holds(_entry_after(change)):
            return True
        recorded = self._recorded
        return recorded is not None and holds(recorded.entry(change.path))

    @functools.cached_property
    def _recorded(self) -> GitTree | None:
        return _recorded(self._repo, self._checkout)

    def _staged_by_hand(self, change: Change) -> ForeignEdit | None:
        staged = self._staged.get(change.path)
        below = self._staying.get(change.path) if change.after is not None else None
        if below is not None:
            return ForeignEdit(path=change.path, diff=f"{_shown(below)} is staged below it\n")
        if staged is not None and staged.unmerged:
            return ForeignEdit(path=change.path, diff="its merge conflict is not resolved\n")
        entry = staged.entry if staged else None
        if self._fits(change, lambda fine: entry == fine):
            return None
        return ForeignEdit(path=change.path, diff=self._diff(change, entry, self._blob(entry), "staged"))

    def _edited(self, files: disk.Files, change: Change) -> ForeignEdit | None:
        staged = self._staged.get(change.path)
        if staged is not None and staged.hidden:
            return None
        obstacle = files.obstacle(change.path, self._leaving) if change.after is not None else None
        if obstacle is not None:
            return ForeignEdit(
                path=change.path, diff=f"{_shown(obstacle)} stands in its way and is not of this branch\n"
            )
        seen = files.see(change.path)
        if self._fits(change, seen.holds) or self._known_to_git(seen, change):
            return None
        found = files.read(change.path)
        return ForeignEdit(path=change.path, diff=self._diff(change, _entry_on(seen.spot), found, "edited"))

    def _known_to_git(self, seen: look.Seen, change: Change) -> bool:
        return change.before is not None and as_git_left_it(self._repo, self._checkout, seen)

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
    return Entry(mode=change.after.mode, oid=look.blob_id(change.after.data)) if change.after else None


def _entry_on(spot: look.Spot) -> Entry | None:
    if spot.kind is look.Kind.SYMLINK:
        return Entry(mode=Mode.SYMLINK, oid="")
    runs = spot.stat is not None and bool(spot.stat.st_mode & 0o100)
    return (
        Entry(mode=Mode.EXECUTABLE if runs else Mode.FILE, oid="")
        if spot.kind in (look.Kind.FILE, look.Kind.OTHER)
        else None
    )


def _recorded(repo: Repository, checkout: Checkout) -> GitTree | None:
    """The tree that the work tree was last brought to; a change may build on others that are not in the files yet.

    Where nothing was noted it is the branch's, as `remember_worktree` will note before the branch moves.
    """
    head = checkouts.head_ref(checkout.git_dir) or ""
    if not head.startswith("refs/heads/"):
        return None
    noted = refs.read(repo, recorded_ref(head.removeprefix("refs/heads/")))
    return tree_of(repo, noted or refs.read(repo, head))


def _shown(path: bytes) -> str:
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode()
