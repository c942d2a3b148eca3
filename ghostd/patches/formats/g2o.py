"""The g2o format: lists of shell commands to run before, as, and after a change, around one `patch` mapping.

Its source is the original system's schema: `kind` is one of five words, the three stages are lists of commands, and
`options` holds `dryRun` and `timeoutMs`. Beyond it an item of `execution` may be a mutation in its unified form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostd.patches.fields import Findings, Section

#: The original's kinds. Patches of the last two only run commands; that nothing changes is no failure of theirs.
KINDS = ("feature", "bugfix", "refactor", "operational_smoke", "test")
_EMPTY = frozenset({"operational_smoke", "test"})
#: Stage of g2o -> stage of the unified form.
STAGES: Mapping[str, str] = {"preflight": "preMutationValidation", "validation": "shell"}
KEYS = frozenset({"id", "kind", "execution", "options", *STAGES})
_MARKS = frozenset({"kind", "options", "execution", *STAGES})


def detect(mapping: Mapping[str, Any]) -> bool:
    """True where a mapping is meant as a g2o patch: its `patch` is a mapping that bears the patch's own id or kind."""
    patch = mapping.get("patch")
    if not isinstance(patch, dict) or "target_file" in mapping:
        return False
    return ("id" in patch or "kind" in patch) and bool(_MARKS & patch.keys())


def to_unified(mapping: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """The unified mapping of a g2o patch; what is wrong with it is noted."""
    top = Section(mapping, (), found)
    top.only({"patch"}, {key: f"patch.{key}" for key in KEYS})
    patch = top.section("patch")
    patch.only(KEYS)
    if not {"execution", *STAGES} & patch.value.keys():
        found.error(patch.path, "`execution` is missing")
    found.origins["id",] = ("patch", "id")
    kept, execution = _options(patch)
    kind = _kind(patch)
    content: dict[str, Any] = {"mutations": _mutations(patch), **({"allowEmpty": True} if kind in _EMPTY else {})}
    sections = {
        "metadata": {"g2o": {**({"kind": kind} if kind is not None else {}), **kept}},
        "validation": _stages(patch),
        "execution": execution,
    }
    return {
        **({"id": patch.value["id"]} if "id" in patch.value else {}),
        "type": "unified",
        "content": content,
        **{key: value for key, value in sections.items() if value},
    }


def _kind(patch: Section) -> str | None:
    kind = patch.text("kind")
    if kind is not None:
        known = "it may change nothing" if kind in _EMPTY else "without meaning"
        odd = "" if kind in KINDS else f"; the known ones are {', '.join(KINDS)}"
        patch.found.warning((*patch.path, "kind"), f"kept as a note, {known}{odd}")
    return kind


def _options(patch: Section) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is kept of the options, and the execution section that they mean."""
    options = patch.section("options")
    options.only({"dryRun", "timeoutMs"})
    if options.flag("dryRun", False):
        options.error("dryRun", "asks for a trial, and a patch makes a commit: leave it out, and use apply --dry-run")
    kept = {"dryRun": options.value["dryRun"]} if "dryRun" in options.value else {}
    if "timeoutMs" not in options.value:
        return kept, {}
    patch.found.origins["execution", "timeout"] = (*options.path, "timeoutMs")
    return kept, {"timeout": options.value["timeoutMs"]}


def _commands(patch: Section, key: str) -> Any:
    """A stage's commands; one alone may stand without its list, and all may stand under `shell` as elsewhere."""
    value = patch.value[key]
    if isinstance(value, dict) and value.keys() == {"shell"}:
        value = value["shell"]
    return [value] if isinstance(value, str) else value


def _stages(patch: Section) -> dict[str, Any]:
    validation: dict[str, Any] = {}
    for key, stage in STAGES.items():
        if key in patch.value:
            validation[stage] = _commands(patch, key)
            patch.found.origins["validation", stage] = (*patch.path, key)
    return validation


def _mutations(patch: Section) -> list[Any]:
    if "execution" not in patch.value:
        return []
    where = (*patch.path, "execution")
    items = _commands(patch, "execution")
    if not isinstance(items, list):
        patch.error("execution", "has to be a list of commands")
        return []
    mutations: list[Any] = []
    for index, item in enumerate(items):
        place = ("content", "mutations", index)
        patch.found.origins[place] = (*where, index)
        if isinstance(item, str):
            patch.found.origins[*place, "run"] = (*where, index)
        mutations.append(_mutation(item))
    return mutations


def _mutation(item: Any) -> Any:
    """The unified mutation of an item; of a wrong type it is left for the reader to note."""
    if isinstance(item, str):
        return {"op": "shell", "run": item}
    return {"op": "write", **item} if isinstance(item, dict) else item


def from_unified(mapping: Mapping[str, Any], mutations: list[dict[str, Any]]) -> dict[str, Any]:
    """A g2o patch of a unified mapping; sections that it has no key for are left out, and missed by whoever checks."""
    kept = mapping.get("metadata", {}).get("g2o")
    kept = kept if isinstance(kept, dict) else {"kind": _kind_of(mapping)}
    execution = mapping.get("execution", {})
    validation = mapping.get("validation", {})
    options = {
        **({"dryRun": kept["dryRun"]} if "dryRun" in kept else {}),
        **({"timeoutMs": execution["timeout"]} if "timeout" in execution else {}),
    }
    preflight = [each for stage in ("preCommit", "preMutationValidation") for each in validation.get(stage, [])]
    return {
        "patch": {
            "id": mapping["id"],
            **({"kind": kept["kind"]} if "kind" in kept else {}),
            **({"preflight": preflight} if {"preCommit", "preMutationValidation"} & validation.keys() else {}),
            "execution": [_item(each) for each in mutations],
            **({"validation": validation["shell"]} if "shell" in validation else {}),
            **({"options": options} if options else {}),
        }
    }


def _kind_of(mapping: Mapping[str, Any]) -> str:
    """The kind of a patch that was never g2o."""
    return "operational_smoke" if mapping["content"].get("allowEmpty") else "feature"


def _item(mutation: dict[str, Any]) -> Any:
    return mutation["run"] if mutation.keys() == {"op", "run"} and mutation["op"] == "shell" else mutation
