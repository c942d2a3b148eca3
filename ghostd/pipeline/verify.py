"""Compare Git, the ledger and the proofs; every difference is a sentence.

Git is read anew for this, not through the ledger's index. Each change is made once more on the parent of its commit
and has to give the commit's tree. Without a ledger all of it is done from Git alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Landed, State
from ghostd.pipeline import chain, proof, proven, recompute
from ghostd.pipeline.course import Course
from ghostd.pipeline.proven import Logged, Progress, Proven
from ghostd.pipeline.told import Told, contradictions, read
from ghostd.pipeline.workshop import Workshop, is_alive
from ghostd.repo import history, proofs
from ghostd.repo.git import Repository
from ghostd.repo.message import PROOF


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was looked at and what is wrong."""

    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The contract's document; `proofs` counts what was looked at."""
        proofs = {name: self.counts[name] for name in _COUNTS}
        return {
            "ok": not self.problems,
            "patches": self.counts["patches"],
            "problems": self.problems,
            "proofs": proofs,
        }


#: Entries of the logs, those of refused or failed jobs, statements that wait for a log, changes that were made once
#: more, signatures that hold, checkpoints.
_COUNTS = ("entries", "refused", "pending", "recomputed", "signed", "checkpoints")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """One branch under examination; `shop` is None where Git alone is asked."""

    shop: Workshop | None
    repo: Repository
    name: str
    log: Proven
    by_proof: dict[str, Logged]
    #: Led along the commits as they are looked at.
    course: Course

    def job(self, id: str) -> Job | None:
        return None if self.shop is None else self.shop.ledger.get(id)


def _silent(_done: int, _of: int) -> None:
    """Nobody looks on."""


def verify(shop: Workshop, *, key: Path | None = None, progress: Progress = _silent) -> dict[str, Any]:
    """`{"ok", "patches", "problems", "proofs"}` of a workspace; `progress` hears how much is looked through.

    Signatures are checked with `key`, else with the configured one. Raises Cannot(signing-failed) for a bad key.
    """
    found = Findings(problems=[f"ledger: {problem}" for problem in shop.ledger.integrity()])
    with proven.public(key or shop.settings.git.signing_key) as half:
        for repo, branch in _branches(shop):
            _examine(found, shop, repo, branch, half, progress)
    dead = [owner for owner in shop.ledger.owners() if not is_alive(owner)]
    found.problems += [
        f"a job is held by {owner}, which is gone; the next start of its lane frees it" for owner in dead
    ]
    return found.as_json()


def verify_offline(
    repo: Repository, branches: Iterable[str] = (), *, key: Path | None = None, progress: Progress = _silent
) -> dict[str, Any]:
    """The same from a repository alone, for these branches and all that have a proof log there."""
    found = Findings()
    with proven.public(key) as half:
        for branch in sorted({*branches, *proofs.branches(repo)}):
            _examine(found, None, repo, branch, half, progress)
    if key is not None and found.counts["entries"] and not found.counts["signed"]:
        found.problems.append(f"nothing is signed by {key}")
    return found.as_json()


def _branches(shop: Workshop) -> Iterator[tuple[Repository, str]]:
    """The lanes' branches, and those on which a lane has worked before its settings were changed."""
    lanes = {(shop.repositories.of(lane).identity, lane.branch) for lane in shop.settings.lanes.values()}
    for identity, branch in sorted(lanes | set(shop.ledger.branches())):
        yield shop.repositories.identified(identity), branch


def _examine(
    found: Findings, shop: Workshop | None, repo: Repository, name: str, key: Path | None, progress: Progress
) -> None:
    """One branch: its log by itself, its commits, what should be a commit and is none, and the ledger's memory."""
    log = proven.read(repo, name, key, progress)
    by_proof = {entry.proof: entry for entry in log.entries}
    branch = _Branch(shop=shop, repo=repo, name=name, log=log, by_proof=by_proof, course=Course(repo))
    found.problems += [f"proofs of {name}: {problem}" for problem in log.problems]
    scan = history.landed_since(repo, name, None)
    found.problems += [f"{oid[:10]} on {name}: its trailers can not be read" for oid in scan.corrupt]
    for done, landed in enumerate(scan.landed, 1):
        progress(done, len(scan.landed))
        at = f"{landed.id} ({landed.commit[:10]} on {name})"
        found.problems += [f"{at}: {problem}" for problem in _commit(found, branch, landed)]
        branch.course.go(landed)
    found.problems += _uncommitted(branch, scan.landed)
    if shop is not None:
        found.problems += _memory(found, shop, branch)
    found.counts += Counter(
        patches=len(scan.landed),
        entries=len(log.entries),
        refused=sum(entry.outcome in ("rejected", "failed") for entry in log.entries),
        signed=log.signed,
        checkpoints=log.checkpoints,
    )


# Commits --------------------------------------------------------------------------------------------------------


def _commit(found: Findings, branch: _Branch, landed: Landed) -> Iterator[str]:
    """What is wrong with one commit of ours."""
    job = branch.job(landed.id)
    if branch.shop is not None:
        yield from _ledger(job, landed)
    entry = branch.by_proof.get(landed.proof)
    if entry is not None:
        yield from _proved(found, branch, landed, entry.statement, branch.log.body(entry))
    elif job is not None and proof.digest(job.statement) == landed.proof:
        yield from _proved(found, branch, landed, job.statement, job.body)
    else:
        yield "neither the log nor the ledger has its proof" if branch.shop else "the log has no proof of it"


def _ledger(job: Job | None, landed: Landed) -> Iterator[str]:
    if job is None:
        yield "the ledger does not know it"
        return
    if job.digest != landed.digest:
        yield f"the ledger's digest is {job.digest[:10]}, the commit's {landed.digest[:10]}"
    # A row without one only repeats what another ledger has done.
    if job.statement and proof.digest(job.statement) != landed.proof:
        yield "the commit bears another proof than the ledger has"
    if job.state.terminal and job.state is not State.APPLIED:
        yield f"Git has it, the ledger says {job.state}"


def _proved(found: Findings, branch: _Branch, landed: Landed, statement: bytes, body: bytes) -> Iterator[str]:
    """What the commit's own statement says that the commit does not, and whether its tree can be made once more."""
    at_it = history.commit_of(branch.repo, landed.commit)
    parent = at_it.parents[0] if at_it.parents else None
    try:
        told = read(statement)
    except Cannot as error:
        yield error.message
        return
    yield from contradictions(
        told, id=landed.id, digest=landed.digest, lane=landed.lane, tree=at_it.tree, parent=parent
    )
    yield from _worded(told, at_it, landed.proof)
    yield from branch.course.contradictions(told, landed, body)
    mark = branch.repo.pending.mark()
    again = recompute.tree_of(branch.repo, told, body)
    # It was made to be compared, not to be kept.
    branch.repo.pending.forget(mark)
    found.counts["recomputed"] += again.tree is not None
    if again.why:
        yield again.why
    elif again.tree not in (None, at_it.tree):
        yield f"made anew it gives tree {str(again.tree)[:10]}, the commit has {at_it.tree[:10]}"


def _worded(told: Told, commit: history.Commit, sealed: str) -> Iterator[str]:
    """Whether author, date and message, with all its trailers, are as they were sealed; the first proofs had none."""
    words = told.predicate.get("commit")
    if not isinstance(words, Mapping):
        return
    if (words.get("author"), words.get("when")) != (commit.author, commit.when):
        yield f"its proof says that it is by {words.get('author')} of {words.get('when')}"
    if words.get("messageSha256") != proof.digest(commit.message.replace(f"{PROOF}: {sealed}\n", "").encode()):
        yield "its message is not the one that was sealed"


def _uncommitted(branch: _Branch, landed: Sequence[Landed]) -> list[str]:
    """What the log or the ledger calls applied and the branch does not have."""
    proofs, ids = {found.proof for found in landed}, {found.id for found in landed}
    gone = [e for e in branch.log.entries if e.outcome == proof.APPLIED and e.proof not in proofs]
    told = [f"{e.id}: entry {e.number} says applied, {branch.name} does not have its commit" for e in gone]
    if branch.shop is None:
        return told
    applied = branch.shop.ledger.committed(branch.repo.identity, branch.name)
    return told + [f"{id}: the ledger says applied, {branch.name} does not have it" for id in applied if id not in ids]


# The ledger's memory of the log ---------------------------------------------------------------------------------


def _memory(found: Findings, shop: Workshop, branch: _Branch) -> Iterator[str]:
    """The ledger's statements are in the log in the order in which they were sealed; the newest may still wait."""
    left = chain.remembered(shop, branch.repo, branch.name)
    for problem in proven.contradicted(branch.log, [proven.remembered(left)] if left.edge.size else []):
        yield f"proofs of {branch.name}: {problem}"
    at = -1
    for each in _sealings(shop, branch):
        entry = branch.by_proof.get(proof.digest(each.statement))
        if entry is None and each.seq > left.last[0]:
            found.counts["pending"] += 1
        elif entry is None:
            yield f"{each.id}: its proof was taken out of the log"
        elif entry.number < at:
            yield f"{each.id}: its proof stands in another place of the log than it was put"
        at = at if entry is None else entry.number


def _sealings(shop: Workshop, branch: _Branch) -> Iterator[Any]:
    since = 0
    while page := shop.ledger.sealings(branch.repo.identity, branch.name, since=since):
        yield from page
        since = page[-1].seq
