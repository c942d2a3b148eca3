"""Take patches back: three-way merges in memory, newest first, folded into one revert commit.

The merge decides what conflicts. The graph tells who is to blame, and what would stand on nothing although the text
fits: a patch that depends by its own word, or that wrote a path which another made, moved or removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, Landed, NewJob, Origin
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import graph
from ghostd.pipeline.blame import Undoing, by_hand, people, touching
from ghostd.pipeline.branch import Branch, branch
from ghostd.pipeline.graph import Bond, Link
from ghostd.repo import commit, history
from ghostd.repo.objects import changed_entries, changed_paths, diff_stat, tree_of

__all__ = ["Asked", "Branch", "Trial", "asked", "attempt", "blocked", "branch", "preview", "request"]


#: So many ids are named in a sentence.
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What taking these ids back would give. `tree` is None where it is blocked or there is nothing to do."""

    head: str
    tree: str | None
    #: The commits to undo, newest first.
    undone: tuple[Landed, ...] = ()
    reverted: tuple[str, ...] = ()
    reapplied: tuple[str, ...] = ()
    #: Later patches that have to go too; where they were asked for, those that go along.
    dependents: tuple[str, ...] = ()
    #: Where there is a conflict and nobody is known to be in the way: who may be. They go too if that helps.
    suspects: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    #: Commits of people that are in the way, newest first; only where all of `dependents` would not be enough.
    by_hand: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        if self.undone and self.tree is None:
            return "blocked"
        return "would-revert" if self.undone else "already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a rollback's job asks for."""

    ids: tuple[str, ...]
    with_dependents: bool
    #: The phase whose patches these are, where they were asked for by it.
    phase: str | None = None

    @property
    def title(self) -> str:
        if self.phase is not None:
            return f"take back phase {self.phase}"
        return f"take back {', '.join(self.ids)}"


def request(wanted: Asked, lane: LaneSettings, repo: str, number: int, origin: Origin) -> NewJob:
    """A rollback as a job in the lane of the patches that it takes back."""
    told = {"ids": list(wanted.ids), "with_dependents": wanted.with_dependents}
    told |= {} if wanted.phase is None else {"phase": wanted.phase}
    body = json.dumps(told, separators=(",", ":")).encode()
    return NewJob(
        id=f"rollback-{number}",
        kind=Kind.ROLLBACK,
        lane=lane.name,
        repo=repo,
        branch=lane.branch,
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        origin=origin,
        priority=3,
        title=wanted.title,
    )


def asked(job: Job) -> Asked:
    """The request that `request` wrote into the job."""
    body = json.loads(job.body)
    return Asked(ids=tuple(body["ids"]), with_dependents=bool(body["with_dependents"]), phase=body.get("phase"))


def blocked(ids: Sequence[str], trial: Trial) -> Cannot:
    """The refusal of a rollback that would need more than it was asked for, or that a person's commit is in the way of.

    Its details are `dependents` and `conflicts` as in the trial, and `by_hand`.
    """
    several = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return Cannot(
        f"take back {', '.join(ids[:_NAMED])}{several}: {_why(trial)}",
        kind="blocked",
        hint=_hint(trial),
        dependents=list(trial.dependents),
        conflicts=list(trial.conflicts),
        by_hand=list(trial.by_hand),
    )


def _why(trial: Trial) -> str:
    if trial.conflicts:
        return f"{trial.conflicts[0]} was changed since" + (" by hand" if trial.by_hand else "")
    return f"{trial.dependents[0]} depends on it"


def _hint(trial: Trial) -> str:
    if trial.by_hand:
        return f"a person's commit is in the way, mend it by hand: git show {trial.by_hand[0][:10]}"
    return "ghost rollback --with-dependents takes the later patches back too"


def attempt(branch: Branch, ids: Sequence[str], *, with_dependents: bool) -> Trial:
    """Try it in memory. Raises Cannot(unknown-id) for an id that has no commit on the branch.

    What is blocked names all that would have to go along, also what builds on those that build on it. Where only our
    commits are on the branch, taking all of these back works: at the worst they are all that came after, and taking
    back the newest, and then the next, gives one parent's tree after the other.
    """
    head = commit.tip(branch.repo, branch.name)
    wanted = [_landed(branch, id) for id in dict.fromkeys(ids)]
    going = {found.commit: found for found in wanted if found.id in branch.standing}
    if head is None or not going:
        return Trial(head=head or "", tree=None)
    trial = first = _merge(branch, head, going.values())
    along: dict[str, None] = {}
    suspected: dict[str, None] = {}
    while trial.tree is None and (more := _more(branch, trial, going)):
        going |= more
        (along if trial.dependents else suspected).update((found.id, None) for found in more.values())
        trial = _merge(branch, head, going.values())
    along |= suspected if trial.tree is not None else {}
    # What only an undone rollback brought back, and what had to go again, is no news to anybody.
    named = tuple(id for id in along if id in trial.reverted)
    return replace(trial if with_dependents or not named else first, dependents=named, by_hand=trial.by_hand)


def _more(branch: Branch, trial: Trial, going: Mapping[str, Landed]) -> dict[str, Landed]:
    """What has to go too and does not yet, by commit."""
    named = (branch.made[id] for id in trial.dependents or trial.suspects)
    return {found.commit: found for found in named if found.commit not in going}


def _landed(branch: Branch, id: str) -> Landed:
    if id not in branch.made:
        raise _unknown(id, branch.name)
    return branch.made[id]


def _unknown(id: str, branch: str) -> Cannot:
    return Cannot(
        f"take back {id}: no commit on {branch} bears this id", kind="unknown-id", hint="ghost log lists the ids"
    )


def _merge(branch: Branch, head: str, commits: Iterable[Landed]) -> Trial:
    """Undo these commits, newest first, on top of `head`."""
    newest_first = sorted(commits, key=lambda each: -branch.position[each.commit])
    undone, stands = in_turn(newest_first, branch.standing)
    merged = history.revert(branch.repo, head, [found.commit for found in undone])
    undoing = Undoing(branch=branch, undone=frozenset(found.commit for found in undone), stands=stands)
    dependents = _dependents(undoing, undone, merged)
    unknown = merged.at if not dependents else None
    reverted, reapplied = effect(undone, branch.standing, stands)
    return Trial(
        head=head,
        tree=None if dependents else merged.tree,
        undone=undone,
        reverted=reverted,
        reapplied=reapplied,
        dependents=dependents,
        suspects=_suspects(undoing, unknown, merged.conflicts, head) if unknown else (),
        conflicts=tuple(path.decode(errors="backslashreplace") for path in merged.conflicts),
        by_hand=by_hand(branch, unknown, head, merged.conflicts) if unknown else (),
    )


def in_turn(newest_first: Iterable[Landed], stands: frozenset[str]) -> tuple[tuple[Landed, ...], frozenset[str]]:
    """The commits to undo, newest first, where `stands` are the ids that stand; and the ids that stand afterwards.

    Undoing a rollback brings back what it had taken, and takes what it had brought back, which then needs no undoing.
    """
    undone = []
    for found in newest_first:
        if found.id in stands:
            undone.append(found)
            stands = stands.difference((found.id, *found.reapplies)).union(found.reverts)
    return tuple(undone), stands


def effect(
    undone: Iterable[Landed], before: frozenset[str], after: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids that are taken back and those that are brought back, where `before` stood and `after` does.

    Only what changes: what is brought back on the way and taken back again did not stand before either.
    """
    touched = dict.fromkeys(id for found in undone for id in (found.id, *found.reapplies, *found.reverts))
    return tuple(id for id in touched if id in before - after), tuple(id for id in touched if id in after - before)


def _dependents(undoing: Undoing, undone: Sequence[Landed], merged: history.Reverted) -> tuple[str, ...]:
    """Later patches that have to go too. Shared lines count only where the merge met a conflict in their file.

    A rollback among those that are undone brings back what it had taken, and that may be in the way of an older one.
    """
    bound = graph.dependents(undoing.branch, undone, undoing.stands)
    firm = {id for id, links in bound.items() if any(link.bond is not Bond.LINES for link in links)}
    blamed = {id for id, links in bound.items() if _in_lines(links, set(merged.conflicts))}
    return tuple(id for id in bound if id in firm | blamed)


def _in_lines(links: Iterable[Link], paths: set[bytes]) -> bool:
    return any(link.bond is Bond.LINES and link.path in paths for link in links)


def _suspects(undoing: Undoing, at: str, paths: Sequence[bytes], head: str) -> tuple[str, ...]:
    """Who touched the paths in conflict since; where nobody did, and all commits since are ours, all of them."""
    met = touching(undoing, at, paths)
    if met or people(undoing.branch, at, head):
        return met
    return tuple(found.id for found in undoing.later(at) if found.id in undoing.stands)


# For people ---------------------------------------------------------------------------------------------------------


def preview(branch: Branch, trial: Trial) -> Mapping[str, object]:
    """`files` and `stat` of a trial: what its commit would change; where it is blocked, what its patches wrote."""
    if trial.tree is None:
        paths = {path for found in trial.undone for path in changed_paths(branch.repo, found.commit)}
        return {"files": _shown(paths), "stat": {"files": len(paths), "insertions": 0, "deletions": 0}}
    before = tree_of(branch.repo, trial.head).oid
    return {
        "files": _shown(changed_entries(branch.repo, before, trial.tree)),
        "stat": diff_stat(branch.repo, before, trial.tree),
    }


def _shown(paths: Iterable[bytes]) -> list[str]:
    return [path.decode(errors="backslashreplace") for path in sorted(paths)]
