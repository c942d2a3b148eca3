"""Make commits anew that the ledger has recorded and the branch has lost, as after a power cut on a disk that lied.

A job's row holds all that went into its commit: the patch, the sealed statement, the second of its arrival. So the same
patch on the same parent gives the same commit id, and whoever has seen that id finds it again.

A person who takes commits off the branch does it on purpose, and it stays so: where the machine has not been started
anew since, where the branch's reflog tells of the move, or where there is none, nothing is done here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, Landed
from ghostd.patches.read import from_canonical
from ghostd.pipeline import proof, recompute
from ghostd.pipeline.told import read
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, history
from ghostd.repo.git import Repository

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def after_boot(shop: Workshop, what: str) -> Iterator[bool]:
    """True where the machine was started since a block for `what` last came to its end."""
    boot, noted = _boot(), shop.ledger.kv_get(f"boot:{what}")
    yield noted is not None and boot not in ("", noted)
    # Last: a kill in the block means that it is done once more.
    if boot not in ("", noted):
        shop.ledger.kv_set(f"boot:{what}", boot)


def _boot() -> str:
    """What tells this run of the machine from any other; empty where it does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def redo(shop: Workshop, repo: Repository, branch: str) -> list[str]:
    """Bring a branch to where the ledger last saw it; the ids whose commits were made anew, oldest first.

    Raises Cannot where the branch can not be moved.
    """
    tip, known = commit.tip(repo, branch), shop.ledger.known(repo.identity, branch)
    if tip is None or known is None or tip == known or history.is_ancestor(repo, known, tip):
        return []
    if history.left_by_hand(repo, branch, known):
        return []
    made, at = [], tip
    for landed in _behind(shop, repo, branch, tip):
        if _again(shop, repo, landed, at) != landed.commit:
            break
        made.append(landed.id)
        at = landed.commit
    return made if made and commit.move(repo, branch, at, tip, why=f"{len(made)} made anew") else []


def _behind(shop: Workshop, repo: Repository, branch: str, tip: str) -> list[Landed]:
    """The recorded commits that stood on `tip`, oldest first; none where no line leads from it."""
    line: list[Landed] = []
    for landed in reversed(shop.ledger.branch_commits(repo.identity, branch)):
        line.append(landed)
        job = shop.ledger.get(landed.id)
        if job is None or not job.statement:
            return []
        if read(job.statement).base == tip:
            return line[::-1]
    return []


def _again(shop: Workshop, repo: Repository, landed: Landed, parent: str) -> str | None:
    """The commit of a job made once more on its parent; no ref is moved. None where it can not be."""
    job = shop.ledger.get(landed.id)
    if job is None or proof.digest(job.statement) != landed.proof:
        return None
    told = read(job.statement)
    if told.base != parent:
        return None
    # A merge sees the disk only.
    repo.flush()
    try:
        found = recompute.tree_of(repo, told, job.body)
    except Cannot:
        return None
    return None if found.tree is None else commit.write_commit(repo, _spec(job, landed, parent, found.tree))


def _spec(job: Job, landed: Landed, parent: str, tree: str) -> commit.CommitSpec:
    description, author = job.title, "ghost"
    if job.kind is Kind.PATCH:
        patch = from_canonical(job.body)
        description, author = patch.description, patch.author or "ghost"
    trailers = commit.trailers(
        id=landed.id,
        digest=landed.digest,
        lane=landed.lane,
        phase=landed.phase,
        proof=landed.proof,
        reverts=landed.reverts,
        reapplies=landed.reapplies,
        restores=landed.restores,
    )
    text = commit.message(commit.subject(job.id, description), description, trailers)
    return commit.CommitSpec(tree=tree, parents=(parent,), message=text, author=author, when=job.received_at)
