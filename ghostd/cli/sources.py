"""Patch texts out of what a command line names: files, folders, stdin, and the fenced blocks of transcripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.bridges.fences import scan
from ghostd.patches.read import Malformed, Recognition, documents, recognised

SUFFIXES = (".json", ".yaml", ".yml")
_PROSE = (".md", ".markdown", ".txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One patch as text, and where it stands for people: `fix.yaml`, `chat.md#3`."""

    name: str
    data: bytes


def pieces(names: Sequence[str], *, max_bytes: int) -> Iterator[Piece]:
    """Every patch text that the names mean, in order. Raises Cannot(unreadable, empty) before any is used."""
    for path in [path for name in names for path in _files(name)]:
        yield from _split(path, _read(path), max_bytes)


def _files(name: str) -> list[str]:
    folder = Path(name)
    if name == "-" or not folder.is_dir():
        return [name]
    found = sorted(entry for entry in folder.iterdir() if entry.suffix in SUFFIXES and entry.is_file())
    if not found:
        raise Cannot(
            f"apply {name}: the folder holds no patch files", kind="empty", hint=f"they end in {', '.join(SUFFIXES)}"
        )
    return [str(entry) for entry in found]


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Cannot(
            f"read {name}: {error.strerror}", kind="unreadable", hint="check the path and its permissions"
        ) from error


def _split(name: str, data: bytes, max_bytes: int) -> Iterator[Piece]:
    """One piece for each patch. A text that can not be split is one piece: reading it will say what is wrong."""
    blocks = [block for block in scan(data) if recognised(block.text) is not Recognition.OTHER]
    if blocks and (name.endswith(_PROSE) or not _is_patch(data, max_bytes)):
        yield from (Piece(name=f"{name}#{block.index}", data=block.text) for block in blocks)
        return
    try:
        found = documents(data, max_bytes=max_bytes)
    except Malformed:
        found = ()
    if len(found) <= 1:
        yield Piece(name=name, data=data)
    else:
        yield from (Piece(name=f"{name}#{n}", data=document.source) for n, document in enumerate(found, 1))


def _is_patch(data: bytes, max_bytes: int) -> bool:
    try:
        return bool(documents(data, max_bytes=max_bytes))
    except Malformed:
        return False
