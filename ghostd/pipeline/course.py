"""What stood along a branch, and so which ids a rollback or restore really took back and brought back.

Its trailers decide what stands, so they are made once more: from the commits before it, and from what its proof says
that it undid or restored. Git and the log are all that this needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Kind, Landed
from ghostd.pipeline import rollback
from ghostd.pipeline.branch import standing
from ghostd.pipeline.told import Told
from ghostd.repo import history
from ghostd.repo.git import Repository


class Course:
    """The commits of a branch up to some point, oldest first."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._landed: dict[str, Landed] = {}
        self._stands: set[str] = set()

    def go(self, landed: Landed) -> None:
        """One commit further."""
        self._landed[landed.commit] = landed
        self._stands.update((landed.id, *landed.reapplies))
        self._stands.difference_update(landed.reverts)

    def contradictions(self, told: Told, landed: Landed, body: bytes) -> Iterator[str]:
        """In which points the next commit's trailers do not tell what it did; `body` is what it was asked for."""
        restores = told.predicate.get("restores") if told.kind == Kind.RESTORE else None
        if landed.restores != restores:
            yield f"its trailers say that it restores {landed.restores}, its proof says {restores}"
        if told.kind == Kind.ROLLBACK:
            yield from self._rolled_back(told.predicate.get("undone"), landed, body)
        elif told.kind == Kind.RESTORE:
            yield from self._restored(str(restores), landed)
        else:
            yield from _differ(landed, frozenset(), frozenset())

    def _rolled_back(self, named: Any, landed: Landed, body: bytes) -> Iterator[str]:
        if not isinstance(named, list):
            # The first proofs did not tell what is undone.
            return
        known = {str(oid) for oid in named}
        before = frozenset(self._stands)
        newest_first = [found for found in reversed(self._landed.values()) if found.commit in known]
        taken, after = rollback.in_turn(newest_first, before)
        if [found.commit for found in taken] != named:
            yield "its proof says that it undid what did not stand, or not the newest first"
            return
        reverted, reapplied = rollback.effect(taken, before, after)
        yield from _differ(landed, frozenset(reverted), frozenset(reapplied))
        yield from (f"it was asked to take back {id}, which stands" for id in _asked(body) if id in after)

    def _restored(self, name: str, landed: Landed) -> Iterator[str]:
        tag = _tag(self._repo, name)
        if tag is None:
            # This is told where its tree is made anew.
            return
        later = frozenset(history.since(self._repo, tag.commit, landed.commit))
        then = standing(found for found in self._landed.values() if found.commit not in later)
        now = frozenset(self._stands)
        yield from _differ(landed, now - then, then - now)


def _asked(body: bytes) -> list[str]:
    """The ids that a rollback's body asks for; whoever wrote it, it may be anything."""
    try:
        return [str(id) for id in json.loads(body)["ids"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _tag(repo: Repository, name: str) -> history.Tag | None:
    try:
        return history.read_tag(repo, name)
    except Cannot:
        return None


def _differ(landed: Landed, reverted: frozenset[str], reapplied: frozenset[str]) -> Iterator[str]:
    for verb, said, real in (("takes", landed.reverts, reverted), ("brings", landed.reapplies, reapplied)):
        if sorted(said) != sorted(real):
            yield f"its trailers say that it {verb} back {_listed(said)}, it {verb} back {_listed(real)}"


def _listed(ids: tuple[str, ...] | frozenset[str]) -> str:
    return ", ".join(sorted(ids)) or "nothing"
