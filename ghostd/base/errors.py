"""The one exception that people are meant to read."""

from __future__ import annotations

import errno
from typing import Any

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Cannot(Exception):  # noqa: N818 - it is a sentence: "cannot <message>; <hint>"
    """An expected failure, told in one line: `cannot <message>; <hint>`.

    `message` names the thing and the place and starts with a verb ("read conf/ghost.toml: no such file").
    `kind` is a stable word for programs ("config-missing"); `hint` is the next step; `details` are further
    JSON-able facts of a refusal (`path`, `line`, `candidates`, …), free for each kind.
    """

    def __init__(self, message: str, *, kind: str, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"cannot {self.message}" + (f"; {self.hint}" if self.hint else "")

    def as_json(self) -> dict[str, Any]:
        """The `error` object of the JSON output: kind, message, hint and the details."""
        return {"kind": self.kind, "message": f"cannot {self.message}", "hint": self.hint, **self.details}


def of_os_error(error: OSError, what: str = "go on") -> Cannot:
    """A disk or a system that could not, as an expected failure: kind `disk-full` or `os-error`."""
    full = error.errno in _FULL
    where = f"{error.filename}: " if error.filename else ""
    return Cannot(
        f"{what}: {where}{error.strerror or error}",
        kind="disk-full" if full else "os-error",
        hint="free some space, then do it again" if full else "see to the cause, then do it again",
    )
