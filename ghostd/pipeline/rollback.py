"""Take patches back: three-way merges in memory, newest first, folded into one revert commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, Landed, NewJob, Origin
from ghostd.model.settings import LaneSettings
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, history
from ghostd.repo.git import Repository
from ghostd.repo.objects import changed_paths
from ghostd.store.ports import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What taking these ids back would give. `tree` is None where it is blocked or there is nothing to do."""

    head: str
    tree: str | None
    #: The commits to undo, newest first.
    undone: tuple[Landed, ...] = ()
    reverted: tuple[str, ...] = ()
    reapplied: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        if self.conflicts or (self.dependents and self.tree is None):
            return "blocked"
        return "would-revert" if self.undone else "already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One branch and our commits on it, oldest first."""

    repo: Repository
    ledger: Ledger
    name: str
    landed: tuple[Landed, ...] = field(default=())

    def newest(self, id: str) -> Landed | None:
        return next((found for found in reversed(self.landed) if found.id == id), None)

    def taken_back(self, id: str) -> bool:
        return self.ledger.taken_back(self.repo.identity, self.name, id) is not None


def branch(shop: Workshop, repo: Repository, name: str) -> Branch:
    """The branch as the ledger's index knows it; the caller has brought the index up to the tip."""
    landed = tuple(shop.ledger.branch_commits(repo.identity, name))
    return Branch(repo=repo, ledger=shop.ledger, name=name, landed=landed)


def request(
    ids: Sequence[str], lane: LaneSettings, repo: str, number: int, origin: Origin, *, with_dependents: bool
) -> NewJob:
    """A rollback as a job in the lane of the patches that it takes back."""
    body = json.dumps({"ids": list(ids), "with_dependents": with_dependents}, separators=(",", ":")).encode()
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
        title=f"take back {', '.join(ids)}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a rollback's job asks for."""

    ids: tuple[str, ...]
    with_dependents: bool


def asked(job: Job) -> Asked:
    """The request that `request` wrote into the job."""
    body = json.loads(job.body)
    return Asked(ids=tuple(body["ids"]), with_dependents=bool(body["with_dependents"]))


def blocked(ids: Sequence[str], trial: Trial) -> Cannot:
    """The refusal of a rollback that would need more than it was asked for."""
    why = f"{trial.conflicts[0]} was changed since" if trial.conflicts else f"{trial.dependents[0]} depends on it"
    hint = (
        "ghost rollback --with-dependents takes the later patches back too" if trial.dependents else "mend it by hand"
    )
    return Cannot(
        f"take back {', '.join(ids)}: {why}",
        kind="blocked",
        hint=hint,
        dependents=list(trial.dependents),
        conflicts=list(trial.conflicts),
    )


def attempt(branch: Branch, ids: Sequence[str], *, with_dependents: bool) -> Trial:
    """Try it in memory. Raises Cannot(unknown-id) for an id that has no commit on the branch."""
    head = commit.tip(branch.repo, branch.name)
    wanted = [_landed(branch, id) for id in dict.fromkeys(ids)]
    standing = [found for found in wanted if not branch.taken_back(found.id)]
    if head is None or not standing:
        return Trial(head=head or "", tree=None)
    trial = _merge(branch, head, standing)
    while with_dependents and trial.dependents:
        more = [found for id in trial.dependents if (found := branch.newest(id)) is not None]
        widened = _merge(branch, head, [*trial.undone, *more])
        trial = replace(widened, dependents=tuple(dict.fromkeys((*trial.dependents, *widened.dependents))))
        if not widened.dependents:
            return replace(trial, dependents=tuple(id for id in trial.dependents if id in trial.reverted))
    return trial


def _landed(branch: Branch, id: str) -> Landed:
    found = branch.newest(id)
    if found is None:
        raise Cannot(
            f"take back {id}: no commit on {branch.name} bears this id",
            kind="unknown-id",
            hint="ghost log lists the ids",
        )
    return found


def _merge(branch: Branch, head: str, commits: Sequence[Landed]) -> Trial:
    """Undo these commits, newest first, on top of `head`."""
    position = {found.commit: n for n, found in enumerate(branch.landed)}
    undone = tuple(sorted({found.commit: found for found in commits}.values(), key=lambda c: -position[c.commit]))
    merged = history.revert(branch.repo, head, [found.commit for found in undone])
    conflicts = tuple(path.decode(errors="backslashreplace") for path in merged.conflicts)
    dependents = _dependents(branch, undone, merged.conflicts)
    clean = merged.tree is not None and not dependents
    return Trial(
        head=head,
        tree=merged.tree if clean else None,
        undone=undone,
        # Undoing a rollback brings back what it had taken, and takes the rollback itself back.
        reverted=tuple(dict.fromkeys(id for found in undone for id in (found.id, *found.reapplies))),
        reapplied=tuple(dict.fromkeys(id for found in undone for id in found.reverts)),
        dependents=dependents,
        conflicts=conflicts,
    )


def _dependents(branch: Branch, undone: Sequence[Landed], conflicts: Sequence[bytes]) -> tuple[str, ...]:
    """Standing later patches that wrote a path in conflict, or that said they depend on one that goes."""
    going, gone = {found.id for found in undone}, {found.commit for found in undone}
    oldest = min(n for n, found in enumerate(branch.landed) if found.commit in gone)
    later = [
        found for found in branch.landed[oldest + 1 :] if found.commit not in gone and not branch.taken_back(found.id)
    ]
    paths = set(conflicts)
    touching = {f.id for f in later if paths and paths & changed_paths(branch.repo, f.commit)}
    asking = {f.id for f in later if (job := branch.ledger.get(f.id)) is not None and going & set(job.depends_on)}
    return tuple(found.id for found in later if found.id in touching | asking)
