"""What every start does before it works: find what a crash left, and mend it.

Nothing here decides anew about a patch: what was committed is recorded, what was not goes back into the queue.
"""

from __future__ import annotations

from ghostd.base.errors import Cannot
from ghostd.model.job import Job
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import gates, summary
from ghostd.pipeline.land import learn
from ghostd.pipeline.workshop import Workshop, is_alive
from ghostd.repo import worktree


def recover(shop: Workshop, lanes: list[LaneSettings]) -> list[str]:
    """Mend the traces of crashes in these lanes; a sentence for each. Doing it twice is harmless."""
    mended = [f"{job.id} is back in the queue: its worker died" for job in void(shop)]
    for lane in lanes:
        mended += _mend_repository(shop, lane)
    mended += _write_summaries(shop) + _sweep_worktrees(shop)
    if mended:
        shop.ledger.append("ghost.system.recovered", shop.owner, {"mended": mended})
    return mended


def void(shop: Workshop) -> list[Job]:
    """Put back the jobs of dead workers: a lease ends with its holder, not with its time."""
    return list(shop.ledger.void({owner: is_alive(owner) for owner in shop.ledger.owners()}))


def _mend_repository(shop: Workshop, lane: LaneSettings) -> list[str]:
    """Stale locks of ours, half written files, and the index of the branch's history."""
    try:
        repo = shop.repositories.of(lane)
    except Cannot:
        # A missing repository is told for each of its patches, and by `ghostd check`; the other lanes go on.
        return []
    mended = worktree.mend(repo, lane.branch)
    learn(shop, repo, lane.branch)
    return [f"{lane.branch}: {what}" for what in mended]


def _write_summaries(shop: Workshop) -> list[str]:
    written = [job for job in shop.ledger.unwritten_summaries() if summary.try_write(shop.places, job, job.summary)]
    for job in written:
        shop.ledger.summary_written(job.id)
    return [f"summary of {job.id} written" for job in written]


def _sweep_worktrees(shop: Workshop) -> list[str]:
    """Throw-away folders of processes that are gone."""
    folder = shop.places.worktrees
    if not folder.is_dir():
        return []
    left = [entry for entry in folder.iterdir() if entry.is_dir() and not gates.in_use(entry.name)]
    for entry in left:
        gates.remove(entry)
    return [f"throw-away folder {entry.name} removed" for entry in left]
