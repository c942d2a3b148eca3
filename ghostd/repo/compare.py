"""What lies between two trees in lines: the spans of each path, and a diff that people read and `git apply` takes."""

from __future__ import annotations

from dataclasses import dataclass

import pygit2
from pygit2.enums import DiffOption

from ghostd.model.touch import Span, Touch
from ghostd.model.tree import Entry, Mode
from ghostd.repo.git import Repository
from ghostd.repo.history import commit_of
from ghostd.repo.objects import changed_entries, read_blob, tree_of

_LINES = frozenset({Mode.FILE, Mode.EXECUTABLE})
#: As far as Git looks for a NUL before it calls a file binary.
_LOOK = 8000


def touches(repo: Repository, commit: str) -> tuple[Touch, ...]:
    """What a commit did to each path, against its first parent. Raises Cannot (unknown-commit, repo-invalid)."""
    found = commit_of(repo, commit)
    before = tree_of(repo, found.parents[0] if found.parents else None)
    changed = changed_entries(repo, before.oid, found.tree)
    return tuple(
        Touch(path=path, before=was, after=now, spans=_spans(repo, was, now))
        for path, (was, now) in sorted(changed.items())
    )


def _spans(repo: Repository, was: Entry | None, now: Entry | None) -> tuple[Span, ...] | None:
    if was is None or now is None or was.mode not in _LINES or now.mode not in _LINES:
        return None
    return spans(repo, was.oid, now.oid)


def spans(repo: Repository, old: str, new: str) -> tuple[Span, ...] | None:
    """The lines in which two blobs differ, as a merge would compare them; None where one of them is binary."""
    if old == new:
        return ()
    was, now = read_blob(repo, old), read_blob(repo, new)
    if b"\0" in was[:_LOOK] or b"\0" in now[:_LOOK]:
        return None
    patch = pygit2.Patch.create_from(was, now, context_lines=0, flag=DiffOption.FORCE_TEXT)
    return tuple(_span(hunk) for hunk in patch.hunks)


def _span(hunk: pygit2.DiffHunk) -> Span:
    """A hunk of no lines names the line before it, any other its first line, counted from 1."""
    old = hunk.old_start - (1 if hunk.old_lines else 0)
    new = hunk.new_start - (1 if hunk.new_lines else 0)
    return Span(old, old + hunk.old_lines, new, new + hunk.new_lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStat:
    """One path of a diff; `old` is its former name where it was renamed."""

    path: bytes
    old: bytes | None
    status: str
    insertions: int
    deletions: int
    binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A diff: its exact bytes, which `git apply` takes, and a line for each of its files."""

    text: bytes
    files: tuple[FileStat, ...]


def shown(repo: Repository, commit: str) -> Shown:
    """What a commit changed against its first parent; no program and no attribute has a say in it."""
    found = commit_of(repo, commit)
    before = tree_of(repo, found.parents[0] if found.parents else None)
    old, new = (repo.objects[oid].peel(pygit2.Tree) for oid in (before.oid, found.tree))
    diff = old.diff_to_tree(new, flags=DiffOption.SHOW_BINARY | DiffOption.INCLUDE_TYPECHANGE)
    diff.find_similar()
    patches = [patch for patch in diff if patch is not None]
    return Shown(text=b"".join(patch.data for patch in patches), files=tuple(map(_file, patches)))


def _file(patch: pygit2.Patch) -> FileStat:
    delta = patch.delta
    path, old = delta.new_file.raw_path, delta.old_file.raw_path
    _, insertions, deletions = patch.line_stats
    return FileStat(
        path=path,
        old=old if old != path else None,
        status=delta.status_char(),
        insertions=insertions,
        deletions=deletions,
        binary=bool(delta.is_binary),
    )
