"""Results of patches for people: a line each, and under it what to do about one that did not apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line, printable
from ghostd.cli import output
from ghostd.patches.read import inspect


def id_of(data: bytes) -> str | None:
    """The id of a patch text as far as it can be read at all."""
    reports = inspect(data)
    return reports[0].id if len(reports) == 1 else None


def show(results: Sequence[Mapping[str, Any]], *, quiet: bool) -> None:
    """A line for each result on stdout; the reasons of the bad ones on stderr."""
    for one in results:
        if not quiet:
            output.say(_line(one))
        if one["error"]:
            explain(one["error"])


def _line(one: Mapping[str, Any]) -> str:
    commit, stat = (one["commit"] or "")[:10], one["stat"]
    files = f"{stat['files']} file{'' if stat['files'] == 1 else 's'}"
    size = f"{files} +{stat['insertions']} -{stat['deletions']}" if one["commit"] or stat["files"] else ""
    pending = "files are pending" if one["worktree"] == "pending" else ""
    words = (f"{one['status']:<11}", one_line(str(one["id"] or "?"), 80), commit, size, pending)
    return "  ".join(word for word in words if word).rstrip()


def explain(error: Mapping[str, Any]) -> None:
    """The reason in one line, then what a refusal knows about the place."""
    hint = f"; {error['hint']}" if error.get("hint") else ""
    output.talk(one_line(f"ghost: {error['message']}{hint}", 2000))
    difference = error.get("first_diff")
    if difference:
        output.talk(f"  expected {one_line(str(difference['expected']))}")
        output.talk(f"  found    {one_line(str(difference['actual']))}")
    for text in (error.get("diff"), error.get("output")):
        if text:
            output.talk("\n".join("  " + line for line in printable(str(text)).splitlines()[-40:]))


def as_cannot(error: Mapping[str, Any]) -> Cannot:
    """An error that came out of a job, as the failure of this command."""
    known = ("kind", "message", "hint")
    message = str(error["message"]).removeprefix("cannot ")
    more = {key: value for key, value in error.items() if key not in known}
    return Cannot(message, kind=str(error["kind"]), hint=str(error.get("hint", "")), **more)
