"""Commit messages: a subject, a stranger's text, and our trailers, which that text can not forge. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from ghostd.model.job import Landed

SUBJECT_LIMIT = 100
PREFIX = "Ghost-"

ID = "Ghost-Patch-Id"
DIGEST = "Ghost-Patch-Sha256"
LANE = "Ghost-Lane"
PHASE = "Ghost-Phase"
PROOF = "Ghost-Proof"
REVERTS = "Ghost-Reverts"
REAPPLIES = "Ghost-Reapplies"
RESTORES = "Ghost-Restores"

Trailers = Sequence[tuple[str, str]]

_VERSIONED = re.compile(r"patch-v\d+(?:\.\d+){1,3}\((?P<phase>[^()]+)\)_(?P<slug>.+)")
_OURS = re.compile(r"\W*ghost[\W_]", re.IGNORECASE)
# Git ends a message at such a line, in some of its commands.
_DIVIDER = re.compile(r"\s*---|.*>8|diff --git |Index: ")
_TRAILER = re.compile(r"(?P<key>[A-Za-z0-9-]+): (?P<value>\S.*)")


def clean(text: str) -> str:
    """A stranger's text as one line without control characters, separators or direction overrides."""
    if text.isascii() and text.isprintable():
        # The usual case, without a look at each character.
        return " ".join(text.split())
    visible = "".join(" " if char.isspace() else char for char in text if char.isspace() or not _hidden(char))
    return " ".join(visible.split())


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def subject(id: str, description: str) -> str:
    """The first line of a commit, at most 100 characters."""
    versioned = _VERSIONED.fullmatch(id)
    words = clean(description)
    if versioned is None:
        line = f"[PATCH {clean(id)}] {words}"
    else:
        line = f"[PATCH {clean(versioned['phase'])}] {clean(versioned['slug'])}" + (f" — {words}" if words else "")
    line = line.rstrip()
    return line if len(line) <= SUBJECT_LIMIT else line[: SUBJECT_LIMIT - 1].rstrip() + "…"


def trailers(
    *,
    id: str,
    digest: str,
    lane: str,
    proof: str,
    phase: str | None = None,
    reverts: Iterable[str] = (),
    reapplies: Iterable[str] = (),
    restores: str | None = None,
) -> Trailers:
    """Our trailers in their order."""
    pairs = [(ID, id), (DIGEST, digest), (LANE, lane), (PHASE, phase or ""), (PROOF, proof)]
    pairs += (
        [(REVERTS, each) for each in reverts] + [(REAPPLIES, each) for each in reapplies] + [(RESTORES, restores or "")]
    )
    return tuple((key, value) for key, value in pairs if value)


def message(subject: str, body: str, trailers: Trailers) -> str:
    """A whole commit message. Only the last paragraph holds trailers, and only ours."""
    text = "\n".join(_defused(line) for line in body.splitlines()).strip("\n ")
    block = "\n".join(f"{key}: {value}" for key, raw in trailers if (value := clean(raw)))
    paragraphs = (clean(subject) or "(no subject)", text, block)
    return "\n\n".join(part for part in paragraphs if part) + "\n"


def _defused(line: str) -> str:
    """A line that no reader takes for a trailer of ours or for the end of the message."""
    plain = line.isascii() and line.isprintable()
    shown = (line if plain else "".join(char for char in line if char == "\t" or not _hidden(char))).rstrip()
    return f"> {shown}" if _OURS.match(shown) or _DIVIDER.match(shown) else shown


def parse_trailers(message: str, commit: str = "") -> Landed | None:
    """What a commit says it is; None for a commit that is not ours, or whose trailers contradict themselves."""
    values = _values(message)
    if values is None or any(len(values.get(key, ())) != 1 for key in (ID, DIGEST, LANE, PROOF)):
        return None
    if any(len(values.get(key, ())) > 1 for key in (PHASE, RESTORES)):
        return None
    return Landed(
        commit=commit,
        id=values[ID][0],
        digest=values[DIGEST][0],
        proof=values[PROOF][0],
        lane=values[LANE][0],
        phase=next(iter(values.get(PHASE, ())), None),
        reverts=tuple(values.get(REVERTS, ())),
        reapplies=tuple(values.get(REAPPLIES, ())),
        restores=next(iter(values.get(RESTORES, ())), None),
    )


def is_corrupt(message: str) -> bool:
    """True where the last paragraph looks like ours and can not be read."""
    return any(line.startswith(PREFIX) for line in _last_paragraph(message)) and parse_trailers(message) is None


def _last_paragraph(message: str) -> list[str]:
    """The lines after the last blank line; none where there is only a subject."""
    first, _, last = message.rstrip("\n").rpartition("\n\n")
    return last.split("\n") if first else []


def _values(message: str) -> dict[str, list[str]] | None:
    """The last paragraph's trailers by key; None where a line of it is none."""
    values: dict[str, list[str]] = {}
    for line in _last_paragraph(message):
        found = _TRAILER.fullmatch(line)
        if found is None:
            return None
        values.setdefault(found["key"], []).append(found["value"])
    return values
