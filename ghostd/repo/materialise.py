"""Bring the files of a work tree to its branch's tip: those that changed, and no others.

The ref refs/ghost/worktree/<branch> says how far the work tree has come. It is moved last, so whatever happened before
that, doing it again is right. Under the index's lock the order is, with what a kill after each step leaves:

1. each file is made in `ghost-tmp`, its bytes written out     a file there: the next attempt, or `mend`, removes it
2. each file is moved into its place                           some files are ahead of the index: step STAGE
3. the new index is made and moved into its place              index and files are ahead of the ref: step DONE
4. one wait for the disk, for all of that
5. the ref is moved                                            nothing

A power cut leaves the same: no name is on the disk before its bytes, and with a journal in order (`sync`) none before
the ones given earlier; on other file systems steps 1 to 3 wait for each file and folder instead of step 4. So the ref
is never ahead of the files. It may be behind them, so it is not waited for: it is written over in its place.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ghostd.base.errors import Cannot
from ghostd.model.tree import Entry, File, Mode
from ghostd.repo import checkout as checkouts
from ghostd.repo import disk, index, look, ref_file, refs
from ghostd.repo.checkout import Checkout
from ghostd.repo.foreign import as_git_left_it, files_of, recorded_ref
from ghostd.repo.git import Repository
from ghostd.repo.objects import changed_entries, read_blob, tree_of
from ghostd.repo.rules import Step, step

_log = logging.getLogger("repo")

CURRENT = "current"
PENDING = "pending"
NONE = "none"

Lag = Mapping[bytes, tuple[Entry | None, Entry | None]]


def remember_worktree(repo: Repository, branch: str) -> None:
    """Note, before a branch moves, that its work tree is where the branch is. Nothing where that is noted."""
    name = recorded_ref(branch)
    recorded = refs.read(repo, name)
    here = checkouts.of_branch(repo, branch)
    if here is None and recorded is not None:
        # Whoever checks it out again gets the files from git itself.
        refs.swap(repo, name, None, recorded)
    if here is not None and recorded is None:
        refs.swap(repo, name, refs.read(repo, refs.branch_ref(branch)) or tree_of(repo, None).oid, None)


def materialise(repo: Repository, branch: str, *, previous: str | None = None) -> str:
    """Bring the files to the tip: "current"; "pending" where a lock, an edit or the disk is in the way; "none" where
    the branch is checked out nowhere. `previous` is where the files are, if nothing was noted. Trouble with the files
    never fails it: the commit stands.
    """
    here = checkouts.of_branch(repo, branch)
    tip = refs.read(repo, refs.branch_ref(branch))
    if here is None or tip is None:
        remember_worktree(repo, branch)
        return NONE if here is None else CURRENT
    start = _noted(repo, branch, previous or tip)
    if start == tip:
        return CURRENT
    try:
        current = _brought(repo, here, start, tip) and _note(repo, branch, tip, start)
    except (OSError, Cannot) as error:
        # Not lost: the outcome says "pending", and the next call does it again.
        _log.warning("the files of %s lag behind: %s", branch, error)
        return PENDING
    return CURRENT if current else PENDING


def _note(repo: Repository, branch: str, tip: str, start: str) -> bool:
    """Move the ref; False where another did. It has no other writer than this branch's, and no reflog to keep."""
    common, name = repo.identity, recorded_ref(branch)
    # What it names is on the disk already: it is the tip of a branch.
    with contextlib.suppress(OSError):
        if ref_file.set_behind(common, name, tip, start):
            return True
    return refs.swap(repo, name, tip, start)


def _noted(repo: Repository, branch: str, otherwise: str) -> str:
    """How far the work tree has come; noted as `otherwise` where it was not."""
    name = recorded_ref(branch)
    recorded = refs.read(repo, name)
    if recorded is None:
        refs.swap(repo, name, otherwise, None)
    return recorded or otherwise


def _brought(repo: Repository, here: Checkout, start: str, tip: str) -> bool:
    """Write what lags; False where something of it had to be left."""
    lag = changed_entries(repo, tree_of(repo, start).oid, tree_of(repo, tip).oid)
    if not lag:
        return True
    with index.locked(repo, here) as ours:
        return ours and _Plan(repo, here, lag).perform()


@dataclass(frozen=True, slots=True)
class _Move:
    """One path: what stood there, what shall stand there, and what is to be done."""

    path: bytes
    shall: Entry | None
    step: Step
    hidden: bool


class _Plan:
    """All steps of one work tree, decided under the index's lock."""

    def __init__(self, repo: Repository, here: Checkout, lag: Lag) -> None:
        self._repo = repo
        self._here = here
        self._lag = lag
        self._staged = index.read(repo, here, lag)
        self._leaving = {path for path, (_, shall) in lag.items() if shall is None}
        self._staying = index.folders(self._staged, self._leaving)

    def perform(self) -> bool:
        with files_of(self._repo, self._here) as files:
            moves = [self._decided(files, path) for path in sorted(self._lag)]
            staged = self._written(files, moves)
            files.sync()
        if staged:
            hidden = [move.path for move in moves if move.hidden and staged.get(move.path)]
            index.replace(self._repo, self._here, staged, hidden)
        return all(move.step is Step.DONE or move.path in staged for move in moves)

    def _decided(self, files: disk.Files, path: bytes) -> _Move:
        was, shall = self._lag[path]
        staged = self._staged.get(path)
        entry = staged.entry if staged else None
        hidden = staged is not None and staged.hidden
        pushes_out = shall is not None and path in self._staying
        if pushes_out or (staged is not None and staged.unmerged):
            return _Move(path, shall, Step.FOREIGN, hidden)
        if hidden:
            # Kept out of a sparse work tree: there is no file to bring along.
            todo = step(was=was, shall=shall, staged=entry, disk_is_was=False, disk_is_shall=True)
            return _Move(path, shall, todo, hidden)
        files.forget_temporary(path)
        free = shall is None or files.obstacle(path, self._leaving) is None
        seen = files.see(path)
        disk_is_was = entry != shall and free and self._is_as_before(seen, was)
        todo = step(was=was, shall=shall, staged=entry, disk_is_was=disk_is_was, disk_is_shall=seen.holds(shall))
        return _Move(path, shall, todo, hidden=False)

    def _is_as_before(self, seen: look.Seen, was: Entry | None) -> bool:
        return seen.holds(was) or (was is not None and as_git_left_it(self._repo, self._here, seen))

    def _written(self, files: disk.Files, moves: list[_Move]) -> dict[bytes, Entry | None]:
        """Perform the steps, removals first, so that a file can make room for a folder. What the index has to learn."""
        staged: dict[bytes, Entry | None] = {}
        for move in sorted(moves, key=lambda move: move.shall is not None):
            if move.step is Step.STAGE or (move.step is Step.WRITE and self._write(files, move)):
                staged[move.path] = move.shall
        for path in files.place():
            # The path stays behind, and the outcome says so.
            del staged[path]
        return staged

    def _write(self, files: disk.Files, move: _Move) -> bool:
        """False where a person was quicker and something stands in the way; `place` may find that out as well."""
        match move.shall:
            case None:
                files.remove(move.path)
            case Entry(mode=Mode.GITLINK):
                return True
            case Entry(mode=mode, oid=oid):
                data = read_blob(self._repo, oid)
                try:
                    files.put(move.path, File(mode=mode, data=data))
                except OSError:
                    # A person's folder in the way, a full disk: the path stays behind, and the outcome says so.
                    return False
        return True
