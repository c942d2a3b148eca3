"""Where secrets live: an environment variable, a file that one names, or `state/secrets/<name>`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ghostd.base.errors import Cannot
from ghostd.base.files import create_exclusive, make_dir

Name = Literal["webhook", "slack", "jwt"]
VARIABLES: Mapping[Name, str] = {
    "webhook": "GHOST_WEBHOOK_SECRET",
    "slack": "GHOST_SLACK_SIGNING_SECRET",
    "jwt": "GHOST_JWT_SECRET",
}
#: Slack gives out its own; these two are ours to make.
MADE: tuple[Name, ...] = ("webhook", "jwt")
#: 256 bits: as much as the hash behind both schemes, and PyJWT asks for no less.
SIZE = 32
#: Files that hold more than this are not secrets but a mistake (a device, a log).
LONGEST_FILE = 64 * 1024


def create(folder: Path) -> None:
    """Make the secrets that are missing, 0600 and whole; one that is there is never touched."""
    make_dir(folder)
    for name in MADE:
        if not (folder / name).exists():
            create_exclusive(folder / name, secrets.token_urlsafe(SIZE).encode() + b"\n")


def load(name: Name, folder: Path, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The secrets in force, the newest first: several while one is rotated, none where none is configured.

    An environment variable wins over `<VARIABLE>_FILE`, which wins over the file in `folder`.
    """
    variable = VARIABLES[name]
    if environ.get(variable):
        return _several(environ[variable].encode("utf-8", "surrogateescape"))
    named = environ.get(f"{variable}_FILE")
    if named:
        return _several(_read(Path(named)))
    default = folder / name
    return _several(_read(default)) if default.exists() else ()


def _several(text: bytes) -> tuple[bytes, ...]:
    return tuple(part for part in (part.strip() for part in text.split(b",")) if part)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise Cannot(
            f"read the secret in {path}: {error.strerror}",
            kind="secret-unreadable",
            hint="it has to be a file that this user may read",
        ) from None
    if len(data) > LONGEST_FILE:
        raise Cannot(f"take {path} for a secret: it is too large", kind="secret-unreadable", hint="name another file")
    return data
