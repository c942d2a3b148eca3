"""One mapping of any format, looked at as a whole: the patch that it means, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghostd.model.patch import Caution, Format, Patch
from ghostd.patches import strict_json
from ghostd.patches.documents import Lines
from ghostd.patches.fields import Findings
from ghostd.patches.formats import unified
from ghostd.patches.formats.detect import TRANSLATORS, detect
from ghostd.patches.refusal import key_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one mapping told. `patch` is None exactly where `found` has errors."""

    format: Format | None
    patch: Patch | None
    found: Findings


def examine(mapping: Mapping[str, Any], prefixes: Sequence[str] = ()) -> Reading:
    """Read a mapping of any format, collecting everything that is wrong or odd."""
    # A mapping with content of no unified kind is still nearest to the unified form, and its errors help most.
    form = detect(mapping) or (Format.UNIFIED if isinstance(mapping.get("content"), dict) else None)
    found = Findings()
    if form is None:
        known = "unified (type, content), webhook (target_file, patch), executor (mutations) nor g2o (patch.kind)"
        found.error((), f"no known patch format: neither {known}")
    patch = _translate(mapping, form, found, prefixes) if form is not None else None
    return Reading(format=form, patch=patch, found=found)


def _translate(mapping: Mapping[str, Any], form: Format, found: Findings, prefixes: Sequence[str]) -> Patch | None:
    whole = TRANSLATORS[form](mapping, found)
    if form is not Format.UNIFIED and strict_json.flaw(whole):
        # Only depth can have changed. Told here, so that what converts can also be read back.
        found.error((), f"nested too deep for the unified form, which takes {strict_json.MAX_DEPTH} levels")
        return None
    return unified.read(whole, found, form, prefixes)


def with_warnings(patch: Patch, found: Findings, lines: Lines | None = None) -> Patch:
    """The patch with what was odd about its text; with the lines, which take a second look at the text."""
    if not found.warnings:
        return patch
    notes = (
        Caution(path=key_path(each.path), message=each.message, line=lines(each.path) if lines else None)
        for each in found.warnings
    )
    return replace(patch, warnings=tuple(notes))
