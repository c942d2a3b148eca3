"""Putting the chunks of one file's part of a V4A patch in their places: all of them, or a Refusal.

The anchors of a chunk (`@@ class A`, `@@ def f():`) are lines of the file that lead to it, each behind the one before.
What is sought behind an anchor is sought in the lines that are indented below it first, and then up to the end of the
file; either way only one place may fit. A chunk that only adds lines puts them right behind its last anchor; without
one, at the end of the file, as the form has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ghostd.patches import explain
from ghostd.patches.hunks import Placed, refused
from ghostd.patches.match import ANYWHERE, ENOUGH, ORDER, Edit, Found, Scope, Script, splice
from ghostd.patches.place import Place
from ghostd.patches.v4a import Chunk

_BLANKS = b" \t\r\n"


def place_chunks(place: Place, chunks: Sequence[Chunk]) -> Placed:
    """The bytes after all chunks, each sought in the file as it was, in the order in which they stand."""
    edits: list[Edit] = []
    ends: list[Edit] = []
    loosest = ORDER[0]
    for number, chunk in enumerate(chunks, 1):
        if chunk.only_adds and (chunk.tail or not chunk.anchors):
            edit, level = _at_end(place, chunk)
            ends.append(edit)
        else:
            edit, level = _located(place, chunk, number)
            if edits and edit.start < edits[-1].end:
                line = place.data.count(b"\n", 0, edit.start) + 1
                raise refused(place, "no-match", number, "comes before or overlaps the chunk before it", line=line)
            edits.append(edit)
        loosest = max(loosest, level, key=ORDER.index)
    data = splice(place.data, edits)
    return Placed(_appended(data, ends, place), loosest)


def _located(place: Place, chunk: Chunk, number: int) -> tuple[Edit, str]:
    """The edit that a chunk makes, and the level at which its place was found."""
    anchors, script = chunk.anchors, chunk.lines
    if chunk.only_adds:
        # The lines come behind the anchor, which therefore has to fit as any line that stays.
        anchors, script = anchors[:-1], ((" ", chunk.anchors[-1] + b"\n"), *script)
    scopes = [ANYWHERE]
    for anchor in anchors:
        scopes = _below(place, _one(place, [(" ", anchor + b"\n")], scopes, number, "the anchor").edits[0])
    found = _one(place, script, [Scope(each.since, each.until, chunk.tail) for each in scopes], number, "the chunk")
    return found.edits[0], found.level


def _one(place: Place, script: Script, scopes: Sequence[Scope], number: int, what: str) -> Found:
    """The one place in the first scope that has any. Raises Refusal."""
    for scope in scopes:
        found = place.source.block(script, scope, whole=True)
        if not found.edits and what == "the anchor" and place.cap == ORDER[-1]:
            found = _indented_otherwise(place, script[0][1], scope)
        if len(found.edits) > 1:
            near = explain.candidates(place.data, explain.line_ranges(place.data, found.places))
            hint = "add context lines, or `@@` lines that lead to the place"
            raise refused(place, "ambiguous", number, f"{what} fits several places", hint=hint, **near)
        if found.edits:
            return found
    raise refused(place, "no-match", number, f"{what} is not found", **place.missing(script))


def _indented_otherwise(place: Place, anchor: bytes, scope: Scope) -> Found:
    """Where an anchor stands at any indentation: it only leads to a place, so that this may differ in every file."""
    edits, at = [], 0
    wanted = anchor.strip(_BLANKS)
    for line in place.data.splitlines(keepends=True):
        if line.strip(_BLANKS) == wanted and scope.has(at):
            edits.append(Edit(at, at + len(line), line))
        at += len(line)
    return Found(ORDER[-1], tuple(edits[:ENOUGH]))


def _below(place: Place, anchor: Edit) -> list[Scope]:
    """The scopes behind an anchor: the lines indented below it, if there are any, and all."""
    margin = _margin(place.data[anchor.start : anchor.end])
    at = anchor.end
    for line in place.data[anchor.end :].splitlines(keepends=True):
        if line.strip(_BLANKS) and _margin(line) <= margin:
            break
        at += len(line)
    everything = Scope(anchor.end)
    return [Scope(anchor.end, at), everything] if at > anchor.end else [everything]


def _margin(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" \t"))


def _at_end(place: Place, chunk: Chunk) -> tuple[Edit, str]:
    """Lines for the end of the file, with its own line ends."""
    data = b"".join(line for _, line in chunk.lines)
    level = ORDER[0]
    if b"\r" in place.data and place.cap != ORDER[0]:
        ended = b"".join(line.rstrip(b"\r\n") + place.source.end for _, line in chunk.lines)
        level = ORDER[0] if ended == data else ORDER[1]
        data = ended
    return Edit(len(place.data), len(place.data), data), level


def _appended(data: bytes, ends: Sequence[Edit], place: Place) -> bytes:
    """A file with lines at its end, before which the last one gets its line end."""
    if not ends:
        return data
    joint = place.source.end if data and not data.endswith((b"\n", b"\r")) else b""
    return b"".join([data, joint, *(edit.data for edit in ends)])
