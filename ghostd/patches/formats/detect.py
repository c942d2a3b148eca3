"""Which format a mapping is written in, told by its structure alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ghostd.model.patch import Format
from ghostd.patches.fields import Findings
from ghostd.patches.formats import executor, g2o, unified, webhook

Detector = Callable[[Mapping[str, Any]], bool]
Translator = Callable[[Mapping[str, Any], Findings], dict[str, Any]]

#: The first that fits counts: unified says what it is, and `mutations` at the top are the executor's.
DETECTORS: tuple[tuple[Format, Detector], ...] = (
    (Format.UNIFIED, unified.detect),
    (Format.EXECUTOR, executor.detect),
    (Format.G2O, g2o.detect),
    (Format.WEBHOOK, webhook.detect),
)
TRANSLATORS: Mapping[Format, Translator] = {
    Format.UNIFIED: lambda mapping, _found: dict(mapping),
    Format.WEBHOOK: webhook.to_unified,
    Format.EXECUTOR: executor.to_unified,
    Format.G2O: g2o.to_unified,
}


def detect(mapping: Mapping[str, Any]) -> Format | None:
    """The format of a mapping that is meant as a patch, None of any other."""
    return next((form for form, fits in DETECTORS if fits(mapping)), None)
