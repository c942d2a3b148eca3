"""Which Git this machine has, for those who look after it."""

from __future__ import annotations

import pygit2

from ghostd.base import process


def libgit2() -> str:
    """The library that reads and writes the objects."""
    return str(pygit2.LIBGIT2_VERSION)


def git() -> str:
    """The Git binary's version; "" where there is none."""
    try:
        done = process.run(["git", "version"], timeout=10.0)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip().removeprefix("git version ") if done.status == 0 else ""
