"""The executor format: several files written or added to, with shell commands in stages around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostd.patches.fields import Findings, Section
from ghostd.patches.formats.flat import COMMON, STAGES, Raised, lowered
from ghostd.patches.formats.unified import FLAGS
from ghostd.patches.refusal import KeyPath

#: Known and without meaning: ghost makes the commit, the tag and the summary itself.
_OWN = ("final", "git")
KEYS = COMMON | {"blockId", "mutations", *_OWN, *FLAGS}
_FINAL = frozenset({"git", "summary", "summaryFile"})

#: Key of an executor mutation -> key of the unified insert.
INSERTS: Mapping[str, str] = {"insertAfter": "after", "insertBefore": "before", "insertAt": "line"}


def detect(mapping: Mapping[str, Any]) -> bool:
    """True where a mapping is meant as an executor patch."""
    if isinstance(mapping.get("mutations"), list) or "blockId" in mapping:
        return True
    staged = any(isinstance(mapping.get(stage), dict) and "shell" in mapping[stage] for stage in STAGES)
    return staged and "id" in mapping and not {"patch", "target_file"} & mapping.keys()


def to_unified(mapping: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """The unified mapping of an executor patch; what is wrong with it is noted."""
    mapping = _named(mapping, found)
    top = Section(mapping, (), found)
    top.only(KEYS)
    raised = Raised(top, "executor")
    if "mutations" not in mapping and not raised.validation:
        found.error((), "`mutations` is missing")
    for section in top.sections("mutations"):
        _mutation(raised, section)
    for flag in FLAGS:
        if flag in mapping:
            raised.validation[flag] = mapping[flag]
            found.origins["validation", flag] = (flag,)
    for key in ("blockId", *_OWN):
        if key in mapping:
            _keep(raised, key)
    return raised.mapping()


def _named(mapping: Mapping[str, Any], found: Findings) -> Mapping[str, Any]:
    """A patch without `id` is named by its `blockId`."""
    if "id" in mapping or "blockId" not in mapping:
        return mapping
    found.origins["id",] = ("blockId",)
    return {"id": mapping["blockId"], **{key: value for key, value in mapping.items() if key != "blockId"}}


def _keep(raised: Raised, key: str) -> None:
    if key == "final":
        final = raised.top.section(key)
        final.only(_FINAL)
        _describe(raised, final.value.get("git"))
    raised.kept[key] = raised.top.value[key]
    raised.note((key,), "kept as a note, without meaning: ghost does this itself")


def _describe(raised: Raised, git: Any) -> None:
    """The message that the patch has for its commit is its description where it has no other."""
    message = git.get("commit") if isinstance(git, dict) else None
    if isinstance(message, str) and not raised.metadata.get("description") and "description" not in raised.kept:
        raised.metadata["description"] = message


def _mutation(raised: Raised, section: Section) -> None:
    value = section.value
    given = [key for key in INSERTS if key in value]
    op = value.get("op", "upsert")
    if not given or op not in ("write", "upsert", "insert"):
        raised.add({"op": "write" if op == "upsert" else op, **_without(value, ("op",))}, section.path)
        return
    inserted = {INSERTS.get(key, key): each for key, each in value.items() if key not in ("op", "mode")}
    keys: dict[str, KeyPath] = {INSERTS[key]: (*section.path, key) for key in given}
    raised.add({"op": "insert", **inserted}, section.path, keys)
    if "mode" in value:
        raised.add({"op": "mode", "mode": value["mode"], **_only(value, ("path", "path_b64"))}, section.path)


def from_unified(mapping: Mapping[str, Any], mutations: list[dict[str, Any]]) -> dict[str, Any]:
    """An executor patch of a unified mapping."""
    flat = lowered(mapping, "executor")
    flat["mutations"] = [_lowered(each) for each in mutations]
    return {**flat, **_only(mapping.get("validation", {}), tuple(FLAGS))}


def _lowered(mutation: dict[str, Any]) -> dict[str, Any]:
    match mutation["op"]:
        case "write" | "upsert":
            return _without(mutation, ("op",))
        case "insert":
            names = {new: old for old, new in INSERTS.items()}
            return {names.get(key, key): value for key, value in mutation.items() if key != "op"}
        case _:
            return mutation


def _without(value: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in keys}


def _only(value: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key in keys}
