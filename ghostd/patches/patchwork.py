"""One diff mutation on a tree: all its files are read first, then what goes is removed, then what comes is written."""

from __future__ import annotations

from collections.abc import Iterator

from ghostd.model.patch import Diff, Match
from ghostd.model.tree import File, Mode
from ghostd.patches.diff import BadDiffError, FileDiff, parse
from ghostd.patches.hunks import BadPlace, Placed, place
from ghostd.patches.overlay import Overlay
from ghostd.patches.refusal import Refusal, refuse


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
    return FileDiff(
        at=file.at,
        old=None if file.old is None else path,
        new=None if file.new is None else path,
        old_mode=file.old_mode,
        new_mode=file.new_mode,
        hunks=file.hunks,
    )


def _one(overlay: Overlay, file: FileDiff, cap: str, matches: list[Match]) -> File:
    """What one file is after its part of the diff."""
    name = file.old if file.new is None else file.new
    assert name is not None
    before = File(mode=Mode.FILE, data=b"") if file.old is None else overlay.file(file.old)
    placed = _placed(overlay, before, file, name, cap)
    if file.new is None and placed.data:
        raise refuse("no-match", name, "delete a file that holds more than the diff says", hint="use op delete")
    if file.hunks and file.old is not None:
        matches.append(Match(path=name, level=placed.level))
    return File(mode=file.new_mode or before.mode, data=placed.data)


def _placed(overlay: Overlay, before: File, file: FileDiff, name: bytes, cap: str) -> Placed:
    if not file.hunks:
        # A header alone may remove an empty file, and rename or change the mode of any.
        return Placed(before.data, "exact")
    try:
        return place(before.data, file.hunks, cap)
    except BadPlace as error:
        entry = overlay.untouched(file.old) if file.old is not None else None
        details = {"blob": entry.oid if entry else None, "hunk": error.number, **error.details}
        raise refuse(error.kind, name, f"apply hunk {error.number} ({error})", **details) from None


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
