"""What a job wants to have committed: its patch applied, or its ids taken back, in memory, and checked by the gates."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.model.patch import Execution, Patch, Validation
from ghostd.model.settings import GateSettings, LaneSettings, Places
from ghostd.model.tree import Change as PathChange
from ghostd.patches.apply import apply
from ghostd.pipeline import branch, check, phase, restore, rollback, rules, shell, uptime
from ghostd.pipeline.attempt import Attempt, Change
from ghostd.repo import objects, worktree


def patched(attempt: Attempt) -> Change:
    """A patch applied to the tip. Raises Cannot for every verdict against it; nothing but objects is written."""
    patch = attempt.patch()
    attempt.verdicts.clear()
    _may_run(attempt, patch.phase, patch.execution)
    shell.allow(attempt.lane, patch)
    uptime.before(attempt, patch.validation)
    base = attempt.base()
    before = objects.tree_of(attempt.repo, base)
    made = shell.applied(attempt, patch, before) if shell.brings_commands(patch) else _in_memory(attempt, patch, before)
    _untouched(attempt, made.changes)
    change = Change(
        base=base,
        base_tree=before.oid,
        tree=made.tree,
        description=patch.description,
        author=patch.author or "ghost",
        matches=made.matches,
        stat=objects.plain_stat(before, made.changes),
        validation=patch.validation,
    )
    return check.checked(attempt, change, patch.validation, patch.execution, _paths(made.changes))


def _in_memory(attempt: Attempt, patch: Patch, before: objects.GitTree) -> shell.Made:
    applied = apply(before, patch, match=attempt.lane.match)
    tree = objects.write_tree(attempt.repo, before, applied.changes)
    return shell.Made(tree=tree, changes=applied.changes, matches=applied.matches)


def _paths(changes: Sequence[PathChange]) -> list[bytes]:
    return [change.path for change in changes]


def needs_alone(lane: LaneSettings, patch: Patch, gates: Mapping[str, GateSettings]) -> bool:
    """Whether a patch has to be a change of its own: something is run for it, or waited for, before or after it.

    Which gates concern its paths is known only when it was applied, so every gate that is named counts.
    """
    wanted = rules.effective(patch.validation, lane)
    named = any(name in gates for name in lane.gates) or bool(wanted.gates)
    flagged = wanted.require_mutation_proof or wanted.require_service_uptime
    return named or flagged or shell.brings_commands(patch)


def rolled_back(attempt: Attempt) -> Change | None:
    """The revert of the job's ids on the tip; None where they are taken back already. Raises Cannot(blocked)."""
    job, repo = attempt.job, attempt.repo
    attempt.verdicts.clear()
    asked = rollback.asked(job)
    trial_on = branch.branch(attempt.shop, repo, job.branch)
    trial = rollback.attempt(trial_on, asked.ids, with_dependents=asked.with_dependents)
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
        description=asked.title,
        author="ghost",
        reverts=trial.reverted,
        reapplies=trial.reapplied,
        undone=tuple(found.commit for found in trial.undone),
    )
    return check.checked(attempt, change, Validation(), Execution(), _paths(changes))


def restored(attempt: Attempt) -> Change | None:
    """The tree of a phase's newest tag on the tip; None where it is there already. Raises Cannot as `restore.plan`."""
    job, repo = attempt.job, attempt.repo
    attempt.verdicts.clear()
    wanted = restore.asked(job)
    name = phase.stem_in(attempt.shop.settings, job.lane, wanted)
    found = restore.plan(branch.branch(attempt.shop, repo, job.branch), wanted, name)
    if not found.needed:
        return None
    before = objects.tree_of(repo, found.head)
    changes = objects.changes(repo, before.oid, found.tree)
    _untouched(attempt, changes)
    change = Change(
        base=found.head,
        base_tree=before.oid,
        tree=found.tree,
        description=f"restore phase {wanted} as {found.tag}",
        author="ghost",
        reverts=found.reverted,
        reapplies=found.reapplied,
        restores=found.tag,
    )
    return check.checked(attempt, change, Validation(), Execution(), _paths(changes))


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
    """Raises Cannot where the change would touch what is not its own: ghost's own workspace, and in the checked-out
    files what was edited or staged by hand. Also where the index is locked."""
    _not_the_workspace(attempt, changes)
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


def _not_the_workspace(attempt: Attempt, changes: Sequence[PathChange]) -> None:
    """A patch that could write our configuration or state would make its own rules, and name services to be run."""
    kept = _workspace_in(attempt.repo.identity, attempt.shop.places)
    for path in (change.path.lower() for change in changes):
        if any(_touches(path, each) for each in kept):
            name = path.decode(errors="backslashreplace")
            raise Cannot(
                f"apply {attempt.job.id}: {name} belongs to the workspace of ghost itself",
                kind="forbidden-path",
                hint="the owner edits the configuration by hand",
                path=name,
            )


@functools.lru_cache(maxsize=64)
def _workspace_in(identity: str, places: Places) -> tuple[bytes, ...]:
    """Where the workspace lies in the files of a repository, in small letters."""
    top = Path(identity).parent
    own = [place for place in (places.conf, places.services, places.state) if place.is_relative_to(top)]
    return tuple(os.fsencode(place.relative_to(top)).lower() for place in own)


def _touches(path: bytes, place: bytes) -> bool:
    """Whether a path is a place, lies in it, or stands where a folder above it does."""
    return path == place or path.startswith(place + b"/") or place.startswith(path + b"/")
