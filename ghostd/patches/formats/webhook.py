"""The webhook format: one target file and its patch: whole text, a pattern with its replacement, or mutations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostd.patches.fields import Findings, Section
from ghostd.patches.formats.flat import COMMON, Raised, lowered

KEYS = COMMON | {"target_file", "patch"}
#: Operations that name their files themselves.
_PATHLESS = ("diff", "shell", "apply_patch", "blocks")


def detect(mapping: Mapping[str, Any]) -> bool:
    """True where a mapping is meant as a webhook patch."""
    if "target_file" in mapping:
        return True
    match mapping.get("patch"):
        case str():
            return "id" in mapping
        case {"pattern": _, "replacement": _} | {"mutations": list()}:
            return True
        case _:
            return False


def to_unified(mapping: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """The unified mapping of a webhook patch; what is wrong with it is noted."""
    top = Section(mapping, (), found)
    top.only(KEYS, {"mutations": "patch.mutations", "target": "target_file"})
    raised = Raised(top, "webhook")
    match mapping.get("patch"):
        case str() as text:
            _one(raised, {"op": "write", "contents": text}, ("patch",))
        case {"mutations": _}:
            _several(raised, top.section("patch"))
        case dict():
            patch = top.section("patch")
            patch.only({"pattern", "replacement"}, {"search": "pattern", "replace": "replacement"})
            _one(raised, {"op": "regex", **patch.value}, ("patch",))
        case _ if "patch" in mapping:
            top.error("patch", "has to be a text, or a mapping with `pattern` and `replacement`, or with `mutations`")
        case _:
            found.error((), "`patch` is missing")
    return raised.mapping()


def _one(raised: Raised, mutation: dict[str, Any], origin: tuple[str]) -> None:
    path = raised.top.text("target_file", required=True, empty=False)
    if path is not None:
        keys = {"path": ("target_file",), "contents": ("patch",)}
        raised.add({"op": mutation.pop("op"), "path": path, **mutation}, origin, keys)


def _several(raised: Raised, patch: Section) -> None:
    """Mutations in their unified form; one without a path is about the target file."""
    patch.only({"mutations"})
    file = raised.top.text("target_file")
    for section in patch.sections("mutations"):
        mutation = dict(section.value)
        mutation = mutation if "op" in mutation else {"op": "write", **mutation}
        pathless = mutation["op"] in _PATHLESS or "path_b64" in mutation
        if file is not None and "path" not in mutation and not pathless:
            mutation["path"] = file
        raised.add(mutation, section.path)


def from_unified(mapping: Mapping[str, Any], mutations: list[dict[str, Any]]) -> dict[str, Any]:
    """A webhook patch of a unified mapping."""
    flat = lowered(mapping, "webhook")
    match mutations:
        case [{"op": "write" | "upsert", "path": str() as path, "contents": str() as contents, **rest}] if not rest:
            flat |= {"target_file": path, "patch": contents}
        case [{"op": "regex", "path": str() as path, "pattern": pattern, "replacement": new, **rest}] if not rest:
            flat |= {"target_file": path, "patch": {"pattern": pattern, "replacement": new}}
        case _:
            flat |= {"patch": {"mutations": mutations}}
    return flat
