"""A report on a text instead of an exception: every problem of every patch in it, also those of applying."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from ghostd.model.patch import ApplyPatch, Blocks, Diff, Format, Mutation, Patch, Shell, Symlink
from ghostd.model.tree import Mode
from ghostd.patches import blocks, strict_yaml, v4a
from ghostd.patches.documents import MAX_BYTES, Document, documents
from ghostd.patches.examine import examine, with_warnings
from ghostd.patches.fields import MOST_TOLD
from ghostd.patches.formats.unified import STAGES, is_id
from ghostd.patches.patchwork import files_of
from ghostd.patches.paths import path_flaw, target_flaw
from ghostd.patches.refusal import KeyPath, Malformed, Refusal, key_path, shown

Level = Literal["error", "warning"]
#: A problem on its way: how bad, where in the unified form, and what.
Found = tuple[Level, KeyPath, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend (error) or to know (warning)."""

    level: Level
    line: int | None
    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be said about one patch; `patch` is None where it can not be read."""

    format: Format | None
    id: str | None
    problems: tuple[Problem, ...]
    patch: Patch | None

    @property
    def ok(self) -> bool:
        return not any(problem.level == "error" for problem in self.problems)


def inspect(
    data: bytes, *, max_bytes: int = MAX_BYTES, prefixes: Sequence[str] = (), allow_shell: bool = False
) -> tuple[Report, ...]:
    """A report for each patch of a text, at least one. Never raises."""
    try:
        found = documents(data, max_bytes=max_bytes)
    except Malformed as error:
        problem = Problem(level="error", line=error.line, path=key_path(error.path), message=error.problem)
        return (Report(format=None, id=None, problems=(problem,), patch=None),)
    return tuple(_report(doc, prefixes, allow_shell=allow_shell) for doc in found)


def _slowly(doc: Document) -> Iterator[Found]:
    """A word on a YAML text that was read without the C library."""
    if doc.yaml and not strict_yaml.NATIVE:
        yield "warning", (), "read by the slow YAML reader, for PyYAML was built without libyaml"


def _report(doc: Document, prefixes: Sequence[str], *, allow_shell: bool) -> Report:
    reading = examine(doc.value, prefixes)
    found = reading.found
    notes: list[Found] = [("error", each.path, each.message) for each in found.errors]
    if reading.patch is not None:
        foreseen = islice(_foreseen(reading.patch, allow_shell), MOST_TOLD)
        notes += [(level, found.origin(path), text) for level, path, text in foreseen]
    notes += [("warning", each.path, each.message) for each in found.warnings]
    notes += _slowly(doc)
    if len(notes) >= MOST_TOLD or found.untold:
        notes.append(("warning", (), f"no more than {MOST_TOLD} problems of a kind are told"))
    name = _name(doc.value)
    return Report(
        format=reading.format,
        id=name if isinstance(name, str) and is_id(name) else None,
        problems=tuple(Problem(level=a, line=doc.lines(b), path=key_path(b), message=c) for a, b, c in notes),
        patch=reading.patch and with_warnings(reading.patch, found, doc.lines),
    )


def _name(mapping: Mapping[str, Any]) -> Any:
    """What a patch of any format calls itself."""
    inner = mapping.get("patch")
    return mapping.get("id", mapping.get("blockId", inner.get("id") if isinstance(inner, dict) else None))


def _foreseen(patch: Patch, allow_shell: bool) -> Iterator[Found]:  # noqa: FBT001 - private
    """What applying would refuse on any tree."""
    for index, mutation in enumerate(patch.mutations):
        where: KeyPath = ("content", "mutations", index)
        if isinstance(mutation, Shell):
            yield _shell((*where, "run"), allow_shell)
        else:
            yield from (("error", (*where, key), flaw) for key, flaw in _flaws(mutation))
    validation = json.loads(patch.canonical).get("validation", {})
    yield from (_shell(("validation", stage), allow_shell) for stage in STAGES if validation.get(stage))


def _flaws(mutation: Mutation) -> Iterator[tuple[str, str]]:
    """What is wrong with the paths of a mutation, or its diff, by key."""
    for key in ("path", "to"):
        path = getattr(mutation, key, None)
        flaw = None if path is None else path_flaw(path)
        if flaw:
            yield key, f"a path that {flaw}"
    if isinstance(mutation, Symlink) and (flaw := target_flaw(mutation.path, mutation.target)):
        yield "target", flaw
    if isinstance(mutation, ApplyPatch):
        yield from (("patch", flaw) for flaw in _path_flaws(v4a.paths(mutation.patch)))
    if isinstance(mutation, Blocks):
        yield from (("text", flaw) for flaw in _path_flaws(blocks.paths(mutation.text)))
    if isinstance(mutation, Diff):
        yield from (("diff", flaw) for flaw in _diff_flaws(mutation))


def _diff_flaws(diff: Diff) -> Iterator[str]:
    try:
        files = files_of(diff)
    except Refusal as refusal:
        yield refusal.message
        return
    # The mutation's own path is looked at by itself.
    names = (name for file in files for name in (file.old, file.new))
    yield from _path_flaws(name for name in names if name is not None and name != diff.path)
    if any(Mode.GITLINK in (file.old_mode, file.new_mode) for file in files):
        yield "submodule: a patch can not change submodules"


def _path_flaws(paths: Iterable[bytes]) -> Iterator[str]:
    for path in dict.fromkeys(paths):
        if flaw := path_flaw(path):
            yield f"a path that {flaw}: {shown(path)[:200]}"


def _shell(where: KeyPath, allowed: bool) -> Found:  # noqa: FBT001 - private
    if not allowed:
        return "error", where, "shell-not-allowed: the lane does not allow commands of a patch's own"
    return "warning", where, "runs only where the sandbox can shut it in, see `ghost doctor`"
