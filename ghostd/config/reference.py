"""The reference page of the configuration, written from the schema: `python -m ghostd.config.reference`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from ghostd.config import durations, kinds
from ghostd.config.kinds import Key
from ghostd.config.schema import SECTIONS, Section
from ghostd.model import settings

_HEAD = """\
# Configuration

`conf/ghost.toml`, and for services also `conf/services/*.toml`. This page is made from the schema by
`python -m ghostd.config.reference > docs/reference/config.md`; a test compares the two.

Times are written `"100ms"`, `"30s"`, `"1h30m"`; sizes `"64K"`, `"512M"`, `"4GiB"` (K is 1024); shares `"50%"`.
Relative paths start at the workspace, the folder that holds `conf/` and `state/`. Unknown keys are errors.
Keys marked *later* are known and checked, and have no effect in this version.
"""


def page() -> str:
    """The whole page, ready to be written."""
    return _HEAD + "".join(_section(section) for section in SECTIONS)


def _section(section: Section) -> str:
    rows = "".join(_rows(section.keys, _defaults(section), ""))
    return f"\n## `[{section.title}]`\n\n{section.means}\n\n| key | value | default | |\n|---|---|---|---|\n{rows}"


def _defaults(section: Section) -> Mapping[str, Any]:
    """The defaults of a section's settings by field name."""
    plain: Mapping[tuple[str, ...], type] = {("ghost",): settings.GhostSettings, ("alerts",): settings.AlertSettings}
    found = {}
    for field in dataclasses.fields(plain.get(section.path, section.make)):  # type: ignore[arg-type]  # all are dataclasses
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _rows(keys: Iterable[Key], defaults: Mapping[str, Any], above: str) -> Iterator[str]:
    for key in keys:
        default = "needed" if key.required else _default(key, defaults)
        means = key.means + ("" if key.effect else " *later*")
        cells = (f"`{above}{key.name}`", key.kind.says, default, means)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
        if key.kind.make is not None:
            inner = key.kind.make()
            inner = dataclasses.asdict(inner) if dataclasses.is_dataclass(inner) else {}  # type: ignore[arg-type]  # no type
            yield from _rows(key.kind.keys, inner, f"{above}{key.name}.")


def _default(key: Key, defaults: Mapping[str, Any]) -> str:
    value = defaults.get(key.field or key.name)
    return "" if value is None or key.kind.keys or not key.fixed_default else f"`{_written(value, key)}`"


def _written(value: Any, key: Key) -> str:
    """A default as one would write it."""
    match value:
        case Enum():
            return f'"{value.value}"'
        case bool():
            return str(value).lower()
        case _ if key.kind is kinds.RATE:
            return f'"{value[0]}/{ {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}[value[1]] }"'
        case _ if key.kind is kinds.OCTAL:
            return f'"{value:03o}"'
        case _ if key.kind is kinds.SIZE:
            return f'"{durations.show_size(value)}"'
        case _ if key.kind in (kinds.DURATION, kinds.PERIOD):
            return f'"{durations.show_duration(value)}"'
        case str():
            return f'"{value}"'
        case tuple() | list():
            return "[" + ", ".join(_written(one, key) for one in value) + "]"
        case Mapping():
            return "{}"
        case _:
            return str(value)


if __name__ == "__main__":
    sys.stdout.write(page())
