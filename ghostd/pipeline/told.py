"""What a statement says, read back whoever wrote it, and compared with a commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.pipeline.proof import APPLIED, PREDICATE, STATEMENT, Anchor
from ghostd.pipeline.rules import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a statement says, as far as it can be compared with something."""

    id: str
    kind: str
    digest: str
    lane: str
    outcome: str
    branch: str
    tree: str
    base: str | None
    base_tree: str
    predicate: Mapping[str, Any]

    @property
    def anchor(self) -> Anchor | None:
        """The log's head at the time; None where it could not be read, and in statements older than logs."""
        log = self.predicate.get("log")
        return Anchor(size=int(log["size"]), root=str(log["root"])) if isinstance(log, Mapping) else None


def read(statement: bytes) -> Told:
    """A statement read back, whoever wrote it. Raises Cannot(proof-damaged)."""
    try:
        told = json.loads(statement)
        if (told["_type"], told["predicateType"]) != (STATEMENT, PREDICATE):
            raise _damaged("it is of another type")
        (subject,), predicate = told["subject"], told["predicate"]
        found = Told(
            id=predicate["job"]["id"],
            kind=predicate["job"]["kind"],
            digest=predicate["job"]["digest"],
            lane=predicate["job"]["lane"],
            # The first statements told of applied jobs only, and did not say so.
            outcome=predicate.get("outcome", APPLIED),
            branch=subject["name"].removeprefix("refs/heads/"),
            tree=subject["digest"]["gitTree"],
            base=predicate["base"]["commit"],
            base_tree=predicate["base"]["tree"],
            predicate=predicate,
        )
        _ = found.anchor
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error
    listed = predicate.get("gates", [])
    gates = listed if isinstance(listed, list) else [None]
    if not all(isinstance(getattr(found, each), str) for each in _WORDS) or not all(map(_is_mapping, gates)):
        raise _damaged("one of its words is none")
    return found


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_WORDS = [field.name for field in fields(Told) if field.name not in ("base", "predicate")]


def _damaged(why: str) -> Cannot:
    return Cannot(f"read a proof: {why}", kind="proof-damaged", hint="ghost verify lists what does not fit")


def contradictions(told: Told, *, id: str, digest: str, lane: str, tree: str, parent: str | None) -> list[str]:
    """In which points a statement does not tell of this commit, or tells of one that should never have been made."""
    facts = (
        ("id", told.id, id),
        ("digest", told.digest, digest),
        ("lane", told.lane, lane),
        ("outcome", told.outcome, APPLIED),
        ("tree", told.tree, tree),
        ("base", told.base, parent),
    )
    wrong = [f"its proof says {name} {said}, Git says {real}" for name, said, real in facts if said != real]
    bad = [gate.get("name") for gate in told.predicate.get("gates", ()) if _blocks(gate)]
    return wrong + [f"its proof says that gate {name} was required and did not pass" for name in bad]


def _blocks(gate: Mapping[str, Any]) -> bool:
    return bool(gate.get("required")) and gate.get("status") != Said.PASSED.value
