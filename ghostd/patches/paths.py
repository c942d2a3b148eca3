"""The one validator of paths: what passes names a place inside the repository on every system, and never Git's own.

A leading `-` is allowed, as Git allows it: a path is never an argument of a command here. Names that are not UTF-8
(given as `path_b64`) are allowed when they are otherwise clean.
"""

from __future__ import annotations

import re
import unicodedata

from ghostd.patches.refusal import Refusal, refuse

MAX_PATH = 4096
MAX_PART = 255

# What nearly all paths look like; nothing below can object to them but to names of devices and of Git.
_TAME = re.compile(
    rb"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9_-]{0,99}){0,20}(?:\.[A-Za-z0-9]{1,20})?"
)
# Windows finds a device under these names in every folder, with any ending.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)", re.IGNORECASE)
# `.git` itself, its short name on NTFS, and `.gitmodules` (which makes Git fetch and run) with its short names.
_GITS_OWN = re.compile(r"\.git|git~[0-9]+|\.gitmodules|gitmod~[0-9]+|gi7eba~[0-9]+")
# Not shown, or shown as something else: controls, formats (bidi, zero width), halves of pairs, line separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def checked(path: bytes) -> bytes:
    """The path itself, where it is clean. Raises Refusal of kind `forbidden-path`."""
    problem = path_flaw(path)
    if problem:
        raise forbidden(path, problem)
    return path


def forbidden(path: bytes, problem: str) -> Refusal:
    """The refusal of a path that may not be written."""
    return refuse(
        "forbidden-path", path, f"write to a path that {problem}", hint="name a plain path inside the repository"
    )


def path_flaw(path: bytes) -> str | None:
    """Why a path may not be used, None where it may."""
    if _TAME.fullmatch(path) and not any(_DEVICES.fullmatch(part) for part in _stems(path)):
        return None
    if not path:
        return "is empty"
    if len(path) > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    if path.startswith(b"/"):
        return "is absolute"
    text = path.decode("utf-8", "surrogateescape")
    return _text_flaw(text) or next((flaw for part in text.split("/") if (flaw := _part_flaw(part))), None)


def target_flaw(path: bytes, target: bytes) -> str | None:
    """Why a symlink at `path` may not point to `target`: each has to stay inside, wherever others lead.

    `..` is taken only in front: behind a name that is itself a link it would lead anywhere.
    """
    if not target or len(target) > MAX_PATH or b"\0" in target:
        return "is a symlink with an empty, too long or broken target"
    if target.startswith(b"/") or b"\\" in target:
        return "is a symlink to an absolute target"
    parts = target.decode("utf-8", "surrogateescape").split("/")
    climbs = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if climbs > path.count(b"/") or ".." in parts[climbs:]:
        return "is a symlink that leads out of the repository"
    if any(_is_gits_own(part) for part in parts):
        return "is a symlink to Git's own files"
    return None


def _stems(path: bytes) -> list[str]:
    return [part.partition(".")[0] for part in path.decode("ascii").split("/")]


def _text_flaw(text: str) -> str | None:
    for character in text:
        if "\udc80" <= character <= "\udcff":
            continue  # a byte that is no UTF-8
        if unicodedata.category(character) in _UNSEEN:
            return f"holds the unseen character U+{ord(character):04X}"
    if "\\" in text or ":" in text:
        return "holds a backslash or a colon"
    return None if unicodedata.is_normalized("NFC", text) else "is not in Unicode's normal form NFC"


def _part_flaw(part: str) -> str | None:
    if part in ("", ".", ".."):
        return f"has {part!r} as a part"
    if len(part.encode("utf-8", "surrogateescape")) > MAX_PART:
        return f"has a part of more than {MAX_PART} bytes"
    if _is_gits_own(part):
        return "names Git's own files"
    if part[-1] == "." or part[-1].isspace():
        return "has a part that ends in a dot or a blank"
    if _DEVICES.fullmatch(part.partition(".")[0].rstrip()):
        return "names a device of Windows"
    return None


def _is_gits_own(part: str) -> bool:
    """True for `.git` in any spelling that some file system takes for it."""
    seen = "".join(c for c in part if unicodedata.category(c) != "Cf")
    plain = unicodedata.normalize("NFKC", seen).partition(":")[0].rstrip(". \t\r\n").casefold()
    return _GITS_OWN.fullmatch(plain) is not None
