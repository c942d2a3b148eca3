"""What an edit works on: one file's bytes, where texts are sought in them, and how a refusal about it is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ghostd.model.tree import Entry
from ghostd.patches.match import Script, Source
from ghostd.patches.refusal import Refusal, refuse


@dataclass(frozen=True, kw_only=True)
class Place:
    """The path for messages, the bytes, and the blob where the patch has not touched it yet; `cap` is the lane's."""

    path: bytes
    data: bytes
    entry: Entry | None
    cap: str

    @cached_property
    def source(self) -> Source:
        """The bytes as something to seek in."""
        return Source(self.data, path=self.path, cap=self.cap)

    def refuse(self, kind: str, message: str, **details: Any) -> Refusal:
        blob = self.entry.oid if self.entry else None
        return refuse(kind, self.path, message, blob=blob, **details)

    def missing_text(self, search: bytes, replacement: bytes = b"") -> dict[str, Any]:
        """The details of a refusal for a text that is nowhere."""
        from ghostd.patches import nearest

        return nearest.missing_text(self.source, search, replacement)

    def missing(self, script: Script) -> dict[str, Any]:
        """The same for a block of whole lines."""
        from ghostd.patches import nearest

        return nearest.missing(self.source, script)
