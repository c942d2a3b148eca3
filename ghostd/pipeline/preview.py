"""What a patch would do, in memory: no row, no object, no file."""

from __future__ import annotations

from typing import Any

from ghostd.model.patch import Patch
from ghostd.model.settings import LaneSettings
from ghostd.patches.apply import apply
from ghostd.pipeline import result
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, objects


def would_apply(shop: Workshop, patch: Patch, lane: LaneSettings) -> dict[str, Any]:
    """The RESULT of a dry run. Raises Cannot for the verdict that the patch would get; gates are not run."""
    repo = shop.repositories.of(lane)
    before = objects.tree_of(repo, commit.base(repo, lane.branch))
    applied = apply(before, patch, match=lane.match)
    return result.blank(
        patch.id,
        "would-apply",
        lane=lane.name,
        branch=lane.branch,
        digest=patch.digest,
        stat=objects.stat_of_changes(before, applied.changes),
        matches=result.matches(applied.matches),
        warnings=[f"{warning.path}: {warning.message}" for warning in patch.warnings],
    )
