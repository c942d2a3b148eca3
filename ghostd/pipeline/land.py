"""The commit point, and what has to follow it, for one job or for several that wait for the same branch.

Several become a group: each is applied in memory on the one before it, and all are sealed, written, moved to, brought
to the files and recorded together, so that they share the waits for the disk. To the outside each is a commit and an
outcome of its own.

Order of the durable steps, and what a kill between two of them leaves:

1. claim         the rows are `running` with a dead owner: the next start puts them back into the queue
2. objects       commits that nothing names: garbage
3. seal          the statements are in the rows, no commit bears them: the next attempt seals anew
4. move          THE commit point: each commit bears its row's proof, so the next attempts only record them
5. materialise   some files are old: `mend` brings the checked-out files to the tip
6. summary file  written again from the record
7. finish        the rows are terminal

A power cut takes back what was not synced. On the disk before 4 are 2 and 3, because the branch must not name what is
not there, and the statement is what tells our commit from a stranger's; where the journal keeps the order, 2 has no
wait of its own (`repo.pack`). Synced before the next step begins are 4, because a record must not tell of a commit that
is gone (`redo` would make it anew, but not where no reflog is kept); 5, as far as `worktree` says; and 7, which is the
acknowledgement. Not synced are 1, whose loss puts the jobs back into the queue, as the death of their worker does
anyway; and 6, whose text is in the row: after the machine was started again `recover` writes the files of that time
anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Claim, Happening, Kind, Landed, Outcome
from ghostd.pipeline import proof, prove, restore, result, rules, uptime
from ghostd.pipeline.attempt import Attempt, Change, Ground, LeaseLost
from ghostd.pipeline.ending import again, ended, explained, known, record
from ghostd.pipeline.intake import reused
from ghostd.pipeline.rules import Before, Traces
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, history, marks, objects, worktree
from ghostd.repo.git import Repository
from ghostd.store.ports import Gained

_LOG = logging.getLogger(__name__)

#: Somebody else may move the branch between our look and our compare-and-swap; that often in a row is no accident.
_TRIES = 20

Make = Callable[[Attempt], Change | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How the jobs of a group ended, and what the branch has gained by them; to be recorded in one transaction."""

    outcomes: Sequence[tuple[Claim, Outcome]]
    gained: Gained | None = None


@dataclass(slots=True, kw_only=True)
class _Member:
    """One job of a group: a change with its commit, or an error, or a commit that Git holds, or nothing to do."""

    attempt: Attempt
    change: Change | None = None
    statement: bytes = b""
    commit: str = ""
    #: What the commit's trailers say, once it is on the branch.
    landed: Landed | None = None
    error: Cannot | None = None
    #: What Git holds already, and whether somebody else has put it there.
    found: str = ""
    already: bool = False


def land(first: Attempt, make: Make, more: Callable[[], Attempt | None] = lambda: None) -> Ends:
    """Make the change of a job on the tip, and those of `more` jobs on it; commit them all.

    `make` gives None where there is nothing to do any more, `more` where no other job may join. Another's move of the
    branch means once more on the new tip, for all of them. Raises LeaseLost, and then has recorded nothing.
    """
    attempts = [first]
    members: list[_Member] = []
    try:
        _commit(attempts, members, make, more)
        return _landed(members)
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - the path's door: a bug of ours ends these patches, and not their lane
        return _stopped(attempts, members, error)


def _commit(attempts: list[Attempt], members: list[_Member], make: Make, more: Callable[[], Attempt | None]) -> None:
    """Find out what becomes of the attempts, and commit what can be; both lists are filled."""
    for _ in range(_TRIES):
        members[:] = _tried(attempts, make, more)
        if _moved(members):
            return
        more = _nobody
    raise Cannot(
        f"commit {attempts[0].job.id}: {attempts[0].job.branch} was moved by somebody else {_TRIES} times",
        kind="branch-contended",
        hint="see what else commits on this branch",
    )


def _nobody() -> None:
    return None


def learn(shop: Workshop, repo: Repository, branch: str) -> str | None:
    """Bring the ledger's index of a branch up to its tip, which is given back; a rewound branch is read anew."""
    known_tip = shop.ledger.known(repo.identity, branch)
    if known_tip is not None and known_tip == commit.tip(repo, branch):
        return known_tip
    scan = history.landed_since(repo, branch, known_tip)
    if scan.tip is not None and scan.tip != known_tip:
        shop.ledger.learn(repo.identity, branch, scan.landed, scan.tip, anew=scan.rewound)
    return scan.tip


# Before the commit point ----------------------------------------------------------------------------------------


def _tried(attempts: list[Attempt], make: Make, more: Callable[[], Attempt | None]) -> list[_Member]:
    """Each attempt on the one before it, in memory; those that `more` gives are added to the list."""
    first = attempts[0]
    first.repo.pending.forget()
    branch = first.job.branch
    ground = Ground(tip=learn(first.shop, first.repo, branch), log=prove.anchor(first.repo, branch))
    members: list[_Member] = []
    on = None
    for attempt in attempts:
        attempt.on, attempt.ground = on, ground
        member = _member(attempt, make)
        on = member.commit or on
        members.append(member)
        # The list grows under the loop until nobody joins any more.
        if attempt is attempts[-1] and (another := more()) is not None:
            attempts.append(another)
    return members


def _member(attempt: Attempt, make: Make) -> _Member:
    """What becomes of one job; a refusal is its own and leaves nothing in memory."""
    mark = attempt.repo.pending.mark()
    try:
        found = _found(attempt)
        if found is not None:
            return found
        change = make(attempt)
        return _Member(attempt=attempt) if change is None else _sealed(attempt, change)
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - one patch that trips over a bug of ours must not stop those beside it
        attempt.repo.pending.forget(mark)
        return _Member(attempt=attempt, error=explained(error, attempt.job.id))


def _found(attempt: Attempt) -> _Member | None:
    """The job whose id Git holds already; None where there is work to do."""
    job, ledger = attempt.job, attempt.shop.ledger
    landed = ledger.landed(job.repo, job.branch, job.id)
    taken_back = None if landed is None else ledger.taken_back(job.repo, job.branch, job.id)
    traces = Traces(landed=landed, taken_back=taken_back)
    match rules.before_work(job, traces, proof.digest(job.statement)), landed:
        case Before.REUSED, _:
            raise reused(job.id)
        case Before.REVERTED, _:
            raise reverted(job.id, taken_back or "")
        case (Before.RECORD | Before.ALREADY) as before, Landed(commit=made):
            attempt.committed = True
            return _Member(attempt=attempt, found=made, landed=landed, already=before is Before.ALREADY)
        case _:
            return None


def reverted(id: str, by: str) -> Cannot:
    """The refusal of a patch that was taken back."""
    return Cannot(
        f"apply {id}: it was taken back by {by}",
        kind="reverted",
        hint=f"ghost rollback {by} brings it back, or send it under a new id",
    )


def _sealed(attempt: Attempt, change: Change) -> _Member:
    """The change with its statement and its commit, all of it in memory."""
    statement = prove.of_change(attempt, change)
    spec = spec_of(attempt, change, statement)
    made = commit.write_commit(attempt.repo, spec)
    return _Member(
        attempt=attempt,
        change=change,
        statement=statement,
        commit=made,
        landed=commit.parse_trailers(spec.message, made),
    )


def spec_of(attempt: Attempt, change: Change, statement: bytes) -> commit.CommitSpec:
    """The commit of a change: the same for the same job, change and statement, whenever it is made."""
    return commit.CommitSpec(
        tree=change.tree,
        parents=(change.base,) if change.base else (),
        message=prove.message(attempt, change, proof.digest(statement)),
        author=change.author,
        when=attempt.job.received_at,
    )


def _ready(members: Sequence[_Member]) -> list[tuple[_Member, Change]]:
    return [(member, member.change) for member in members if member.change is not None]


def _moved(members: Sequence[_Member]) -> bool:
    """Write the objects, seal the statements, move the branch; False where somebody else has moved it."""
    ready = _ready(members)
    if not ready:
        return True
    (first, change), (last, _) = ready[0], ready[-1]
    shop, repo, branch = first.attempt.shop, first.attempt.repo, first.attempt.job.branch
    ground = first.attempt.ground
    # A branch that has moved since is noticed by the move itself.
    expect = change.base if ground is not None and ground.tip == change.base else commit.tip(repo, branch)
    if expect is not None and expect != change.base:
        return False
    worktree.remember_worktree(repo, branch)
    repo.flush()
    if not shop.ledger.seal_all([(m.attempt.claim, m.statement) for m, _ in ready], shop.settings.store.lease):
        raise LeaseLost
    for member, made in ready:
        prove.before_commit(member.attempt, made, member.statement)
    if not commit.move(repo, branch, last.commit, expect, why=_why(ready)):
        for member, _ in ready:
            _remember(member)
        return False
    for member, _ in ready:
        member.attempt.committed = True
    return True


def _remember(member: _Member) -> None:
    """What the row holds now. A disk that fails may report so when the branch has moved all the same: then the next try
    finds a commit, and has to know it for its own."""
    claim = member.attempt.claim
    member.attempt.claim = replace(claim, job=replace(claim.job, statement=member.statement))


def _why(ready: Sequence[tuple[_Member, Change]]) -> str:
    """For the reflog, where one move is one line."""
    ids = [member.attempt.job.id for member, _ in ready]
    return ids[0] if len(ids) == 1 else f"{len(ids)} patches: {ids[0]} … {ids[-1]}"


def _stopped(attempts: Sequence[Attempt], members: Sequence[_Member], error: Exception) -> Ends:
    """The ends of a group that met an error which is nobody's own. What was committed is recorded by the next attempt.

    A refusal on top of a change that did not come to be says nothing: that job is tried again at once.
    """
    reason = explained(error, attempts[0].job.id)
    own = {id(member.attempt): member.error for member in members}
    outcomes = []
    for attempt in attempts:
        refusal = own.get(id(attempt))
        if refusal is not None and attempt.on is not None and not any(each.committed for each in attempts):
            outcomes.append((attempt.claim, again(attempt, refusal)))
        else:
            outcomes.append((attempt.claim, ended(attempt, refusal or reason)))
    return Ends(outcomes=outcomes)


# After the commit point -----------------------------------------------------------------------------------------


#: Jobs whose commit takes ids back or brings them back, and their own word for `applied`.
_UNDOING = {Kind.ROLLBACK: "reverted", Kind.RESTORE: "restored"}


def _landed(members: Sequence[_Member]) -> Ends:
    """Files, index of history, records. Everything here can be done again."""
    attempt = members[0].attempt
    shop, repo, branch = attempt.shop, attempt.repo, attempt.job.branch
    committed = any(member.attempt.committed for member in members)
    files = worktree.materialise(repo, branch) if committed and attempt.lane.checkout else "none"
    outcomes = [(member.attempt.claim, _end(member, files)) for member in members]
    return Ends(outcomes=outcomes, gained=_gained(shop, repo, branch, _ready(members)))


def _gained(shop: Workshop, repo: Repository, branch: str, ready: Sequence[tuple[_Member, Change]]) -> Gained | None:
    """What the index of history has to learn; None where there is nothing, or more than that."""
    if not ready:
        return None
    before = ready[0][1].base
    if before is None or shop.ledger.known(repo.identity, branch) != before:
        # The branch is new, or somebody else had moved it: there is more to read than our own.
        learn(shop, repo, branch)
        return None
    landed = tuple(member.landed for member, _ in ready if member.landed is not None)
    return Gained(repo=repo.identity, branch=branch, before=before, tip=ready[-1][0].commit, landed=landed)


def _end(member: _Member, files: str) -> Outcome:
    attempt = member.attempt
    try:
        if member.error is not None:
            return ended(attempt, member.error)
        if attempt.committed:
            return uptime.watched(attempt, _applied(member, files))
        told = result.blank(attempt.job.id, "already", **known(attempt))
        return record(attempt, Happening.APPLY, told)
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - as above: the others of the group have to be recorded
        return ended(attempt, explained(error, attempt.job.id))


def _applied(member: _Member, files: str) -> Outcome:
    """The record of a commit that is on the branch.

    Without a change an earlier attempt has made the commit and died: its verdicts are in the proof.
    """
    attempt, change, landed = member.attempt, member.change, member.landed
    job, made = attempt.job, member.commit or member.found
    told = result.blank(
        job.id,
        "already" if member.already else "applied",
        **known(attempt),
        commit=made,
        **_tree_and_stat(attempt.repo, made, change),
        gates=result.gates(change.verdicts, change.left_out) if change else proof.gates(job.statement),
        matches=result.matches(change.matches) if change else proof.matches(job.statement),
        worktree=files,
    )
    events: list[tuple[str, Mapping[str, Any]]] = []
    if job.kind in _UNDOING and landed is not None:
        told |= {"status": _UNDOING[job.kind], **restore.undone(job, landed)}
        events += restore.events(job, landed)
    _tag(attempt, made)
    # Where another commit bears the id already, nothing that was sealed here came to be.
    sealed = b"" if member.already else None
    return record(attempt, Happening.APPLY, told, commit=made, events=tuple(events), statement=sealed)


def _tree_and_stat(repo: Repository, made: str, change: Change | None) -> dict[str, Any]:
    if change is None:
        landed = history.commit_of(repo, made)
        before, tree = objects.tree_of(repo, landed.parents[0] if landed.parents else None).oid, landed.tree
    else:
        before, tree = change.base_tree, change.tree
        if change.stat is not None:
            return {"tree": tree, "stat": dict(change.stat)}
    return {"tree": tree, "stat": objects.stat(repo, before, tree)}


def _tag(attempt: Attempt, made: str) -> None:
    """Where tags are asked for. One that can not be made now is made by `recover`; the commit stands."""
    job, git = attempt.job, attempt.shop.settings.git
    if not git.tag_patches or job.kind is not Kind.PATCH:
        return
    try:
        marks.tag_patch(attempt.repo, job.id, made, job.title or job.id, job.received_at, git.signing_key)
    except (Cannot, OSError) as error:
        _LOG.warning("cannot tag %s: %s", job.id, error)
