"""The operations of the unified format: for each its keys, and how a mapping becomes a typed mutation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import regex

from ghostd.model.patch import (
    ApplyPatch,
    Blocks,
    Chmod,
    Delete,
    Diff,
    Insert,
    JsonPatch,
    Mutation,
    Regex,
    Rename,
    Replace,
    Shell,
    Symlink,
    Write,
)
from ghostd.model.tree import Mode
from ghostd.patches import blocks, v4a
from ghostd.patches.fields import Section
from ghostd.patches.json_edit import NEEDS
from ghostd.patches.json_pointer import pointer_flaw

MODES: Mapping[str, Mode] = {"0644": Mode.FILE, "0755": Mode.EXECUTABLE}
MAX_COUNT = 1_000_000
#: A longer expression is a mistake or an attack on its compiler.
MAX_PATTERN = 10_000


@dataclass(frozen=True, slots=True)
class Op:
    """One row of the table: which keys an operation knows, and its reader."""

    keys: frozenset[str]
    read: Callable[[Section], Mutation | None]


def read_mutation(section: Section) -> Mutation | None:
    """The mutation that a mapping means; None where something about it was noted."""
    name = section.get("op", str) if "op" in section.value else "write"
    if name is None:
        return None
    if name not in OPS:
        section.error("op", f"op {name[:100]} is unknown; known are {', '.join(OPS)}")
        return None
    section.only({"op"} | OPS[name].keys)
    return OPS[name].read(section)


def _path(section: Section, key: str = "path") -> bytes | None:
    return section.data(key, required=True, empty=False)


def _write(section: Section) -> Mutation | None:
    path, data = _path(section), section.data("contents", required=True)
    mode = section.choice("mode", MODES, None) if "mode" in section.value else None
    return Write(path=path, data=data, mode=mode) if path is not None and data is not None else None


def _symlink(section: Section) -> Mutation | None:
    path, target = _path(section), section.data("target", required=True, empty=False)
    return Symlink(path=path, target=target) if path is not None and target is not None else None


def _delete(section: Section) -> Mutation | None:
    path = _path(section)
    return Delete(path=path) if path is not None else None


def _rename(section: Section) -> Mutation | None:
    path, to = _path(section), _path(section, "to")
    return Rename(path=path, to=to) if path is not None and to is not None else None


def _mode(section: Section) -> Mutation | None:
    path = _path(section)
    section.get("mode", str, required=True)
    mode = section.choice("mode", MODES, None) if "mode" in section.value else None
    return Chmod(path=path, mode=mode) if path is not None and mode is not None else None


def _replace(section: Section) -> Mutation | None:
    path = _path(section)
    search, new = section.text("search", required=True, empty=False), section.text("replace", required=True)
    count = section.number("count", 1, 1, MAX_COUNT)
    if path is None or search is None or new is None:
        return None
    return Replace(path=path, search=search.encode(), replace=new.encode(), count=count)


def _regex(section: Section) -> Mutation | None:
    path = _path(section)
    pattern, new = section.text("pattern", required=True, empty=False), section.text("replacement", required=True)
    count = section.number("count", 0, 0, MAX_COUNT)
    if path is None or pattern is None or new is None:
        return None
    problem = pattern_flaw(pattern)
    if problem:
        section.error("pattern", problem)
        return None
    return Regex(path=path, pattern=pattern, replacement=new, count=count)


def _insert(section: Section) -> Mutation | None:
    path, data = _path(section), section.data("contents", required=True)
    after, before = section.text("after", empty=False), section.text("before", empty=False)
    line = section.number("line", 0, 1, 1 << 31) if "line" in section.value else None
    if sum(key in section.value for key in ("after", "before", "line")) != 1:
        section.found.error(section.path, "needs exactly one of `after`, `before` and `line`")
        return None
    if path is None or data is None or (after, before, line or None) == (None, None, None):
        return None
    return Insert(
        path=path,
        data=data,
        line=line,
        after=after.encode() if after else None,
        before=before.encode() if before else None,
    )


def _diff(section: Section) -> Mutation | None:
    diff = section.data("diff", required=True, empty=False)
    path = section.data("path", empty=False)
    return Diff(diff=diff, path=path) if diff is not None else None


def _json(section: Section) -> Mutation | None:
    path = _path(section)
    section.get("patch", list, required=True)
    steps = section.sections("patch")
    before = len(section.found.errors)
    for step in steps:
        _json_step(step)
    if section.value.get("patch") == []:
        section.error("patch", "must not be empty")
    if path is None or not steps or len(section.found.errors) > before:
        return None
    return JsonPatch(path=path, operations=tuple(step.value for step in steps))


def _json_step(step: Section) -> None:
    """One operation of RFC 6902: note what is wrong with it."""
    name = step.text("op", required=True)
    if name is not None and name not in NEEDS:
        step.error("op", f"has to be one of {', '.join(NEEDS)}")
    needed = NEEDS.get(name or "")
    step.only({"op", "path", *(NEEDS.values() if name not in NEEDS else (needed,))} - {None})
    if needed is not None and needed not in step.value:
        step.found.error(step.path, f"`{needed}` is missing")
    step.text("path", required=True)
    for key in {"path", "from"} & step.value.keys():
        pointer = step.text(key) if key == "from" else step.value[key]
        if isinstance(pointer, str) and (flaw := pointer_flaw(pointer)):
            step.error(key, f"is no JSON pointer: it {flaw}")


def _apply_patch(section: Section) -> Mutation | None:
    text = _sound(section, "patch", v4a.check)
    return ApplyPatch(patch=text) if text is not None else None


def _blocks(section: Section) -> Mutation | None:
    text = _sound(section, "text", blocks.check)
    return Blocks(text=text) if text is not None else None


def _sound(section: Section, key: str, flaw: Callable[[bytes], str | None]) -> bytes | None:
    """The bytes of a text in which nothing is amiss."""
    text = section.text(key, required=True, empty=False)
    problem = None if text is None else flaw(text.encode())
    if problem:
        section.error(key, problem)
    return None if text is None or problem else text.encode()


def _shell(section: Section) -> Mutation | None:
    run = section.text("run", required=True, empty=False)
    return Shell(run=run) if run is not None else None


def pattern_flaw(pattern: str) -> str | None:
    """Why a regular expression can not be used, None where it can."""
    if len(pattern) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} characters"
    try:
        regex.compile(pattern)
    except (regex.error, ValueError, OverflowError, RecursionError, KeyError, IndexError, TypeError) as error:
        # The library lets a few of its own slips through for odd patterns; to its user they all mean the same.
        return f"is not a regular expression: {error}"
    return None


_PATH = frozenset({"path", "path_b64"})
_CONTENTS = frozenset({"contents", "contents_b64"})
_WRITE = Op(_PATH | _CONTENTS | {"mode"}, _write)

OPS: Mapping[str, Op] = {
    "write": _WRITE,
    "upsert": _WRITE,
    "symlink": Op(_PATH | {"target", "target_b64"}, _symlink),
    "delete": Op(_PATH, _delete),
    "rename": Op(_PATH | {"to", "to_b64"}, _rename),
    "mode": Op(_PATH | {"mode"}, _mode),
    "replace": Op(_PATH | {"search", "replace", "count"}, _replace),
    "regex": Op(_PATH | {"pattern", "replacement", "count"}, _regex),
    "insert": Op(_PATH | _CONTENTS | {"after", "before", "line"}, _insert),
    "diff": Op(_PATH | {"diff", "diff_b64"}, _diff),
    "json": Op(_PATH | {"patch"}, _json),
    "apply_patch": Op(frozenset({"patch"}), _apply_patch),
    "blocks": Op(frozenset({"text"}), _blocks),
    "shell": Op(frozenset({"run"}), _shell),
}
