"""From a Patch to the text of any format. Whatever the format can not hold is refused by name, never dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ghostd.base.errors import Cannot
from ghostd.model.patch import Format, Patch
from ghostd.patches import write_yaml
from ghostd.patches.examine import examine
from ghostd.patches.formats import executor, g2o, webhook
from ghostd.patches.formats.unified import FLAGS

Mutations = list[dict[str, Any]]
Writer = Callable[[Mapping[str, Any], Mutations], dict[str, Any]]

#: Format -> its writer, and the flags of `validation` that it knows.
WRITERS: Mapping[Format, tuple[Writer, frozenset[str]]] = {
    Format.WEBHOOK: (webhook.from_unified, frozenset()),
    Format.EXECUTOR: (executor.from_unified, frozenset(FLAGS)),
    Format.G2O: (g2o.from_unified, frozenset()),
}
#: The fields of a Patch that are its meaning; the rest is its text.
_MEANING = (
    "id", "mutations", "lane", "role", "description", "author", "phase", "session", "allow_empty", "validation",
    "execution",
)  # fmt: skip


def convert(patch: Patch, to: Format) -> dict[str, Any]:
    """The patch as a mapping of another format. Raises Cannot of kind `not-representable`."""
    mapping: dict[str, Any] = json.loads(patch.canonical)
    if to is Format.UNIFIED:
        return _unified(mapping, patch.format)
    writer, flags = WRITERS[to]
    kept = _representable(mapping, patch, to, flags)
    result = writer(kept, _mutations(kept))
    _check(patch, result, to)
    return result


def dump(mapping: Mapping[str, Any], *, style: Literal["json", "yaml"]) -> bytes:
    """A mapping as text that reads back to the same values."""
    if style == "yaml":
        return write_yaml.dumps(mapping).encode()
    return (write_yaml.escaped(json.dumps(mapping, ensure_ascii=False, indent=2)) + "\n").encode()


def _unified(mapping: dict[str, Any], source: Format) -> dict[str, Any]:
    """The canonical mapping in the order in which people read it."""
    if source is not Format.UNIFIED:
        mapping["metadata"] = {**mapping.get("metadata", {}), "sourceFormat": source.value}
    order = ("id", "type", "metadata", "target", "content", "validation", "execution")
    return {key: mapping[key] for key in order if key in mapping}


def _representable(mapping: dict[str, Any], patch: Patch, to: Format, flags: frozenset[str]) -> dict[str, Any]:
    """The mapping without defaults that the format has no key for. Raises Cannot for what is no default."""
    if patch.allow_empty and to is not Format.G2O:
        raise _not_representable(patch, to, "content.allowEmpty")
    if patch.validation.gates:
        raise _not_representable(patch, to, "validation.gates")
    validation = {key: value for key, value in mapping.get("validation", {}).items() if key != "gates"}
    defaults = type(patch.validation)()
    for key, name in FLAGS.items():
        if key in flags or key not in validation:
            continue
        if validation.pop(key) is not getattr(defaults, name):
            raise _not_representable(patch, to, f"validation.{key}")
    return {**mapping, "validation": validation}


def _mutations(mapping: Mapping[str, Any]) -> Mutations:
    """The mutations of a unified mapping, each with its `op`."""
    content = mapping["content"]
    if "mutations" not in content:
        return [{"op": "write", "path": mapping["target"]["file"], "contents": content["data"]}]
    return [{"op": "write", **each} for each in content["mutations"]]


def _check(patch: Patch, result: Mapping[str, Any], to: Format) -> None:
    """Read the result back: what does not come back as it was has no place in the format. Raises Cannot."""
    back = examine(result).patch
    if back is None or back.format is not to:
        raise _not_representable(patch, to, "a part of it")
    for name in _MEANING:
        if getattr(back, name) != getattr(patch, name):
            raise _not_representable(patch, to, name)
    for key in {*patch.metadata, *back.metadata} - set(Format):
        if patch.metadata.get(key) != back.metadata.get(key):
            raise _not_representable(patch, to, f"metadata.{key}")


def _not_representable(patch: Patch, to: Format, what: str) -> Cannot:
    hint = "keep it in the unified format"
    return Cannot(
        f"convert {patch.id} to {to}: it has no place for {what}", kind="not-representable", hint=hint, what=what
    )
