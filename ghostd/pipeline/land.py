"""The commit point, and what has to follow it.

Order of the durable steps, and what a kill between two of them leaves:

1. claim         the row is `running` with a dead owner: the next start puts it back into the queue
2. seal          the statement is in the row, no commit bears it: the next attempt seals anew
3. move          THE commit point: the commit bears the row's proof, so the next attempt only records it
4. materialise   some files are old: `mend` brings the checked-out files to the tip
5. summary file  written again from the record
6. finish        the row is terminal
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Happening, Kind, Landed, Outcome
from ghostd.pipeline import proof, result, rules, summary
from ghostd.pipeline.attempt import Attempt, Change, LeaseLost
from ghostd.pipeline.intake import reused
from ghostd.pipeline.rules import Before, Traces
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, history, objects, worktree
from ghostd.repo.git import Repository

#: Somebody else may move the branch between our look and our compare-and-swap; that often in a row is no accident.
_TRIES = 20


def land(attempt: Attempt, make: Callable[[Attempt], Change | None]) -> Outcome:
    """Make the change on the tip, commit and record it. Another's move of the branch means once more on the new tip.

    `make` gives None where there is nothing to do any more.
    """
    for _ in range(_TRIES):
        learn(attempt.shop, attempt.repo, attempt.job.branch)
        if (found := _found(attempt)) is not None:
            return found
        change = make(attempt)
        if change is None:
            return record(attempt, Happening.APPLY, result.blank(attempt.job.id, "already", **known(attempt)))
        made = _commit(attempt, change)
        if made is not None:
            return _applied(attempt, made, change)
    raise Cannot(
        f"commit {attempt.job.id}: {attempt.job.branch} was moved by somebody else {_TRIES} times",
        kind="branch-contended",
        hint="see what else commits on this branch",
    )


def learn(shop: Workshop, repo: Repository, branch: str) -> None:
    """Bring the ledger's index of a branch up to its tip; a rewound branch is read anew."""
    known_tip = shop.ledger.known(repo.identity, branch)
    scan = history.landed_since(repo, branch, known_tip)
    if scan.tip is not None and scan.tip != known_tip:
        shop.ledger.learn(repo.identity, branch, scan.landed, scan.tip, anew=scan.rewound)


def known(attempt: Attempt) -> dict[str, Any]:
    """The fields of a RESULT that every ending of the attempt shares."""
    job = attempt.job
    return {
        "lane": job.lane,
        "branch": job.branch,
        "digest": job.digest,
        "attempts": job.attempts,
        "duration_ms": round((time.monotonic() - attempt.begun) * 1000),
        "warnings": list(job.options.get("warnings", ())),
        "summary": str(attempt.shop.places.summary(job.lane, job.id)),
    }


def record(attempt: Attempt, happening: Happening, told: Mapping[str, Any], **more: Any) -> Outcome:
    """The terminal outcome. The summary's file is written here, so that it is there when the record is.

    Where it can not be written, its text is in the ledger all the same, and `recover` or the next look writes it.
    """
    shop, job = attempt.shop, attempt.job
    text = summary.render(job, told, finished_at=shop.clock.wall(), verdicts=attempt.verdicts)
    written = summary.try_write(shop.places, job, text)
    return Outcome(happening=happening, result=told, summary=text, summary_written=written, **more)


def _found(attempt: Attempt) -> Outcome | None:
    """The outcome where Git already holds this id; None where there is work to do."""
    job, ledger = attempt.job, attempt.shop.ledger
    traces = Traces(
        landed=ledger.landed(job.repo, job.branch, job.id), taken_back=ledger.taken_back(job.repo, job.branch, job.id)
    )
    match rules.before_work(job, traces, proof.digest(job.statement)), traces.landed:
        case Before.REUSED, _:
            raise reused(job.id)
        case Before.REVERTED, _:
            raise reverted(job.id, traces.taken_back or "")
        case (Before.RECORD | Before.ALREADY) as before, Landed(commit=made):
            attempt.committed = True
            return _applied(attempt, made, None, already=before is Before.ALREADY)
        case _:
            return None


def reverted(id: str, by: str) -> Cannot:
    """The refusal of a patch that was taken back."""
    return Cannot(
        f"apply {id}: it was taken back by {by}",
        kind="reverted",
        hint=f"ghost rollback {by} brings it back, or send it under a new id",
    )


def _commit(attempt: Attempt, change: Change) -> str | None:
    """Seal, write the commit, move the branch: the commit's id. None: the branch was moved by somebody else."""
    shop, job, repo = attempt.shop, attempt.job, attempt.repo
    statement = proof.seal(
        job,
        base=change.base,
        base_tree=change.base_tree,
        tree=change.tree,
        matches=change.matches,
        verdicts=change.verdicts,
        left_out=change.left_out,
    )
    subject = commit.subject(job.id, change.description)
    trailers = commit.trailers(
        id=job.id,
        digest=job.digest,
        lane=job.lane,
        phase=job.phase,
        proof=proof.digest(statement),
        reverts=change.reverts,
        reapplies=change.reapplies,
    )
    spec = commit.CommitSpec(
        tree=change.tree,
        parents=(change.base,) if change.base else (),
        message=commit.message(subject, change.description, trailers),
        author=change.author,
        when=job.received_at,
    )
    made = commit.write_commit(repo, spec)
    expect = commit.tip(repo, job.branch)
    if expect is not None and expect != change.base:
        return None
    worktree.remember_worktree(repo, job.branch)
    if not shop.ledger.seal(attempt.claim, statement, shop.settings.store.lease):
        raise LeaseLost
    attempt.committed = commit.move(repo, job.branch, made, expect, why=job.id)
    return made if attempt.committed else None


def _applied(attempt: Attempt, made: str, change: Change | None, *, already: bool = False) -> Outcome:
    """After the commit point: files, index of history, record. Everything here can be done again.

    `change` is None where an earlier attempt made the commit and died: its verdicts are in the proof.
    """
    shop, job, repo = attempt.shop, attempt.job, attempt.repo
    files = worktree.materialise(repo, job.branch) if attempt.lane.checkout else "none"
    learn(shop, repo, job.branch)
    told = result.blank(
        job.id,
        "already" if already else "applied",
        **known(attempt),
        commit=made,
        tree=history.commit_of(repo, made).tree,
        stat=_stat(repo, made),
        gates=result.gates(change.verdicts, change.left_out) if change else proof.gates(job.statement),
        matches=result.matches(change.matches) if change else proof.matches(job.statement),
        worktree=files,
    )
    events: list[tuple[str, Mapping[str, Any]]] = []
    if job.kind is Kind.ROLLBACK and (landed := shop.ledger.landed(job.repo, job.branch, job.id)) is not None:
        told |= {"status": "reverted", "reverted": list(landed.reverts), "reapplied": list(landed.reapplies)}
        events += [("ghost.patch.reverted", {"id": id, "by": job.id}) for id in landed.reverts]
        events += [("ghost.patch.reapplied", {"id": id, "by": job.id}) for id in landed.reapplies]
    return record(attempt, Happening.APPLY, told, commit=made, events=tuple(events))


def _stat(repo: Repository, made: str) -> dict[str, int]:
    landed = history.commit_of(repo, made)
    before = objects.tree_of(repo, landed.parents[0] if landed.parents else None)
    return objects.diff_stat(repo, before.oid, landed.tree)
