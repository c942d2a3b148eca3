"""One diff mutation on a tree: all its files are read first, then what goes is removed, then what comes is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ghostd.model.patch import Diff, Match
from ghostd.model.tree import File, Mode
from ghostd.patches.binary import BadBinaryError, Binary
from ghostd.patches.diff import BadDiffError, FileDiff, parse
from ghostd.patches.hunks import Placed, place_hunks
from ghostd.patches.overlay import Overlay
from ghostd.patches.place import Place
from ghostd.patches.refusal import Refusal, refuse

_COMMIT = re.compile(rb"Subproject commit ([0-9a-f]{40}|[0-9a-f]{64})\n?")


def apply_diff(overlay: Overlay, diff: Diff, cap: str) -> Iterator[Match]:
    """Apply one diff mutation; yields how each file's hunks were found. Raises Refusal."""
    files = files_of(diff)
    matches: list[Match] = []
    results = [(file, _one(overlay, file, cap, matches)) for file in files]
    for path in sorted({file.old for file in files if file.old and not file.copy and file.old != file.new}):
        overlay.remove(path)
    for file, result in sorted(results, key=lambda each: each[0].new or b""):
        if file.new is not None:
            _free(overlay, file, file.new)
            overlay.put(file.new, result)
    yield from matches


def files_of(diff: Diff) -> tuple[FileDiff, ...]:
    """The files that a diff mutation is about, each with its names. Raises Refusal of kind `bad-diff`."""
    try:
        files = parse(diff.diff)
    except BadDiffError as error:
        raise _bad(diff.path, str(error), error.line) from None
    if diff.path is None:
        for file in files:
            if b"" in (file.old, file.new):
                raise _bad(None, "a diff of several files needs the names of each", file.at)
        _check_apart(files)
        return files
    if len(files) > 1:
        raise _bad(diff.path, f"a diff with a path is about one file, this one about {len(files)}", files[1].at)
    return (_named(files[0], diff.path),)


def _check_apart(files: tuple[FileDiff, ...]) -> None:
    """Two parts about one file would each be against the same state: one of them would be lost."""
    made: set[bytes] = set()
    for file in files:
        if file.new is not None and file.new in made:
            raise _bad(file.new, "two parts of the diff are about one file", file.at)
        made |= {file.new} if file.new is not None else set()


def _named(file: FileDiff, path: bytes) -> FileDiff:
    """The diff of the file that the mutation names, whatever its own header says; it may still make or remove it."""
    old = None if file.old is None else path
    return replace(file, old=old, new=None if file.new is None else path, copy=False)


def _one(overlay: Overlay, file: FileDiff, cap: str, matches: list[Match]) -> File:
    """What one file is after its part of the diff."""
    name = file.old if file.new is None else file.new
    assert name is not None
    before = File(mode=Mode.FILE, data=b"") if file.old is None else overlay.file(file.old)
    placed = _placed(overlay, _as_text(before), file, name, cap)
    if file.new is None and placed.data:
        raise refuse("no-match", name, "delete a file that holds more than the diff says", hint="use op delete")
    if (file.hunks or file.binary) and file.old is not None:
        matches.append(Match(path=name, level=placed.level))
    return _as_file(file.new_mode or before.mode, placed.data, file)


def _as_text(file: File) -> File:
    """What a diff shows of a file: of a submodule the one line that names its commit."""
    return replace(file, data=b"Subproject commit %s\n" % file.data) if file.mode is Mode.GITLINK else file


def _as_file(mode: Mode, text: bytes, diff: FileDiff) -> File:
    """The file of a text that a diff made. Raises Refusal where it is to be a submodule and names no commit."""
    if mode is not Mode.GITLINK or diff.new is None:
        return File(mode=mode, data=text)
    commit = _COMMIT.fullmatch(text)
    if commit is None:
        raise _bad(diff.new, "a submodule is one line, `Subproject commit ID`", diff.at)
    return File(mode=mode, data=commit[1])


def _placed(overlay: Overlay, before: File, file: FileDiff, name: bytes, cap: str) -> Placed:
    if file.binary is not None:
        return _unpacked(overlay, before, file, file.binary, name)
    if not file.hunks:
        # A header alone may remove an empty file, and rename or change the mode of any.
        return Placed(before.data, "exact")
    entry = overlay.untouched(file.old) if file.old is not None else None
    return place_hunks(Place(path=name, data=before.data, entry=entry, cap=cap), file.hunks)


def _unpacked(overlay: Overlay, before: File, file: FileDiff, binary: Binary, name: bytes) -> Placed:
    try:
        return Placed(binary.applied(before.data), "exact")
    except BadBinaryError as error:
        entry = overlay.untouched(file.old) if file.old is not None else None
        hint, blob = "make the diff from the file as it is now", entry.oid if entry else None
        raise refuse("no-match", name, f"apply the binary diff ({error})", hint=hint, blob=blob) from None


def _free(overlay: Overlay, file: FileDiff, path: bytes) -> None:
    """A file that is made, or comes from elsewhere, needs a free place."""
    if file.old != path and overlay.mode(path) is not None:
        raise refuse(
            "path-exists", path, "make a file that is there already", hint="give a diff against the file as it is"
        )


def _bad(path: bytes | None, problem: str, line: int) -> Refusal:
    return refuse(
        "bad-diff", path, f"read the diff (its line {line}: {problem})", hint="give a unified diff", diff_line=line
    )
