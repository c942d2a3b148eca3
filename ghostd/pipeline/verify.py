"""Compare Git, the ledger and the proofs; every difference is a sentence.

Git is read anew for this, not through the ledger's index. Each patch is applied once more to the parent of its commit
and has to give the commit's tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, Landed, State
from ghostd.patches.apply import apply
from ghostd.patches.read import from_canonical
from ghostd.pipeline import proof
from ghostd.pipeline.workshop import Workshop, is_alive
from ghostd.repo import history, objects
from ghostd.repo.git import Repository


def verify(shop: Workshop, *, progress: Callable[[int, int], None] = lambda _done, _of: None) -> dict[str, Any]:
    """`{"ok", "patches", "problems"}` of the contract; `progress` hears how many commits are looked through."""
    problems = [f"ledger: {problem}" for problem in shop.ledger.integrity()]
    patches = 0
    for repo, branch in _branches(shop):
        scan = history.landed_since(repo, branch, None)
        landed = scan.landed
        problems += [f"{oid[:10]} on {branch}: its trailers can not be read" for oid in scan.corrupt]
        for done, found in enumerate(landed, 1):
            progress(done, len(landed))
            problems += _commit(shop, repo, branch, found)
        patches += len(landed)
        problems += _missing(shop, repo, branch, landed)
    dead = [owner for owner in shop.ledger.owners() if not is_alive(owner)]
    problems += [f"a job is held by {owner}, which is gone; the next start of its lane frees it" for owner in dead]
    return {"ok": not problems, "patches": patches, "problems": problems}


def _branches(shop: Workshop) -> Iterator[tuple[Repository, str]]:
    """The lanes' branches, and those on which a lane has worked before its settings were changed."""
    lanes = {(shop.repositories.of(lane).identity, lane.branch) for lane in shop.settings.lanes.values()}
    for identity, branch in sorted(lanes | set(shop.ledger.branches())):
        yield shop.repositories.identified(identity), branch


def _commit(shop: Workshop, repo: Repository, branch: str, found: Landed) -> list[str]:
    """What is wrong with one commit of ours."""
    at = f"{found.id} ({found.commit[:10]} on {branch})"
    job = shop.ledger.get(found.id)
    if job is None:
        return [f"{at}: the ledger does not know it"]
    problems = []
    if job.digest != found.digest:
        problems.append(f"the ledger's digest is {job.digest[:10]}, the commit's {found.digest[:10]}")
    if not job.statement:
        problems.append("the ledger has no proof of it")
    elif proof.digest(job.statement) != found.proof:
        problems.append("the commit bears another proof than the ledger has")
    else:
        at_it = history.commit_of(repo, found.commit)
        tree, parent = at_it.tree, at_it.parents[0] if at_it.parents else None
        problems += proof.contradictions(job.statement, job=job, tree=tree, parent=parent)
        problems += _recomputed(repo, job, tree, parent)
    if job.state.terminal and job.state is not State.APPLIED:
        problems.append(f"Git has it, the ledger says {job.state}")
    return [f"{at}: {problem}" for problem in problems]


def _recomputed(repo: Repository, job: Job, tree: str, parent: str | None) -> list[str]:
    if job.kind is not Kind.PATCH:
        return []
    before = objects.tree_of(repo, parent)
    try:
        again = objects.write_tree(repo, before, apply(before, from_canonical(job.body)).changes)
    except Cannot as error:
        return [f"it does not apply to its own parent: {error.message}"]
    return [] if again == tree else [f"applied anew it gives tree {again[:10]}, the commit has {tree[:10]}"]


def _missing(shop: Workshop, repo: Repository, branch: str, landed: Sequence[Landed]) -> list[str]:
    """Jobs that the ledger calls applied and the branch does not have."""
    there = {found.id for found in landed}
    gone = [id for id in shop.ledger.committed(repo.identity, branch) if id not in there]
    return [f"{id}: the ledger says applied, {branch} does not have it" for id in gone]
