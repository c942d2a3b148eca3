"""Which later patches build on an earlier one: the lines that it wrote are tracked through everything that came after.

A cheap filter. It may name one too many, because lines that a later patch rewrote count as a whole; it names at least
one wherever taking the earlier patch back would conflict with a patch of ours. The three-way merge in memory decides.

Where the lines of a path name nobody, and the path is not as the earlier patch left it, who brought it there is named
(`blame`): what cancels out, as in a rollback of several patches, has no lines to follow.

What people committed in between shows as a file that is not what the patch before had left: the lines are carried over
by comparing the two, and nobody is named for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ghostd.model.job import Landed
from ghostd.model.touch import Touch
from ghostd.pipeline import lines
from ghostd.pipeline.blame import Undoing, culprit
from ghostd.pipeline.branch import Branch, needed
from ghostd.repo import compare
from ghostd.repo.git import Repository
from ghostd.store.ports import Ledger

#: Commits that are read and written at once: a tenth of a second or so.
BATCH = 200


class Bond(StrEnum):
    """How a later patch is bound to an earlier one."""

    #: It says so: `execution.dependsOn`.
    ASKED = "asked"
    #: One of them made, removed, or reshaped a path that the other one writes.
    PATH = "path"
    #: It changed lines that the earlier one wrote, or lines beside them.
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class Link:
    """One reason for which a later commit builds on an earlier one; `path` is that of the earlier one's touch."""

    commit: str
    bond: Bond
    path: bytes = b""


def chart(ledger: Ledger, repo: Repository, branch: str, *, since: str = "", limit: int | None = None) -> int:
    """Read the touches of the commits from `since` on (else all) that nobody has read yet, and keep them; how many.

    Each batch is one transaction, so a kill loses one batch of reading and nothing else.
    """
    unread = ledger.uncharted(repo.identity, branch, since)[:limit]
    for begin in range(0, len(unread), BATCH):
        batch = unread[begin : begin + BATCH]
        ledger.chart(repo.identity, {oid: compare.touches(repo, oid) for oid in batch})
    return len(unread)


def dependents(
    branch: Branch, undone: Sequence[Landed], stands: frozenset[str] | None = None
) -> Mapping[str, tuple[Link, ...]]:
    """The later patches that stand and build on one of `undone`, by id, oldest first, with what binds them.

    `stands` are the ids to look at, where undoing these will have changed what stands.
    """
    undoing = Undoing(
        branch=branch,
        undone=frozenset(found.commit for found in undone),
        stands=branch.standing if stands is None else stands,
    )
    chart(branch.ledger, branch.repo, branch.name, since=min(undoing.undone, key=branch.position.__getitem__))
    bound: dict[str, list[Link]] = {}
    for found in undone:
        for link in links(undoing, found):
            bound.setdefault(link.commit, []).append(link)
    later = [branch.landed[n] for n in sorted(branch.position[oid] for oid in bound)]
    return {found.id: tuple(bound[found.commit]) for found in later}


def links(undoing: Undoing, found: Landed) -> Iterator[Link]:
    """What is in the way of one of the commits that are being taken back; it and all later ones have to be charted."""
    branch, since = undoing.branch, undoing.branch.position[found.commit]
    for touch in branch.ledger.touches(branch.repo.identity, found.commit):
        later = branch.ledger.touched(*branch.at, found.commit, touch.path)
        met = (*_met(branch, touch, later), *_in_the_way(branch, found.commit, touch))
        counted = [link for link in met if _counts(undoing, link.commit, since)]
        blamed = None if counted else culprit(undoing, touch, later)
        yield from counted if blamed is None else [Link(blamed.commit, Bond.LINES, touch.path)]
    yield from (link for link in _asked(branch, found) if _counts(undoing, link.commit, since))


def _met(branch: Branch, touch: Touch, later: Sequence[tuple[str, Touch]]) -> Iterator[Link]:
    """Track the lines of one touch through the later ones of its path."""
    region, here = lines.written(touch.spans), touch.after
    for commit, after in later:
        if here and after.before and here.oid != after.before.oid and region:
            region = lines.moved(region, compare.spans(branch.repo, here.oid, after.before.oid))
        bond = _bond(touch, after, region)
        if bond:
            yield Link(commit, bond, touch.path)
        region, here = lines.moved(region, after.spans), after.after


def _bond(touch: Touch, after: Touch, region: lines.Region) -> Bond | None:
    if touch.reshaped or after.reshaped:
        return Bond.PATH
    return Bond.LINES if lines.meet(region, after.spans) or _modes_meet(touch, after) else None


def _modes_meet(touch: Touch, after: Touch) -> bool:
    """Git's merge joins a new mode with new lines, not with another mode, and not with other bytes without lines."""
    hard = touch.spans is None or after.spans is None
    return (touch.new_mode and after.new_mode) or (hard and (touch.new_mode or after.new_mode))


def _in_the_way(branch: Branch, since: str, touch: Touch) -> Iterator[Link]:
    """A file that would come back where there is a folder now, or below what is a file now."""
    if touch.after is not None:
        return
    below = branch.ledger.touched_below(*branch.at, since, touch.path)
    parts = touch.path.split(b"/")
    above = [b"/".join(parts[:n]) for n in range(1, len(parts))]
    over = (met for path in above for met in branch.ledger.touched(*branch.at, since, path))
    yield from (Link(commit, Bond.PATH, touch.path) for commit, after in (*below, *over) if after.before is None)


def _asked(branch: Branch, found: Landed) -> Iterator[Link]:
    asking = branch.ledger.depending([found.id])
    yield from (Link(branch.made[id].commit, Bond.ASKED) for id in asking if id in branch.made)


def _counts(undoing: Undoing, commit: str, since: int) -> bool:
    """Whether a later commit is in the way: it stays, and is not just the undoing of something that came later too."""
    branch = undoing.branch
    later = branch.landed[branch.position[commit]]
    if later.id not in undoing.stands or commit in undoing.undone:
        return False
    undoes = needed(branch.made[id] for id in later.reverts if id in branch.made)
    return not undoes or any(branch.position[found.commit] <= since for found in undoes)
