"""All checks of one change: gates before and after it, each verdict written down as it comes, and what they mean."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ghostd.base.errors import Cannot
from ghostd.model.patch import Execution, Validation
from ghostd.model.settings import GateSettings
from ghostd.pipeline import gate_cache, gates, rules
from ghostd.pipeline.attempt import Attempt, Change
from ghostd.pipeline.gates import Bench
from ghostd.pipeline.rules import Commit, NoVerdict, Reject, Said, Verdict
from ghostd.pipeline.task import Answer, Subject, Task
from ghostd.store.ports import GateRun


def checked(
    attempt: Attempt, change: Change, validation: Validation, execution: Execution, paths: Sequence[bytes]
) -> Change:
    """The change with the verdicts of all gates that concern it. Raises Cannot where one does not let it pass."""
    wanted = rules.effective(validation, attempt.lane)
    selection = _selected(attempt, wanted, paths)
    bench = attempt.bench() if selection.run else None
    if bench is not None:
        fits(attempt, wanted, len(paths), whole=True)
    for when, tree in (("pre", change.base_tree), ("post", change.tree)):
        concerned = [gate for gate in selection.run if gate.when == when]
        tasks = [task(attempt, gate, tree, wanted, execution) for gate in concerned]
        verdicts = [] if bench is None else _verdicts(attempt, tasks, bench, wanted)
        attempt.verdicts += verdicts
        raise_against(attempt.job.id, rules.decide(verdicts, wanted))
    return replace(change, verdicts=tuple(attempt.verdicts), left_out=selection.left_out)


def fits(attempt: Attempt, wanted: Validation, files: int, *, whole: bool) -> None:
    """Tell that a patch fits in memory, before anything is run for it; `whole`: all of it, not only its beginning.

    What commands of its own made is told by them already.
    """
    if wanted.run_dry_check and not attempt.verdicts:
        told = {"files": files, "whole": whole}
        attempt.shop.ledger.append("ghost.patch.checked", attempt.job.id, told, lane=attempt.lane.name)


def _selected(attempt: Attempt, wanted: Validation, paths: Sequence[bytes]) -> rules.Selection:
    """The configured gates that concern the change, then the patch's own commands."""
    no_gates = bool(attempt.job.options.get("no_gates"))
    selection = rules.select_gates(attempt.shop.settings.gates, attempt.lane, wanted.gates, paths, no_gates=no_gates)
    own = rules.own_gates(wanted)
    if no_gates:
        return replace(selection, left_out=(*selection.left_out, *(gate.name for gate in own)))
    return replace(selection, run=(*selection.run, *own))


def task(attempt: Attempt, gate: GateSettings, tree: str, wanted: Validation, execution: Execution) -> Task:
    """A gate on a tree, under the limits and flags of its patch."""
    return Task(
        gate=gate,
        subject=Subject(repo=attempt.repo, tree=tree, facts=_facts(attempt, gate.name)),
        max_retries=execution.max_retries,
        deadline=attempt.begun + execution.timeout_ms / 1000,
        lender=attempt.lane.repo,
        audited=wanted.strict_runtime_audit,
        # A stranger's command never runs in less than the whole cell.
        policy=rules.OWN_POLICY if rules.is_own(gate) else attempt.lane.sandbox,
    )


def _facts(attempt: Attempt, gate: str) -> dict[str, str]:
    """What a gate may know of its patch, from its environment."""
    return {"GHOST_PATCH_ID": attempt.job.id, "GHOST_LANE": attempt.lane.name, "GHOST_GATE": gate}


def _verdicts(attempt: Attempt, tasks: Sequence[Task], bench: Bench, wanted: Validation) -> list[Verdict]:
    """The verdicts in the order of the tasks: earlier passes where they may stand for a run, else side by side."""
    if not tasks:
        return []
    ledger = attempt.shop.ledger
    keys = gate_cache.keys(tasks, bench)
    answers: dict[int, Answer] = {}
    for index, key in keys.items():
        if (before := gate_cache.found(ledger, key, tasks[index])) is not None:
            answers[index] = before
            write_down(attempt, before, wanted)
    left = [index for index in range(len(tasks)) if index not in answers]
    # Closed at once where the ledger fails us: no gate may run on behind an exception.
    with contextlib.closing(gates.run_all([tasks[index] for index in left], bench)) as running:
        for place, answer in running:
            index = left[place]
            answers[index] = answer
            write_down(attempt, answer, wanted)
            if index in keys:
                gate_cache.remember(ledger, keys[index], tasks[index], attempt.job.id, answer.verdict)
    return [answers[index].verdict for index in range(len(tasks))]


def write_down(attempt: Attempt, answer: Answer, wanted: Validation) -> None:
    """Keep each run with all of its output, and tell the verdict."""
    verdict, id, attempts = answer.verdict, attempt.job.id, attempt.job.attempts
    rows = [
        GateRun(
            id=id,
            attempt=attempts,
            gate=verdict.name,
            run=number,
            verdict=run.verdict.said,
            status=run.verdict.status,
            duration_ms=run.verdict.duration_ms,
            output=run.finished.output,
            cut=run.finished.cut,
            flake=verdict.flake and number == len(answer.runs),
        )
        for number, run in enumerate(answer.runs, 1)
    ] or [_reused(verdict, id, attempts)]
    # What concerns the gate as a whole stands with its last run.
    rows[-1] = replace(rows[-1], audit=verdict.audit)
    kept = [replace(row, kept=wanted.force_runtime_trace) for row in rows]
    attempt.shop.ledger.ran(kept, told=verdict.as_json(), lane=attempt.lane.name)


def _reused(verdict: Verdict, id: str, attempt: int) -> GateRun:
    """The row of a gate that was not run."""
    return GateRun(
        id=id,
        attempt=attempt,
        gate=verdict.name,
        run=0,
        verdict=verdict.said,
        status=verdict.status,
        duration_ms=0,
        output=b"",
        cached=True,
    )


def raise_against(id: str, decision: Commit | Reject | NoVerdict) -> None:
    """Raise what a decision against a change means for it."""
    match decision:
        case Reject(gate=gate):
            raise Cannot(
                f"apply {id}: gate {gate.name} said no ({gate.ended})",
                kind="gate-failed",
                hint=f"ghost show {id} --gate {gate.name} shows all of its output",
                **evidence(gate),
            )
        case NoVerdict(gate=gate):
            raise Cannot(
                f"check {id}: gate {gate.name} came to no verdict: {gate.error}",
                kind="gate-timeout" if gate.said is Said.TIMEOUT else "gate-error",
                hint=f"mend the gate, then ghost queue requeue {id}",
                **evidence(gate),
            )
        case Commit():
            pass


def evidence(gate: Verdict) -> Mapping[str, str]:
    """What an error tells of a gate's words."""
    return {"gate": gate.name, "output": gate.output[-4000:]}
