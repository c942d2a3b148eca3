"""What a door hands to intake: a stranger's bytes, and through which door they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ghostd.model.job import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One patch as text, not yet read. `data` holds exactly one patch in whatever format."""

    data: bytes
    origin: Origin
    #: A lane that the door itself fixes (a drop folder, --lane); else the patch's own target decides.
    lane: str | None = None
    #: {"no_gates": true}: only the owner's own command line may set it.
    options: Mapping[str, Any] = field(default_factory=dict)
