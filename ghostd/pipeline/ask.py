"""Ask for a rollback, a freeze or a thaw: each becomes a job that takes its turn among the patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, NewJob, Origin
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import phase, rollback
from ghostd.pipeline.land import learn
from ghostd.pipeline.workshop import Workshop
from ghostd.repo.git import Repository


def for_rollback(shop: Workshop, ids: Sequence[str], origin: Origin, *, with_dependents: bool) -> Job:
    """Queue a rollback. Raises Cannot(unknown-id, several-branches) before anything is written."""
    lane, repo = _place(shop, ids)
    return _put(
        shop,
        "rollback",
        lambda number: rollback.request(ids, lane, repo.identity, number, origin, with_dependents=with_dependents),
    )


def try_rollback(shop: Workshop, ids: Sequence[str], *, with_dependents: bool) -> rollback.Trial:
    """What a rollback would do, in memory."""
    lane, repo = _place(shop, ids)
    return rollback.attempt(rollback.branch(shop, repo, lane.branch), ids, with_dependents=with_dependents)


def for_phase(shop: Workshop, kind: Kind, name: str, lane: LaneSettings, origin: Origin) -> Job:
    """Queue a freeze or thaw. Raises Cannot(bad-phase)."""
    repo = shop.repositories.of(lane)
    return _put(shop, kind.value, lambda number: phase.request(kind, name, lane, repo.identity, number, origin))


def _put(shop: Workshop, kind: str, make: Callable[[int], NewJob]) -> Job:
    """Under the next free number: a stranger's patch may bear an id that looks like one of ours."""
    while True:
        put = shop.ledger.put(make(shop.ledger.number(kind)))
        if put.created:
            return put.job


def _place(shop: Workshop, ids: Sequence[str]) -> tuple[LaneSettings, Repository]:
    """The lane and repository whose branch holds all these ids."""
    for lane in shop.settings.lanes.values():
        learn(shop, shop.repositories.of(lane), lane.branch)
    found = [_where(shop, id) for id in ids]
    lanes = {(repo.identity, lane.branch): (lane, repo) for lane, repo in found}
    if len(lanes) > 1:
        raise Cannot(
            f"take back {', '.join(ids)} together: they are on different branches",
            kind="several-branches",
            hint="take back those of one branch at a time",
        )
    return next(iter(lanes.values()))


def _where(shop: Workshop, id: str) -> tuple[LaneSettings, Repository]:
    for lane in shop.settings.lanes.values():
        repo = shop.repositories.of(lane)
        landed = shop.ledger.landed(repo.identity, lane.branch, id)
        if landed is not None:
            return shop.settings.lanes.get(landed.lane, lane), repo
    job = shop.ledger.get(id)
    why = f"it was never applied (it is {job.state})" if job else "no commit bears this id"
    raise Cannot(f"take back {id}: {why}", kind="unknown-id", hint="ghost log lists the ids")
