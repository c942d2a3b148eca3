"""The door of this room for text: bytes become a Patch, or a report on all that is wrong, or "is it a patch at all"."""

from __future__ import annotations

from collections.abc import Sequence

from ghostd.model.patch import Format, Patch
from ghostd.patches import strict_json
from ghostd.patches.documents import MAX_BYTES, Document, documents
from ghostd.patches.examine import examine, with_warnings
from ghostd.patches.fields import Findings
from ghostd.patches.formats import unified
from ghostd.patches.lint import Problem, Report, inspect
from ghostd.patches.recognise import Recognition, recognised
from ghostd.patches.refusal import Malformed, key_path

__all__ = [
    "MAX_BYTES",
    "Document",
    "Malformed",
    "Problem",
    "Recognition",
    "Report",
    "documents",
    "from_canonical",
    "inspect",
    "read_document",
    "read_patch",
    "recognised",
]

#: What the older formats keep for the way back may lie deeper than a text is allowed to; our own bytes are trusted.
_CANONICAL_DEPTH = strict_json.MAX_DEPTH + 8


def read_patch(data: bytes, *, max_bytes: int = MAX_BYTES, prefixes: Sequence[str] = ()) -> Patch:
    """The one patch that a text holds. Raises Malformed."""
    found = documents(data, max_bytes=max_bytes)
    if len(found) > 1:
        raise Malformed(f"{len(found)} patches, where one is expected", line=found[1].lines(()))
    return read_document(found[0], prefixes=prefixes)


def read_document(doc: Document, *, prefixes: Sequence[str] = ()) -> Patch:
    """The patch of one document. Raises Malformed with the first error; `problems` in its details has all."""
    reading = examine(doc.value, prefixes)
    if reading.patch is not None:
        return with_warnings(reading.patch, reading.found)
    errors = reading.found.errors
    others = len(errors) - 1 + reading.found.untold
    more = f" (and {others} more)" if others else ""
    raise Malformed(
        errors[0].message + more,
        line=doc.lines(errors[0].path),
        path=errors[0].path,
        form=reading.format,
        problems=[{"line": doc.lines(e.path), "path": key_path(e.path), "message": e.message} for e in errors],
    )


def from_canonical(body: bytes) -> Patch:
    """The patch of its own canonical bytes, as a job keeps them."""
    found = Findings()
    mapping = strict_json.loads(body.decode(), max_depth=_CANONICAL_DEPTH)
    patch = unified.read(mapping, found, Format.UNIFIED)
    if patch is None:
        raise Malformed(found.errors[0].message, path=found.errors[0].path, form=Format.UNIFIED)
    return patch
