"""What a job wants to have committed: its patch applied, or its ids taken back, in memory, and checked by the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ghostd.base.errors import Cannot
from ghostd.model.patch import Execution, Validation
from ghostd.model.tree import Change as PathChange
from ghostd.patches.apply import apply
from ghostd.patches.read import from_canonical
from ghostd.pipeline import gates, phase, rollback, rules
from ghostd.pipeline.attempt import Attempt, Change
from ghostd.pipeline.rules import Commit, NoVerdict, Reject, Said, Verdict
from ghostd.repo import commit, objects, worktree


def patched(attempt: Attempt) -> Change:
    """A patch applied to the tip. Raises Cannot for every verdict against it; nothing but objects is written."""
    job, repo = attempt.job, attempt.repo
    patch = from_canonical(job.body)
    _may_run(attempt, patch.phase, patch.execution)
    base = commit.base(repo, job.branch)
    before = objects.tree_of(repo, base)
    applied = apply(before, patch, match=attempt.lane.match)
    _untouched(attempt, applied.changes)
    change = Change(
        base=base,
        base_tree=before.oid,
        tree=objects.write_tree(repo, before, applied.changes),
        description=patch.description,
        author=patch.author or "ghost",
        matches=applied.matches,
    )
    return _checked(attempt, change, patch.validation, patch.execution, applied.changes)


def rolled_back(attempt: Attempt) -> Change | None:
    """The revert of the job's ids on the tip; None where they are taken back already. Raises Cannot(blocked)."""
    job, repo = attempt.job, attempt.repo
    asked = rollback.asked(job)
    branch = rollback.branch(attempt.shop, repo, job.branch)
    trial = rollback.attempt(branch, asked.ids, with_dependents=asked.with_dependents)
    if trial.status == "already":
        return None
    if trial.tree is None:
        raise rollback.blocked(asked.ids, trial)
    before = objects.tree_of(repo, trial.head)
    changes = objects.changes(repo, before.oid, trial.tree)
    _untouched(attempt, changes)
    change = Change(
        base=trial.head,
        base_tree=before.oid,
        tree=trial.tree,
        description=f"take back {', '.join(asked.ids)}",
        author="ghost",
        reverts=trial.reverted,
        reapplies=trial.reapplied,
    )
    return _checked(attempt, change, Validation(), Execution(), changes)


def _may_run(attempt: Attempt, wanted_phase: str | None, execution: Execution) -> None:
    """Refuse what must not even be tried: a frozen phase, a dependency that does not stand."""
    job, ledger = attempt.job, attempt.shop.ledger
    if wanted_phase is not None:
        default = attempt.lane.name == attempt.shop.settings.default_lane.name
        tag = phase.frozen_by(attempt.repo, phase.stem(attempt.lane.name, wanted_phase, default=default))
        if tag is not None:
            raise Cannot(
                f"apply {job.id}: phase {wanted_phase} is frozen by the tag {tag}",
                kind="frozen",
                hint=f"ghost thaw {wanted_phase} opens it again",
            )
    needed = {id: ledger.get(id) for id in execution.depends_on}
    stands = {
        id: found is not None and ledger.taken_back(found.repo, found.branch, id) is None
        for id, found in needed.items()
    }
    states = {id: found.state if found else None for id, found in needed.items()}
    if why_not := rules.dependencies(states, stands):
        raise Cannot(f"apply {job.id}: {why_not}", kind="dependency", hint="send it again when that one is applied")


def _untouched(attempt: Attempt, changes: Sequence[PathChange]) -> None:
    """Raises Cannot where the checked-out files of the change were edited or staged by hand, or the index is locked."""
    where = worktree.checked_out_at(attempt.repo, attempt.job.branch) if attempt.lane.checkout else None
    if where is None:
        return
    worktree.await_index(attempt.repo, where)
    edits = worktree.foreign_edits(attempt.repo, where, changes)
    if edits:
        paths = [edit.path.decode(errors="backslashreplace") for edit in edits]
        raise Cannot(
            f"apply {attempt.job.id}: {paths[0]} was edited by hand in {where}",
            kind="foreign-edit",
            hint="commit or undo the edit, then send the patch under a new id or requeue it",
            path=paths[0],
            paths=paths,
            diff="\n".join(edit.diff for edit in edits),
        )


def _checked(
    attempt: Attempt, change: Change, validation: Validation, execution: Execution, changes: Sequence[PathChange]
) -> Change:
    """The change with the verdicts of all gates that concern it. Raises Cannot where one does not let it pass."""
    job, shop, lane = attempt.job, attempt.shop, attempt.lane
    wanted = rules.effective(validation, lane)
    selection = rules.select_gates(
        shop.settings.gates,
        lane,
        wanted.gates,
        [changed.path for changed in changes],
        no_gates=bool(job.options.get("no_gates")),
    )
    deadline = attempt.begun + execution.timeout_ms / 1000
    facts = {"GHOST_PATCH_ID": job.id, "GHOST_LANE": lane.name}
    attempt.verdicts.clear()
    for gate in selection.run:
        tree = change.base_tree if gate.when == "pre" else change.tree
        verdict = gates.run_gate(
            gate,
            gates.Subject(repo=attempt.repo, tree=tree, facts=facts),
            attempt.bench(),
            max_retries=execution.max_retries,
            deadline=deadline,
        )
        attempt.verdicts.append(verdict)
        shop.ledger.append("ghost.patch.gate", job.id, verdict.as_json(), lane=lane.name)
        _raise_against(job.id, rules.decide([verdict], wanted))
    return replace(change, verdicts=tuple(attempt.verdicts), left_out=selection.left_out)


def _raise_against(id: str, decision: Commit | Reject | NoVerdict) -> None:
    match decision:
        case Reject(gate=gate):
            raise Cannot(
                f"apply {id}: gate {gate.name} said no ({gate.ended})",
                kind="gate-failed",
                hint=f"ghost summary {id} shows its output",
                **_evidence(gate),
            )
        case NoVerdict(gate=gate):
            raise Cannot(
                f"check {id}: gate {gate.name} came to no verdict: {gate.error}",
                kind="gate-timeout" if gate.said is Said.TIMEOUT else "gate-error",
                hint=f"mend the gate, then ghost queue requeue {id}",
                **_evidence(gate),
            )
        case Commit():
            pass


def _evidence(gate: Verdict) -> dict[str, str]:
    return {"gate": gate.name, "output": gate.output[-4000:]}
