"""What the two older formats share: keys at the top that the unified form keeps in sections, or has no use for.

Whatever has no place in the unified form is kept under `metadata.<format>`, so that nothing is lost on the way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostd.patches.fields import Findings, Section
from ghostd.patches.formats.unified import FLEETING, PRIORITIES, is_id
from ghostd.patches.refusal import KeyPath

_IDLE_NOTES = (
    "timestamp", "autoExecute", "showInUI", "watchConsole", "parseCheck", "onParseFail", "project", "notes",
    "summaryFile",
)  # fmt: skip
#: Known keys at the top that change nothing; those with a word beside them have a place in the unified form.
NOTES: Mapping[str, str] = {
    "role": "kept as target.role",
    "description": "kept as metadata.description",
    "phase": "kept as metadata.phase",
    "version": "kept as metadata.version",
    "target": "taken as the lane's name",
    "priority": "kept as execution.priority",
    **dict.fromkeys(_IDLE_NOTES, "kept as a note, without meaning"),
}  # fmt: skip
#: Stage of the older formats -> stage of the unified form.
STAGES: Mapping[str, str] = {
    "preCommit": "preCommit",
    "preMutationValidation": "preMutationValidation",
    "validate": "shell",
    "postMutationBuild": "postMutationBuild",
}
#: Keys inside a section that are known and without meaning.
IDLE: Mapping[str, frozenset[str]] = {
    "execution": frozenset({"autoReleaseTimeoutMs", "onReloadHang"}),
    "preCommit": frozenset({"backup", "notes"}),
}
COMMON = frozenset({"id", "metadata", "execution", *STAGES, *NOTES})
#: metadata of the unified form that has to be of a type; of another type it is only kept.
_TYPED = ("description", "author", "session", "phase")
#: metadata of the unified form that stands at the top of the older ones.
_TOP = ("description", "version", "phase")


class Raised:
    """A unified mapping in the making, from the top section of a flat patch."""

    def __init__(self, top: Section, form: str) -> None:
        self.top = top
        self.form = form
        self.kept: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.target: dict[str, Any] = {}
        self.mutations: list[Any] = []
        self.validation: dict[str, Any] = {}
        self.execution: dict[str, Any] = {}
        self._raise_notes()
        self._raise_metadata()
        self._raise_stages()
        self._raise_execution()

    def mapping(self) -> dict[str, Any]:
        """The unified mapping, sections without content left out."""
        metadata = {**self.metadata, **({self.form: self.kept} if self.kept else {})}
        sections = {"metadata": metadata, "target": self.target}
        after = {"validation": self.validation, "execution": self.execution}
        return {
            **({"id": self.top.value["id"]} if "id" in self.top.value else {}),
            "type": "unified",
            **{key: value for key, value in sections.items() if value},
            "content": {"mutations": self.mutations},
            **{key: value for key, value in after.items() if value},
        }

    def add(self, mutation: Any, origin: KeyPath, keys: Mapping[str, KeyPath] | None = None) -> None:
        """Append a unified mutation and remember where the text has it, and its renamed keys."""
        where = ("content", "mutations", len(self.mutations))
        self.mutations.append(mutation)
        self.found.origins[where] = origin
        for key, path in (keys or {}).items():
            self.found.origins[*where, key] = path

    @property
    def found(self) -> Findings:
        return self.top.found

    def note(self, path: KeyPath, message: str) -> None:
        self.found.warning(path, message)

    def _raise_notes(self) -> None:
        for key, message in NOTES.items():
            if key in self.top.value:
                self.note((key,), message)
                self._place(key, self.top.value[key])

    def _place(self, key: str, value: Any) -> None:
        """Put a note where the unified form has it, or with the kept ones where its value does not fit."""
        match key, value:
            case "role", str():
                self.target["role"] = value
                self.found.origins["target", "role"] = (key,)
            case "target", str() if value:
                self.target["lane"] = value
                self.found.origins["target", "lane"] = (key,)
            case "priority", str() if value in PRIORITIES:
                self.execution["priority"] = value
            case (("description" | "version" | "phase"), _) if _fits(key, value):
                self.metadata[key] = value
            case _:
                self.kept[key] = value

    def _raise_metadata(self) -> None:
        rest: dict[str, Any] = {}
        for key, value in self.top.section("metadata").value.items():
            taken = key in self.metadata or key in FLEETING or key == self.form
            (rest if taken or not _fits(key, value) else self.metadata)[key] = value
        if rest:
            self.kept["metadata"] = rest
        if self.top.value.get("metadata"):
            self.note(("metadata",), "kept; only author, phase and session have a meaning")

    def _raise_stages(self) -> None:
        for key, stage in STAGES.items():
            if key not in self.top.value:
                continue
            section = self.top.section(key)
            idle = self._idle(key, section)
            section.only({"shell"} | idle)
            if "shell" in section.value:
                shell = section.value["shell"]
                self.validation[stage] = [shell] if isinstance(shell, str) else shell
                self.found.origins["validation", stage] = (key, "shell")

    def _raise_execution(self) -> None:
        section = self.top.section("execution")
        idle = self._idle("execution", section)
        own = {key: value for key, value in section.value.items() if key not in idle}
        if "priority" in own and "priority" in self.execution:
            self.kept["priority"] = self.execution["priority"]
        self.execution.update(own)

    def _idle(self, key: str, section: Section) -> frozenset[str]:
        """Keep the keys of a section that mean nothing, with a warning for each."""
        idle = IDLE.get(key, frozenset()) & section.value.keys()
        for each in sorted(idle):
            self.note((key, each), "kept as a note, without meaning")
        if idle:
            self.kept[key] = {each: section.value[each] for each in sorted(idle)}
        return idle


def lowered(mapping: Mapping[str, Any], form: str) -> dict[str, Any]:
    """The flat keys of a unified mapping, without its mutations: what `Raised` would read back."""
    metadata = dict(mapping.get("metadata", {}))
    kept = metadata.pop(form, {})
    kept = dict(kept) if isinstance(kept, dict) else {form: kept}
    rest = kept.pop("metadata", {})
    target = mapping.get("target", {})
    top = {"id": mapping["id"]}
    top |= {"role": target["role"]} if "role" in target else {}
    top |= {"target": target["lane"]} if "lane" in target else {}
    # A key that was kept for the top goes back there; its namesake came from below `metadata`.
    top |= {key: metadata.pop(key) for key in _TOP if key in metadata and key not in kept}
    metadata |= rest if isinstance(rest, dict) else {}
    top |= {"metadata": metadata} if metadata else {}
    for section in ("execution", "preCommit"):
        inside = kept.pop(section, {})
        if inside:
            top[section] = dict(inside) if isinstance(inside, dict) else {section: inside}
    for key, stage in STAGES.items():
        if stage in mapping.get("validation", {}):
            top[key] = {**top.get(key, {}), "shell": mapping["validation"][stage]}
    if execution := mapping.get("execution", {}):
        top["execution"] = {**top.get("execution", {}), **execution}
    return {**top, **kept}


def _fits(key: str, value: Any) -> bool:
    """True where the unified form takes this value under metadata."""
    if key in _TYPED and not isinstance(value, str):
        return False
    return key != "phase" or is_id(value)
