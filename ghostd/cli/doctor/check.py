"""One thing that was looked at, and how the whole is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ghostd.base.log import one_line
from ghostd.cli import output
from ghostd.cli.verbs import FAILED, Asked


class State(StrEnum):
    OK = "ok"
    #: It works without, or with less.
    WARNING = "warning"
    #: What is configured needs it.
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    group: str
    name: str
    state: State
    #: What is there, or why it is not.
    found: str
    #: What it is good for.
    purpose: str
    #: How to get it, where it is not there or not well.
    get: str = ""

    def as_json(self) -> dict[str, str]:
        """Its entry in the JSON document."""
        return {
            "group": self.group, "name": self.name, "state": self.state, "found": self.found, "for": self.purpose,
            "get": self.get,
        }  # fmt: skip


def tell(checks: Sequence[Check], asked: Asked) -> int:
    """Show all of them; the exit status is 1 where something is missing that the configuration needs."""
    good = not any(check.state is State.MISSING for check in checks)
    if asked.json:
        output.emit({"ok": good, "checks": [check.as_json() for check in checks]})
    else:
        _show(checks, asked)
    return 0 if good else FAILED


def _show(checks: Sequence[Check], asked: Asked) -> None:
    shown = [check for check in checks if asked.verbosity >= 0 or check.state is not State.OK]
    output.table(
        ("CHECK", "STATE", "FOUND", "FOR"),
        [(check.name, check.state, check.found[:44], check.purpose) for check in shown],
    )
    lines = list(_advice(shown))
    if lines:
        output.say("")
    for line in lines:
        output.say(one_line(line, 2000))


def _advice(checks: Iterable[Check]) -> Iterable[str]:
    for check in checks:
        if check.state is not State.OK:
            yield f"{check.name}: {check.found}" + (f"; {check.get}" if check.get else "")
