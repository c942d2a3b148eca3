"""JSON pointers (RFC 6901): their form, their parts."""

from __future__ import annotations

from collections.abc import Sequence

#: Parts of a pointer; no honest file is nested deeper.
MAX_PARTS = 64


def pointer_flaw(pointer: str) -> str | None:
    """Why a text is no JSON pointer (RFC 6901), None where it is one."""
    if pointer and not pointer.startswith("/"):
        return "has to be empty or begin with /"
    if pointer.count("/") > MAX_PARTS:
        return f"has more than {MAX_PARTS} parts"
    bare = pointer.replace("~0", "").replace("~1", "")
    return "holds a ~ that is not ~0 or ~1" if "~" in bare else None


def split(pointer: str) -> tuple[str, ...]:
    """The names and numbers that a pointer is made of."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def joined(parts: Sequence[str]) -> str:
    """The pointer of some parts."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
