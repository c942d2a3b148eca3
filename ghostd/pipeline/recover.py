"""What every start does before it works: find what a crash left, and mend it.

Nothing here decides anew about a patch: what was committed is recorded, what was not goes back into the queue.
"""

from __future__ import annotations

import logging

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import chain, gates, redo, summary
from ghostd.pipeline.land import learn
from ghostd.pipeline.workshop import Workshop, is_alive
from ghostd.repo import marks, rubbish, worktree
from ghostd.repo.git import Repository

_LOG = logging.getLogger(__name__)

#: Seconds before the newest end for which files that are not synced may be lost; a system writes them out within 35.
_LATELY = 120.0


def recover(shop: Workshop, lanes: list[LaneSettings]) -> list[str]:
    """Mend the traces of crashes in these lanes; a sentence for each. Doing it twice is harmless."""
    mended = [f"{job.id} is back in the queue: its worker died" for job in void(shop)]
    for lane in lanes:
        mended += _mend_repository(shop, lane)
    with redo.after_boot(shop, "summaries") as anew:
        mended += _compare_summaries(shop) if anew else []
    mended += _write_summaries(shop) + _tag(shop, lanes) + _sweep_worktrees(shop)
    if mended:
        shop.ledger.append("ghost.system.recovered", shop.owner, {"mended": mended})
    return mended


def void(shop: Workshop) -> list[Job]:
    """Put back the jobs of dead workers: a lease ends with its holder, not with its time."""
    owners = shop.ledger.owners()
    if not owners:
        return []
    return list(shop.ledger.void({owner: owner == shop.owner or is_alive(owner) for owner in owners}))


def _mend_repository(shop: Workshop, lane: LaneSettings) -> list[str]:
    """Stale locks of ours, half written files, lost commits, and the index of the branch's history."""
    try:
        repo = shop.repositories.of(lane)
    except Cannot:
        # A missing repository is told for each of its patches, and by `ghostd check`; the other lanes go on.
        return []
    mended = worktree.mend(repo, lane.branch)
    with redo.after_boot(shop, f"{repo.identity}:{lane.branch}") as anew:
        made = redo.redo(shop, repo, lane.branch) if anew else []
        if made and lane.checkout:
            worktree.materialise(repo, lane.branch)
        learn(shop, repo, lane.branch)
    _prove(shop, repo, lane.branch)
    return [f"{lane.branch}: {what}" for what in (*mended, *(f"the commit of {id} was made anew" for id in made))]


def _prove(shop: Workshop, repo: Repository, branch: str) -> None:
    """What ended and is not in the branch's proof log yet. A log that can not be read or moved stops nobody's work."""
    try:
        chain.catch_up(shop, repo, branch)
    except (Cannot, OSError) as error:
        _LOG.warning("the proofs of %s wait in the ledger: %s", branch, error)


def _compare_summaries(shop: Workshop) -> list[str]:
    """Summaries are not synced: those of the time before the power went are compared with the ledger's text."""
    lost = [job for job in shop.ledger.ended_lately(_LATELY) if not summary.is_written(shop.places, job, job.summary)]
    written = [job for job in lost if summary.try_write(shop.places, job, job.summary)]
    return [f"summary of {job.id} written anew" for job in written]


def _tag(shop: Workshop, lanes: list[LaneSettings]) -> list[str]:
    """Tags of commits that a kill, a lock or a key kept from being made. Making them twice is harmless."""
    git = shop.settings.git
    if not git.tag_patches:
        return []
    branches = {(shop.repositories.of(lane).identity, lane.branch): lane for lane in lanes}
    made = []
    for job in shop.ledger.ended_lately(_LATELY):
        lane, oid = branches.get((job.repo, job.branch)), (job.result or {}).get("commit")
        if lane is None or not oid or job.kind is not Kind.PATCH:
            continue
        repo = shop.repositories.of(lane)
        if marks.tag_patch(repo, job.id, oid, job.title or job.id, job.received_at, git.signing_key):
            made.append(job.id)
    return [f"tag of {id} made" for id in made]


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
    left = [
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not worktree.is_slot(entry.name) and not gates.in_use(entry.name)
    ]
    for entry in left:
        rubbish.remove(entry)
    return [f"throw-away folder {entry.name} removed" for entry in left]
