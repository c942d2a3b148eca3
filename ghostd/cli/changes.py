"""What a rollback or a restore changes, for people: names by kind, and the size of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ghostd.base.log import one_line
from ghostd.cli import output

_LISTS = ("reverted", "reapplied", "dependents", "conflicts", "files")


def show(told: Mapping[str, Any], names: Iterable[str] = _LISTS) -> None:
    """A line for each list of the document that holds something, and one for the size where it is known."""
    for name in names:
        if told.get(name):
            output.say(one_line(f"{name + ':':<11}  {' '.join(told[name])}", 4000))
    if told.get("files") and told["commit"] is None and not told.get("conflicts"):
        stat = told["stat"]
        output.say(f"{'size:':<11}  {stat['files']} files +{stat['insertions']} -{stat['deletions']}")
