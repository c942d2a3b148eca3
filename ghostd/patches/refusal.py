"""The two ways to say no: a text is no patch (Malformed), or a patch does not fit a tree (Refusal)."""

from __future__ import annotations

from typing import Any

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line

KeyPath = tuple[str | int, ...]

# A key that would blur the path needs quotes in it.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Malformed(Cannot):
    """A text is no patch, or breaks the rules of its format; `line` and `path` say where."""

    def __init__(
        self, problem: str, *, line: int | None = None, path: KeyPath = (), form: str | None = None, **details: Any
    ) -> None:
        self.problem = problem
        self.line = line
        self.path = path
        where = f"line {line}: " if line is not None else ""
        key = f"{key_path(path)}: " if path else ""
        super().__init__(
            one_line(f"read the patch: {where}{key}{problem}"),
            kind="malformed",
            hint="`ghost lint FILE` lists every problem",
            line=line,
            path=key_path(path),
            format=form,
            **details,
        )


class Refusal(Cannot):
    """A well-formed patch can not be applied to this tree. The details are what its author needs to mend it."""


def key_path(path: KeyPath) -> str:
    """A key path as people write it: `content.mutations[0].op`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and _PLAIN.issuperset(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def shown(path: bytes) -> str:
    """A tree path for people and JSON; what is no UTF-8, or can not be seen, is written as an escape."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def refuse(kind: str, path: bytes | None, message: str, *, hint: str = "", **details: Any) -> Refusal:
    """A refusal about one path of the tree; details that are None are left out."""
    known = {key: value for key, value in details.items() if value is not None}
    if path is None:
        return Refusal(one_line(message), kind=kind, hint=hint, **known)
    return Refusal(one_line(f"{message}: {shown(path)}"), kind=kind, hint=hint, path=shown(path), **known)
