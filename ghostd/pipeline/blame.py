"""Who is in the way where no line tells it.

The graph follows what each commit did by itself. That is not enough where changes cancel out. A rollback of several
commits may leave a file as it found it although one of them had made it, so that what it took away has no line of its
own; and a diff over many commits may place equal lines elsewhere than the diffs of each of them. So what a path has
come to is compared with what the earlier commit had left there, and the one who brought it there is named.

People's commits bear no id. They are named by themselves, where nothing of ours can be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ghostd.model.job import Landed
from ghostd.model.touch import Touch
from ghostd.model.tree import Entry
from ghostd.pipeline import lines
from ghostd.pipeline.branch import Branch
from ghostd.repo import compare, history, objects
from ghostd.repo.git import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """Some commits of a branch are being taken back: which, and the ids that stand when they are."""

    branch: Branch
    undone: frozenset[str]
    stands: frozenset[str]

    def answers(self, commit: str) -> Landed | None:
        """Who answers for what a commit did: itself while it stands, else who took it back and stands, and so on."""
        found = self.branch.landed[self.branch.position[commit]]
        while found.id not in self.stands:
            later = self.branch.landed[self.branch.position[found.commit] + 1 :]
            takers = [each for each in later if found.id in each.reverts and each.commit not in self.undone]
            if not takers:
                return None
            found = takers[-1]
        return found

    def later(self, than: str) -> tuple[Landed, ...]:
        """The commits after one that are not being taken back, oldest first."""
        after = self.branch.landed[self.branch.position[than] + 1 :]
        return tuple(found for found in after if found.commit not in self.undone)


def culprit(undoing: Undoing, touch: Touch, later: Sequence[tuple[str, Touch]]) -> Landed | None:
    """Who, among the later touches of a path, brought it to where it clashes with taking `touch` back.

    None where nobody did, or a person. What some of them leave when others are taken back can only be told by a merge.
    """
    if any(commit in undoing.undone for commit, _ in later):
        return None
    repo, found = undoing.branch.repo, ""
    for commit, after in reversed(later):
        if not clashes(repo, touch, after.after):
            break
        found = "" if clashes(repo, touch, after.before) else commit
    return undoing.answers(found) if found else None


def clashes(repo: Repository, touch: Touch, now: Entry | None) -> bool:
    """Whether the merge that takes `touch` back would meet a change, were its path `now` like this.

    A path that is gone again, or there again, is none that the merge has no work with: it may have been moved.
    """
    if now == touch.after:
        return False
    if now is None or touch.before is None or touch.after is None:
        return True
    if now == touch.before:
        return False
    if touch.spans is None:
        return True
    if now.mode != touch.after.mode and touch.new_mode:
        return True
    since = compare.spans(repo, touch.after.oid, now.oid)
    return lines.meet(lines.written(touch.spans), since)


def touching(undoing: Undoing, than: str, paths: Collection[bytes]) -> tuple[str, ...]:
    """The ids of those who answer for what came after a commit at, above or below these paths, oldest first."""
    ledger, at = undoing.branch.ledger, undoing.branch.at
    around = {above for path in paths for above in _above(path)}
    met = {commit for path in around for commit, _ in ledger.touched(*at, than, path)}
    met |= {commit for path in paths for commit, _ in ledger.touched_below(*at, than, path)}
    answering = {undoing.answers(commit) for commit in met - undoing.undone}
    return tuple(found.id for found in undoing.later(than) if found in answering)


def people(branch: Branch, than: str, head: str) -> tuple[str, ...]:
    """The commits after one that are not ours, newest first."""
    return tuple(oid for oid in history.since(branch.repo, than, head) if oid not in branch.position)


def by_hand(branch: Branch, than: str, head: str, paths: Collection[bytes]) -> tuple[str, ...]:
    """Those of them that touched these paths, or one above or below; all of them where none did."""
    theirs = people(branch, than, head)
    wanted = {above for path in paths for above in _above(path)}
    changed = ((oid, objects.changed_paths(branch.repo, oid)) for oid in theirs)
    met = [oid for oid, their in changed if any(path in wanted or _below(path, paths) for path in their)]
    return tuple(met) or theirs


def _below(path: bytes, folders: Collection[bytes]) -> bool:
    return any(above in folders for above in _above(path))


def _above(path: bytes) -> list[bytes]:
    """A path and the folders that it is in."""
    parts = path.split(b"/")
    return [b"/".join(parts[:n]) for n in range(1, len(parts) + 1)]
