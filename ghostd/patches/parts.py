"""The ops apply_patch and blocks on a tree: all their files are read first, then what goes is removed, then the rest
is written. So nothing is half done, and files of one op can trade places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from ghostd.model.patch import ApplyPatch, Blocks, Match
from ghostd.model.tree import File, Mode
from ghostd.patches import blocks, v4a
from ghostd.patches.blocks import BadBlockError, Block, place_blocks
from ghostd.patches.chunks import place_chunks
from ghostd.patches.overlay import Overlay
from ghostd.patches.place import Place
from ghostd.patches.refusal import Refusal, refuse
from ghostd.patches.v4a import Added, BadPatchError, Deleted, Updated


def apply_parts(overlay: Overlay, op: ApplyPatch, cap: str) -> Iterator[Match]:
    """Apply a patch in the V4A form; yields how the chunks of each file were found. Raises Refusal."""
    try:
        parts = v4a.parse(op.patch)
    except BadPatchError as error:
        raise _malformed("patch", str(error), error.line) from None
    changed: dict[bytes, File] = {}
    results: dict[bytes, File] = {}
    matches: list[Match] = []
    for part in parts:
        match part:
            case Added():
                results[part.path] = File(mode=_kept_mode(overlay, part.path), data=part.data)
            case Deleted():
                _check_there(overlay, part.path)
            case Updated():
                results[part.to] = changed[part.path] = _updated(overlay, part, changed.get(part.path), cap, matches)
    for path in sorted(_sources(parts)):
        overlay.remove(path)
    for path, file in sorted(results.items()):
        overlay.put(path, file)
    yield from matches


def apply_blocks(overlay: Overlay, op: Blocks, cap: str) -> Iterator[Match]:
    """Apply search/replace blocks; yields how those of each file were found. Raises Refusal."""
    try:
        found = blocks.parse(op.text)
    except BadBlockError as error:
        raise _malformed("text", str(error), error.line) from None
    of: dict[bytes, list[Block]] = {}
    for block in found:
        of.setdefault(block.path, []).append(block)
    results: dict[bytes, File] = {}
    matches: list[Match] = []
    for path, each in of.items():
        file = _edited_or_new(overlay, path, makes=not each[0].search)
        place = Place(path=path, data=file.data, entry=overlay.untouched(path), cap=cap)
        placed = place_blocks(place, each)
        results[path] = replace(file, data=placed.data)
        if any(block.search for block in each):
            matches.append(Match(path=path, level=placed.level))
    for path, file in sorted(results.items()):
        overlay.put(path, file)
    yield from matches


def _updated(overlay: Overlay, part: Updated, before: File | None, cap: str, matches: list[Match]) -> File:
    """What a file is after its part; `before` is what an earlier part of the patch made of it."""
    file = before or overlay.regular(part.path)
    entry = None if before else overlay.untouched(part.path)
    placed = place_chunks(Place(path=part.path, data=file.data, entry=entry, cap=cap), part.chunks)
    if part.chunks:
        matches.append(Match(path=part.to, level=placed.level))
    return replace(file, data=placed.data)


def _edited_or_new(overlay: Overlay, path: bytes, *, makes: bool) -> File:
    if makes and overlay.mode(path) is None:
        return File(mode=Mode.FILE, data=b"")
    return overlay.regular(path)


def _kept_mode(overlay: Overlay, path: bytes) -> Mode:
    """A regular file that is written over keeps its mode."""
    mode = overlay.mode(path)
    return Mode.EXECUTABLE if mode is Mode.EXECUTABLE else Mode.FILE


def _check_there(overlay: Overlay, path: bytes) -> None:
    if overlay.mode(path) is not Mode.GITLINK:
        overlay.file(path)


def _sources(parts: tuple[v4a.Part, ...]) -> Iterator[bytes]:
    """The paths at which nothing stays as it was: what goes, and what moves."""
    gone = (part.path for part in parts if isinstance(part, Deleted))
    moved = (part.path for part in parts if isinstance(part, Updated) and part.to != part.path)
    return chain(gone, moved)


def _malformed(key: str, problem: str, line: int) -> Refusal:
    return refuse("malformed", None, f"read `{key}` (its line {line}: {problem})", patch_line=line)
