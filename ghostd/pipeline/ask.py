"""Ask for a rollback, a freeze, a thaw or a restore: each becomes a job that takes its turn among the patches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, Landed, NewJob, Origin
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import phase, restore, rollback
from ghostd.pipeline.branch import Branch, branch
from ghostd.pipeline.land import learn
from ghostd.pipeline.workshop import Workshop
from ghostd.repo.git import Repository


def for_rollback(shop: Workshop, ids: Sequence[str], origin: Origin, *, with_dependents: bool) -> Job:
    """Queue a rollback. Raises Cannot(unknown-id, several-branches) before anything is written."""
    lane, repo = place(shop, ids)
    return _rollback(shop, rollback.Asked(ids=tuple(ids), with_dependents=with_dependents), lane, repo, origin)


def for_phase_rollback(shop: Workshop, name: str, lane: LaneSettings, origin: Origin, *, with_dependents: bool) -> Job:
    """Queue the rollback of a phase's patches on the lane's branch. Raises Cannot(bad-phase, unknown-phase)."""
    wanted = rollback.Asked(ids=ids_of_phase(shop, name, lane), with_dependents=with_dependents, phase=name)
    return _rollback(shop, wanted, lane, shop.repositories.of(lane), origin)


def _rollback(shop: Workshop, wanted: rollback.Asked, lane: LaneSettings, repo: Repository, origin: Origin) -> Job:
    return _put(shop, "rollback", lambda number: rollback.request(wanted, lane, repo.identity, number, origin))


def ids_of_phase(shop: Workshop, name: str, lane: LaneSettings) -> tuple[str, ...]:
    """The phase's patches on the lane's branch, taken back or not. Raises Cannot(bad-phase, unknown-phase)."""
    phase.checked_name(name)
    there = looked_at(shop, lane)
    ids = tuple(dict.fromkeys(found.id for found in there.landed if found.phase == name and not found.reverts))
    if not ids:
        raise Cannot(
            f"take back phase {name}: no patch on {lane.branch} belongs to it",
            kind="unknown-phase",
            hint="ghost phases lists them",
        )
    return ids


def try_rollback(shop: Workshop, ids: Sequence[str], *, with_dependents: bool) -> tuple[Branch, rollback.Trial]:
    """What a rollback would do, in memory; and the branch on which it would."""
    lane, _ = place(shop, ids)
    there = looked_at(shop, lane)
    return there, rollback.attempt(there, ids, with_dependents=with_dependents)


def for_phase(shop: Workshop, kind: Kind, name: str, lane: LaneSettings, origin: Origin) -> Job:
    """Queue a freeze, thaw or restore. Raises Cannot(bad-phase)."""
    repo = shop.repositories.of(lane)
    return _put(shop, kind.value, lambda number: phase.request(kind, name, lane, repo.identity, number, origin))


def try_restore(shop: Workshop, name: str, lane: LaneSettings) -> tuple[Branch, restore.Plan]:
    """What a restore would do, and the branch on which it would. Raises Cannot(bad-phase) and as `restore.plan`."""
    there = looked_at(shop, lane)
    stem = phase.stem_in(shop.settings, lane.name, phase.checked_name(name))
    return there, restore.plan(there, name, stem)


def looked_at(shop: Workshop, lane: LaneSettings) -> Branch:
    """A lane's branch as it is now."""
    repo = shop.repositories.of(lane)
    learn(shop, repo, lane.branch)
    return branch(shop, repo, lane.branch)


def _put(shop: Workshop, kind: str, make: Callable[[int], NewJob]) -> Job:
    """Under the next free number: a stranger's patch may bear an id that looks like one of ours."""
    while True:
        put = shop.ledger.put(make(shop.ledger.number(kind)))
        if put.created:
            return put.job


def place(shop: Workshop, ids: Sequence[str]) -> tuple[LaneSettings, Repository]:
    """The lane and repository whose branch holds all these ids. Raises Cannot(unknown-id, several-branches)."""
    places = [(lane, repo) for lane, repo, _ in where(shop, ids, "take back")]
    lanes = {(repo.identity, lane.branch): (lane, repo) for lane, repo in places}
    if len(lanes) > 1:
        raise Cannot(
            f"take back {', '.join(ids)} together: they are on different branches",
            kind="several-branches",
            hint="take back those of one branch at a time",
        )
    return next(iter(lanes.values()))


def where(shop: Workshop, ids: Iterable[str], verb: str) -> list[tuple[LaneSettings, Repository, Landed]]:
    """Lane, repository and commit of each id. Raises Cannot(unknown-id), which says what could not be done: `verb`."""
    for lane in shop.settings.lanes.values():
        learn(shop, shop.repositories.of(lane), lane.branch)
    return [_where(shop, id, verb) for id in ids]


def _where(shop: Workshop, id: str, verb: str) -> tuple[LaneSettings, Repository, Landed]:
    for lane in shop.settings.lanes.values():
        repo = shop.repositories.of(lane)
        landed = shop.ledger.landed(repo.identity, lane.branch, id)
        if landed is not None:
            own = shop.settings.lanes.get(landed.lane, lane)
            # A lane that was moved to another branch since is not asked for what lies on its old one.
            same = (own.repo, own.branch) == (lane.repo, lane.branch)
            return own if same else lane, repo, landed
    job = shop.ledger.get(id)
    why = f"it was never applied (it is {job.state})" if job else "no commit bears this id"
    raise Cannot(f"{verb} {id}: {why}", kind="unknown-id", hint="ghost log lists the ids")
