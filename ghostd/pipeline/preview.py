"""What a patch would do, in memory: no row, no object, no file, and nothing is run."""

from __future__ import annotations

from typing import Any

from ghostd.model.patch import Patch
from ghostd.model.settings import LaneSettings
from ghostd.patches.apply import Applied, apply, apply_mutations
from ghostd.pipeline import result, shell
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, objects

_NOT_RUN = "commands are not run in a dry run; what they would change is not told"


def would_apply(shop: Workshop, patch: Patch, lane: LaneSettings) -> dict[str, Any]:
    """The RESULT of a dry run. Raises Cannot for the verdict that the patch would get; gates are not run."""
    repo = shop.repositories.of(lane)
    shell.allow(lane, patch)
    before = objects.tree_of(repo, commit.base(repo, lane.branch))
    applied = _applied(before, patch, lane)
    notes = [_NOT_RUN] if shell.brings_commands(patch) else []
    return result.blank(
        patch.id,
        "would-apply",
        lane=lane.name,
        branch=lane.branch,
        digest=patch.digest,
        stat=objects.stat_of_changes(before, applied.changes),
        matches=result.matches(applied.matches),
        warnings=[f"{warning.path}: {warning.message}" for warning in patch.warnings] + notes,
    )


def _applied(before: objects.GitTree, patch: Patch, lane: LaneSettings) -> Applied:
    """All of a patch, or of one with op shell what stands before the first command: the rest may build on it."""
    mutations, whole = shell.beginning(patch)
    if whole and not patch.validation.shell_build:
        return apply(before, patch, match=lane.match, shell=True)  # noqa: S604 - it runs nothing, see there
    return apply_mutations(before, mutations, match=lane.match)
